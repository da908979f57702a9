"""How long evaluation's statistics take: intervals, curves over K, and the votes behind majority@K.

Promises: seeded made-up outcomes of the size that the paper's test sets have (3,500 tasks); processor seconds as well as wall-clock
ones, since the latter say little beside other work. Nothing is read or kept.
Does not cover: reading traces from disk.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from medcopilot.evaluation.intervals import cluster_bootstrap, cluster_bootstrap_table
from medcopilot.evaluation.selection import expected_best, expected_majority, expected_pass

TASKS, CLUSTERS, RESAMPLES, ROLLOUTS = 3500, 430, 10_000, 16


def measure(repeats: int = 5, seed: int = 0) -> dict[str, Any]:
    """Median seconds of every kind of statistic, as one document."""
    rng = np.random.default_rng(seed)
    solved, rates = rng.random(TASKS) < 0.6, rng.random(TASKS)
    clusters, alone = rng.integers(0, CLUSTERS, TASKS), np.arange(TASKS)
    table = rng.random((TASKS, 5 * ROLLOUTS))
    correct = rng.random((TASKS, ROLLOUTS)) < rates[:, None]
    answers = np.where(correct, 0, rng.integers(1, 6, correct.shape))
    scores, ks = rng.random(correct.shape), range(1, ROLLOUTS + 1)

    def curves() -> None:
        for row in range(TASKS):
            expected_pass(correct[row], ks)
            expected_best(correct[row], scores[row], ks)
            expected_majority(correct[row], answers[row], ks)

    size = f"{RESAMPLES:,} bootstraps of {TASKS:,} tasks"
    return {
        f"{size}, {CLUSTERS} clusters, outcomes": _seconds(
            lambda: cluster_bootstrap(solved, clusters, resamples=RESAMPLES), repeats),
        f"{size}, {CLUSTERS} clusters, fractions": _seconds(
            lambda: cluster_bootstrap(rates, clusters, resamples=RESAMPLES), repeats),
        f"{size}, each its own cluster, fractions": _seconds(
            lambda: cluster_bootstrap(rates, alone, resamples=RESAMPLES), repeats),
        f"{size}, {CLUSTERS} clusters, {table.shape[1]} measures at once": _seconds(
            lambda: cluster_bootstrap_table(table, clusters, resamples=RESAMPLES), repeats),
        f"Pass, Best and majority@K of {TASKS:,} tasks, K = 1 to {ROLLOUTS}": _seconds(curves, 1),
    }


def _seconds(work: Callable[[], Any], repeats: int) -> dict[str, float]:
    wall, cpu = [], []
    for _ in range(repeats):
        clock, processor = time.perf_counter(), time.process_time()
        work()
        wall.append(time.perf_counter() - clock)
        cpu.append(time.process_time() - processor)
    return {"p50_ms": 1000 * float(np.median(wall)), "p95_ms": 1000 * float(np.quantile(wall, 0.95)),
            "cpu_ms": 1000 * float(np.median(cpu))}
