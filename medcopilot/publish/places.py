"""What is named for publishing, looked at before anything heavy is imported.

Promises: a path that cannot be what `--type` says is one sentence with its cure, at once.
Does not cover: what lies in the folder (`source`, `data_folder`).
"""

from __future__ import annotations

from pathlib import Path

from env.errors import UserError


def check_model(path: Path) -> None:
    """Refuse what is no folder.

    Raises:
        UserError: it is a file, or nothing.
    """
    if path.is_file():
        raise UserError(f"{path}: a file is no model: publish rows with --type dataset, or give the folder of a finished stage, "
                        "e.g. runs/demo/checkpoints/sft")
    if not path.is_dir():
        raise UserError(f"{path}: there is no such folder: give the folder of a finished stage, e.g. runs/demo/checkpoints/sft")


def check_data(path: Path) -> None:
    """Refuse what is not there.

    Raises:
        UserError: there is neither a file nor a folder.
    """
    if not path.exists():
        raise UserError(f"{path}: there is no such file or folder: give rows of `medcopilot export`, or a folder with README.md "
                        "and data")
