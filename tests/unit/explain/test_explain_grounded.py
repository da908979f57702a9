"""The grounded explainer: every kind of failure is told with its line, its cause and what the data really holds."""

from __future__ import annotations

import linecache
import sqlite3
import traceback
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from env.explain import GroundedExplainer
from env.sandbox.base import Execution, Mount, Program

SCHEMA = """
CREATE TABLE patients (subject_id INT, gender TEXT, dob TEXT);
CREATE TABLE admissions (subject_id INT, hadm_id INT, age INT);
CREATE TABLE prescriptions (subject_id INT, hadm_id INT, drug TEXT);
"""


@pytest.fixture(scope="module")
def mounts(tmp_path_factory) -> tuple[Mount, ...]:
    path = tmp_path_factory.mktemp("data") / "hospital.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript(SCHEMA)
    connection.executemany("INSERT INTO patients VALUES (?, ?, '2100-01-01')", [(n, "f" if n % 2 else "m") for n in range(1, 21)])
    connection.executemany("INSERT INTO admissions VALUES (?, ?, ?)", [(n, 100 + n, 40 + n) for n in range(1, 21)])
    connection.executemany("INSERT INTO prescriptions VALUES (?, ?, ?)", [(n, 100 + n, "aspirin") for n in range(1, 11)]
                           + [(n, 100 + n, "heparin sodium") for n in range(11, 21)])
    connection.commit()
    connection.close()
    return (Mount(name="hospital.sqlite", host=path),)


def run_sql(mounts: tuple[Mount, ...], sql: str) -> Execution:
    with sqlite3.connect(f"file:{mounts[0].host}?mode=ro", uri=True) as connection:
        try:
            rows = connection.execute(sql).fetchall()
        except sqlite3.Error as error:
            return Execution(status="error", exit_code=1, stderr=f"Error: {error}\n")
    lines = [" | ".join("NULL" if cell is None else str(cell) for cell in row) for row in rows]
    return Execution(status="ok", exit_code=0, stdout="\n".join(lines or ["(no rows)"]) + "\n")


def run_python(source: str, names: dict | None = None) -> Execution:
    """The traceback that a program of the box would print."""
    path = "program.py"
    linecache.cache[path] = (len(source), None, source.splitlines(keepends=True), path)
    try:
        exec(compile(source, path, "exec"), {"__name__": "__main__", **(names or {})})
    except Exception:
        return Execution(status="error", exit_code=1, stderr=traceback.format_exc())
    return Execution(status="ok", exit_code=0, stdout="")


def explain_sql(mounts, sql: str) -> str:
    return GroundedExplainer().explain(Program(source=sql, language="sql"), run_sql(mounts, sql), mounts)


def explain_python(mounts, source: str, names: dict | None = None) -> str:
    return GroundedExplainer().explain(Program(source=source), run_python(source, names), mounts)


@pytest.mark.parametrize(("sql", "said"), [
    ("SELECT gendr FROM patients", "SQL error: no such column: gendr. Nearest: patients.gender."),
    ("SELECT p.drug FROM patients p", "SQL error: no such column: p.drug. drug is a column of prescriptions, not of patients."),
    ("SELECT p.subject_id FROM patients", "SQL error: no such column: p.subject_id. 'p' is not a table or alias in FROM."),
    ("SELECT admissions.age FROM patients", "SQL error: no such column: admissions.age. Table admissions is not in FROM: join it."),
    ("SELECT * FROM patient", "SQL error: no such table: patient. Nearest: patients."),
    ("SELECT * FROM zzz", "SQL error: no such table: zzz. Tables: patients, admissions, prescriptions."),
    ("SELECT year(dob) FROM patients", "SQL error: no such function: year. SQLite has no year; use strftime('%Y', x)."),
    ("SELEC gender FROM patients", 'SQL error: near "SELEC": syntax error. \'SELEC\' looks like a misspelt SELECT.'),
    ("SELECT count(gender FROM patients",
     'SQL error: near "FROM": syntax error. Parentheses do not match: 1 opened, 0 closed.'),
    ("SELECT subject_id FROM patients JOIN admissions ON patients.subject_id = admissions.subject_id",
     "SQL error: ambiguous column name: subject_id. Say which: patients.subject_id or admissions.subject_id."),
    ("SELECT a.gender,\n b.hadm\nFROM patients a, admissions b",
     "SQL error at line 2 (`b.hadm`): no such column: b.hadm. Nearest: admissions.hadm_id."),
    ("INSERT INTO patients VALUES (1, 2, 3)",
     "SQL error: attempt to write a readonly database. The data is read-only: write to /workspace instead."),
])
def test_sql_errors(mounts, sql, said):
    assert explain_sql(mounts, sql) == said


def test_misplaced_aggregates(mounts):
    said = explain_sql(mounts, "SELECT gender FROM patients WHERE count(*) > 1")
    assert said.endswith("Aggregates such as count() belong in SELECT or HAVING, not in WHERE.")


@pytest.mark.parametrize(("sql", "reason"), [
    ("SELECT * FROM prescriptions WHERE drug = 'Aspirin'", "'Aspirin' does not occur in prescriptions.drug; nearest: 'aspirin'."),
    ("SELECT * FROM prescriptions x WHERE x.drug = 'asprin' AND x.subject_id = 3",
     "'asprin' does not occur in prescriptions.drug; nearest: 'aspirin'."),
    ("SELECT * FROM prescriptions WHERE drug LIKE '%hepprin%'", "No prescriptions.drug is like '%hepprin%'; "),
    ("SELECT * FROM patients WHERE subject_id = 99", "99 does not occur in patients.subject_id: it goes from 1 to 20."),
    ("SELECT * FROM admissions WHERE age > 90", "No admissions.age is > 90: it goes from 41 to 60."),
    ("SELECT * FROM patients WHERE gender IN ('female', 'woman')",
     "'female' does not occur in patients.gender; it holds e.g. 'f', 'm'."),
    ("SELECT * FROM admissions WHERE hadm_id IN (SELECT hadm_id FROM prescriptions WHERE drug = 'heparine sodium')",
     "'heparine sodium' does not occur in prescriptions.drug; nearest: 'heparin sodium'."),
    ('SELECT * FROM prescriptions WHERE drug = "Heparin Sodium"',
     "'Heparin Sodium' does not occur in prescriptions.drug; nearest: 'heparin sodium'."),
    ("SELECT max(age) FROM admissions WHERE subject_id = -5", "-5 does not occur in admissions.subject_id: it goes from 1 to 20."),
    ("SELECT * FROM patients WHERE gender = 'f' AND subject_id = 2",
     "Each condition is met by some row, but no row meets all of them together."),
])
def test_empty_results_name_the_condition(mounts, sql, reason):
    said = explain_sql(mounts, sql)
    assert said.startswith("It ran without an error but found nothing. ")
    assert reason in said


@pytest.mark.parametrize("sql", ["SELECT * FROM patients WHERE gender <> 'x' AND subject_id > 900",
                                 "SELECT * FROM patients WHERE lower(gender) = 'F' AND subject_id = 900"])
def test_conditions_that_hold_are_not_blamed(mounts, sql):
    said = explain_sql(mounts, sql)
    assert "subject_id" in said
    assert "gender" not in said


def test_a_good_result_is_left_alone(mounts):
    assert explain_sql(mounts, "SELECT * FROM patients") == (
        "It ran without an error and printed 20 line(s): check the logic, not the syntax.")
    assert "found nothing" not in explain_sql(mounts, "SELECT count(*) FROM patients WHERE gender = 'f'")


CONNECT = "import sqlite3\nc = sqlite3.connect(DB)\n"


@pytest.mark.parametrize(("source", "parts"), [
    ("row = {'gender': 1}\nprint(row['gendr'])",
     ["KeyError at line 2 (`print(row['gendr'])`)", "Nearest column: patients.gender."]),
    ("row = {}\nprint(row['drug'])", ["drug is a column of prescriptions, but not in this frame"]),
    ("open('/data/hospitl.sqlite')", ["FileNotFoundError at line 1", "Data files: /data/hospital.sqlite"]),
    ("total = 3\nprint(totl)", ["NameError at line 2", "Nearest: total."]),
    ("print(np.mean([1]))", ["Add: import numpy as np."]),
    ("print(json.dumps(1))", ["Add: import json."]),
    ("import math\nmath.sqr(3)", ["AttributeError at line 2", "Nearest: sqrt"]),
    ("x = None\nx.split()", ["The value is None: a query or search found nothing."]),
    ("import panda", ["ModuleNotFoundError at line 1", "no network", "Nearest: pandas"]),
    ("print('1' - 2)", ["TypeError at line 1", "different types"]),
    ("float('3 mg')", ["ValueError at line 1", "strip units"]),
    ("from datetime import datetime\ndatetime.strptime('2100', '%Y-%m')", ["ValueError at line 2", "look at some values first"]),
    ("n = 0\nprint(1 / n)", ["ZeroDivisionError at line 2 (`print(1 / n)`)", "a count or sum found nothing"]),
    ("def f(x):\n    return [][x]\nf(3)", ["IndexError at line 2 (`return [][x]`)", "perhaps empty"]),
    (CONNECT + "c.execute('SELECT gendr FROM patients')",
     ["OperationalError at line 3", "no such column: gendr. Nearest: patients.gender."]),
    (CONNECT + "print(c.execute(\"SELECT dob FROM patients WHERE gender = 'x'\").fetchone()[0])",
     ["TypeError at line 3", "'x' does not occur in patients.gender"]),
    (CONNECT + "n = 7\nprint(1 / c.execute(f\"SELECT count(*) FROM prescriptions WHERE drug = 'asprin' AND hadm_id > {n}\")"
     ".fetchone()[0])", ["ZeroDivisionError at line 4", "'asprin' does not occur in prescriptions.drug; nearest: 'aspirin'."]),
    ("raise RuntimeError('two\\nlines')", ["RuntimeError at line 1", "two lines"]),
])
def test_python_errors(mounts, source, parts):
    said = explain_python(mounts, source, {"DB": str(mounts[0].host)})
    for part in parts:
        assert part in said
    assert len(said) < 400


def test_syntax_errors_show_line_and_caret(mounts):
    source = "x = 1\nprint(x +* 2)\n"
    execution = Execution(status="error", exit_code=1, stderr='  File "/workspace/p.py", line 2\nSyntaxError: invalid syntax\n')
    said = GroundedExplainer().explain(Program(source=source), execution, mounts)
    assert said == "SyntaxError at line 2: invalid syntax.\nprint(x +* 2)\n         ^"
    source = "for x in y:\nprint(x)"
    said = GroundedExplainer().explain(Program(source=source), execution, mounts)
    assert said.startswith("IndentationError at line 2: expected an indented block")


def test_the_error_of_the_program_is_found_below_library_frames(mounts):
    text = ('Traceback (most recent call last):\n  File "/workspace/program.py", line 2, in <module>\n    print(frame["dbo"])\n'
            '  File "/usr/lib/python3/dist-packages/pandas/core/frame.py", line 3, in __getitem__\n    indexer = self.get(key)\n'
            "KeyError: 'dbo'\n")
    program = Program(source='frame = load()\nprint(frame["dbo"])')
    said = GroundedExplainer().explain(program, Execution(status="error", exit_code=1, stderr=text), mounts)
    assert said == ("KeyError at line 2 (`print(frame[\"dbo\"])`): 'dbo'. Nearest column: patients.dob.")


def test_pandas_database_errors_over_several_lines(mounts):
    source = "import pandas as pd\npd.read_sql('''SELECT x\nFROM patient''', c)"
    text = ("Traceback (most recent call last):\n"
            "  File \"/workspace/program.py\", line 2, in <module>\n    pd.read_sql('''SELECT x\n"
            "pandas.errors.DatabaseError: Execution failed on sql 'SELECT x\nFROM patient': no such table: patient\n")
    said = GroundedExplainer().explain(Program(source=source), Execution(status="error", exit_code=1, stderr=text), mounts)
    assert "no such table: patient. Nearest: patients." in said
    assert "line 2" in said


@pytest.mark.parametrize(("source", "reason"), [
    ('print(df[df["drug"] == "Aspirin"])', "'Aspirin' does not occur in prescriptions.drug; nearest: 'aspirin'."),
    ('print(df[df["drug"].str.lower() == "asprin"])', "'asprin' does not occur in prescriptions.drug; nearest: 'aspirin'."),
    ('print(df[df["drug"].isin(["Aspirin"])])', "'Aspirin' does not occur in prescriptions.drug"),
    ('print(df[df["drug"].str.contains("asprin")])', "No prescriptions.drug is like '%asprin%'; nearest: 'aspirin'."),
    ('print(df[df["age"] > 90])', "No admissions.age is > 90: it goes from 41 to 60."),
])
def test_empty_pandas_filters(mounts, source, reason):
    execution = Execution(status="ok", exit_code=0, stdout="Empty DataFrame\nColumns: [drug]\nIndex: []\n")
    assert reason in GroundedExplainer().explain(Program(source=source), execution, mounts)


def test_a_silent_program(mounts):
    said = GroundedExplainer().explain(Program(source="x = 1"), Execution(status="ok", exit_code=0), mounts)
    assert said == "It ran without an error but printed nothing: print the result."


@pytest.mark.parametrize(("status", "part"), [
    ("timeout_soft", "Time limit"), ("timeout_hard", "Time limit"), ("oom", "Out of memory"), ("killed", "killed"),
    ("output_limit", "printed too much"), ("died", "ended without a trace"), ("infra", "try again")])
def test_limits(mounts, status, part):
    execution = Execution(status=status, stdout="1\n", seconds=12.3)
    assert part in GroundedExplainer().explain(Program(source="while True: pass"), execution, mounts)


def test_causes_of_timeouts(mounts):
    slow = Execution(status="timeout_hard", seconds=10)
    sql = "SELECT count(*) FROM patients, admissions"
    assert GroundedExplainer().explain(Program(source=sql, language="sql"), slow, mounts) == (
        "Time limit: stopped after 10 s. "
        "patients and admissions are joined without a condition, so every row meets every row: add ON.")
    assert "`while` loop never ends" in GroundedExplainer().explain(Program(source="while True:\n    x = 1"), slow, mounts)
    connected = "SELECT * FROM patients p, admissions a WHERE p.subject_id = a.subject_id"
    assert "without a condition" not in GroundedExplainer().explain(Program(source=connected, language="sql"), slow, mounts)


def test_shell_failures(mounts):
    failed = Execution(status="error", exit_code=127, stderr="sh: 1: sqlit3: not found\n")
    assert "Nearest: sqlite3." in GroundedExplainer().explain(Program(source="sqlit3 x", language="shell"), failed, mounts)
    failed = Execution(status="error", exit_code=2, stderr="ls: cannot access '/dta': No such file or directory\n")
    assert "/data/hospital.sqlite" in GroundedExplainer().explain(Program(source="ls /dta", language="shell"), failed, mounts)


def test_missing_data_does_not_break_the_explanation():
    gone = (Mount(name="x.sqlite", host=Path("/nonexistent/x.sqlite")),)
    failed = Execution(status="error", exit_code=1, stderr="OperationalError: no such table: patients\n")
    said = GroundedExplainer().explain(Program(source="SELECT 1 FROM patients", language="sql"), failed, gone)
    assert said == "SQL error: no such table: patients. The data holds no tables."


@settings(max_examples=150, deadline=None)
@given(source=st.text(max_size=200), text=st.text(max_size=300), language=st.sampled_from(["python", "sql", "shell"]),
       status=st.sampled_from(["ok", "error", "timeout_hard"]))
def test_any_text_gets_an_explanation(mounts, source, text, language, status):
    execution = Execution(status=status, exit_code=1, stdout=text[:50], stderr=text)
    assert GroundedExplainer().explain(Program(source=source, language=language), execution, mounts)


def test_the_same_failure_gets_the_same_words(mounts):
    sql = "SELECT * FROM prescriptions WHERE drug = 'Aspirin'"
    assert explain_sql(mounts, sql) == explain_sql(mounts, sql)
