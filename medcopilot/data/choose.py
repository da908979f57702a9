"""Seeded choices among traces and rows.

Promises: the order depends on the seed and on the ids only, not on the order in which shards were read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

from medcopilot.trace import Trace


def rank(seed: int, *parts: str) -> str:
    """A reproducible pseudo-random sort key."""
    return hashlib.blake2b("/".join([str(seed), *parts]).encode(), digest_size=8).hexdigest()


def shuffled(traces: Iterable[Trace], seed: int) -> list[Trace]:
    """The traces in a seeded order."""
    return sorted(traces, key=lambda trace: (rank(seed, trace.id), trace.id))


def round_robin(rows: Sequence[dict[str, Any]], limit: int | None) -> list[dict[str, Any]]:
    """At most `limit` rows, datasets taking turns, in the order given within each; None: all of them."""
    if limit is None or limit >= len(rows):
        return list(rows)
    queues: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        queues.setdefault(row["dataset"], []).append(row)
    chosen: list[dict[str, Any]] = []
    depth = 0
    while len(chosen) < limit:
        for name in sorted(queues):
            if depth < len(queues[name]) and len(chosen) < limit:
                chosen.append(queues[name][depth])
        depth += 1
    return chosen
