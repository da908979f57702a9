"""Progress of work in named stages, with an ETA: bars on a terminal, a line now and then in a log.

Promises: `stage_progress` yields a callback `(what, done, total)` as `env.datasets.base.Progress` describes it; everything goes
to stderr, so stdout stays what the command prints.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LOG_SECONDS = 15.0


@contextmanager
def stage_progress(title: str) -> Iterator[Callable[[str, int, int], None]]:
    """A callback that shows each stage under its own name."""
    if sys.stderr.isatty():
        yield from _bars(title)
    else:
        yield _lines(title)


def _bars(title: str) -> Iterator[Callable[[str, int, int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (TextColumn(title + " · {task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
               TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bars: dict[str, object] = {}

        def show(what: str, done: int, total: int) -> None:
            if what not in bars:
                bars[what] = progress.add_task(what, total=total)
            progress.update(bars[what], completed=done, total=total)  # type: ignore[arg-type]

        yield show


def _lines(title: str) -> Callable[[str, int, int], None]:
    started: dict[str, float] = {}
    last: dict[str, float] = {}

    def show(what: str, done: int, total: int) -> None:
        now = time.monotonic()
        begun = started.setdefault(what, now)
        if done < total and now - last.get(what, begun) < LOG_SECONDS:
            return
        if done >= total and last.get(what) == float("inf"):
            return
        last[what] = float("inf") if done >= total else now
        left = f", {(now - begun) / done * (total - done):.0f} s left" if 0 < done < total else ""
        print(f"{title}: {what} {done}/{total} ({now - begun:.0f} s{left})", file=sys.stderr, flush=True)

    return show
