"""`medcopilot watch`: a run on one page that keeps itself up to date."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from medcopilot.watch.state import RunReader

NAME = "watch"


def run(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="run folder of a recipe, e.g. runs/nano")],
    stage: Annotated[str | None, typer.Option(help="only this stage, e.g. grpo")] = None,
    once: Annotated[bool, typer.Option("--once", help="print one frame and end (the default where stdout is no terminal)")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object per refresh instead of the page")] = False,
    every: Annotated[float, typer.Option(min=0.2, help="seconds between two refreshes")] = 2.0,
) -> None:
    """Progress, time left, curves, split of time, alarms and the latest sample trajectory of a run. Ctrl-C ends it.

    It reads files only: a run under way, finished or broken, here or on another machine that shares the folder.
    """
    import sys

    from medcopilot.cli.console import table_console
    from medcopilot.watch.state import RunReader

    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]  # a log in ASCII has no ellipsis
    reader, console = RunReader(folder, stage), table_console()
    reader.read()  # what is wrong with the folder is said before the screen is cleared
    if as_json:
        _stream(reader, every, once or not sys.stdout.isatty())
    elif once or not console.is_terminal:
        from medcopilot.watch.page import frame

        console.print(frame(reader.read(), console))
    else:
        _live(reader, console, every)


def _live(reader: RunReader, console: Console, every: float) -> None:
    """The page on the terminal's other screen, redrawn as a whole and only when there is something to redraw."""
    import contextlib
    import time

    from rich.live import Live

    from medcopilot.watch.page import frame

    with contextlib.suppress(KeyboardInterrupt), Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            live.update(frame(reader.read(), console, height=console.height), refresh=True)
            time.sleep(every)


def _stream(reader: RunReader, every: float, once: bool) -> None:
    import contextlib
    import json
    import time

    with contextlib.suppress(KeyboardInterrupt):
        while True:
            state = reader.read()
            stages = [stage.summary() for stage in state.stages]
            print(json.dumps({"run": str(state.folder), "time": round(state.read, 1), "stages": stages}), flush=True)
            if once:
                return
            time.sleep(every)
