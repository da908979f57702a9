"""Progress with an ETA: a bar on a terminal, a line now and then in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from env.errors import MASKED_LIMIT


def tell(sentence: str) -> None:
    """One sentence beside the output."""
    print(f"medcopilot: {sentence}", file=sys.stderr, flush=True)


@contextmanager
def sampling_progress(title: str) -> Iterator[tuple[Callable[[int, int, dict[str, Any]], None], dict[str, Any]]]:
    """A callback for `sample_run` and a dict that holds the last state (`medcopilot.rollout.sample.Progress`) with `done` and
    `total`. A run that ends with more masked episodes than `MASKED_LIMIT` is warned of."""
    outcome: dict[str, Any] = {"done": 0, "total": 0, "played": 0, "success": None, "infrastructure": 0, "stopped": ""}
    names = ("played", "success", "infrastructure", "stopped")
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn(title), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.fields[note]}"))
        with Progress(*columns, console=Console(stderr=True)) as bar:
            task = bar.add_task(title, total=None, note="")

            def show(done: int, total: int, state: dict[str, Any]) -> None:
                outcome.update(done=done, total=total, **{name: state[name] for name in names})
                bar.update(task, completed=done, total=total, note=_success(state, 0))

            yield show, outcome
    else:
        last = 0.0

        def log(done: int, total: int, state: dict[str, Any]) -> None:
            nonlocal last
            outcome.update(done=done, total=total, **{name: state[name] for name in names})
            if state["played"] and (time.monotonic() - last > 15 or done == total):
                last = time.monotonic()
                print(f"{title}: {done}/{total}, {_success(state, 1)}, {state['eta']:.0f} s left", file=sys.stderr, flush=True)

        yield log, outcome
    if outcome["infrastructure"] > MASKED_LIMIT * outcome["done"]:
        tell(f"warning: {title.strip()}: {outcome['infrastructure']:,} of {outcome['done']:,} episodes are masked "
             f"({outcome['infrastructure'] / outcome['done']:.0%}, more than {MASKED_LIMIT:.0%}): rates rest on the others "
             "alone; see `medcopilot sandbox doctor`, then run the same command again: they are owed")


def _success(state: dict[str, Any], digits: int) -> str:
    return "none graded yet" if state["success"] is None else f"success {state['success']:.{digits}%}"
