"""What the studies share: steps that resume, evaluations of a checkpoint, summaries that are committed run by run.

Promises: every finished run leaves a summary under 20 KB in `docs/results/`; running again resumes.
Does not cover: what is compared (`nano`, `nano_rl`).
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from env.datasets import BuildRequest
from env.files import atomic_write
from medcopilot import steps

RESULTS = steps.ROOT / "docs" / "results"


class Study:
    """Files lie under `out`, summaries under `results`.

    Args:
        seen, unseen: evaluated test tasks per dataset and slice.
        prefix: of the summaries' names.
    """

    def __init__(self, out: Path, builds: Mapping[str, BuildRequest], *, prefix: str, seen: int, unseen: int, threads: int,
                 results: Path, commit: bool) -> None:
        self.out, self.builds, self.prefix = out, dict(builds), prefix
        self.seen, self.unseen = seen, unseen
        self.threads, self.results, self.commit = threads, results, commit

    def step(self, name: str, step: Any) -> float:
        """Run a step, or find that it was done. Returns its seconds."""
        return steps.run_step(self.out / "steps", name, f"[study {self.prefix}] {name}", step)

    def checkpoint(self, name: str) -> Path:
        """Folder of a stage's checkpoint."""
        return self.out / "checkpoints" / name

    def keep(self, name: str, summary: dict[str, Any]) -> None:
        """Write a summary into the results folder and, when asked to, commit it."""
        path = self.results / f"{name}.json"
        atomic_write(path, json.dumps(summary, indent=1))
        if self.commit:
            subprocess.run(["git", "add", str(path)], cwd=steps.ROOT, check=False)
            subprocess.run(["git", "commit", "-q", "-m", f"Results: {name}", "--", str(path)], cwd=steps.ROOT, check=False)

    def evaluate(self, name: str, design: dict[str, Any]) -> None:
        """Greedy and T = 1 on both slices; a summary of the run goes to the results folder."""
        from medcopilot.evaluation.stages import stage_summary

        for kind, options in (("t0", {}), ("t1", {"temperature": 1.0, "greedy_first": False})):
            for part, slices, count in (("", ("seen",), self.seen), ("-unseen", ("unseen",), self.unseen)):
                steps.sample(self.out / "eval" / f"{name}-{kind}{part}", self.checkpoint(name), self.builds, slices=slices,
                             tasks_per_dataset=count, **options)
        summary = stage_summary(self.traces([name], "t0"), self.traces([name], "t1"))
        self.keep(f"{self.prefix}-{name}", {"run": name, "design": design, **summary})

    def traces(self, names: Sequence[str], kind: str) -> list[Any]:
        """Of the evaluations of some checkpoints, `t0` or `t1`, both slices."""
        from medcopilot.runs import RunFolder

        return [trace for name in names for part in (kind, f"{kind}-unseen")
                for trace in RunFolder.open(self.out / "eval" / f"{name}-{part}").traces()]

    def versus(self, one: Sequence[str], other: Sequence[str]) -> dict[str, Any]:
        """`other` minus `one` on the same tasks, all runs of each pooled (mean per task) and pair by pair."""
        from medcopilot.evaluation.stages import comparison

        result: dict[str, Any] = {}
        for kind in ("t0", "t1"):
            arms = self.traces(one, kind), self.traces(other, kind)
            for part in ("seen", "unseen"):
                result[f"{part}-{kind}"] = comparison(*arms, slice_name=part)
                result[f"{part}-{kind}-seeds"] = [
                    short(comparison(self.traces([a], kind), self.traces([b], kind), slice_name=part))
                    for a, b in zip(one, other, strict=True)]
        return result


def short(row: dict[str, Any]) -> dict[str, Any]:
    """The figures of a comparison that a table shows."""
    return {name: row[name] for name in ("difference", "ci_low", "ci_high", "tasks", "clusters")}


def say(title: str, result: dict[str, Any]) -> None:
    """One line per slice and temperature."""
    for part in ("seen-t0", "unseen-t0", "seen-t1", "unseen-t1"):
        row = result[part]
        verdict = "excludes 0" if row["ci_low"] > 0 or row["ci_high"] < 0 else "includes 0"
        print(f"{title}, {part}: {row['difference']:+.1%} (95 % {row['ci_low']:+.1%} to {row['ci_high']:+.1%}, {verdict}; "
              f"{row['tasks']} tasks, {row['clusters']} clusters)")
