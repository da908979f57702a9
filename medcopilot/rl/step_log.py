"""The log of a step of online training: its clock, its rollouts, alarms, samples.

Promises: the parts of a step add up to `time/step` (names: `metrics`); above 5 % of episodes that our own machinery failed there is
an alarm; sample trajectories are written when they are due. GRPO and PPO share it.
Does not cover: what is measured of rollouts (`metrics`), and where alarms and samples go from here (`medcopilot.train.tracking`).
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Iterator, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback

from env.errors import MASKED_LIMIT
from medcopilot.rl.group import Group
from medcopilot.rl.rounds import Round, Source
from medcopilot.rl.samples import due, pick, sample_text, write_samples

if TYPE_CHECKING:
    from medcopilot.train.loop import Progress
    from medcopilot.train.tracking import Tracker

PARTS = ("wait", "sync", "update", "other")
"""Of `time/step`, besides `evaluate`."""


class StepLog(TrainerCallback):
    """Times the parts of a step, adds what its rollouts were like, raises alarms and keeps samples.

        trainer.add_callback(log)
        played = log.next_round(source, step)
        with log.phase("evaluate"): ...
        log.ready()

    What is left of the step once it has its batch is the update. A step may learn from an earlier step's round.

    Args:
        metrics: where values of the step go, by name; the trainer averages them when it logs.
    """

    def __init__(self, metrics: MutableMapping[str, list[float]]) -> None:
        self._metrics = metrics
        self._end = self._ready = time.perf_counter()
        self._spent = dict.fromkeys(PARTS, 0.0)
        self.progress: Progress | None = None
        """Of the run, for alarms, samples and their trackers; None: metrics only."""

    def next_round(self, source: Source, step: int) -> Round:
        """The source's next round, for a trainer that has made `step` optimiser steps."""
        started = time.perf_counter()
        played = source.next(step)
        whole = time.perf_counter() - started
        metrics = dict(played.metrics)
        self._spent["sync"] += metrics.pop("time/sync", 0.0)
        self._spent["wait"] += metrics.pop("time/wait", whole)
        for name, value in metrics.items():
            self._metrics[name].append(value)
        if self.progress is not None and self.progress.tracker is not None and played.played:
            self._record(self.progress.tracker, played, step + 1)
        return played

    @staticmethod
    def _record(tracker: Tracker, played: Round, step: int) -> None:
        """Alarms, and samples when they are due. `step`: the first one that learns from the round."""
        tracker.alarm(step, "infrastructure", played.metrics.get("rollouts/infrastructure", 0.0), MASKED_LIMIT,
                      _failures(played.played))
        folder, settings = tracker.config.samples, tracker.config.tracking
        if settings.samples and due(folder, step, settings.samples_every):
            chosen = pick(played.played, settings.samples, seed=step)
            texts = [sample_text(*item) for item in chosen]
            write_samples(folder, tracker.config.name, step, chosen, texts)
            tracker.samples(step, [trace for trace, *_ in chosen], texts)

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time another part of this step: `evaluate`."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self._spent[name] = self._spent.get(name, 0.0) + time.perf_counter() - started

    def ready(self) -> None:
        """The batch is there: what follows is the update."""
        self._ready = time.perf_counter()

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._end = self._ready = time.perf_counter()

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._ready = time.perf_counter()  # unless a round of rollouts comes in between

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        now = time.perf_counter()
        whole, self._end = now - self._end, now
        self._spent["update"] = now - self._ready
        self._spent["other"] = max(0.0, whole - sum(self._spent.values()))
        for name, value in self._spent.items():
            self._metrics[f"time/{name}"].append(value)
        self._metrics["time/step"].append(whole)
        self._spent = dict.fromkeys(self._spent, 0.0)


def _failures(played: Sequence[Group]) -> str:
    """The alarm's sentence."""
    traces = [trace for group in played for trace in group.traces]
    errors = [trace.error or "unknown error" for trace in traces if trace.stop == "infrastructure"]
    if not errors:
        return ""
    [(kind, _)] = Counter(error.partition(":")[0] for error in errors).most_common(1)
    example = " ".join(next(error for error in errors if error.startswith(kind)).split())
    share = f"{len(errors) / len(traces):.0%}, limit {MASKED_LIMIT:.0%}"
    return (f"{len(errors)} of {len(traces)} episodes ({share}) failed in our own machinery and were masked, most often "
            f"{example[:160]}: check engine and sandbox")
