"""What a run is doing, from its files alone.

Promises: works over a run that is under way, finished or broken, on the machine that runs it or on another one that sees the
folder; asks nothing of the process, takes no lock and writes nothing; a file that is torn, being replaced or missing is less to
show, never an error; each row of a metrics file is read once, however long one watches.
Does not cover: the picture (`medcopilot.watch.page`), and runs of `medcopilot sample`, which have traces and no metrics.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from env.errors import UserError
from medcopilot.jsonl import Tail
from medcopilot.train.folders import holder

CHECKPOINT_RECORD = "medcopilot.json"  # `medcopilot.train.model.META`, whose module loads pydantic and tokenizers
COMPLETE = "complete.json"  # `medcopilot.train.loop.STATE`
KEPT_ROWS = 4096
"""Rows of a stage in memory; of more, older ones are thinned out."""
QUIET = 120.0
"""Seconds without a new row after which a stage that nobody holds is taken for stopped (or ten times the usual distance)."""

Standing = Literal["waiting", "running", "finished", "stopped"]


@dataclass
class Sample:
    """The newest file of sample trajectories."""

    path: Path
    step: int
    text: str


@dataclass
class StageState:
    """One training stage."""

    name: str
    standing: Standing
    rows: list[dict[str, Any]]
    progress: float | None
    """Fraction that is done; None where the stage's rows do not say."""
    eta: float | None
    """Seconds left; None unless it runs and says how far it is."""
    written: float | None
    """Unix time at which its newest row, or its first file, was written."""
    age: float | None
    """Seconds since then."""
    resumable: bool = False
    """Whether a stopped stage has a complete state to go on from."""
    alarms: list[dict[str, Any]] = field(default_factory=list)
    sample: Sample | None = None

    @property
    def step(self) -> int:
        return int(self.last("step") or 0)

    @property
    def seconds(self) -> float | None:
        """Of training, earlier starts included."""
        return self.last("seconds")

    def last(self, name: str) -> float | None:
        """The newest value of a measure."""
        return next((row[name] for row in reversed(self.rows) if _number(row.get(name))), None)

    def series(self, name: str) -> list[float]:
        """All values of a measure, oldest first."""
        return [row[name] for row in self.rows if _number(row.get(name))]

    def mean(self, name: str, count: int = 20) -> float | None:
        """Over the newest `count` rows that have it."""
        values = self.series(name)[-count:]
        return sum(values) / len(values) if values else None

    def summary(self) -> dict[str, Any]:
        """As plain data, for `--json`: no text of any trajectory."""
        return {"name": self.name, "state": self.standing, "step": self.step, "seconds": self.seconds, "progress": self.progress,
                "eta_seconds": self.eta, "age_seconds": self.age, "alarms": len(self.alarms),
                "last_alarm": self.alarms[-1] if self.alarms else None, "sample": str(self.sample.path) if self.sample else None,
                "metrics": {name: value for name, value in (self.rows[-1] if self.rows else {}).items() if _number(value)}}


@dataclass
class RunState:
    """All stages, in the order in which they were last at work."""

    folder: Path
    stages: list[StageState]
    steps: list[tuple[str, float]]
    """Finished steps of a demo or study, with their seconds."""
    read: float
    """Unix time."""

    @property
    def focus(self) -> StageState | None:
        """The stage to look at: the one that runs, else the last."""
        running = [stage for stage in self.stages if stage.standing in ("running", "waiting")]
        return (running or self.stages or [None])[-1]


class RunReader:
    """Reads a run again and again.

    Args:
        folder: of the run.
        stage: only this one.
    """

    def __init__(self, folder: Path, stage: str | None = None) -> None:
        self.folder, self.only = folder, stage
        self._tails: dict[Path, Tail] = {}
        self._rows: dict[Path, list[dict[str, Any]]] = {}
        self._samples: dict[Path, Sample] = {}

    def read(self, now: float | None = None) -> RunState:
        """How things stand now.

        Raises:
            UserError: there is no such folder or stage, or nothing was ever trained in it.
        """
        if not self.folder.is_dir():
            raise UserError(f"{self.folder} is not a folder: give the run folder of a recipe, e.g. runs/nano")
        names = self._names()
        if not names:
            raise UserError(f"{self.folder}: no stage was ever trained in this folder (no metrics/*.jsonl): give the `run` of a "
                            "recipe; `medcopilot evaluate` shows runs of `medcopilot sample`")
        if self.only is not None and self.only not in names:
            raise UserError(f"{self.folder} has no stage {self.only!r}: choose from {', '.join(sorted(names))}")
        now = time.time() if now is None else now
        stages = [self._stage(name, now) for name in sorted(names) if self.only in (None, name)]
        return RunState(self.folder, sorted(stages, key=lambda stage: stage.written or now), self._steps(), now)

    def _names(self) -> set[str]:
        metrics = {path.stem for path in (self.folder / "metrics").glob("*.jsonl")}
        return metrics | {path.stem for path in (self.folder / "checkpoints").glob("*.work") if path.is_dir()}

    def _stage(self, name: str, now: float) -> StageState:
        metrics, work = self.folder / "metrics" / f"{name}.jsonl", self.folder / "checkpoints" / f"{name}.work"
        rows = self._all(metrics)
        written = _modified(metrics) or _modified(work)
        age = None if written is None else max(0.0, now - written)
        finished = (self.folder / "checkpoints" / name / CHECKPOINT_RECORD).is_file()
        alive = not finished and (holder(work) is not None or (age is not None and age < max(QUIET, 10 * _distance(rows))))
        standing: Standing = "finished" if finished else "stopped" if not alive else "running" if rows else "waiting"
        stage = StageState(name, standing, rows, None, None, written, age, any(work.glob(f"checkpoint-*/{COMPLETE}")),
                           self._all(self.folder / "alarms" / f"{name}.jsonl"), self._sample(name))
        stage.progress = 1.0 if finished else stage.last("progress")
        if standing == "running" and stage.progress and stage.seconds is not None:
            stage.eta = max(0.0, stage.seconds * (1 - stage.progress) / stage.progress - (age or 0.0))
        return stage

    def _all(self, path: Path) -> list[dict[str, Any]]:
        """Every row of a file that grows, read where the last reading ended."""
        tail = self._tails.setdefault(path, Tail(path))
        new = tail.read()
        rows = self._rows.setdefault(path, [])
        if tail.replaced or not path.exists():
            rows.clear()
        rows += new
        while len(rows) > KEPT_ROWS:
            rows[: KEPT_ROWS // 2] = rows[: KEPT_ROWS // 2 : 2]
        return rows

    def _sample(self, name: str) -> Sample | None:
        found = (self.folder / "samples" / name).glob("step-*.md")
        numbered = [(int(path.stem[5:]), path) for path in found if path.stem[5:].isdigit()]
        if not numbered:
            return None
        step, path = max(numbered)
        if path not in self._samples:
            try:
                self._samples = {**{other: known for other, known in self._samples.items() if other.parent != path.parent},
                                 path: Sample(path, step, path.read_text(encoding="utf-8", errors="replace"))}
            except OSError:
                return None
        return self._samples[path]

    def _steps(self) -> list[tuple[str, float]]:
        found = []
        for path in sorted((self.folder / "steps").glob("*.json")):
            try:
                mark = json.loads(path.read_text(encoding="utf-8"))
                found.append((str(mark["step"]).partition("-")[2].replace("-", " "), float(mark["seconds"])))
            except (OSError, ValueError, KeyError, TypeError):
                continue
        return found


def _distance(rows: Sequence[dict[str, Any]]) -> float:
    """Seconds between two rows, lately."""
    times = [row["seconds"] for row in rows[-6:] if _number(row.get("seconds"))]
    return (times[-1] - times[0]) / (len(times) - 1) if len(times) > 1 else 0.0


def _modified(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except OSError:
        return None


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value
