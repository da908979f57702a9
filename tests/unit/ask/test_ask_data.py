"""What `ask` makes of the user's files."""

from __future__ import annotations

import gzip
import json
import sqlite3
from pathlib import Path

import pytest

from env.errors import UserError
from medcopilot.own_data import licence_of, prepare_data


@pytest.fixture
def work(tmp_path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


def database(path: Path, script: str = "CREATE TABLE t (a INT); INSERT INTO t VALUES (1);") -> Path:
    connection = sqlite3.connect(path)
    connection.executescript(script)
    connection.close()
    return path


def rows(path: Path, sql: str) -> list[tuple]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def test_an_sqlite_file_is_mounted_as_it_is(tmp_path, work):
    path = database(tmp_path / "my data;x.sqlite")
    (file,) = prepare_data(path, work)
    assert (file.name, file.path, file.kind) == ("my_data_x.sqlite", str(path), "sqlite")
    assert list(work.iterdir()) == []


def test_a_folder_of_csvs_becomes_a_database_beside_the_files(tmp_path, work):
    folder = tmp_path / "csv"
    folder.mkdir()
    (folder / "patients.csv").write_text("\ufeffid,name,weight\n1,Ann,70.5\n2,\"Bo, Jr\",\n")
    with gzip.open(folder / "labs.tsv.gz", "wt") as handle:
        handle.write("id\tvalue\n1\t3\n1\t4\n")
    (folder / "secret.txt").write_text("not a table")
    (folder / "empty.csv").write_text("")
    files = prepare_data(folder, work)
    assert [(file.name, file.kind) for file in files] == [
        ("data.sqlite", "sqlite"), ("empty.csv", "csv"), ("labs.tsv.gz", "csv"), ("patients.csv", "csv")]
    assert rows(work / "data.sqlite", "SELECT * FROM patients") == [(1, "Ann", 70.5), (2, "Bo, Jr", None)]
    assert rows(work / "data.sqlite", "SELECT sum(value) FROM labs") == [(7,)]
    assert (folder / "patients.csv").read_text().startswith("\ufeffid")


def test_one_csv_file(tmp_path, work):
    path = tmp_path / "labs.csv"
    path.write_text("id;value\n1;2\n")
    files = prepare_data(path, work)
    assert [file.name for file in files] == ["data.sqlite", "labs.csv"]
    assert rows(work / "data.sqlite", "SELECT value FROM labs") == [(2,)]


def test_a_write_ahead_log_is_merged(tmp_path, work):
    path = tmp_path / "live.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript("PRAGMA journal_mode = WAL; CREATE TABLE t (a INT); INSERT INTO t VALUES (7);")
    try:
        (file,) = prepare_data(path, work)
        assert Path(file.path).parent == work
        assert rows(Path(file.path), "SELECT a FROM t") == [(7,)]
    finally:
        connection.close()


@pytest.mark.parametrize(("make", "message"), [
    (lambda folder: folder / "none.sqlite", "does not exist"),
    (lambda folder: folder, "holds no .csv"),
    (lambda folder: _write(folder / "x.sqlite", b"hello"), "is not an SQLite database"),
    (lambda folder: _write(folder / "x.sqlite", b""), "is not an SQLite database"),
    (lambda folder: _write(folder / "x.sqlite", b"SQLite format 3\0" + b"\xff" * 2000), "is damaged"),
    (lambda folder: database(folder / "x.sqlite", "PRAGMA user_version = 3;"), "holds no tables"),
    (lambda folder: _write(folder / "x.csv", b""), "hold no rows"),
    (lambda folder: _write(folder / "x.csv", b"id,ID\n1,2\n"), "could not be loaded as a table"),
    (lambda folder: _write(folder / "x.csv.gz", b"not gzip"), "could not be loaded as a table"),
    (lambda folder: _write(_write(folder / "x.csv", b"a\n1\n").with_name("X.tsv"), b"a\n1\n").parent, "same table"),
])
def test_bad_input_is_one_sentence(tmp_path, work, make, message):
    folder = tmp_path / "in"
    folder.mkdir()
    with pytest.raises(UserError, match=message) as refusal:
        prepare_data(make(folder), work)
    assert "\n" not in str(refusal.value)


def _write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def test_a_built_dataset_keeps_its_licence(tmp_path):
    path = database(tmp_path / "x.sqlite")
    assert licence_of(path) == licence_of(tmp_path) == "own-data"
    (tmp_path / "manifest.json").write_text("{")
    assert licence_of(path) == "own-data"
    (tmp_path / "manifest.json").write_text(json.dumps({"dataset": "mimic_iii", "licence": "PhysioNet-credentialed"}))
    assert licence_of(path) == licence_of(tmp_path) == "PhysioNet-credentialed"
