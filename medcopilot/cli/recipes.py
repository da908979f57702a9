"""`medcopilot recipes`: the training recipes that came with this installation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

NAME = "recipes"


def run(
    out: Annotated[Path | None, typer.Option(help="copy recipes/, accelerate_configs/ and slurm/ into this folder, and make "
                                                "logs/ for Slurm")] = None,
) -> None:
    """Where the training recipes lie, and with `--out .` a copy to change.

    Where the copy is, `python recipes/sft.py recipes/nano/sft.yaml` and the documentation's other commands work as in a checkout.
    """
    import shutil

    from env.errors import UserError
    from medcopilot.project import FOLDERS, LOGS, shared

    place = shared()
    if out is None:
        for path in sorted((place / "recipes").glob("*/*.yaml")):
            print(path)
        return
    if taken := [name for name in FOLDERS if (out / name).exists()]:
        raise UserError(f"{out / taken[0]} is there already: name another folder with --out, or remove it")
    (out / LOGS).mkdir(parents=True, exist_ok=True)  # first: where it cannot be, nothing is copied
    for name in FOLDERS:
        shutil.copytree(place / name, out / name, ignore=shutil.ignore_patterns("__pycache__"))
        print(out / name)
