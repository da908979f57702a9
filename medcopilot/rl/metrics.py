"""What is measured of a step of online training: where its time went, and what its rollouts were like.

    time/step                 seconds from the end of one optimiser step to the end of the next; its parts, which add up to it:
      time/wait                 waited for rollouts
      time/sync                 gave the engine the new weights
      time/update               forward, backward, optimiser
      time/other                the rest: collation, logs, saving
    time/rollout              seconds in which the step's groups were played; above time/wait where they are played ahead
    share/generate env grade  of the seconds of all episodes added up
    rollouts/seconds          per episode, and of it generate_seconds, env_seconds, grade_seconds; seconds_max: the slowest
    rollouts/turns            per episode; so are sampled_tokens and tokens
    rollouts/tokens_per_second  sampled tokens per second of time/rollout
    rollouts/infrastructure   share of episodes that our own machinery failed: an alarm above 5 %
    rollouts/masked           share of episodes without a reward: those, and what could not be graded
    rollouts/loops            share of episodes that went in circles, where a detector is given
    groups/zero_variance      share of groups whose rollouts all had one outcome
    staleness/mean max        policy versions that sampled tokens are behind the trainer
    value/explained_variance  of the critic (PPO)

Promises: everything counts over what was played, kept or not; a failure of our machinery never counts as a failure of the policy.
The parts of a step add up to `time/step`.
Does not cover: speed of the update in tokens and FLOPs (`medcopilot.train.flops`), nor sums over ranks: each rank measures itself.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback

from medcopilot.rl.samples import pick, sample_text, write_samples
from medcopilot.trace import Trace

if TYPE_CHECKING:
    from medcopilot.rl.stream import Group, Harvest
    from medcopilot.train.loop import Progress

EXPLAINED_VARIANCE = "value/explained_variance"
INFRASTRUCTURE_LIMIT = 0.05
"""Share of episodes that may fail in our machinery before an alarm."""
PARTS = ("wait", "sync", "update", "other")
"""Of `time/step`, in the order of pictures."""


def measure(played: Sequence[Group], seconds: float, looping: Callable[[Trace], bool] | None = None) -> dict[str, float]:
    """What a step's rollouts looked like, over everything played (kept or not).

    Args:
        seconds: of the wall clock in which they were played.
        looping: says of an episode whether it went in circles; None: not measured.
    """
    traces = [trace for group in played for trace in group.traces]
    rewards = [reward for group in played for reward in group.rewards if reward is not None]
    verdicts = Counter(group.verdict for group in played)
    turns = [turn for trace in traces for turn in trace.turns]
    sampled = sum(sum(trace.tokens.mask) for trace in traces if trace.tokens)
    count = max(1, len(traces))
    metrics = {
        "reward": sum(rewards) / max(1, len(rewards)),
        "success": sum(trace.success for trace in traces) / max(1, len(rewards)),
        "groups/played": float(len(played)), "groups/kept": float(verdicts["kept"]),
        "groups/zero_variance": verdicts["zero_variance"] / max(1, len(played)),
        "groups/dropped_other": (verdicts["ungraded"] + verdicts["versions"]) / max(1, len(played)),
        "rollouts/infrastructure": sum(trace.stop == "infrastructure" for trace in traces) / count,
        "rollouts/masked": (len(traces) - len(rewards)) / count,
        "rollouts/turns": len(turns) / count, "rollouts/sampled_tokens": sampled / count,
        "rollouts/tokens": sum(len(trace.tokens.ids) for trace in traces if trace.tokens) / count,
        "rollouts/refused": sum(bool(turn.problem) for turn in turns) / max(1, len(turns)),
        "rollouts/submitted": sum(trace.stop == "submit" for trace in traces) / count,
        "time/rollout": seconds, "rollouts/tokens_per_second": sampled / seconds if seconds else 0.0,
        **_episode_time(traces), **_reward_terms(played)}
    if looping is not None:
        metrics["rollouts/loops"] = sum(map(looping, traces)) / count
    return metrics


def _episode_time(traces: Sequence[Trace]) -> dict[str, float]:
    """What episodes spent their seconds on: shares of their sum, and per episode."""
    turns = [turn for trace in traces for turn in trace.turns]
    spent = {"generate": sum(turn.generate_seconds for turn in turns), "env": sum(turn.env_seconds for turn in turns),
             "grade": sum(trace.grade_seconds for trace in traces)}
    busy, count = sum(trace.seconds for trace in traces), max(1, len(traces))
    return {**{f"share/{name}": value / (busy or 1.0) for name, value in spent.items()},
            **{f"rollouts/{name}_seconds": value / count for name, value in spent.items()},
            "rollouts/seconds": busy / count, "rollouts/seconds_max": max((trace.seconds for trace in traces), default=0.0)}


def _reward_terms(played: Sequence[Group]) -> dict[str, float]:
    """The mean of every reward term by itself."""
    found: dict[str, list[float]] = {}
    for group in played:
        for terms in group.terms:
            for name, value in terms.items():
                found.setdefault(name, []).append(value)
    return {f"reward/{name}": sum(values) / len(values) for name, values in sorted(found.items())}


def staleness(groups: Sequence[Group], version: int) -> dict[str, float]:
    """How many policy versions the sampled tokens of some groups are behind `version`, the trainer's own."""
    behind = [version - sampled for group in groups for trace in group.traces if trace.tokens
              for sampled, mask in zip(trace.tokens.versions, trace.tokens.mask, strict=True) if mask]
    return {"staleness/mean": sum(behind) / len(behind), "staleness/max": float(max(behind))} if behind else {}


class StepLog(TrainerCallback):
    """Times the parts of a step, adds what its rollouts were like, raises alarms and keeps samples.

        trainer.add_callback(log)
        with log.phase("sync"): ...
        with log.phase("wait"): harvest = stream.next()
        log.harvest(harvest, version, step)

    What is left of the step once it has its batch is the update. Several rounds, or none, may fall into one step.

    Args:
        metrics: where values of the step go, by name; the trainer averages them when it logs.
    """

    def __init__(self, metrics: MutableMapping[str, list[float]]) -> None:
        self._metrics = metrics
        self._end = time.perf_counter()
        self._ready = self._end
        """When the batch of this step was there."""
        self._spent = dict.fromkeys(PARTS, 0.0)
        self.progress: Progress | None = None
        """Of the run, for alarms, samples and their trackers; None: metrics only."""

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time a part of this step: `wait` or `sync`."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self._spent[name] += time.perf_counter() - started

    def harvest(self, harvest: Harvest, version: int, step: int) -> None:
        """What a round of rollouts was like. `step`: the one that will learn from it."""
        for name, value in {**harvest.metrics, **staleness(harvest.groups, version)}.items():
            self._metrics[name].append(value)
        tracker = self.progress.tracker if self.progress is not None else None
        if tracker is None:
            return
        tracker.alarm(step, "infrastructure", harvest.metrics.get("rollouts/infrastructure", 0.0), INFRASTRUCTURE_LIMIT,
                      _failures(harvest))
        settings = tracker.config.tracking
        if settings.samples and (step == 1 or step % settings.samples_every == 0):
            chosen = pick(harvest.played, settings.samples, seed=step)
            texts = [sample_text(*item) for item in chosen]
            write_samples(tracker.config.samples / f"step-{step}.md", tracker.config.name, step, chosen, texts)
            tracker.samples(step, [trace for trace, *_ in chosen], texts)

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
        self._spent = dict.fromkeys(PARTS, 0.0)


def _failures(harvest: Harvest) -> str:
    """The alarm's sentence."""
    errors = [trace.error for group in harvest.played for trace in group.traces if trace.stop == "infrastructure"]
    if not errors:
        return ""
    kinds = Counter(error.partition(":")[0] or "unknown error" for error in errors)
    most = kinds.most_common(1)[0][0]
    total = sum(len(group.traces) for group in harvest.played)
    example = next(error for error in errors if (error.partition(":")[0] or "unknown error") == most)
    return (f"{len(errors)} of {total} episodes ({len(errors) / total:.0%}, limit {INFRASTRUCTURE_LIMIT:.0%}) failed in our own "
            f"machinery and were masked, most often {' '.join(example.split())[:160] or most}: check engine and sandbox")
