"""What is measured of a step of online training: where its time went, and what its rollouts were like.

    time/step                 seconds from the end of one optimiser step to the end of the next; its parts, which add up to it:
      time/wait                 waited for rollouts
      time/sync                 gave the engine the new weights
      time/evaluate             values and logprobs before the round's first update (reference model, critic), where there are any
      time/update               forward, backward, optimiser
      time/other                the rest: collation, logs, saving
    time/rollout              seconds in which the step's groups were played; above time/wait where they are played ahead
    share/generate env grade  of the seconds of all episodes added up
    rollouts/seconds          per episode, and of it generate_seconds, env_seconds, grade_seconds; seconds_max: the slowest
    rollouts/episodes         played
    rollouts/turns            per episode; so are sampled_tokens and tokens
    rollouts/tokens_per_second  sampled tokens per second of time/rollout
    rollouts/infrastructure   share of episodes that our own machinery failed: an alarm above 5 %
    rollouts/masked           share of episodes without a reward: those, and what could not be graded
    rollouts/loops            share of episodes that went in circles, where a detector is given
    groups/zero_variance      share of groups whose rollouts all had one outcome
    staleness                 policy versions that the rollouts are behind the trainer (`source`)
    value/explained_variance  of the critic (PPO)

Promises: everything counts over what was played, kept or not; a failure of our machinery never counts as a failure of the policy.
Does not cover: the clock of a step (`step_log`), speed of the update in tokens and FLOPs (`medcopilot.train.flops`), nor sums over
ranks: each rank measures itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from medcopilot.trace import Trace

if TYPE_CHECKING:
    from medcopilot.rl.group import Group


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
        "rollouts/episodes": float(len(traces)), "rollouts/turns": len(turns) / count, "rollouts/sampled_tokens": sampled / count,
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
