"""The database built of the raw demo CSVs is the shipped one, table by table; EHRSQL's real questions run on it."""

import gzip
import json
import os
import sqlite3
from pathlib import Path

import pytest

from env.datasets.base import BuildRequest
from env.datasets.mimic_iii import MimicIII
from env.datasets.mimic_iii.builder import __main__ as command
from env.datasets.mimic_iii.builder.shift import shifts_between
from env.datasets.mimic_iii.schema import TABLES
from rewards import ehr_answer
from rewards.types import Evidence

pytestmark = [pytest.mark.fixtures,
              pytest.mark.skipif("MEDCOPILOT_FIXTURES" not in os.environ, reason="MEDCOPILOT_FIXTURES is not set")]


@pytest.fixture(scope="module")
def fixtures():
    return Path(os.environ["MEDCOPILOT_FIXTURES"])


@pytest.fixture(scope="module")
def shipped(fixtures, tmp_path_factory):
    path = tmp_path_factory.mktemp("shipped") / "demo.sqlite"
    path.write_bytes(gzip.decompress((fixtures / "ehrsql" / "mimic_iii_demo_ehrsql.sqlite.gz").read_bytes()))
    return path


@pytest.fixture(scope="module")
def built(fixtures, shipped, tmp_path_factory):
    """Raw tables, the question file, and the shifts of the nine patients that the shipped file has moved to now."""
    source = tmp_path_factory.mktemp("source")
    for path in (fixtures / "mimic_iii_demo").glob("*.csv.gz"):
        (source / path.name).symlink_to(path)
    (source / "valid.json.gz").symlink_to(fixtures / "ehrsql" / "mimic_iii" / "valid.json.gz")
    shifts = shifts_between(source, shipped)
    lines = [f"{who},{minutes}" for who, minutes in shifts.items()]
    (source / "time_shifts.csv").write_text("\n".join(["subject_id,minutes", *lines]))
    return MimicIII().build(BuildRequest(source=source, options={"deid": "no"}), root=tmp_path_factory.mktemp("built"))


@pytest.mark.parametrize("table", list(TABLES))
def test_every_table_is_the_shipped_one_row_for_row(built, shipped, table):
    ours, theirs = (sqlite3.connect(path).execute(f"select * from {table}").fetchall()
                    for path in (built.host_path("mimic_iii.sqlite"), shipped))
    assert ours == theirs
    assert ours


def test_every_gold_query_of_the_validation_questions_runs(built):
    report = json.loads((built.folder / "dropped.json").read_text())
    assert (report["questions"], report["tasks"], report["dropped"]) == (1122, 1122, [])
    tasks = built.tasks("test")
    assert {task.licence for task in tasks} == {"CC-BY-4.0 AND ODbL-1.0"}
    connection = sqlite3.connect(built.host_path("mimic_iii.sqlite"))
    for task in tasks:
        if not task.key.args.get("impossible"):
            rows = [list(row) for row in connection.execute(task.key.gold)]
            assert ehr_answer.judge(Evidence(kind="program", has_value=True, value=rows), task.key).success


def test_every_filter_says_what_it_left(built):
    report = json.loads((built.folder / "build_report.json").read_text())
    steps = {(step["table"], step["rule"]): (step["rows_in"], step["rows_out"]) for step in report["steps"]}
    assert steps["admissions", "age above 10 and below 90"] == (129, 120)
    assert steps["admissions", "shorter than the 95th percentile of stays, in full days"] == (120, 113)
    assert steps["prescriptions", "dose is a whole number"] == (10397, 9209)
    assert steps["procedures_icd", "before now, 9 patients moved by time_shifts.csv"] == (391, 332)
    assert report["patients"] == 85
    assert all(step["rows_out"] <= step["rows_in"] for step in report["steps"])


def test_exchanged_values_and_no_shift_by_option(fixtures, tmp_path, capsys):
    target = tmp_path / "deid.sqlite"
    assert command.main([str(fixtures / "mimic_iii_demo"), str(target), "--patients", "40", "--timeshift", "no"]) == 0
    printed = capsys.readouterr().out
    assert "120 ->        113" in printed
    connection = sqlite3.connect(target)
    # a tenth of the forty would be in hospital now: nobody is
    assert connection.execute("select count(*) from patients").fetchone() == (36,)
    assert connection.execute("select count(*) from admissions where dischtime is null").fetchone() == (0,)
