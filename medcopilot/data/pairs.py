"""Preference pairs: of one task, a success against a failure that shares its opening.

Promises: the opening is the longest common token prefix that ends where the policy begins a turn in both; both sides keep their
per-token masks, so observations never count, and are slices of the episodes' own ids, so nothing is encoded again; at most
`per_task` pairs per task, every failure in one pair and every success in two at most; under a limit, datasets take turns. Same
traces and options, same pairs; a task without a pair is counted with the reason.
Does not cover: pairs within one episode (`medcopilot.data.step_pairs`).
Source: pairs with a shared opening, off-policy and on-policy, and best against worst by the verifier: arXiv 2506.04405, sections on
preference data and self-improvement.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, Literal, NamedTuple

from pydantic import Field, model_validator

from medcopilot.agent.render import ChatRenderer
from medcopilot.data.choose import balanced, difficulties, rank
from medcopilot.data.funnel import Funnel
from medcopilot.data.sft import ChoiceOptions, origin
from medcopilot.data.sources import Tokenized, tokenize, unfit, unusable
from medcopilot.data.step_pairs import step_pair
from medcopilot.trace import Trace

CHOSEN_USES = 2
"""How many pairs one success may serve."""


class PairOptions(ChoiceOptions):
    """How pairs are chosen."""

    level: Literal["trajectory", "step"] = "trajectory"
    """`trajectory`: two episodes, each to its end. `step`: of one success, its final program against an earlier wrong one."""
    per_task: int = Field(2, ge=1)
    on_policy: bool = False
    """Both sides from one run."""
    best_worst: bool = False
    """The verifier's best success against its worst failure first; else the pair with the longest opening first."""

    @model_validator(mode="after")
    def _one_kind(self) -> PairOptions:
        if self.level == "step" and (self.best_worst or self.on_policy):
            raise ValueError("a step level pair lies within one episode: leave out best_worst and on_policy")
        return self


class Rollout(NamedTuple):
    """An episode that may become a side of a pair."""

    trace: Trace
    run: str = ""
    role: Literal["either", "chosen", "rejected"] = "either"
    """Which side it may be."""
    score: float | None = None
    """The verifier's."""


class _Side(NamedTuple):
    rollout: Rollout
    episode: Tokenized


def pair_rows(rollouts: Iterable[Rollout], renderer: ChatRenderer, options: PairOptions, funnel: Funnel) -> list[dict[str, Any]]:
    """Rows `prompt_ids`, `chosen_ids`, `rejected_ids`, `chosen_mask`, `rejected_mask` with their origin."""
    ordered = sorted(rollouts, key=lambda rollout: (rank(options.seed, rollout.trace.id), rollout.trace.id, rollout.run))
    graded = funnel.keep("training split, graded", ordered, lambda rollout: unusable(rollout.trace))
    if options.best_worst:
        graded = funnel.keep("scored", graded, lambda rollout: "no_score" if rollout.score is None else "")
    sides = [_Side(rollout, tokenize(rollout.trace, renderer)) for rollout in graded]
    sides = funnel.keep("length", sides, lambda side: unfit(side.episode, options.max_length))
    rows = _step_rows(sides, options, funnel) if options.level == "step" else _trajectory_rows(sides, options, funnel)
    levels = difficulties(rollout.trace for rollout in graded)
    rows = [{**row, "difficulty": levels[row["task_id"]]} for row in rows]
    return balanced(rows, funnel, balance=options.balance, cap=options.cap, limit=options.limit, temperature=options.temperature,
                    unit="pairs")


def shared_opening(left: Tokenized, right: Tokenized) -> int | None:
    """Length of the longest common prefix that ends where the policy begins a turn in both; None when there is none."""
    common = 0
    for a, b in zip(left.ids, right.ids, strict=False):
        if a != b:
            break
        common += 1
    both = set(left.starts) & set(right.starts)
    return max((start for start in both if start <= common), default=None)


def _step_rows(sides: list[_Side], options: PairOptions, funnel: Funnel) -> list[dict[str, Any]]:
    """At most `per_task` pairs of each task, from its successes in their order."""
    made: Counter[str] = Counter()
    rows: list[dict[str, Any]] = []

    def reason(side: _Side) -> str:
        task = side.rollout.trace.task_id
        if not side.rollout.trace.success:
            return "failed"
        found = step_pair(side.episode)
        if isinstance(found, str):
            return found
        if made[task] == options.per_task:
            return "per_task"
        made[task] += 1
        rows.append({**found._asdict(), **origin(side.episode), "rejected_trace_id": side.rollout.trace.id, "on_policy": True})
        return ""

    funnel.keep("final program against an earlier wrong one", sides, reason)
    return rows


def _trajectory_rows(sides: list[_Side], options: PairOptions, funnel: Funnel) -> list[dict[str, Any]]:
    tasks: dict[str, list[_Side]] = {}
    for side in sides:
        tasks.setdefault(side.rollout.trace.task_id, []).append(side)
    order = sorted(tasks, key=lambda task: (rank(options.seed, task), task))
    rows: list[dict[str, Any]] = []

    def reason(task: str) -> str:
        good = [side for side in tasks[task] if side.rollout.trace.success and side.rollout.role != "rejected"]
        bad = [side for side in tasks[task] if not side.rollout.trace.success and side.rollout.role != "chosen"]
        if not good or not bad:
            return "no_success" if bad else "no_failure" if good else "no_side"
        if options.on_policy and not {side.rollout.run for side in good} & {side.rollout.run for side in bad}:
            return "not_in_one_run"
        pairs = list(_pairs_of(good, bad, options))
        rows.extend(pairs)
        return "" if pairs else "no_shared_opening"

    funnel.keep("success against failure", order, reason, unit="tasks")
    return rows


def _pairs_of(good: list[_Side], bad: list[_Side], options: PairOptions) -> Iterator[dict[str, Any]]:
    """One task's pairs, in the order of preference."""
    candidates = []
    for i, winner in enumerate(good):
        for j, loser in enumerate(bad):
            opening = shared_opening(winner.episode, loser.episode)
            if (opening is not None and _counts(winner.episode, opening) and _counts(loser.episode, opening)
                    and not (options.on_policy and winner.rollout.run != loser.rollout.run)):
                margin = (winner.rollout.score or 0.0) - (loser.rollout.score or 0.0) if options.best_worst else 0.0
                candidates.append((-margin, -opening, i, j))
    uses: Counter[tuple[str, int]] = Counter()
    seen: set[tuple[tuple[int, ...], tuple[int, ...]]] = set()
    made = 0
    for _, negative, i, j in sorted(candidates):
        winner, loser = good[i].episode, bad[j].episode
        key = (tuple(winner.ids), tuple(loser.ids))
        if made == options.per_task or uses["good", i] >= CHOSEN_USES or uses["bad", j] or key in seen:
            continue
        uses["good", i] += 1
        uses["bad", j] += 1
        seen.add(key)
        made += 1
        yield _row(good[i], bad[j], -negative)


def _row(winner: _Side, loser: _Side, start: int) -> dict[str, Any]:
    good, bad = winner.episode, loser.episode
    scores = {name: side.rollout.score for name, side in (("chosen_score", winner), ("rejected_score", loser))
              if side.rollout.score is not None}
    return {"prompt_ids": good.ids[:start], "chosen_ids": good.ids[start:], "rejected_ids": bad.ids[start:],
            "chosen_mask": good.mask[start:], "rejected_mask": bad.mask[start:], **origin(good),
            "rejected_trace_id": bad.trace.id, "on_policy": winner.rollout.run == loser.rollout.run, **scores}


def _counts(episode: Tokenized, start: int) -> bool:
    """Something after the opening carries loss."""
    return any(episode.mask[start:])
