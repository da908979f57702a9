"""What a comparison needs of a run, small enough to be committed: one bit per task, and once per study the tasks' clusters.

Promises: `unpack(pack(...))` gives every paired comparison the same figures as the traces would; a run of other tasks is refused.
Does not cover: anything else of a trace (answers, turns, tokens), and tasks that were played more than once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from env.errors import UserError
from medcopilot.evaluation.columns import ACTIONS, MEASURES, REFUSALS, Columns


@dataclass(frozen=True)
class Tasks:
    """The T tasks that all runs of a study play, by (slice, dataset, id); arrays have shape (T,)."""

    digest: str
    """Of the ids in this order."""
    slice: NDArray[np.str_]
    dataset: NDArray[np.str_]
    cluster: NDArray[np.int64]

    @classmethod
    def of(cls, run: Columns) -> Tasks:
        """The tasks of a run."""
        part = _sorted(run)
        _, first, codes = np.unique(part.cluster, return_index=True, return_inverse=True)
        rank = np.argsort(np.argsort(first))  # numbered as they appear, whatever the order in which episodes ended
        return cls(_digest(part.task), part.slice, part.dataset, rank[codes])

    def record(self) -> dict[str, Any]:
        """As JSON; see `load`."""
        groups = sorted(set(zip(self.slice.tolist(), self.dataset.tolist(), strict=True)))
        return {"digest": self.digest,
                "groups": [{"slice": part, "dataset": name,
                            "clusters": self.cluster[(self.slice == part) & (self.dataset == name)].tolist()}
                           for part, name in groups]}

    @classmethod
    def load(cls, record: Mapping[str, Any]) -> Tasks:
        """The inverse of `record`."""
        groups = record["groups"]
        sizes = [len(group["clusters"]) for group in groups]
        return cls(record["digest"], np.repeat([group["slice"] for group in groups], sizes),
                   np.repeat([group["dataset"] for group in groups], sizes),
                   np.asarray([code for group in groups for code in group["clusters"]], dtype=np.int64))


def pack(run: Columns, tasks: Tasks, where: str) -> dict[str, Any]:
    """Outcomes of a run: `strict` and `paper` as hexadecimal digits of one bit per task, first task first, and `ungraded`
    and `paper_ungraded`, the places of tasks without such a score (the latter left out where there are none).

    Raises:
        UserError: it played other tasks, or one of them twice; `where` names what it was compared with.
    """
    part = _sorted(run)
    if _digest(part.task) != tasks.digest:
        raise UserError(f"{where} lists other tasks than this run has played: remove it to start the study's results anew")
    missing = np.flatnonzero(np.isnan(part.paper)).tolist()
    return {"strict": _hex(part.strict == 1.0), "paper": _hex(part.paper == 1.0), "ungraded": np.flatnonzero(~part.graded).tolist(),
            **({"paper_ungraded": missing} if missing else {})}


def unpack(tasks: Tasks, records: Sequence[Mapping[str, Any]]) -> Columns:
    """Several runs' outcomes as columns; whatever `pack` does not keep is empty."""
    count, runs = len(tasks.slice), len(records)
    total = count * runs
    strict = np.concatenate([_scores(record["strict"], record["ungraded"], count) for record in records])
    paper = np.concatenate([_scores(record["paper"], record.get("paper_ungraded", ()), count) for record in records])
    names = np.asarray([f"{place:06d}" for place in range(count)])
    empty, zeros = np.full(total, ""), np.zeros(total, dtype=np.int64)
    codes = int(tasks.cluster.max()) + 1 if count else 0
    return Columns(
        id=np.asarray([f"{run}/{name}" for run in range(runs) for name in names]), task=np.tile(names, runs),
        slice=np.tile(tasks.slice, runs), dataset=np.tile(tasks.dataset, runs), cluster=np.tile(tasks.cluster, runs),
        strict=strict, paper=paper, sample=zeros, temperature=np.full(total, np.nan),
        policy=empty, protocol=empty, answer=empty, category=empty, label=empty, paper_label=empty, stop=empty, error=empty,
        impossible=zeros.astype(bool), abstained=zeros.astype(bool), measures=np.full((total, len(MEASURES)), np.nan),
        actions=np.zeros((total, len(ACTIONS)), dtype=np.int64), refused=np.zeros((total, len(REFUSALS)), dtype=np.int64),
        cluster_names=tuple(str(code) for code in range(codes)))


def _sorted(run: Columns) -> Columns:
    order = np.lexsort((run.task, run.dataset, run.slice))
    return run.where(order)  # type: ignore[arg-type]  # places do what a mask does


def _digest(ids: NDArray[np.str_]) -> str:
    return hashlib.sha256("\n".join(ids.tolist()).encode()).hexdigest()[:16]


def _hex(bits: NDArray[np.bool_]) -> str:
    return np.packbits(bits).tobytes().hex()


def _scores(digits: str, missing: Sequence[int], count: int) -> NDArray[np.float64]:
    scores = np.unpackbits(np.frombuffer(bytes.fromhex(digits), dtype=np.uint8), count=count).astype(float)
    scores[list(missing)] = np.nan
    return scores
