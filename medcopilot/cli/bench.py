"""`medcopilot bench`: how fast this machine is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medcopilot.cli import texts

app = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown", help="Measure speed on this machine.")


@app.callback()
def group() -> None:
    """Measure speed on this machine."""


@app.command("sandbox")
def sandbox(
    backend: Annotated[str, typer.Option(help=texts.SANDBOX)] = "auto",
    repeats: Annotated[int, typer.Option(help="boxes measured for each median", min=5)] = 40,
    json_file: Annotated[Path | None, typer.Option("--json", help="also write the measurements here")] = None,
) -> None:
    """Start, execution, stop and throughput of boxes, beside a cold sandbox and a polled subprocess.

    `medcopilot bench sandbox --json FILE` takes about a minute; on a machine that does other work its figures say little.
    """
    import json
    import sys

    from env.files import atomic_write
    from medcopilot.bench.sandbox import measure
    from medcopilot.bench.show import show

    document = measure(repeats, backend, lambda what: print(f"measuring: {what}", file=sys.stderr))
    show(document)
    if json_file is not None:
        atomic_write(json_file, json.dumps(document, indent=2))


@app.command("packing")
def packing(
    turns: Annotated[int, typer.Option(help="turns of every kind of batch, about 2,048 tokens each", min=3)] = 20,
    rows: Annotated[Path | None, typer.Option(help="SFT rows to take the lengths from; default: those of the demo")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="also write the measurements here")] = None,
) -> None:
    """Non-padding tokens per second of SFT steps on packed and on padded batches, on the CPU.

    `medcopilot bench packing --json FILE` takes about a minute. Threads: `OMP_NUM_THREADS`.
    """
    import json

    from env.files import atomic_write
    from medcopilot.bench.packing import measure
    from medcopilot.bench.show import show

    document = measure(turns, rows)
    show(document)
    if json_file is not None:
        atomic_write(json_file, json.dumps(document, indent=2))


@app.command("statistics")
def statistics(
    repeats: Annotated[int, typer.Option(help="times that each is measured", min=1)] = 5,
    json_file: Annotated[Path | None, typer.Option("--json", help="also write the measurements here")] = None,
) -> None:
    """Cluster bootstraps and curves over K on 3,500 made-up tasks.

    `medcopilot bench statistics --json FILE` takes about half a minute. Threads: `OMP_NUM_THREADS`.
    """
    import json

    from env.files import atomic_write
    from medcopilot.bench.show import show
    from medcopilot.bench.statistics import measure

    document = measure(repeats)
    show(document)
    if json_file is not None:
        atomic_write(json_file, json.dumps(document, indent=2))
