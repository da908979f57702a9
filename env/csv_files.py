"""CSV and TSV files: what counts as one, how it is read, what its columns hold.

Promises: separator `,` `;` `|` or tab, found in the first line; gzip by its suffix; rows of the wrong length are left out.
Does not cover: comment lines, headers of several lines, encodings other than UTF-8 (bad bytes become a replacement character).
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from env.errors import InfrastructureError

SUFFIXES = (".csv", ".csv.gz", ".tsv", ".tsv.gz")


def read_csv(path: Path, rows: int | None = None, column: str = "") -> Any:
    """A CSV file as a pandas frame: all of it, or its first rows, or one column.

    Raises:
        InfrastructureError: the file cannot be read.
    """
    try:
        options = _options(path)
        if not options:
            return pd.DataFrame()
        return pd.read_csv(path, nrows=rows, usecols=[column] if column else None, low_memory=False, **options)
    except (OSError, EOFError, ValueError) as error:
        raise InfrastructureError(f"{path} could not be read: {error}") from error


def iter_csv(path: Path, rows: int = 50_000) -> Iterator[Any]:
    """A CSV file in frames of at most `rows` rows; none for an empty file.

    Raises:
        InfrastructureError: the file cannot be read.
    """
    try:
        options = _options(path)
        if options:
            yield from pd.read_csv(path, chunksize=rows, low_memory=False, **options)
    except (OSError, EOFError, ValueError) as error:
        raise InfrastructureError(f"{path} could not be read: {error}") from error


def _options(path: Path) -> dict[str, Any]:
    """How pandas reads this file; nothing for an empty one."""
    with (gzip.open if path.name.lower().endswith(".gz") else open)(path, "rb") as handle:
        head = handle.read(65_536).split(b"\n", 1)[0].decode("utf-8", "replace")
    if not head.strip():
        return {}
    separator = "\t" if path.name.lower().endswith((".tsv", ".tsv.gz")) else max(",;|\t", key=head.count)
    return {"sep": separator, "encoding": "utf-8-sig", "encoding_errors": "replace", "on_bad_lines": "skip",
            "keep_default_na": False, "na_values": ["", "NA", "NaN", "NULL"], "index_col": False,
            "compression": "gzip" if path.name.lower().endswith(".gz") else None}


def guess_type(series: Any) -> str:
    """`int`, `real`, `date`, `time` (a point in time) or `text`, from values without missing ones."""
    if series.empty:
        return "text"
    if pd.api.types.is_bool_dtype(series):
        return "text"
    if pd.api.types.is_numeric_dtype(series):
        return "int" if (series == series.round()).all() else "real"
    text = series.astype(str)
    if text.str.fullmatch(r"\d{4}-\d\d-\d\d").all():
        return "date"
    return "time" if text.str.fullmatch(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d)?.*").all() else "text"


def is_csv(path: Path) -> bool:
    """Whether a file is called like a CSV or TSV file."""
    return path.name.lower().endswith(SUFFIXES)


def csv_stem(path: Path) -> str:
    """`labs` for `labs.csv.gz`."""
    name = path.name
    for suffix in (".gz", ".csv", ".tsv"):
        if name.lower().endswith(suffix):
            name = name[: -len(suffix)]
    return name
