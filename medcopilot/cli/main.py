"""The command line: one file per command, heavy imports inside the commands.

Promises: `medcopilot --help` answers without importing torch, pandas or pydantic models; bad input is one sentence on
stderr and exit code 2.
"""

from __future__ import annotations

import errno
import os
import sys
from typing import Annotated

import typer

from medcopilot import __version__
from medcopilot.cli import (
    ask,
    bench,
    clean,
    compare,
    data,
    evaluate,
    export,
    inspect_logs,
    leaderboard,
    plan,
    publish,
    recipes,
    report,
    sample,
    sandbox,
    serve,
    tasks,
    validate,
    view,
    watch,
)

app = typer.Typer(name="medcopilot", no_args_is_help=True, rich_markup_mode="markdown", pretty_exceptions_enable=False,
                  help="Gym, training and evaluation of code-writing medical agents. Start with `medcopilot tasks`, in "
                       "a checkout with `make demo`.")
for command in (validate, sample, export, evaluate, compare, leaderboard, plan, recipes, report, view, inspect_logs, watch, ask,
                serve, publish, clean):
    app.command(name=command.NAME)(command.run)
app.add_typer(data.app, name="data")
app.add_typer(tasks.app, name="tasks")
app.add_typer(bench.app, name="bench")
app.add_typer(sandbox.app, name="sandbox")


_PLACES = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG,
           errno.ELOOP, errno.EDQUOT}
"""What is wrong with a path that somebody gave, or with the rights on it."""


def _version(wanted: bool) -> None:
    if wanted:
        print(f"medcopilot {__version__}")
        raise typer.Exit


@app.callback()
def program(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="say the version and stop")] = False,
) -> None:
    """What stands before a command."""


def main() -> None:
    """Entry point of the console script."""
    try:
        app()
    except Exception as error:
        if any(cls.__name__ == "UserError" for cls in type(error).__mro__):
            print(f"medcopilot: {error}", file=sys.stderr)
            sys.exit(2)
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            print(f"medcopilot: no space left on the device while writing {error.filename or 'a file'}: free some space and run "
                  "the same command again; it resumes", file=sys.stderr)
            sys.exit(2)
        if isinstance(error, OSError) and error.errno in _PLACES and error.filename is not None:
            place = error.filename2 or error.filename
            print(f"medcopilot: {place if isinstance(place, str) else os.fsdecode(place)}: {error.strerror}: choose another place, "
                  "or make it readable and writable", file=sys.stderr)
            sys.exit(2)
        raise


if __name__ == "__main__":
    main()
