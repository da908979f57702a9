"""Reading one file of a real source.

Promises: a file or a column that cannot be read is a `UserError` that names it.
Does not cover: which files a layout has (`adapt`, `release`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from env.errors import UserError


def read_table(path: Path, **options: Any) -> pd.DataFrame:
    """A Parquet or CSV file.

    Raises:
        UserError: it cannot be read.
    """
    try:
        return pd.read_parquet(path, **options) if path.suffix == ".parquet" else pd.read_csv(path, low_memory=False, **options)
    except Exception as error:  # whatever the library raises for a torn file
        raise UserError(f"{path} cannot be read ({type(error).__name__}: {str(error)[:120]}): fetch it again") from None


def as_times(column: Any, path: Path, name: str) -> Any:
    """Moments; missing ones stay missing.

    Raises:
        UserError: a text that is no moment.
    """
    try:
        return pd.to_datetime(column, format=None if pd.api.types.is_datetime64_any_dtype(column) else "ISO8601")
    except (ValueError, TypeError) as error:
        raise UserError(f"{path}: column {name!r} holds something that is no time ({str(error)[:100]}): write "
                        "YYYY-MM-DD HH:MM:SS") from None
