"""Instant episodes without an event loop, through which to hand over one episode takes a good part of what playing it does.

Promises: every thread keeps what it has played and takes its next job itself, one thread at a time and without a gap between the
two, so who counts traces to say when it is enough is asked after each; an episode that outlives its time is given up and told of,
and what its thread brings of it later counts no more; a failure is raised when the episodes under way have ended and are kept; when
the caller is interrupted nothing is kept any more.
Does not cover: what an episode is, and retries (`medcopilot.rollout.engine`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Executor, wait
from threading import Event, Lock

from medcopilot.rollout.jobs import Job
from medcopilot.trace import Trace

LOOK = 5.0
"""Seconds after which it is looked whether an episode hangs."""


class AllHang(Exception):
    """No thread is left, and jobs are."""


def play_instant(jobs: Iterable[Job], play: Callable[[Job], Trace], keep: Callable[[Job, Trace | None], None], pool: Executor,
                 threads: int, seconds: Callable[[Job], float], look: float = LOOK) -> None:
    """Play each job.

    Args:
        keep: gets each job with its trace, or with None where it was given up; called by one thread at a time.
        pool: of at least `threads` threads that are free.
        seconds: how long a job may take.

    Raises:
        AllHang: as said.
        BaseException: what `play`, `keep` or `jobs` raised.
    """
    feed, turn, over, gone = iter(jobs), Lock(), Event(), Event()
    playing: dict[int, tuple[Job, float]] = {}
    """What each thread plays, and when that is overdue."""
    hung: set[int] = set()
    """Threads whose present episode was given up."""

    def work(number: int) -> None:
        played: tuple[Job, Trace] | None = None
        try:
            while True:
                with turn:
                    if number in hung:
                        hung.discard(number)
                    elif played is not None and not gone.is_set():
                        keep(*played)
                    if over.is_set() or (job := next(feed, None)) is None:
                        return
                    playing[number] = job, time.monotonic() + seconds(job)
                played = job, play(job)
        except BaseException:
            over.set()
            raise

    at_work = {pool.submit(work, number): number for number in range(threads)}
    failure: BaseException | None = None
    try:
        while at_work:
            for ended in wait(at_work, look, FIRST_COMPLETED).done:
                failure = failure or ended.exception()
                del at_work[ended]
            with turn:
                for number in set(at_work.values()) - hung:
                    if number in playing and time.monotonic() > playing[number][1]:
                        hung.add(number)
                        keep(playing[number][0], None)
                if hung >= set(at_work.values()):
                    break
    except BaseException:
        with turn:
            gone.set()
        raise
    finally:
        over.set()
    if failure is not None:
        raise failure
    with turn:
        if hung and next(feed, None) is not None:
            raise AllHang
