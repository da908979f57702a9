"""SFT rows: successful episodes as exact token ids with labels.

Promises: only episodes that the strict grader called a success; no two rows with the same ids, and of one task none that does
the same work twice (`same_program`); at most `per_task` rows per task; groups of `balance` are capped and share the limit,
without it datasets take turns. Same traces and options, same rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from medcopilot.agent.render import ChatRenderer
from medcopilot.data.choose import Balance, balanced, difficulties, shuffled
from medcopilot.data.funnel import Funnel
from medcopilot.data.repeats import NearPrompts, Repeats
from medcopilot.data.sources import Tokenized, tokenize, unfit, unusable
from medcopilot.trace import Trace

IGNORE = -100
"""Label of a token without loss."""


class ChoiceOptions(BaseModel):
    """How rows are chosen where there are more than are wanted."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    max_length: int | None = Field(None, ge=2)
    """Longer episodes are left out."""
    limit: int | None = Field(None, ge=1)
    """Rows in all."""
    balance: tuple[Balance, ...] = ()
    """Groups: each dataset by category, by difficulty (`choose.difficulties`), or by both. None: datasets."""
    cap: int | None = Field(None, ge=1)
    """Rows of each group."""
    temperature: float | None = Field(None, ge=1)
    """Under a limit, shares are proportional to group size ** (1 / temperature): 1 as they come; None: equal shares."""
    seed: int = 0

    @model_validator(mode="after")
    def _balance_has_a_measure(self) -> ChoiceOptions:
        if self.balance and self.cap is None and self.limit is None:
            raise ValueError("balancing needs a measure: give cap (rows of each group) or limit (rows in all)")
        if self.temperature is not None and (self.limit is None or not self.balance):
            raise ValueError("a temperature divides a limit among groups: give balance and limit too")
        return self


class SftOptions(ChoiceOptions):
    """How rows are chosen."""

    per_task: int | None = Field(None, ge=1)
    same_program: bool = False
    """Keep episodes that do the same work on one task, up to formatting."""
    near: float | None = Field(None, gt=0, le=1)
    """Leave out episodes whose question is this similar to that of a row of another task (`repeats.NearPrompts`)."""


def sft_rows(traces: Iterable[Trace], renderer: ChatRenderer, options: SftOptions, funnel: Funnel,
             questions: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
    """Rows `input_ids`, `labels` (-100 = no loss) with their origin.

    Args:
        questions: task id -> question, where `near` asks for it.
    """
    graded = funnel.keep("training split, graded", shuffled(traces, options.seed), unusable)
    levels = difficulties(graded)
    won = funnel.keep("success", graded, lambda trace: "" if trace.success else "failed")
    episodes = [tokenize(trace, renderer) for trace in won]
    episodes = funnel.keep("length", episodes, lambda episode: unfit(episode, options.max_length))
    episodes = funnel.keep("repetitions", episodes, Repeats(not options.same_program))
    if options.near is not None:
        episodes = funnel.keep("near-equal prompts", episodes, NearPrompts(episodes, questions or {}, options.near))
    if options.per_task is not None:
        episodes = funnel.keep("per task", episodes, _at_most(options.per_task))
    return balanced([_row(episode, levels) for episode in episodes], funnel, balance=options.balance, cap=options.cap,
                    limit=options.limit, temperature=options.temperature)


def _at_most(count: int) -> Callable[[Tokenized], str]:
    seen: Counter[str] = Counter()

    def check(episode: Tokenized) -> str:
        seen[episode.trace.task_id] += 1
        return "per_task" if seen[episode.trace.task_id] > count else ""

    return check


def _row(episode: Tokenized, levels: Mapping[str, str]) -> dict[str, Any]:
    labels = [token if on else IGNORE for token, on in zip(episode.ids, episode.mask, strict=True)]
    return {"input_ids": episode.ids, "labels": labels, **origin(episode), "difficulty": levels[episode.trace.task_id]}


def origin(episode: Tokenized) -> dict[str, Any]:
    """Where a row comes from."""
    trace = episode.trace
    return {"dataset": trace.dataset, "category": trace.category, "task_id": trace.task_id, "trace_id": trace.id,
            "licence": trace.licence, "exact": episode.exact}
