"""BioCoder's Python rows as tasks: a function to be put into a program that prints what it computes.

Promises: reads rows (`idx`, `problem`, `solution`, `context` with `<<insert solution here>>`, `signature`, `code`) from
`train_tasks.jsonl` and `test_tasks.jsonl` (or one such file). A submission is the code that replaces the marker; it is spliced in
at the marker's indentation and the whole program run several times: with other random seeds, and other values in the place of
BioCoder's random numbers (`<|int;range=0,100|>`), of which the agent sees examples only. The reference is what the row's own
solution prints there. Rows that cannot be graded are quarantined, each with its reason, in `dropped.json`: no solution, a solution
that fails here, outputs that differ from run to run, and programs that print the same whatever the function returns.
Does not cover: files, services or data that a context expects beside itself (its solution fails then).
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from env.datasets.base import BuildRequest, Progress
from env.datasets.biocoder import splice as splicing
from env.datasets.biocoder.splice import MARK, splice, straightened
from env.errors import UserError
from env.files import atomic_write
from env.grading import GradingRoom
from env.sandbox import open_backend
from env.task import Limits, Slice, Split, Submission, Task, TaskKey, TaskView, make_task
from rewards.types import SUBMITTED

FIELDS = ("problem", "solution", "context", "signature")
SEEDS = (0, 1, 2, 3)
ACTIONS = ("terminal", "code_execution", "debugging", "submit")
LIMITS = Limits(exec_seconds=30.0)
LICENCE = "as the function's repository (BioCoder)"
DESCRIPTION = (
    f"Submit the code that replaces `{MARK}` in the context: the function alone, or with helpers. It is put in at the marker's "
    "indentation, the program is run, and what it prints is compared with what it should print.")
_HIDDEN = '''{splicing}

import contextlib
import random

random.seed({seed})
if {numpy}:
    import numpy
    numpy.random.seed({seed})
whole = splice({context!r}, {submitted})
printed = io.StringIO()
with contextlib.redirect_stdout(printed):
    try:
        exec(compile(whole, "spliced.py", "exec"), {{"__name__": "__main__"}})
    except SystemExit:
        pass
answer = [line.rstrip() for line in printed.getvalue().strip().splitlines()]
'''
_RANDOM = re.compile(r"<\|(\w+)(?:;range=(-?[\d.]+),\s*(-?[\d.]+))?[^|>]*\|>")
Row = dict[str, Any]


class Quarantined(Exception):
    """The reason why a row is no task."""


def adapt_source(request: BuildRequest, folder: Path, progress: Progress, packages: tuple[str, ...]) -> Iterator[Task]:
    """Tasks of the rows at `request.source`.

    Raises:
        UserError: no file, an unreadable one, or a row without a field it needs.
    """
    assert request.source is not None
    if request.options:
        raise UserError(f"biocoder: unknown option {next(iter(request.options))!r}; its rows have none")
    rows = [(split, row) for split, path in _files(request.source) for row in _rows(path)]
    dropped: list[dict[str, str]] = []
    backend = open_backend()
    try:
        room = GradingRoom(backend, lambda view: (), lambda view: packages)
        for done, (split, row) in enumerate(rows, start=1):
            try:
                yield _task(row, split, request.seed, room)
            except Quarantined as reason:
                dropped.append({"id": str(row["idx"]), "split": split, "reason": str(reason)})
            progress("biocoder rows", done, len(rows))
    finally:
        backend.close()
    report = {"rows": len(rows), "tasks": len(rows) - len(dropped), "dropped": dropped}
    atomic_write(folder / "dropped.json", json.dumps(report, indent=1, ensure_ascii=False))


def _files(source: Path) -> list[tuple[Split, Path]]:
    """A file's name says its split."""
    if source.is_file():
        return [("train" if "train" in source.name else "test", source)]
    names: tuple[tuple[Split, str], ...] = (("train", "train_tasks.jsonl"), ("test", "test_tasks.jsonl"))
    found = [(split, source / name) for split, name in names if (source / name).is_file()]
    if not found:
        raise UserError(f"biocoder: no rows at {source}: give a folder with train_tasks.jsonl or test_tasks.jsonl, or one such "
                        "file (github.com/wshi83/MedAgentGym, data/biocoder); BioCoder's own datasets/*.json are not read")
    return found


def _rows(path: Path) -> Iterator[Row]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"biocoder: {path} cannot be read ({error}): fetch it again") from None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise UserError(f"biocoder: {path} line {number} is not JSON ({error}): fetch it again") from None
        for name in FIELDS:
            if not isinstance(row, dict) or not isinstance(row.get(name), str):
                raise UserError(f"biocoder: {path} line {number}: field {name} is missing or no text: fetch the file again")
        yield {**row, "idx": row.get("idx", number)}


def reference_code(row: Row) -> tuple[str, str]:
    """The function's name and the row's own code for it.

    Raises:
        Quarantined: there is none.
    """
    match = re.search(r"(\w+)\s*\(", row["signature"])
    if match is None:
        raise Quarantined("the signature names no function")
    for field in ("solution", "code"):
        text = straightened(row.get(field) or "")
        if re.search(rf"\bdef\s+{match[1]}\s*\(", text) and splicing.parses(text):
            return match[1], text
    raise Quarantined(f"no solution that defines {match[1]}")


def expanded(context: str, seed: str) -> str:
    """The context with numbers in the place of BioCoder's random ones.

    Raises:
        Quarantined: a placeholder is of a kind that is not known.
    """
    rng = Random(seed)

    def number(match: re.Match[str]) -> str:
        low, high = float(match[2] or 0), float(match[3] or 100)
        if match[1] not in ("int", "float") or low > high:
            raise Quarantined(f"the placeholder {match[0]} is not known")
        return str(rng.randint(int(low), int(high)) if match[1] == "int" else round(rng.uniform(low, high), 4))

    return _RANDOM.sub(number, context)


def hidden_inputs(context: str) -> list[str]:
    """The texts that run a spliced program, one for each seed."""
    module = inspect.getsource(splicing).replace("from __future__ import annotations\n", "")
    return [_HIDDEN.format(splicing=module, seed=seed, numpy="numpy" in context, context=expanded(context, f"hidden/{seed}"),
                           submitted=SUBMITTED)
            for seed in SEEDS]


def _task(row: Row, split: Split, seed: int, room: GradingRoom) -> Task:
    name, gold = reference_code(row)
    try:
        splice(row["context"], gold)
    except ValueError as error:
        raise Quarantined(str(error)) from None
    part: Slice = "train" if split == "train" else "official"
    question = f"{row['problem'].strip()}\n\nSignature: `{row['signature'].strip()}`"
    shown = expanded(row["context"], f"{seed}/shown").rstrip()
    view = TaskView(dataset="biocoder", family="code", question=question, description=DESCRIPTION,
                    context=f"Context:\n```python\n{shown}\n```", actions=ACTIONS, answer_kind=("program",), limits=LIMITS)

    def make(inputs: list[str], reference: list[Any]) -> Task:
        key = TaskKey(reference=reference, grader="functions", args={"inputs": inputs, "visible": 1, "part": True}, gold=gold,
                      hints={"function": name, "source_id": str(row["idx"])})
        return make_task(view, key, seed=seed, category=str(row.get("category", "python")), template=name, split=split, slice=part,
                         cluster=f"{name}/{row['idx']}", licence=LICENCE, source=f"biocoder-{split}")

    inputs = hidden_inputs(row["context"])
    outputs = _run(room, make(inputs, [None] * len(inputs)), gold)
    chosen = {json.dumps(output): (text, output) for text, output in zip(inputs, outputs, strict=True)}
    task = make([text for text, _ in chosen.values()], [output for _, output in chosen.values()])
    _check(room, task, name, gold)
    return task


def _run(room: GradingRoom, task: Task, program: str) -> list[Any]:
    """What the spliced program prints for each input.

    Raises:
        Quarantined: it fails.
    """
    evidence = room.evidence(task, Submission(kind="program", program=program))
    for output in evidence.outputs:
        if output["status"] != "ok" or not output["has_value"]:
            raise Quarantined(f"the spliced solution ends with {output['status']}: a package, file or service may be missing")
    if not any(output["value"] for output in evidence.outputs):
        raise Quarantined("the program prints nothing")
    return [output["value"] for output in evidence.outputs]


def _check(room: GradingRoom, task: Task, name: str, gold: str) -> None:
    """The solution passes again, and a stub fails.

    Raises:
        Quarantined: one of these does not hold.
    """
    if not room.grade(task, Submission(kind="program", program=gold), ("strict",))["strict"].success:
        raise Quarantined("the output differs from run to run")
    stub = f"def {name}(*arguments, **options):\n    return None\n"
    if room.grade(task, Submission(kind="program", program=stub), ("strict",))["strict"].success:
        raise Quarantined("the output does not depend on the function")
