"""One run of the verifier: SFT on the answer token, then a check on tasks that it has not seen.

Promises: a seeded share of each dataset's tasks is held out, no task is on both sides, and both answers are there before training
begins; the finished checkpoint says which prompts it is for; `<run>/metrics/<name>-eval.json` holds AUROC with its interval,
calibration and the share of right choices within a task. Running it again resumes, or checks what is there once more.
Does not cover: making the rows (`rows`), the training loop (`medcopilot.train.sft`).
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from env.errors import UserError
from env.files import atomic_write
from medcopilot.data.choose import rank
from medcopilot.data.rows import read_card, read_rows
from medcopilot.train import loop
from medcopilot.train.model import checkpoint_digest
from medcopilot.train.settings import VerifierConfig
from medcopilot.train.sft import run_sft
from medcopilot.verifier import calibration
from medcopilot.verifier.prompt import MAX_TOKENS, NO, YES
from medcopilot.verifier.rows import Row
from medcopilot.verifier.score import Verifier, VerifierRecord, write_record

COLUMNS = ("input_ids", "labels", "answer", "submitted", "dataset", "task_id")


def run_verifier(config: VerifierConfig) -> loop.StageResult:
    """Train, or resume, or find that it was done; then check and print.

    Raises:
        UserError: rows, tokenizer, checkpoint or settings that do not fit together, or too few tasks to hold some out.
    """
    card = read_card(config.data)
    rows = read_rows(config.data, COLUMNS)
    if card is None or card.kind != "verifier":
        raise UserError(f"{config.data}: these are no rows of a verifier (their card says {card.kind if card else 'nothing'}): "
                        f"write them with `medcopilot export verifier RUN --out {config.data}`")
    record = _record(config.data, card.options)
    training, held_out = split_by_task(rows, config.held_out, config.seed)
    _check_split(config.data, training, held_out)
    result = run_sft(config, training)
    if os.environ.get("RANK", "0") == "0":
        write_record(result.checkpoint, record)
        found = check(Verifier.from_checkpoint(result.checkpoint, device="cpu" if config.device == "cpu" else None), held_out)
        body = {"checkpoint": checkpoint_digest(result.checkpoint), "data": card.digest, "training_rows": len(training), **found}
        path = config.metrics.with_name(f"{config.name}-eval.json")
        atomic_write(path, json.dumps(_without_nan(body), indent=2) + "\n")
        print("\n".join(summary(found)) + f"\n-> {path}")
    return result


def _record(data: Path, options: dict[str, Any]) -> VerifierRecord:
    """The prompts that the rows were made with."""
    try:
        profile = options.get("profile", "full")
        return VerifierRecord(profile=profile, max_length=options.get("max_length") or MAX_TOKENS.get(profile))
    except ValidationError:
        raise UserError(f"{data}: the card beside it does not say which prompts the rows were made with: export the rows again"
                        ) from None


def split_by_task(rows: Sequence[Row], share: float, seed: int) -> tuple[list[Row], list[Row]]:
    """Rows to train on and rows to check on. Of every dataset with two tasks or more at least one task is held out."""
    tasks: dict[str, set[str]] = {}
    for row in rows:
        tasks.setdefault(row["dataset"], set()).add(row["task_id"])
    held: set[tuple[str, str]] = set()
    for dataset, names in tasks.items():
        order = sorted(names, key=lambda name: (rank(seed, dataset, name), name))
        count = min(len(order) - 1, max(1, round(share * len(order))))
        held.update((dataset, name) for name in order[:count])
    sides: tuple[list[Row], list[Row]] = ([], [])
    for row in rows:
        sides[(row["dataset"], row["task_id"]) in held].append(row)
    return sides


def check(verifier: Verifier, rows: Sequence[Row]) -> dict[str, Any]:
    """Scores of held-out rows against their answers, as plain data."""
    scores = verifier.score_ids([row["input_ids"][:-1] for row in rows])
    outcomes = [int(row["answer"] == YES) for row in rows]
    tasks = [f"{row['dataset']}/{row['task_id']}" for row in rows]

    def ranked(which: Callable[[Row], bool]) -> dict[str, Any]:
        here = [i for i, row in enumerate(rows) if which(row)]
        given = [[column[i] for i in here] for column in (scores, outcomes, tasks)]
        return {"rows": len(here), "auroc": calibration.auroc_interval(*given)._asdict() if len(set(given[1])) == 2 else None}

    return {
        "rows": len(rows), "tasks": len(set(tasks)), "yes": sum(outcomes),
        "auroc": calibration.auroc_interval(scores, outcomes, tasks)._asdict(),
        "within_tasks": calibration.within_tasks(scores, outcomes, tasks)._asdict(),
        "brier": calibration.brier(scores, outcomes),
        "expected_calibration_error": calibration.expected_calibration_error(scores, outcomes),
        "reliability": [row._asdict() for row in calibration.reliability(scores, outcomes)],
        "submitted": ranked(lambda row: row["submitted"]),  # that nothing was handed in is no feat to notice
        "datasets": {name: ranked(lambda row, name=name: row["dataset"] == name)
                     for name in sorted({row["dataset"] for row in rows})},
    }


def summary(found: dict[str, Any]) -> list[str]:
    """The check in a few lines for a terminal."""
    ranking = found["within_tasks"]
    lines = [f"held out: {found['rows']} episodes of {found['tasks']} tasks, {found['yes']} of them correct", _area(found["auroc"])]
    if ranking["pairs"]:
        lines.append(f"of two episodes of one task the correct one scores higher in {ranking['share']:.1%} of {ranking['pairs']:,} "
                     "pairs")
    parts = {"with a submission": found["submitted"], **found["datasets"]}
    lines += [f"  {name}: {_area(part['auroc'])}, {part['rows']} episodes" for name, part in parts.items()]
    lines += [f"Brier score {found['brier']:.3f}, expected calibration error {found['expected_calibration_error']:.3f}",
              "  score        episodes  mean score  correct"]
    lines += [f"  {row['low']:.1f} to {row['high']:.1f}  {row['count']:9,}  {row['score']:10.2f}  {row['correct']:7.2f}"
              for row in found["reliability"] if row["count"]]
    return lines


def _area(interval: dict[str, float] | None) -> str:
    return "one outcome only" if interval is None else "AUROC {estimate:.3f} ({low:.3f} to {high:.3f})".format(**interval)


def _check_split(data: Path, training: Sequence[Row], held_out: Sequence[Row]) -> None:
    for what, rows in (("training", training), ("held-out", held_out)):
        answers = {row["answer"] for row in rows}
        if answers != {YES, NO}:
            missing = " and no ".join(sorted({YES, NO} - answers))
            raise UserError(f"{data}: the {what} part has no {missing} among its {len(rows)} rows: export rows of more tasks, or "
                            "change held_out")


def _without_nan(value: Any) -> Any:
    """JSON has no NaN: null stands for what the data cannot support."""
    if isinstance(value, dict):
        return {key: _without_nan(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_without_nan(part) for part in value]
    return None if isinstance(value, float) and math.isnan(value) else value


