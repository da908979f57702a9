"""Where the files lie that belong to the project and to no package: recipes, launch configurations, job scripts.

Promises: in a checkout they are the checkout's; in an installation those of its wheel, which puts them below `share/medcopilot` of
the environment.
Does not cover: what only a checkout has: make, the lock files, the documentation, the tests.
"""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

from env.errors import UserError

FOLDERS = ("recipes", "accelerate_configs", "slurm")
LOGS = "logs"
"""Beside them: where job scripts write their output. Slurm makes no folder for it."""
_MARK = "share/medcopilot/recipes/sft.py"


def checkout() -> Path | None:
    """The checkout that this code lies in; None where it is installed."""
    root = Path(__file__).resolve().parent.parent
    return root if (root / "pyproject.toml").is_file() and (root / "recipes").is_dir() else None


def shared() -> Path:
    """The folder that holds `FOLDERS`.

    Raises:
        UserError: this installation does not have them.
    """
    if (root := checkout()) is not None:
        return root
    for file in metadata.files("medcopilot") or ():  # as installed: of a virtual environment, of the user, of the system
        if file.as_posix().endswith(_MARK) and (place := Path(str(file.locate())).resolve()).is_file():
            return place.parent.parent
    raise UserError("this installation of medcopilot came without its recipes: install its wheel again with pip, or use a checkout")
