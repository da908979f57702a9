"""Where the metrics of a stage go besides their file: TensorBoard, Weights & Biases, alarms.

Promises: `<run>/metrics/<name>.jsonl` is written first and stays the truth. Event files are made anew from it whenever a stage
starts, so a resumed stage shows every point once. W&B is an exit for data: it runs only when the recipe says so and gets numbers,
with neither console, code, git state nor machine; sample trajectories need `tracking.wandb.samples` and pass the agreement gate
one by one. A tracker that fails while training goes on is switched off with one line; it never ends a run.
Does not cover: what is measured (`medcopilot.train.loop`, `medcopilot.rl.metrics`), and what the W&B library does with its own
files once it was told to go online.
"""

from __future__ import annotations

import importlib.util
import json
import math
import secrets
import shutil
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from env import agreement
from env.errors import AgreementError, UserError
from env.files import atomic_write
from medcopilot.jsonl import append_row, forget_after, read_rows
from medcopilot.train.config import StageConfig, WandbSettings

Row = Mapping[str, Any]


class Sink(Protocol):
    """One tracker."""

    def log(self, row: Row) -> None:
        """A metric row: `step`, `seconds` and numbers."""

    def close(self) -> None:
        """Write out what is held back."""


class Tracker:
    """All trackers of a stage, and its alarms. One process of a launch opens it.

    Args:
        config: of the stage.
        elapsed: seconds of training that earlier starts used.
    """

    def __init__(self, config: StageConfig, elapsed: float = 0.0) -> None:
        self.config = config
        self._sinks: list[Sink] = []
        self._on: set[str] = set()
        self._held: set[str] = set()
        settings = config.tracking
        if settings.tensorboard and not importlib.util.find_spec("tensorboard"):
            print(f"{config.name}: no event files, the package tensorboard is not installed (`pip install tensorboard`, or set "
                  "tracking.tensorboard=false)", file=sys.stderr)
        elif settings.tensorboard:
            self._sinks.append(TensorBoard(config.run / "tensorboard" / config.name, read_rows(config.metrics), elapsed))
        if settings.wandb is not None:
            self._sinks.append(WeightsAndBiases(config, settings.wandb))

    def log(self, row: Row) -> None:
        """One metric row to every tracker."""
        self._each(lambda sink: sink.log(row))

    def samples(self, step: int, traces: Sequence[Any], texts: Sequence[str]) -> None:
        """Sample trajectories, to trackers that the recipe opened for them; each passes the agreement gate or stays here."""
        settings = self.config.tracking.wandb
        if settings is None or not settings.samples:
            return
        allowed = []
        for trace, text in zip(traces, texts, strict=True):
            try:
                agreement.check("tracker", [trace])
            except AgreementError as error:
                if trace.dataset not in self._held:
                    self._held.add(trace.dataset)
                    print(f"{self.config.name}: sample trajectories are kept from W&B: {error}", file=sys.stderr)
                continue
            allowed.append((trace, text))
        if allowed:
            self._each(lambda sink: sink.samples(step, allowed) if isinstance(sink, WeightsAndBiases) else None)

    def alarm(self, step: int, name: str, value: float, limit: float, words: str) -> None:
        """Say whether a value is above its limit: each time in the alarms file, and in one line on stderr when it begins."""
        if value <= limit:
            self._on.discard(name)
            return
        append_row(self.config.alarms, {"step": step, "time": round(time.time(), 1), "name": name, "value": value, "limit": limit,
                                        "text": words})
        if name not in self._on:
            lead = "\n" if sys.stderr.isatty() else ""  # the progress line is still open
            print(f"{lead}ALARM {self.config.name} step {step}: {words}", file=sys.stderr, flush=True)
        self._on.add(name)

    def close(self) -> None:
        self._each(lambda sink: sink.close())
        self._sinks = []

    def _each(self, do: Any) -> None:
        for sink in list(self._sinks):
            try:
                do(sink)
            except Exception as error:  # whatever a tracker's library raises: training is worth more
                self._sinks.remove(sink)
                print(f"{self.config.name}: {type(sink).__name__} is switched off ({type(error).__name__}: {error}); metrics go on "
                      f"in {self.config.metrics}", file=sys.stderr)


class TensorBoard:
    """Event files, made anew from the rows that are there.

    A point's time is the start of this process minus the training time before it plus the row's own `seconds`: so "relative" on the
    page is training time, and a pause between two starts leaves no gap.
    """

    def __init__(self, folder: Path, rows: Iterable[Row], elapsed: float) -> None:
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog  # a seventh of a second, and protobuf
        from tensorboard.compat.proto.summary_pb2 import Summary
        from torch.utils.tensorboard import FileWriter

        shutil.rmtree(folder, ignore_errors=True)
        self._summary = Summary
        self._zero = time.time() - elapsed
        self._writer = FileWriter(str(folder), flush_secs=10)
        # tells a TensorBoard that is looking on to forget what it has read
        self._writer.add_event(Event(session_log=SessionLog(status=SessionLog.START)), step=0)
        for row in rows:
            self.log(row)

    def log(self, row: Row) -> None:
        """One event per row, not one per value: the same picture for a twentieth of the time."""
        values = [self._summary.Value(tag=name, simple_value=value) for name, value in numbers(row).items()]
        self._writer.add_summary(self._summary(value=values), row["step"], walltime=self._zero + row.get("seconds", 0.0))

    def close(self) -> None:
        self._writer.close()


class WeightsAndBiases:
    """A run on W&B, or its folder under `<run>/wandb` for a later `wandb sync`.

    Which run it is and how far it was told is kept beside the resumable state: a resumed stage goes on in the same run and says
    no step twice.
    """

    def __init__(self, config: StageConfig, settings: WandbSettings) -> None:
        wandb = check_wandb()
        self._record = config.work / "wandb.json"
        try:
            known = json.loads(self._record.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            known = None
        self._id, self._step = (str(known["id"]), int(known["step"])) if known else (secrets.token_hex(6), -1)
        resume = {"resume": "allow"} if known and settings.mode == "online" else {}
        try:
            self._run = wandb.init(
                project=settings.project, entity=settings.entity, mode=settings.mode, id=self._id, dir=str(config.run),
                name=f"{config.run.name}/{config.name}", config=hyperparameters(config), **resume,
                settings=wandb.Settings(console="off", save_code=False, disable_code=True, disable_git=True, x_disable_meta=True,
                                        x_disable_stats=True, x_disable_machine_info=True, x_save_requirements=False, silent=True,
                                        host="-"))
        except Exception as error:  # no account, no network, a project that is not ours: the library's own types, without a base
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise UserError(f"tracking.wandb: no run could be opened ({reason}): run `wandb login`, or set "
                            "tracking.wandb.mode=offline") from None
        self._table = wandb.Table

    def log(self, row: Row) -> None:
        if row["step"] <= self._step:
            return
        self._run.log(numbers(row), step=row["step"])
        self._step = row["step"]
        atomic_write(self._record, json.dumps({"id": self._id, "step": self._step}))

    def samples(self, step: int, allowed: Sequence[tuple[Any, str]]) -> None:
        """Trajectories as a table. They belong to a row that is logged later: the library joins what has one step."""
        if step > self._step:
            table = self._table(columns=["dataset", "score", "trajectory"],
                                data=[[trace.dataset, trace.grades["strict"].score, text] for trace, text in allowed])
            self._run.log({"samples": table}, step=step)

    def close(self) -> None:
        self._run.finish()


def check_tracking(config: StageConfig) -> None:
    """Refuse before anything is loaded what would be refused later.

    Raises:
        UserError: W&B is asked for and not installed.
    """
    if config.tracking.wandb is not None:
        check_wandb()


def check_wandb() -> Any:
    """The library.

    Raises:
        UserError: it is not installed.
    """
    try:
        import wandb
    except ImportError:
        raise UserError("tracking.wandb: the package wandb is not installed: `pip install wandb`, or remove that section") from None
    return wandb


def numbers(row: Row) -> dict[str, float]:
    """What a tracker draws: finite numbers, without the row's own place."""
    return {name: float(value) for name, value in row.items()
            if name != "step" and isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)}


def hyperparameters(config: StageConfig) -> dict[str, float | bool]:
    """The recipe's numbers and switches under dotted names; no text, which may name folders and people."""
    flat: dict[str, float | bool] = {}

    def walk(prefix: str, value: Any) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                walk(f"{prefix}.{key}" if prefix else str(key), inner)
        elif isinstance(value, bool | int | float):
            flat[prefix] = value

    walk("", config.model_dump(mode="json", exclude={"tracking"}))
    return flat


def forget(config: StageConfig, step: int) -> None:
    """Drop what a stage recorded after `step`, which it will record again (0: everything)."""
    for path in (config.metrics, config.alarms):
        forget_after(path, step)
    for path in config.samples.glob("step-*.md"):
        if not path.stem[5:].isdigit() or int(path.stem[5:]) > step:
            path.unlink(missing_ok=True)  # every process of a launch does this at a fresh start
