"""Progress with an ETA: a bar on a terminal, a line now and then in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


def tell(sentence: str) -> None:
    """One sentence beside the output."""
    print(f"medcopilot: {sentence}", file=sys.stderr, flush=True)


@contextmanager
def sampling_progress(title: str) -> Iterator[tuple[Callable[[int, int, dict[str, Any]], None], dict[str, Any]]]:
    """A callback for `sample_run` and a dict that holds the last state: done, total, success, infrastructure."""
    outcome: dict[str, Any] = {"done": 0, "total": 0, "success": 0.0, "infrastructure": 0, "stopped": ""}
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn(title), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.fields[note]}"))
        with Progress(*columns, console=Console(stderr=True)) as bar:
            task = bar.add_task(title, total=None, note="")

            def show(done: int, total: int, state: dict[str, Any]) -> None:
                outcome.update(done=done, total=total, **{name: state[name] for name in ("success", "infrastructure", "stopped")})
                bar.update(task, completed=done, total=total, note=f"success {state['success']:.0%}")

            yield show, outcome
        return
    last = 0.0

    def log(done: int, total: int, state: dict[str, Any]) -> None:
        nonlocal last
        outcome.update(done=done, total=total, **{name: state[name] for name in ("success", "infrastructure", "stopped")})
        if time.monotonic() - last > 15 or done == total:
            last = time.monotonic()
            note = f"success {state['success']:.1%}, {state['eta']:.0f} s left"
            print(f"{title}: {done}/{total}, {note}", file=sys.stderr, flush=True)

    yield log, outcome
