"""`medcopilot view`: read trajectories in the browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

NAME = "view"


def run(
    folders: Annotated[list[Path], typer.Argument(metavar="RUN...", help="run folders; two can be put side by side")],
    port: Annotated[int, typer.Option(min=0, max=65535, help="port of 127.0.0.1; 0: any that is free")] = 0,
    browser: Annotated[bool, typer.Option(help="open the page")] = True,
) -> None:
    """A page of this machine's own to search, filter and read trajectories turn by turn. Ctrl-C ends it.

    `medcopilot view runs/demo/eval/sft-t0 runs/demo/eval/grpo-t0` compares two runs on the same tasks. Nothing is requested from
    outside, and nobody outside can ask.
    """
    import contextlib
    import webbrowser

    from medcopilot.view.server import Viewer

    with Viewer(folders, port) as viewer:
        print(f"{viewer.url}  (Ctrl-C ends it)", flush=True)
        if browser:
            with contextlib.suppress(webbrowser.Error):
                webbrowser.open(viewer.url)
        with contextlib.suppress(KeyboardInterrupt):
            viewer.serve_forever(poll_interval=0.2)
