"""`medcopilot inspect`: traces become logs that Inspect reads."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medcopilot.cli.places import no_folder

NAME = "inspect"


def run(
    runs: Annotated[list[Path], typer.Argument(help="run folders", metavar="RUN...")],
    out: Annotated[Path, typer.Option(help="folder of logs; one per run and dataset is added, or replaced")],
    dataset: Annotated[list[str] | None, typer.Option(help="only this dataset; repeat for several")] = None,
    form: Annotated[str, typer.Option("--format", help="eval (compressed) or json")] = "eval",
    json_file: Annotated[Path | None, typer.Option("--json", callback=no_folder,
                                                   help="also write what was written, with its numbers")] = None,
) -> None:
    """Write the traces of runs as Inspect logs: `inspect view --log-dir LOGS` opens them.

    `medcopilot inspect runs/expert --out logs` writes one log per dataset: messages, actions and programs, observations, the strict
    and the paper grade, tokens and times; one sample per task and one epoch per rollout. Needs `pip install 'medcopilot[inspect]'`.
    """
    import importlib.util
    import json

    from env.errors import UserError
    from env.files import atomic_write

    if form not in ("eval", "json"):
        raise UserError(f"--format {form}: choose eval or json")
    if importlib.util.find_spec("inspect_ai") is None:
        raise UserError("inspect: the package inspect-ai is not installed here: run `pip install 'medcopilot[inspect]'`, or in a "
                        "checkout `.ci/setup-inspect` and then `.venv-inspect/bin/medcopilot inspect ...`")
    from medcopilot.interop.logs import export_run

    written = []
    for folder in runs:
        for log in export_run(folder, out, form, tuple(dataset or ())):
            written.append({"run": str(folder), **log._asdict(), "path": str(log.path)})
            strict = "not graded" if log.strict is None else f"strict {log.strict:.1%}"
            print(f"{log.path}: {log.samples:,} samples, {log.errors:,} with errors, {strict}")
    if json_file is not None:
        atomic_write(json_file, json.dumps(written, indent=2))
