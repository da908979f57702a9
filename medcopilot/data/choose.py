"""Seeded choices among traces and rows.

Promises: the order depends on the seed and on the ids only, not on the order in which shards were read; quotas add up to the limit
or to all there is, and no group is asked for more than it has.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

from medcopilot.data.funnel import Funnel
from medcopilot.trace import Trace

Row = dict[str, Any]
Balance = Literal["category", "difficulty"]


def rank(seed: int, *parts: str) -> str:
    """A reproducible pseudo-random sort key."""
    return hashlib.blake2b("/".join([str(seed), *parts]).encode(), digest_size=8).hexdigest()


def shuffled(traces: Iterable[Trace], seed: int) -> list[Trace]:
    """The traces in a seeded order."""
    return sorted(traces, key=lambda trace: (rank(seed, trace.id), trace.id))


def round_robin(rows: Sequence[Row], limit: int | None) -> list[Row]:
    """At most `limit` rows, datasets taking turns, in the order given within each; None: all of them."""
    if limit is None or limit >= len(rows):
        return list(rows)
    queues: dict[str, list[Row]] = {}
    for row in rows:
        queues.setdefault(row["dataset"], []).append(row)
    chosen: list[Row] = []
    depth = 0
    while len(chosen) < limit:
        for name in sorted(queues):
            if depth < len(queues[name]) and len(chosen) < limit:
                chosen.append(queues[name][depth])
        depth += 1
    return chosen


def difficulties(traces: Iterable[Trace]) -> dict[str, str]:
    """Task id -> how hard it was for those who played it: `easy` (every graded episode succeeded), `medium` (at least half),
    `hard` (fewer), or `single` where there is one episode only, which says little."""
    played: Counter[str] = Counter()
    solved: Counter[str] = Counter()
    for trace in traces:
        played[trace.task_id] += 1
        solved[trace.task_id] += trace.success
    return {task: "single" if n == 1 else "easy" if solved[task] == n else "medium" if 2 * solved[task] >= n else "hard"
            for task, n in played.items()}


def group_of(row: Row, balance: Sequence[Balance]) -> str:
    """The group that a row counts for."""
    return "/".join([row["dataset"], *(str(row[name]) for name in balance)])


def quotas(sizes: Mapping[str, int], limit: int, temperature: float | None = None) -> dict[str, int]:
    """How many rows each group gives: shares proportional to size ** (1 / temperature), never more than a group has; what small
    groups cannot give goes to the others.

    Args:
        temperature: 1: as they come; None: infinite, equal shares.
    """
    power = 0.0 if temperature is None else 1 / temperature
    weights = {name: size**power for name, size in sizes.items()}
    given = dict.fromkeys(sizes, 0.0)
    left, open_groups = float(min(limit, sum(sizes.values()))), set(sizes)
    while open_groups and left > 0:  # groups that their share would exhaust give all they have, then the rest is shared anew
        level = left / sum(weights[name] for name in open_groups)
        full = {name for name in open_groups if sizes[name] <= level * weights[name]}
        for name in full or open_groups:
            given[name] = sizes[name] if full else level * weights[name]
        left = left - sum(sizes[name] for name in full) if full else 0.0
        open_groups -= full
    whole = {name: int(share + 1e-9) for name, share in given.items()}
    rest = min(limit, sum(sizes.values())) - sum(whole.values())
    for name in sorted(sizes, key=lambda name: (whole[name] - given[name], name))[:rest]:  # largest remainders first
        whole[name] += 1
    return whole


def balanced(rows: Sequence[Row], funnel: Funnel, *, balance: Sequence[Balance], cap: int | None, limit: int | None,
             temperature: float | None, unit: str = "episodes") -> list[Row]:
    """At most `cap` rows of each group and `limit` in all, the first of each group; without `balance`, datasets take turns."""
    chosen = list(rows)
    if cap is not None:
        chosen = funnel.keep("cap of each group", chosen, _first_of_each(balance, lambda _: cap, "cap"), unit)
    if limit is None:
        return chosen
    if balance:
        sizes = Counter(group_of(row, balance) for row in chosen)
        return funnel.keep("limit", chosen, _first_of_each(balance, quotas(sizes, limit, temperature).__getitem__, "limit"), unit)
    kept = round_robin(chosen, limit)
    funnel.add("limit", len(chosen), len(kept), {"limit": len(chosen) - len(kept)} if len(kept) < len(chosen) else {}, unit)
    return kept


def _first_of_each(balance: Sequence[Balance], most: Callable[[str], int], reason: str) -> Callable[[Row], str]:
    taken: Counter[str] = Counter()

    def check(row: Row) -> str:
        group = group_of(row, balance)
        taken[group] += 1
        return reason if taken[group] > most(group) else ""

    return check
