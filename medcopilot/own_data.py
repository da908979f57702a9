"""The user's own files, made ready for a box: an SQLite file, a CSV file or a folder of CSV files.

Promises: the user's files are only read. CSV files are copied into a temporary SQLite database, so that SQL works too, and are
mounted as they are, one by one; a write-ahead log is merged into a copy; a built dataset keeps its licence tag here.
Does not cover: folders in folders, and keys between tables.
"""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from env.csv_files import SUFFIXES, csv_stem, is_csv, iter_csv
from env.datasets import Built
from env.errors import InfrastructureError, UserError
from env.sandbox.base import Mount
from env.tables import is_sqlite, open_tables
from env.task import DataFile

OWN_DATA = "own-data"
"""Licence tag of files that belong to no built dataset."""


def prepare_data(source: Path, work: Path) -> tuple[DataFile, ...]:
    """Files for the agent's box, from an SQLite file, a CSV file or a folder of CSV files.

    Args:
        source: the user's path.
        work: an empty folder of ours for what has to be made.

    Raises:
        UserError: nothing usable there; the message names the path and the cure.
    """
    if not source.exists():
        raise UserError(f"{source} does not exist: give an SQLite file or a folder of CSV files with --db")
    if source.is_dir():
        files = sorted(path for path in source.iterdir() if path.is_file() and is_csv(path))
        if not files:
            raise UserError(f"folder {source} holds no {', '.join(SUFFIXES)} file: give their folder, or an SQLite file")
        return _with_csvs(files, work)
    if is_csv(source):
        return _with_csvs([source], work)
    if not is_sqlite(source):
        raise UserError(f"{source} is not an SQLite database: give one, a CSV file or a folder of CSV files")
    path = _merged(source, work)
    try:
        tables = open_tables((Mount(name="db", host=path),))
    except InfrastructureError as error:
        raise UserError(f"{source} is damaged ({error}): check it with `sqlite3 FILE 'PRAGMA integrity_check'`") from None
    if not tables:
        raise UserError(f"{source} holds no tables: give a database with data")
    return (DataFile(name=_safe(source.name), path=str(path.absolute())),)


def licence_of(source: Path) -> str:
    """Licence tag of the built dataset that the files belong to, in whichever of its folders; `own-data` otherwise."""
    here = source.resolve()
    for folder in (here, *here.parents):
        try:
            built = Built(folder)
        except UserError:
            continue
        if isinstance(built.manifest, dict) and "dataset" in built.manifest:
            try:
                return built.licence()
            except UserError:  # its tasks are not beside it
                return str(built.manifest.get("licence") or "")
    return OWN_DATA


def _with_csvs(files: list[Path], work: Path) -> tuple[DataFile, ...]:
    """A database made of the files, and the files (one by one: nothing else in their folder is shown to the agent)."""
    _load_csvs(files, work / "data.sqlite")
    originals = (DataFile(name=_safe(path.name), path=str(path.resolve()), kind="csv") for path in files)
    return (DataFile(name="data.sqlite", path="data.sqlite"), *originals)


def _load_csvs(files: list[Path], database: Path) -> None:
    """Load CSV files into a new SQLite database, one table each."""
    stems = [csv_stem(path).lower() for path in files]
    twice = next((path for path in files if stems.count(csv_stem(path).lower()) > 1), None)
    if twice is not None:
        raise UserError(f"{twice}: another file would give the same table {csv_stem(twice)!r}: rename or remove one of them")
    loaded = 0
    with closing(sqlite3.connect(database)) as connection:
        for path in files:
            try:
                for frame in iter_csv(path):
                    frame.to_sql(csv_stem(path), connection, if_exists="append", index=False)
                    loaded += 1
            except (InfrastructureError, sqlite3.Error, ValueError) as error:
                reason = str(error).splitlines()[0]
                raise UserError(f"{path} could not be loaded as a table ({reason}): check its header line and separator") from None
        connection.commit()
    if not loaded:
        raise UserError(f"{files[0].parent}: the CSV files there hold no rows: give files with a header line and data")
    database.chmod(0o644)


def _merged(source: Path, work: Path) -> Path:
    """The database itself, or a copy that has its write-ahead log merged in (boxes read without the log)."""
    log = source.with_name(source.name + "-wal")
    if not log.exists() or not log.stat().st_size:
        return source
    copy = work / "merged.sqlite"
    try:
        with closing(sqlite3.connect(f"file:{quote(str(source.absolute()))}?mode=ro", uri=True)) as live, \
                closing(sqlite3.connect(copy)) as merged:
            live.backup(merged)
    except sqlite3.Error as error:
        raise UserError(f"{source} has a write-ahead log that cannot be read ({error}): close the program that writes it, or run "
                        "`PRAGMA wal_checkpoint(TRUNCATE)`") from None
    copy.chmod(0o644)
    return copy


def _safe(name: str) -> str:
    """A file name without blanks and shell characters."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name).lstrip(".-") or "data"
