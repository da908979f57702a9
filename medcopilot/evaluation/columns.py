"""Traces as columns: one pass over any number of episodes, nothing kept but what statistics need.

Promises: an episode that appears twice under one id (a resumed or retried one) counts once, the graded version winning; an
episode without a strict score is kept as ungraded, never turned into 0.
Does not cover: reading files (`runs`) and what is computed from the columns (`summary`, `compare`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from medcopilot.evaluation.answers import NONE, Submitted, canonical, read_submission
from medcopilot.evaluation.errors import error_class
from medcopilot.loops import guard_effect
from medcopilot.trace import Trace, used_tokens

ACTIONS = ("request_info", "terminal", "code_execution", "debugging", "submit")
REFUSALS = ("format", "schema", "not_allowed")


class _Row(NamedTuple):
    id: str
    policy: str
    protocol: str
    submitted: Submitted
    dataset: str
    category: str
    slice: str
    cluster: str
    task: str
    sample: int
    temperature: float
    strict: float
    paper: float
    label: str
    paper_label: str
    stop: str
    error: str
    impossible: bool
    abstained: bool
    measures: tuple[float, ...]
    actions: tuple[int, ...]
    refused: tuple[int, ...]


MEASURES = ("turns", "seconds", "generation", "environment", "grading", "completion_tokens", "context_tokens", "prompt_tokens",
            "started", "loop_turns", "loop_guarded", "loop_told", "loop_stopped", "loop_tokens_after", "loop_tokens_saved")
_TEXT = ("id", "policy", "protocol", "dataset", "category", "slice", "task", "label", "paper_label", "stop", "error")
_FLOATS = ("temperature", "strict", "paper")
_FLAGS = ("impossible", "abstained")


class _Grade(Protocol):
    score: float | None
    label: str


@dataclass(frozen=True)
class Columns:
    """n episodes; every array has shape (n,) or (n, columns)."""

    id: NDArray[np.str_]
    policy: NDArray[np.str_]
    protocol: NDArray[np.str_]
    answer: NDArray[np.str_]
    """What was submitted, in the form of `answers.canonical`; empty for nothing, and for tasks that were played once."""
    dataset: NDArray[np.str_]
    category: NDArray[np.str_]
    slice: NDArray[np.str_]
    cluster: NDArray[np.int64]
    """Code of (dataset, cluster), comparable within these columns only; names in `cluster_names`."""
    task: NDArray[np.str_]
    sample: NDArray[np.int64]
    temperature: NDArray[np.float64]
    strict: NDArray[np.float64]
    """Score, NaN when ungraded."""
    paper: NDArray[np.float64]
    label: NDArray[np.str_]
    paper_label: NDArray[np.str_]
    stop: NDArray[np.str_]
    error: NDArray[np.str_]
    """Class of the failure (`medcopilot.evaluation.errors`), empty for a strict success."""
    impossible: NDArray[np.bool_]
    abstained: NDArray[np.bool_]
    measures: NDArray[np.float64]
    """Columns `MEASURES`; NaN where a trace does not say."""
    actions: NDArray[np.int64]
    """Valid actions per episode, columns `ACTIONS`."""
    refused: NDArray[np.int64]
    """Refused replies per episode, columns `REFUSALS`."""
    cluster_names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.task)

    def where(self, mask: NDArray[np.bool_]) -> Columns:
        """The episodes for which `mask` is true."""
        arrays = {name: value[mask] for name, value in vars(self).items() if name != "cluster_names"}
        return Columns(**arrays, cluster_names=self.cluster_names)

    def measure(self, name: str) -> NDArray[np.float64]:
        """One column of `measures`."""
        return self.measures[:, MEASURES.index(name)]

    def total(self, name: str) -> int | None:
        """Tokens of all episodes; masked ones of which nobody knows are left out, any other makes the sum unknown."""
        values = self.measure(name)
        return None if np.isnan(values[self.played]).any() else int(np.nansum(values))

    @property
    def graded(self) -> NDArray[np.bool_]:
        """Which episodes carry a strict score."""
        return ~np.isnan(self.strict)

    @property
    def played(self) -> NDArray[np.bool_]:
        """Which episodes came to their own end: those whose end our machinery's failure was are masked."""
        return self.stop != "infrastructure"

    @property
    def paper_ungraded(self) -> NDArray[np.bool_]:
        """Which episodes carry a strict score and none of the paper's grader."""
        return self.graded & np.isnan(self.paper)


def columns(traces: Iterable[Trace]) -> Columns:
    """Read every trace once."""
    rows: list[_Row] = []
    seen: dict[str, int] = {}
    for trace in traces:
        row = _row(trace)
        at = seen.get(trace.id)
        if at is None:
            seen[trace.id] = len(rows)
            rows.append(row)
        elif not np.isnan(row.strict) or np.isnan(rows[at].strict):
            rows[at] = row
    names: dict[str, int] = {}
    codes = [names.setdefault(f"{row.dataset}/{row.cluster}", len(names)) for row in rows]
    fields = dict(zip(_Row._fields, zip(*rows, strict=True), strict=True)) if rows else dict.fromkeys(_Row._fields, ())
    del fields["cluster"]
    played = Counter(fields["task"])
    votes = [canonical(row.submitted) if played[row.task] > 1 else NONE for row in rows]
    return Columns(answer=np.asarray(votes, dtype=np.str_),
                   **{name: np.asarray(fields[name], dtype=np.str_) for name in _TEXT},
                   **{name: np.asarray(fields[name], dtype=float) for name in _FLOATS},
                   **{name: np.asarray(fields[name], dtype=bool) for name in _FLAGS},
                   sample=np.asarray(fields["sample"], dtype=np.int64), cluster=np.asarray(codes, dtype=np.int64),
                   measures=_matrix(fields["measures"], len(MEASURES), float),
                   actions=_matrix(fields["actions"], len(ACTIONS), np.int64),
                   refused=_matrix(fields["refused"], len(REFUSALS), np.int64), cluster_names=tuple(names))


def did_abstain(trace: Trace) -> bool:
    """Abstaining is an explicit submission; silence is not."""
    return trace.submission is not None and trace.submission.get("kind") == "abstain"


def _matrix(rows: Sequence[Any], width: int, dtype: Any) -> NDArray[Any]:
    return np.asarray(rows, dtype=dtype).reshape(len(rows), width)


def _row(trace: Trace) -> _Row:
    strict, paper = trace.grades.get("strict"), trace.grades.get("paper")
    masked = trace.stop == "infrastructure"
    counts, refused = [0] * len(ACTIONS), [0] * len(REFUSALS)
    generation = environment = 0.0
    for turn in trace.turns:
        generation += turn.generate_seconds
        environment += turn.env_seconds
        if turn.problem in REFUSALS:
            refused[REFUSALS.index(turn.problem)] += 1
        elif turn.action in ACTIONS:
            counts[ACTIONS.index(turn.action)] += 1
    completion = trace.completion_tokens if trace.completion_tokens is not None else trace.sampled_tokens
    used = used_tokens([turn.sampled_tokens for turn in trace.turns], trace.prompt_tokens, completion, masked)
    prompt, completed, context = (np.nan if count is None else count for count in (*used, trace.context_tokens))
    measures = (len(trace.turns), trace.seconds, generation, environment, trace.grade_seconds, completed, context, prompt,
                trace.started, *_loops(trace))
    return _Row(trace.id, trace.policy, trace.protocol, read_submission(trace), trace.dataset, trace.category,
                trace.slice, trace.cluster, trace.task_id, trace.sample, trace.temperature, _score(strict, masked),
                _score(paper, masked), _label(strict, masked), _label(paper, masked), trace.stop, error_class(trace),
                trace.impossible, did_abstain(trace), measures, tuple(counts), tuple(refused))


def _score(grade: _Grade | None, masked: bool) -> float:
    return np.nan if masked or grade is None or grade.score is None else grade.score


def _label(grade: _Grade | None, masked: bool) -> str:
    if masked:
        return "infrastructure"
    return grade.label if grade is not None else "not_graded"


def _loops(trace: Trace) -> tuple[float, ...]:
    effect = guard_effect(trace)
    return effect.turns, trace.loop_guard, effect.told, effect.stopped, effect.tokens_after, effect.tokens_saved
