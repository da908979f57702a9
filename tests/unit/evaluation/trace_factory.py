"""Traces for tests: plausible episodes without a model or a sandbox."""

from __future__ import annotations

import itertools
import random
from typing import Any

from medcopilot.trace import GradeRecord, Tokens, Trace, Turn

_SERIAL = itertools.count()
_LABELS = {True: "correct", False: "wrong"}


def make_trace(success: bool | None = True, *, paper: bool | None = None, **fields: Any) -> Trace:
    """One episode. `success` None: ungraded. `paper` defaults to the strict outcome; `fields` override anything."""
    serial = next(_SERIAL)
    stop = fields.get("stop", "submit")

    def grade(outcome: bool | None) -> GradeRecord:
        label = "infrastructure" if outcome is None else _LABELS[outcome]
        return GradeRecord(score=None if outcome is None else float(outcome), label=label, detail=f"detail of {label}")

    defaults: dict[str, Any] = {
        "id": f"trace-{serial}", "task_id": f"task-{serial}", "dataset": "mimic_iii", "category": "lab", "template": "t1",
        "split": "test", "slice": "seen", "cluster": f"t1/{serial}", "licence": "synthetic", "policy": "nano", "stop": stop,
        "messages": [{"role": "user", "content": "Patient 7 has two stays.\nHow many stays has patient 7?"}],
        "turns": [
            Turn(reply="{}", action="code_execution", params={"code": "select 1", "language": "sql"}, observation="1",
                 execution={"status": "ok", "exit_code": 0}, generate_seconds=0.5, env_seconds=0.2, sampled_tokens=7),
            Turn(reply="{}", action="submit", params={"answer": 2}, observation="Submitted.", generate_seconds=0.3,
                 sampled_tokens=5)],
        "tokens": Tokens(ids=[1, 2, 3, 4], mask=[0, 1, 1, 1], logprobs=[0.0, -0.1, -0.1, -0.1], versions=[-1, 0, 0, 0]),
        "submission": {"kind": "answer", "answer": 2} if stop == "submit" else None,
        "grades": {"strict": grade(success), "paper": grade(success if paper is None else paper)},
        "seconds": 1.5, "grade_seconds": 0.25, "started": 1000.0 + serial, "sandbox": "bwrap",
    }
    return Trace(**{**defaults, **fields})


def make_run(rate: float, *, tasks: int = 60, seed: int = 0, temperature: float = 0.0, inflation: float = 0.1,
             samples: int = 1, **fields: Any) -> list[Trace]:
    """A run over both datasets and slices; the same `tasks` give the same tasks whatever the rate."""
    rng = random.Random(f"{seed}/{rate}/{temperature}")
    return [_episode(i, sample, rng, rate, temperature, inflation, seed, fields) for i in range(tasks) for sample in range(samples)]


def _episode(i: int, sample: int, rng: random.Random, rate: float, temperature: float, inflation: float, seed: int,
             fields: dict[str, Any]) -> Trace:
    dataset = ("mimic_iii", "medcalcbench")[i % 2]
    success = rng.random() < rate
    impossible = dataset == "mimic_iii" and i % 20 == 0
    stop = "submit" if success or rng.random() < 0.8 else rng.choice(["turns", "context"])
    submission = {"kind": "abstain"} if stop == "submit" and impossible == success and impossible else \
        {"kind": "answer", "answer": i} if stop == "submit" else None
    return make_trace(success, paper=success or rng.random() < inflation, id=f"{seed}-{rate}-{temperature}-{i}-{sample}",
                      task_id=f"task-{i}", dataset=dataset, category=f"{dataset} category {i % 14 // 2}",
                      template=f"template {i % 12}", slice="unseen" if i % 3 == 0 else "seen", cluster=f"{i % 12}/{i % 5}",
                      sample=sample, temperature=temperature, impossible=impossible, stop=stop, submission=submission,
                      started=1000.0 + i * 0.3, **fields)
