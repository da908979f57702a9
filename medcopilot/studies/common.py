"""What the studies share: steps that resume, evaluations of a checkpoint, summaries that are committed run by run.

Promises: every finished run leaves a summary under 20 KB in `docs/results/`, with its outcome on every task, so a study goes on
where its committed summaries end, on a new machine too; running again resumes.
Does not cover: what is compared (`nano`, `nano_rl`, `nano_scaling`).
"""

from __future__ import annotations

import json
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from env.datasets import BuildRequest
from env.files import atomic_write
from medcopilot import steps

if TYPE_CHECKING:
    from medcopilot.evaluation.columns import Columns

RESULTS = steps.ROOT / "docs" / "results"
SLICES = (("", "seen"), ("-unseen", "unseen"))
TEMPERATURES: dict[str, dict[str, Any]] = {"t0": {}, "t1": {"temperature": 1.0, "greedy_first": False}}


class Study(ABC):
    """Files lie under `out`, summaries under `results`.

    Args:
        seen, unseen: evaluated test tasks per dataset and slice.
        prefix: of the summaries' names.
    """

    kinds: tuple[str, ...] = ("t0", "t1")
    """Temperatures at which a checkpoint is evaluated."""

    def __init__(self, out: Path, builds: Mapping[str, BuildRequest], *, prefix: str, seen: int, unseen: int, threads: int,
                 results: Path, commit: bool) -> None:
        self.out, self.builds, self.prefix = out, dict(builds), prefix
        self.counts = {"seen": seen, "unseen": unseen}
        self.threads, self.results, self.commit = threads, results, commit

    @property
    @abstractmethod
    def design(self) -> dict[str, Any]:
        """Everything that a run's outcome may depend on: a summary of another design is not gone on from."""

    def step(self, name: str, step: Any) -> float:
        """Run a step, or find that it was done. Returns its seconds."""
        return steps.run_step(self.out / "steps", name, f"[study {self.prefix}] {name}", step)

    def arm(self, name: str, train: Callable[[], None], needs: Callable[[], None] = lambda: None) -> None:
        """Train and evaluate a checkpoint, after what it needs, unless its summary of this design is there."""
        if self.finished(name):
            print(f"[study {self.prefix}] {name}: done before, {self.summary_file(name)}", flush=True)
            return
        needs()
        self.step(name, train)
        print(f"[study {self.prefix}] {name}: evaluation ...", flush=True)
        self.evaluate(name)

    def checkpoint(self, name: str) -> Path:
        """Folder of a stage's checkpoint."""
        return self.out / "checkpoints" / name

    # -- summaries

    def summary_file(self, name: str) -> Path:
        """Where the summary of a run lies."""
        return self.results / f"{self.prefix}-{name}.json"

    def kept(self, name: str) -> dict[str, Any] | None:
        """The summary of this design, if it was written."""
        return self.kept_as(f"{self.prefix}-{name}")

    def kept_as(self, stem: str) -> dict[str, Any] | None:
        """`kept`, by the file's name."""
        path = self.results / f"{stem}.json"
        if not path.is_file():
            return None
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return found if found.get("design") == json.loads(json.dumps(self.design)) else None

    def finished(self, name: str) -> bool:
        """The run's outcomes are known."""
        found = self.kept(name)
        return found is not None and "outcomes" in found

    def keep(self, name: str, summary: dict[str, Any]) -> None:
        """Write a summary into the results folder and, when asked to, commit it."""
        path = self.results / f"{name}.json"
        atomic_write(path, json.dumps(summary, indent=1))
        if self.commit:
            subprocess.run(["git", "add", str(path)], cwd=steps.ROOT, check=False)
            subprocess.run(["git", "commit", "-q", "-m", f"Results: {name}", "--", str(path)], cwd=steps.ROOT, check=False)

    # -- evaluation

    def evaluate(self, name: str, checkpoint: Path | None = None, **options: Any) -> None:
        """Play the held-out tasks of both slices; a summary of the run goes to the results folder."""
        from medcopilot.code_record import code_record
        from medcopilot.evaluation.stages import stage_summary

        for kind in self.kinds:
            for part, slice_name in SLICES:
                steps.sample(self.out / "eval" / f"{name}-{kind}{part}", checkpoint or self.checkpoint(name), self.builds,
                             slices=(slice_name,), tasks_per_dataset=self.counts[slice_name], **TEMPERATURES[kind], **options)
        played = {kind: self.played(name, kind) for kind in self.kinds}
        self.keep(f"{self.prefix}-{name}", {"run": name, "design": self.design, "code": code_record(),
                                            **stage_summary(*(played[kind] for kind in self.kinds)),
                                            "outcomes": self.outcomes(played), **self.training(name)})

    def played(self, name: str, kind: str) -> Columns:
        """The traces of an evaluation, both slices."""
        from medcopilot.evaluation.columns import columns
        from medcopilot.runs import RunFolder

        return columns(trace for part, _ in SLICES for trace in RunFolder.open(self.out / "eval" / f"{name}-{kind}{part}").traces())

    def outcomes(self, played: Mapping[str, Columns]) -> dict[str, Any]:
        """What `columns` reads again; the tasks are written down with the study's first run."""
        from medcopilot.studies.outcomes import Tasks, pack

        stem = f"{self.prefix}-tasks"
        kept = self.kept_as(stem)
        tasks = Tasks.load(kept) if kept else Tasks.of(next(iter(played.values())))
        if not kept:
            self.keep(stem, {"design": self.design, **tasks.record()})
        return {"tasks": tasks.digest, **{kind: pack(run, tasks, f"{self.results / stem}.json") for kind, run in played.items()}}

    def training(self, name: str) -> dict[str, Any]:
        """Further entries of a run's summary: none, unless a study knows more."""
        return {}

    def columns(self, names: Sequence[str], kind: str) -> Columns:
        """Outcomes of some runs at one temperature, from their summaries."""
        from medcopilot.studies.outcomes import Tasks, unpack

        kept = self.kept_as(f"{self.prefix}-tasks")
        found = [self.kept(name) for name in names]
        if kept is None or not all(found):
            raise LookupError(f"no summaries of {', '.join(names)} under {self.results}")
        return unpack(Tasks.load(kept), [summary["outcomes"][kind] for summary in found if summary])

    def versus(self, one: Sequence[str], other: Sequence[str]) -> dict[str, Any]:
        """`other` minus `one` on the same tasks, all runs of each pooled (mean per task) and pair by pair."""
        from medcopilot.evaluation.stages import comparison

        result: dict[str, Any] = {}
        for kind in self.kinds:
            arms = self.columns(one, kind), self.columns(other, kind)
            for _, part in SLICES:
                result[f"{part}-{kind}"] = comparison(*arms, slice_name=part)
                result[f"{part}-{kind}-seeds"] = [
                    short(comparison(self.columns([a], kind), self.columns([b], kind), slice_name=part))
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
