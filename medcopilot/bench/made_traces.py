"""Runs made up for measurements: as many traces as wanted, of the size and kinds that real runs have.

Promises: seeded; twelve datasets with as many categories each as the paper's; programs in Python and SQL that parse, tables and
tracebacks as observations, three to fifteen turns, token lists with logprobs; successes, failures of many kinds, loops and a few
failures of the machinery. Every run plays the same tasks, and a later one better. Each line has about `size` bytes: what the text
leaves is filled with tokens.
Does not cover: anything about language: the words mean nothing.
"""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

from medcopilot.runs import RunFolder
from medcopilot.trace import GradeRecord, Trace, Turn

CATEGORIES = {"mimic_iii": 9, "eicu": 9, "treqs": 4, "medcalcbench": 55, "medagentbench": 10, "biocoder": 8, "ehrshot": 15,
              "biodsbench": 12, "ehr_seqsql": 4, "ehrcon": 3, "mimic_extract": 3, "npowerai": 6}
_WORDS = ("patient", "admission", "lab", "value", "unit", "glucose", "sodium", "dose", "route", "start", "end", "first", "last",
          "mean", "count", "ward", "icu", "stay", "note", "score", "age", "sex", "drug", "test", "result", "time", "hour", "day")
_FAILURES = (("wrong", "expected 3 rows, got 4"), ("near_miss", "6.4 against 6.1"), ("error", "ended with status error"),
             ("wrong_type", "a list where a number is asked for"))
_TRACEBACK = 'Traceback (most recent call last):\n  File "main.py", line 3, in <module>\nKeyError: '
_POOL = 40_000  # tokens; conversations are cut from it


def make_runs(folder: Path, traces: int, size: int, runs: int = 4, seed: int = 0) -> list[Path]:
    """`runs` run folders `run-0`, `run-1`, ... of `traces` episodes together.

    Args:
        size: bytes of a line, on average about; its text alone has 90 kB, the rest are tokens.

    Returns:
        The folders.
    """
    rng = random.Random(seed)
    pool = _token_pool(rng)
    folders = []
    for run in range(runs):
        made = RunFolder.create(folder / f"run-{run}", {"policy": f"policy-{run}", "seed": seed, "protocol": "submit"})
        with (made.traces_dir / "main.jsonl").open("wb") as handle:
            for task in range(traces // runs):
                # the text of a task is the same in every run, so far as the runs act alike
                handle.write(_line(_trace(run, task, random.Random(f"{seed}/{task}/{run % 2}")), size, pool, rng))
        folders.append(made.path)
    return folders


def join_runs(folders: list[Path], out: Path) -> Path:
    """One run with every shard of several: linked, so that no disk is used twice."""
    run = RunFolder.create(out, {"policy": "joined"})
    for folder in folders:
        os.link(folder / "traces" / "main.jsonl", run.traces_dir / f"{folder.name}.jsonl")
    return run.path


def _trace(run: int, task: int, rng: random.Random) -> Trace:
    dataset = list(CATEGORIES)[task % len(CATEGORIES)]
    category = task // len(CATEGORIES) % CATEGORIES[dataset]
    fate = random.Random(f"{run}/{task}").random()
    success, infrastructure = fate < 0.3 + 0.1 * run, fate > 0.99
    stop = "infrastructure" if infrastructure else "submit" if success or fate < 0.9 else "turns" if fate < 0.97 else "context"
    turns = [_turn(rng, dataset) for _ in range(rng.randint(3, 15))]
    if 0.9 < fate < 0.93:
        turns += [turns[-1]] * 4  # a loop
    label, detail = ("correct", "") if success else rng.choice(_FAILURES)
    score = None if infrastructure else float(success)
    program = turns[-1].params["code"]
    submission = {"kind": "program", "program": program, "language": turns[-1].params["language"], "answer": None, "files": []}
    question = f"{_text(rng, 60)}.\nWhat is the {_text(rng, 5)} of patient {task}?"
    messages = [{"role": "system", "content": _text(rng, 500)}, {"role": "user", "content": question}]
    for turn in turns:
        messages += [{"role": "assistant", "content": turn.reply}, {"role": "user", "content": turn.observation}]
    return Trace(
        id=f"{run}-{task:012x}", task_id=f"{task:016x}", dataset=dataset, category=f"{dataset} category {category}",
        template=f"template {task % 240}", split="test", slice="unseen" if task % 5 == 0 else "seen", licence="synthetic",
        cluster=f"template {task % 240}/{task % 3}", policy=f"policy-{run}", sample=run, temperature=0.6, turn_limit=15,
        impossible=task % 40 == 0, messages=messages, turns=turns, stop=stop, submission=submission if stop == "submit" else None,
        grades={"strict": GradeRecord(score=score, label="infrastructure" if infrastructure else label, detail=detail),
                "paper": GradeRecord(score=score if score is None else float(success or fate > 0.85), label=label)},
        seconds=sum(turn.generate_seconds + turn.env_seconds for turn in turns) + 0.1, grade_seconds=0.2, sandbox="zygote",
        started=1_790_000_000.0 + task * 0.5, error="BoxDied: gone" if infrastructure else "")


def _turn(rng: random.Random, dataset: str) -> Turn:
    sql = dataset in ("mimic_iii", "eicu", "treqs", "ehr_seqsql") and rng.random() < 0.6
    code, language = (_sql(rng), "sql") if sql else (_python(rng), "python")
    failed = rng.random() < 0.15
    seen = f"{_TRACEBACK}{rng.choice(_WORDS)!r}" if failed else _table(rng)
    reply = f"{_text(rng, rng.randint(20, 200))}\n" + json.dumps({"action": "code_execution",
                                                                "params": {"code": code, "language": language}})
    return Turn(reply=reply, action="code_execution", params={"code": code, "language": language}, observation=seen,
                execution={"status": "error" if failed else "ok", "exit_code": int(failed), "seconds": 0.2, "truncated": False},
                generate_seconds=rng.uniform(1, 4), env_seconds=rng.uniform(0.05, 0.5), sampled_tokens=len(reply) // 4)


def _text(rng: random.Random, words: int) -> str:
    return " ".join(rng.choices(_WORDS, k=words))


def _sql(rng: random.Random) -> str:
    a, b, c = rng.sample(_WORDS, 3)
    return (f"select {a}, count(distinct {b}) as n\nfrom {c}events e join admissions a on a.hadm_id = e.hadm_id\n"
            f"where e.{b} > {rng.randint(0, 9999)} and lower(e.{c}) = '{_text(rng, 2)}'\ngroup by {a}\norder by n desc limit 20")


def _python(rng: random.Random) -> str:
    lines = ["import pandas as pd", "", f'frame = pd.read_csv("/data/{rng.choice(_WORDS)}.csv")']
    for _ in range(rng.randint(6, 40)):
        a, b = rng.sample(_WORDS, 2)
        lines.append(f'{a} = frame[frame["{b}"] > {rng.randint(0, 9999)}].groupby("{a}")["{b}"].mean()  # {_text(rng, 4)}')
    return "\n".join([*lines, "print(frame.head())"])


def _table(rng: random.Random) -> str:
    head = rng.sample(_WORDS, 5)
    return "\n".join("  ".join(f"{cell:>10}" for cell in row) for row in [
        head, *([rng.randint(0, 99_999) for _ in head] for _ in range(rng.randint(1, 40)))])


def _token_pool(rng: random.Random) -> tuple[list[str], list[str], list[str], list[str]]:
    """Ids, mask, logprobs and versions as text; sampled in stretches, a quarter of all."""
    mask = [int(place % 800 > 600) for place in range(_POOL)]
    return ([str(rng.randint(0, 151_000)) for _ in mask], [str(one) for one in mask],
            [repr(-rng.expovariate(2.0)) if one else "0.0" for one in mask], ["0" if one else "-1" for one in mask])


def _line(trace: Trace, size: int, pool: tuple[list[str], ...], rng: random.Random) -> bytes:
    text = trace.model_dump_json()
    each = sum(map(len, map("".join, pool))) / _POOL + len(pool)
    # lines differ in length as their texts do, and half as much again
    count = min(_POOL, max(50, int((size - len(text)) * rng.uniform(0.5, 1.5) / each)))
    start = rng.randint(0, _POOL - count)
    parts = (f'"{name}":[{",".join(values[start : start + count])}]'
             for name, values in zip(("ids", "mask", "logprobs", "versions"), pool, strict=True))
    return (text.replace('"tokens":null', f'"tokens":{{{",".join(parts)}}}', 1) + "\n").encode()
