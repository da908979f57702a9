"""`medcopilot sandbox`: does it work here, and if not, why."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medcopilot.cli.places import no_folder

app = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown", help="The sandbox of this machine.")


@app.callback()
def group() -> None:
    """The sandbox of this machine."""


@app.command("build")
def build() -> None:
    """Make the image of the Docker backends, which is an empty tree, without a registry; the backends do it by themselves, too."""
    from env.sandbox.docker import build_image

    print(build_image())


@app.command("packages")
def packages(
    names: Annotated[list[str] | None, typer.Argument(help="bio, survival, plots, oncoprint; default: all of them")] = None,
) -> None:
    """Install package sets for boxes, at the versions of their locks, beside this environment's own packages.

    `medcopilot sandbox packages survival` adds lifelines. Boxes see a set only where a dataset asks for it.
    """
    from env.sandbox.packages import SETS, install, pins

    for name in names or SETS:
        place = install(name)
        print(f"{name}: {', '.join(f'{package} {version}' for package, version in pins(name).items())} ({place})")


@app.command("doctor")
def doctor(
    folder: Annotated[Path, typer.Option(help="where runs and data are to lie")] = Path(),
    json_file: Annotated[Path | None, typer.Option("--json", callback=no_folder, help="also write the findings here")] = None,
) -> None:
    """Try what boxes need and say what is missing, with the cure.

    Exit code 2 when boxes do not work here. Nothing on the machine is changed.
    """
    import json

    from env.files import atomic_write
    from env.sandbox.doctor import examine
    from medcopilot.cli.console import table_console

    console = table_console()
    findings = []
    for finding in examine(folder):
        findings.append(finding)
        mark = "[green]ok[/]     " if finding.ok else "[red]missing[/]" if finding.needed else "[yellow]weaker[/] "
        console.print(f"{mark} [bold]{finding.name}[/]: {finding.detail}", highlight=False)
        if not finding.ok and finding.cure:
            console.print(f"        {finding.cure}", highlight=False, markup=False)
    if json_file is not None:
        atomic_write(json_file, json.dumps([finding.model_dump() for finding in findings], indent=2))
    if any(finding.needed and not finding.ok for finding in findings):
        raise typer.Exit(2)
