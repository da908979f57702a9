"""`request_info` shows what is there, compactly, and refuses unknown names with the nearest real ones."""

from __future__ import annotations

import gzip
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from env.actions import InfoParams
from env.errors import ActionError, InfrastructureError
from env.info import describe_data
from env.sandbox.base import Mount

SCHEMA = """
CREATE TABLE patients (subject_id INTEGER, gender VARCHAR(5), dob TIMESTAMP(0), weight DOUBLE PRECISION);
CREATE TABLE prescriptions (subject_id INT, drug TEXT, route TEXT);
CREATE TABLE empty_one (a TEXT);
CREATE TABLE "odd ""name" ("a; DROP TABLE patients" TEXT);
"""


@pytest.fixture
def mounts(tmp_path: Path) -> tuple[Mount, ...]:
    path = tmp_path / "hos pital%23.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript(SCHEMA)
    connection.executemany("INSERT INTO patients VALUES (?, ?, '2100-01-01 00:00:00', ?)",
                           [(number, "f" if number % 3 else "m", 50.0 + number / 2) for number in range(1, 41)])
    connection.executemany("INSERT INTO prescriptions VALUES (?, ?, NULL)",
                           [(number, drug) for number in range(10) for drug in ("aspirin", "heparin", "a, b")[: 1 + number % 3]])
    connection.execute("INSERT INTO \"odd \"\"name\" VALUES ('x')")
    connection.commit()
    connection.close()
    return (Mount(name="hospital.sqlite", host=path),)


def ask(mounts: tuple[Mount, ...], limit: int = 8000, **params: str) -> str:
    return describe_data(mounts, InfoParams(**params), limit)


def test_nothing_lists_the_tables(mounts):
    assert ask(mounts) == 'patients, prescriptions, empty_one, odd "name'
    assert ask(mounts, contains="PRESC") == "prescriptions"


def test_a_table_lists_columns_with_short_types(mounts):
    assert ask(mounts, table="patients") == "subject_id int, gender text, dob time, weight real"
    assert ask(mounts, table="PATIENTS", contains="WEI") == "weight real"


def test_a_column_lists_values_most_frequent_first(mounts):
    assert ask(mounts, table="patients", column="gender") == "f, m"
    assert ask(mounts, table="prescriptions", column="drug") == 'aspirin, heparin, "a, b"'
    assert ask(mounts, table="prescriptions", column="DRUG", contains="HEP") == "heparin"


def test_numbers_show_their_range(mounts):
    assert ask(mounts, table="patients", column="subject_id") == "min 1, max 40; e.g. 1, 2, 3, 4, 5"
    assert ask(mounts, table="patients", column="weight") == "min 50.5, max 70; e.g. 50.5, 51, 51.5, 52, 52.5"
    assert ask(mounts, table="patients", column="subject_id", contains="4") == "4, 14, 24, 34, 40"


def test_empty_columns_and_missing_values_are_told(mounts):
    assert ask(mounts, table="empty_one", column="a") == "empty_one.a is empty."
    assert ask(mounts, table="prescriptions", column="route") == "prescriptions.route is empty."
    assert ask(mounts, table="prescriptions", column="drug", contains="asprin") == (
        "No value of prescriptions.drug contains 'asprin'. Nearest: aspirin.")


@pytest.mark.parametrize(("params", "message"), [
    ({"table": "patient"}, "Table 'patient' does not exist. Nearest: patients."),
    ({"table": "patients", "column": "gendr"}, "Column 'gendr' does not exist in patients. Nearest: gender."),
    ({"table": "patients", "column": "drug"}, "Column 'drug' does not exist in patients. It is in prescriptions."),
    ({"column": "drug"}, "Give the table of column 'drug' too: it is in prescriptions."),
])
def test_unknown_names_are_refused_with_the_nearest(mounts, params, message):
    with pytest.raises(ActionError) as refusal:
        ask(mounts, **params)
    assert str(refusal.value) == message
    assert refusal.value.kind == "schema"


def test_names_and_values_never_become_sql(mounts):
    assert ask(mounts, table='odd "name') == "a; DROP TABLE patients text"
    assert ask(mounts, table='odd "name', column="a; DROP TABLE patients") == "x"
    injected = "' OR 1=1; DROP TABLE patients --"
    assert "No value" in ask(mounts, table="patients", column="gender", contains=injected)
    with pytest.raises(ActionError):
        ask(mounts, table='patients"; DROP TABLE patients; --')
    assert ask(mounts, table="patients", column="gender") == "f, m"


def test_files_are_left_as_they_were(mounts):
    before = mounts[0].host.read_bytes()
    ask(mounts, table="patients", column="gender")
    assert mounts[0].host.read_bytes() == before
    assert [path.name for path in mounts[0].host.parent.iterdir()] == [mounts[0].host.name]


@settings(max_examples=60, deadline=None)
@given(limit=st.integers(16, 200), contains=st.sampled_from(["", "e", "zzz"]))
def test_never_longer_than_the_limit(tmp_path_factory, limit, contains):
    path = tmp_path_factory.getbasetemp() / "limits.sqlite"
    if not path.exists():
        connection = sqlite3.connect(path)
        connection.execute(f"CREATE TABLE wide ({', '.join(f'column_number_{number} TEXT' for number in range(60))})")
        connection.executemany("INSERT INTO wide (column_number_0) VALUES (?)", [("value " * (1 + n % 30),) for n in range(200)])
        connection.commit()
        connection.close()
    mounts = (Mount(name="x.sqlite", host=path),)
    for params in ({}, {"table": "wide"}, {"table": "wide", "column": "column_number_0"}):
        assert len(ask(mounts, limit, contains=contains, **params)) <= limit


def test_a_cut_is_visible(mounts):
    text = ask(mounts, 48, table="patients")
    assert text == "subject_id int, gender text, ... (4 columns)"


def test_a_runaway_view_is_stopped(tmp_path):
    path = tmp_path / "view.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript("CREATE VIEW endless AS WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) "
                             "SELECT count(*) AS n FROM c;")
    connection.close()
    text = ask((Mount(name="view.sqlite", host=path),), table="endless", column="n")
    assert text == "endless is too large to look through here: query it with a LIMIT."


def test_csv_files_and_folders(tmp_path):
    folder = tmp_path / "csv"
    folder.mkdir()
    (folder / "labs.csv").write_text("id;name;value;taken\n1;Sodium;140.5;2101-02-03\n2;Potassium;;2101-02-04\n")
    with gzip.open(folder / "codes.tsv.gz", "wt") as handle:
        handle.write("code\tlabel\n001\tFever\n002\tCough\n")
    (folder / "readme.txt").write_text("no table")
    mounts = (Mount(name="csv", host=folder),)
    assert ask(mounts) == "/data/csv/*.tsv.gz: codes\n/data/csv/*.csv: labs"
    assert ask(mounts, table="labs") == "id int, name text, value real, taken date"
    assert ask(mounts, table="labs", column="name", contains="sod") == "Sodium"
    assert ask(mounts, table="codes", column="label") == "Cough, Fever"
    assert ask((Mount(name="one.csv", host=folder / "labs.csv"),)) == "/data/one.csv: labs"


def test_a_csv_that_a_database_holds_too_is_listed_once(tmp_path):
    (tmp_path / "patients.csv").write_text("subject_id\n1\n")
    path = tmp_path / "d.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE patients (subject_id INT)")
    connection.close()
    both = (Mount(name="patients.csv", host=tmp_path / "patients.csv"), Mount(name="d.sqlite", host=path))
    assert ask(both) == "patients"


def test_no_data_and_broken_data():
    assert ask(()) == "This task has no data file."
    with pytest.raises(InfrastructureError, match="missing"):
        ask((Mount(name="x.sqlite", host=Path("/nonexistent/x.sqlite")),))


def test_damaged_database_is_our_failure_not_the_agents(tmp_path):
    path = tmp_path / "torn.sqlite"
    path.write_bytes(b"SQLite format 3\0" + b"\xff" * 4096)
    with pytest.raises(InfrastructureError, match=r"torn\.sqlite"):
        ask((Mount(name="torn.sqlite", host=path),))


@pytest.mark.fixtures
def test_the_real_demo_database(fixtures_dir, tmp_path):
    path = tmp_path / "mimic.sqlite"
    path.write_bytes(gzip.decompress((fixtures_dir / "ehrsql" / "mimic_iii_demo_ehrsql.sqlite.gz").read_bytes()))
    mounts = (Mount(name="mimic_iii.sqlite", host=path),)
    tables = ask(mounts, 320).split(", ")
    assert len(tables) == 17
    for table in tables:
        assert len(ask(mounts, 320, table=table)) <= 320
    assert "aspirin" in ask(mounts, 320, table="prescriptions", column="drug", contains="ASPIRIN")
