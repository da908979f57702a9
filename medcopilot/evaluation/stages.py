"""Training stages side by side: the table base / SFT / DPO / GRPO and the differences between its rows.

Promises: headline numbers are strict success on the slice of seen templates, all datasets pooled, at temperature 0; everything
beside them (T = 1, unseen templates, single datasets) is keyed by what it is.
Does not cover: sampling the stages, and files.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from medcopilot.evaluation.columns import Columns, columns
from medcopilot.evaluation.compare import difference
from medcopilot.evaluation.intervals import RESAMPLES
from medcopilot.evaluation.summary import Group, behaviour, group
from medcopilot.trace import Trace

HEADLINE = "seen"
BESIDE = ("unseen",)


def stage_summary(traces_t0: Iterable[Trace] | Columns, traces_t1: Iterable[Trace] | Columns | None = None, *,
                  headline: str = HEADLINE, beside: Iterable[str] = BESIDE, resamples: int = RESAMPLES,
                  seed: int = 0) -> dict[str, Any]:
    """One row of the stage table, as plain JSON.

    Args:
        traces_t0: the stage's episodes at temperature 0, every slice together.
        traces_t1: the same at temperature 1, if sampled.
        headline: slice of the headline numbers.
        beside: slices reported beside it, where they were sampled.

    Returns:
        `strict, paper, n, ci_low, ci_high` (fractions), further `paper_n, inflation, answerable, wilson_low, wilson_high, clusters,
        ungraded, datasets: {name: same}`, then `<beside slice>: same`, `t1: {same, <beside slice>: same}`, `time`, `tokens`.
    """
    cols = _as_columns(traces_t0)
    row = _with_beside(cols, headline, beside, resamples, seed)
    if traces_t1 is not None:
        row["t1"] = _with_beside(_as_columns(traces_t1), headline, beside, resamples, seed)
    acts = behaviour(cols)
    row["time"] = acts.time.model_dump()
    row["mean"] = {name: getattr(acts, name).mean for name in ("turns", "seconds", "completion_tokens", "context_tokens")}
    return row


def comparison(traces_a: Iterable[Trace] | Columns, traces_b: Iterable[Trace] | Columns, *, slice_name: str = HEADLINE,
               resamples: int = RESAMPLES, seed: int = 0) -> dict[str, Any]:
    """Stage b against stage a on one slice: `difference, ci_low, ci_high, separated, tasks, clusters, a, b, mcnemar_p, ...`
    and the same per dataset under `datasets` (see `compare.Difference`)."""
    a, b = _as_columns(traces_a), _as_columns(traces_b)
    a, b = a.where(a.slice == slice_name), b.where(b.slice == slice_name)
    row = difference(a, b, resamples=resamples, seed=seed).model_dump()
    row["slice"] = slice_name
    row["datasets"] = {name: difference(a.where(a.dataset == name), b.where(b.dataset == name), resamples=resamples,
                                        seed=seed).model_dump()
                       for name in sorted({*a.dataset.tolist(), *b.dataset.tolist()})}
    return row


def _as_columns(traces: Iterable[Trace] | Columns) -> Columns:
    return traces if isinstance(traces, Columns) else columns(traces)


def _with_beside(cols: Columns, headline: str, beside: Iterable[str], resamples: int, seed: int) -> dict[str, Any]:
    row = _slice_row(cols.where(cols.slice == headline), resamples, seed)
    present = set(cols.slice.tolist())
    row.update({name: _slice_row(cols.where(cols.slice == name), resamples, seed) for name in beside if name in present})
    return row


def _slice_row(cols: Columns, resamples: int, seed: int) -> dict[str, Any]:
    row = _numbers(group(cols, resamples=resamples, seed=seed))
    row["datasets"] = {name: _numbers(group(cols.where(cols.dataset == name), resamples=resamples, seed=seed))
                       for name in sorted(set(cols.dataset.tolist()))}
    return row


def _numbers(item: Group) -> dict[str, Any]:
    rate = item.strict
    return {"strict": rate.value, "paper": item.paper.value, "n": rate.n, "paper_n": item.paper.n, "ci_low": rate.ci_low,
            "ci_high": rate.ci_high, "inflation": item.inflation, "answerable": item.answerable.value,
            "wilson_low": rate.wilson_low, "wilson_high": rate.wilson_high, "clusters": rate.clusters,
            "ungraded": sum(item.ungraded.values())}
