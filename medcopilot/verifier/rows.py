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
from medcopilot.data.sources import usable
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


def verifier_rows(traces: Iterable[Trace], renderer: ChatRenderer, options: VerifierOptions, skipped: Counter[str]) -> list[Row]:
    """Rows `input_ids`, `labels` (-100 = no loss), `answer` (YES or NO) and `submitted` (something was handed in) with their
    origin; what was left out is counted in `skipped`."""
    prompt = VerifierPrompt(renderer, options.profile, options.max_length)
    rows = _distinct(traces, prompt, options, skipped)
    pairs = round_robin(_pairs(rows, options), None if options.limit is None else options.limit // 2)
    if 2 * len(pairs) < len(rows):
        skipped["unpaired"] += len(rows) - 2 * len(pairs)
    return [row for pair in pairs for row in (pair["yes"], pair["no"])]


def _distinct(traces: Iterable[Trace], prompt: VerifierPrompt, options: VerifierOptions, skipped: Counter[str]) -> list[Row]:
    """One row per prompt, in a seeded order."""
    found: dict[tuple[int, ...], Row] = {}
    verdicts: dict[tuple[int, ...], set[str]] = {}
    for trace in shuffled(usable(traces, skipped), options.seed):
        if trace.protocol != "submit":
            skipped["paper_protocol"] += 1
            continue
        ids, answer = tuple(prompt.ids(trace)), YES if trace.success else NO
        verdicts.setdefault(ids, set()).add(answer)
        if ids in found:
            skipped["duplicate"] += 1
        else:
            found[ids] = _row(trace, ids, answer, prompt)
    contradicted = [ids for ids, answers in verdicts.items() if len(answers) > 1]
    skipped.update({"judged_both_ways": len(contradicted)} if contradicted else {})
    return [row for ids, row in found.items() if len(verdicts[ids]) == 1]


def _row(trace: Trace, ids: tuple[int, ...], answer: str, prompt: VerifierPrompt) -> Row:
    token = prompt.answers.yes if answer == YES else prompt.answers.no
    return {"input_ids": [*ids, token], "labels": [IGNORE] * len(ids) + [token], "answer": answer,
            "submitted": trace.submission is not None, "dataset": trace.dataset, "task_id": trace.task_id, "trace_id": trace.id,
            "licence": trace.licence}


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
