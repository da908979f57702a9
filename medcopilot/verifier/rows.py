"""Training rows of the verifier: judged episodes, half of them correct.

Promises: only the training split, only episodes that the strict grader judged, only protocol `submit` (under `paper` an episode
ends with its first correct run, so its length gives the answer away); as many YES as NO, within every dataset and within every
task that has both; no prompt twice, and none that was judged both ways; under a limit, datasets take turns. Same traces and
options, same rows. The loss is on the answer token alone.
Source: balanced sets, arXiv 2506.04405, section on the verifier.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from medcopilot.agent.render import ChatRenderer
from medcopilot.data.choose import rank, round_robin, shuffled
from medcopilot.data.funnel import Funnel
from medcopilot.data.sources import unusable
from medcopilot.trace import Trace
from medcopilot.verifier.prompt import NO, YES, VerifierPrompt

IGNORE = -100
"""Label of a token without loss."""
Row = dict[str, Any]


class VerifierOptions(BaseModel):
    """How rows are made and chosen."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    profile: Literal["full", "nano"] = "full"
    """Wording of the prompt."""
    max_length: int | None = Field(None, ge=2)
    """Tokens of a row; longer episodes are shortened. None: the profile's default."""
    per_task: int | None = Field(None, ge=2)
    """Rows per task at most."""
    limit: int | None = Field(None, ge=2)
    """Rows in all."""
    seed: int = 0


def verifier_rows(traces: Iterable[Trace], renderer: ChatRenderer, options: VerifierOptions, funnel: Funnel) -> list[Row]:
    """Rows `input_ids`, `labels` (-100 = no loss), `answer` (YES or NO) and `submitted` (something was handed in) with their
    origin."""
    prompt = VerifierPrompt(renderer, options.profile, options.max_length)
    graded = funnel.keep("training split, graded", shuffled(traces, options.seed), unusable)
    judged = funnel.keep("protocol", graded, lambda trace: "" if trace.protocol == "submit" else "paper_protocol")
    rows = _distinct(judged, prompt, funnel)
    pairs = round_robin(_pairs(rows, options), None if options.limit is None else options.limit // 2)
    unpaired = len(rows) - 2 * len(pairs)
    funnel.add("as many YES as NO", len(rows), 2 * len(pairs), {"unpaired": unpaired} if unpaired else {})
    return [row for pair in pairs for row in (pair["yes"], pair["no"])]


def _distinct(traces: list[Trace], prompt: VerifierPrompt, funnel: Funnel) -> list[Row]:
    """One row per prompt, in the order given."""
    found: dict[tuple[int, ...], Row] = {}
    verdicts: dict[tuple[int, ...], set[str]] = {}
    for trace in traces:
        ids, answer = tuple(prompt.ids(trace)), YES if trace.success else NO
        verdicts.setdefault(ids, set()).add(answer)
        if ids not in found:
            found[ids] = _row(trace, ids, answer, prompt)
    kept = [row for ids, row in found.items() if len(verdicts[ids]) == 1]
    dropped = Counter(duplicate=len(traces) - len(found), judged_both_ways=len(found) - len(kept))
    funnel.add("repetitions", len(traces), len(kept), +dropped)
    return kept


def _row(trace: Trace, ids: tuple[int, ...], answer: str, prompt: VerifierPrompt) -> Row:
    token = prompt.answers.yes if answer == YES else prompt.answers.no
    return {"input_ids": [*ids, token], "labels": [IGNORE] * len(ids) + [token], "answer": answer,
            "submitted": trace.submission is not None, "dataset": trace.dataset, "category": trace.category,
            "task_id": trace.task_id, "trace_id": trace.id, "licence": trace.licence}


def _pairs(rows: list[Row], options: VerifierOptions) -> list[Row]:
    """Pairs of a YES and a NO row of one dataset: of one task where the task has both, else of tasks that have one each."""
    tasks: dict[str, dict[str, dict[str, list[Row]]]] = {}
    for row in rows:
        tasks.setdefault(row["dataset"], {}).setdefault(row["task_id"], {YES: [], NO: []})[row["answer"]].append(row)
    pairs = []
    for dataset in sorted(tasks):
        order = sorted(tasks[dataset], key=lambda task: (rank(options.seed, task), task))
        singles: dict[str, list[Row]] = {YES: [], NO: []}
        depths: list[tuple[int, int, Row]] = []  # tasks take turns, so that a limit meets all of them alike
        for place, task in enumerate(order):
            sides = tasks[dataset][task]
            if sides[YES] and sides[NO]:
                most = len(rows) if options.per_task is None else options.per_task // 2
                both = list(zip(sides[YES], sides[NO], strict=False))[:most]
                depths += [(depth, place, {"dataset": dataset, "yes": yes, "no": no}) for depth, (yes, no) in enumerate(both)]
            else:
                for answer in (YES, NO):
                    singles[answer] += sides[answer][: options.per_task]
        pairs += [pair for _, _, pair in sorted(depths, key=lambda entry: entry[:2])]
        pairs += [{"dataset": dataset, "yes": yes, "no": no} for yes, no in zip(singles[YES], singles[NO], strict=False)]
    return pairs
