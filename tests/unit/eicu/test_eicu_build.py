"""The builder from eICU's own tables, on a hand-made folder in their format: every filter, the shift in time, bad files."""

import csv
import gzip
import json
import sqlite3

import pytest

from env.datasets.base import BuildRequest
from env.datasets.eicu import EICU
from env.datasets.eicu.build import Choices, build_database
from env.datasets.eicu.schema import TABLES
from env.errors import UserError

PATIENT = ["patientunitstayid", "patienthealthsystemstayid", "gender", "age", "ethnicity", "hospitalid", "wardid",
           "admissionheight",
           "hospitaladmittime24", "hospitaladmitoffset", "hospitaladmitsource", "hospitaldischargeyear", "hospitaldischargeoffset",
           "hospitaldischargestatus", "admissionweight", "dischargeweight", "unitdischargeoffset", "uniquepid"]


def person(number, unit, *, visit=None, sex="Male", age="50", source="Floor", year=2014, admit=-60, leave=2000, out=1500, who=None):
    return [unit, visit or 10 * number, sex, age, "Caucasian", 5, 6, 170, "10:00:00", admit, source, year, leave, "Alive", 70, 71,
            out,
            who or f"002-{number}"]


def write(folder, name, header, rows):
    with gzip.open(folder / f"{name}.csv.gz", "wt", newline="") as handle:
        csv.writer(handle).writerows([header, *rows])


@pytest.fixture
def raw(tmp_path):
    folder = tmp_path / "tables"
    folder.mkdir()
    people = [person(n, 100 + n) for n in range(1, 41)]
    people += [person(50, 150, source=""), person(51, 151, sex="Unknown"), person(52, 152, age="> 89"), person(53, 153, age="9"),
               person(54, 154, leave=90_000), person(55, 155, out=2500), person(1, 191, visit=11, year=2015, age="51"),
               person(56, 156, leave=80_000), person(57, 157, leave=80_000)]
    write(folder, "patient", PATIENT, people)
    write(folder, "diagnosis", ["diagnosisid", "patientunitstayid", "diagnosisoffset", "diagnosisstring", "icd9code"], [
        [1, 101, 10, "cardiovascular|shock|Hypotension", "458.9"], [2, 102, 10, "renal|shock|hypotension", ""],
        [3, 103, 10, "cardiovascular|shock|hypotension", ""], [4, 104, 10, "pulmonary|infections|pneumonia|aspiration", "507.0"],
        [5, 104, 10, "too|short", ""], [6, 150, 10, "cardiovascular|shock|hypotension", ""]])
    write(folder, "treatment", ["treatmentid", "patientunitstayid", "treatmentoffset", "treatmentstring"],
          [[1, 101, 20, "pulmonary|ventilation|mechanical ventilation"]])
    write(folder, "lab", ["labid", "patientunitstayid", "labresultoffset", "labname", "labresult"],
          [[1, 101, 5, "Potassium", 4.1], [2, 101, 6, "potassium", ""], [3, 102, 9_000_000, "potassium", 4.4]])
    write(folder, "medication", ["medicationid", "patientunitstayid", "drugstartoffset", "drugstopoffset", "drugname", "dosage",
                                 "routeadmin", "drugordercancelled"],
          [[1, 101, 5, 60, "ASPIRIN ", "81 mg", "PO", "No"], [2, 101, 5, 60, "heparin", "1", "iv", "Yes"],
           [3, 101, 5, 60, "x", "", "iv", "No"]])
    write(folder, "allergy", ["allergyid", "patientunitstayid", "allergyoffset", "drugname", "allergyname"],
          [[1, 101, 5, "", "Latex"]])
    write(folder, "intakeOutput", ["intakeoutputid", "patientunitstayid", "intakeoutputoffset", "cellpath", "celllabel",
                                   "cellvaluenumeric"], [
        [1, 101, 5, "flowsheet|i&o|intake (ml)|oral intake", "Oral Intake", 100], [2, 101, 5, "flowsheet|i&o|weight|kg", "kg", 70],
        [3, 101, 5, "flowsheet|i&o|output (ml)|output", "output", 50]])
    write(folder, "microLab", ["microlabid", "patientunitstayid", "culturetakenoffset", "culturesite", "organism"],
          [[1, 101, 5, "Skin", "no growth"]])
    write(folder, "vitalPeriodic", ["vitalperiodicid", "patientunitstayid", "observationoffset", "temperature", "sao2", "heartrate",
                                    "respiration", "systemicsystolic", "systemicdiastolic", "systemicmean"],
          [[1, 101, 5, 36.5, 97.0, 80, "", "", "", ""]])
    return folder


def built(raw, tmp_path, **choices):
    said = []
    steps = build_database(raw, tmp_path / "eicu.sqlite", Choices(**{"patients": None, "current": 0, "deid": False, **choices}),
                           said.append)
    return sqlite3.connect(tmp_path / "eicu.sqlite"), steps, said


def column(connection, sql):
    return [row[0] for row in connection.execute(sql)]


def test_every_filter_counts_its_rows(raw, tmp_path):
    connection, steps, said = built(raw, tmp_path)
    counts = {(row["table"], row["step"]): (row["rows_in"], row["rows_out"]) for row in steps.rows}
    assert counts["patient", "admission source known"] == (49, 48)
    assert counts["patient", "sex male or female"] == (48, 47)
    assert counts["patient", "age known, not above 89, above 10"] == (47, 45)
    assert counts["patient", "hospital stay below the 95th percentile"] == (45, 42)
    assert counts["diagnosis", "path of at least three levels"] == (6, 5)
    assert counts["diagnosis", "name under its commonest parent"] == (5, 4)
    assert counts["medication", "drug, dosage and route known"] == (3, 2)
    assert counts["medication", "order not cancelled"] == (2, 1)
    assert counts["intakeoutput", "label recorded in ml"] == (3, 2)
    assert counts["intakeoutput", "label more than intake or output"] == (2, 1)
    assert "eicu patient: admission source known: 49 rows in, 48 rows out" in said
    units = set(column(connection, "select patientunitstayid from patient"))
    assert 155 not in units  # its unit discharge lies after its hospital discharge
    assert units <= {*range(101, 141), 191}


def test_names_times_and_costs(raw, tmp_path):
    connection, _, _ = built(raw, tmp_path)
    for table, columns in TABLES.items():
        assert [row[1] for row in connection.execute(f"pragma table_info({table})")] == list(columns)
    assert set(column(connection, "select diagnosisname from diagnosis")) <= {"hypotension", "pneumonia - aspiration"}
    assert column(connection, "select typeof(age) from patient limit 1") == ["text"]
    assert column(connection, "select drugname from medication") == ["aspirin"]
    assert column(connection, "select celllabel from intakeoutput") == ["oral"]
    assert column(connection, "select labname from lab") == ["potassium"]
    assert column(connection, "select strftime('%s', labresulttime) - strftime('%s', unitadmittime) from lab join patient "
                              "using (patientunitstayid)") == [300]
    charged = "select count(*) from cost join diagnosis on eventid = diagnosisid and eventtype = 'diagnosis'"
    assert column(connection, charged) == column(connection, "select count(*) from diagnosis")
    assert column(connection, "select allergyname from allergy where drugname is null") == ["latex"]
    gaps = column(connection, "select distinct strftime('%s', unitadmittime) - strftime('%s', hospitaladmittime) from patient")
    assert gaps == [3600]
    assert set(column(connection, "select substr(hospitaladmittime, 12) from patient")) == {"10:00:00"}
    low, high = connection.execute("select min(hospitaladmittime), max(unitadmittime) from patient").fetchone()
    assert low >= "2100-01-01 00:00:00"
    assert high <= "2105-12-31 23:59:00"


def test_a_patients_later_year_comes_later_with_a_greater_age(raw, tmp_path):
    connection, _, _ = built(raw, tmp_path)
    rows = connection.execute("select age, substr(hospitaladmittime, 1, 4) from patient where uniquepid = '002-1' order by 2")
    visits = rows.fetchall()
    assert [int(age) for age, _ in visits] == [50, 51]
    assert int(visits[1][1]) == int(visits[0][1]) + 1


def test_patients_are_moved_until_enough_are_in_hospital_now(raw, tmp_path):
    connection, _, said = built(raw, tmp_path, current=12)
    here = column(connection,
                  "select uniquepid from patient where hospitaldischargetime is null and unitadmittime <= '2105-12-31 23:59:00'")
    assert len(set(here)) == 12
    assert any("moved so that they are in hospital now" in line for line in said)
    assert column(connection,
                  "select count(*) from patient where hospitaldischargetime is null and (hospitaldischargestatus is not null "
                              "or dischargeweight is not null)") == [0]


def test_the_same_tables_give_the_same_database_and_a_sample_is_smaller(raw, tmp_path):
    one, two = ((tmp_path / name) for name in "ab")
    for folder in (one, two):
        folder.mkdir()
    dump = [list(built(raw, folder, patients=20)[0].iterdump()) for folder in (one, two)]
    assert dump[0] == dump[1]
    assert column(sqlite3.connect(one / "eicu.sqlite"), "select count(distinct uniquepid) from patient") == [20]


def test_shuffled_values_are_the_same_values(raw, tmp_path):
    connection, _, _ = built(raw, tmp_path, deid=True)
    assert set(column(connection, "select diagnosisname from diagnosis")) <= {"hypotension", "pneumonia - aspiration"}


def test_stand_ins_need_permission(raw, tmp_path):
    (raw / "lab.csv.gz").rename(raw / "lab.hourly_from_yaib.csv.gz")
    with pytest.raises(UserError, match="stand_ins=yes"):
        built(raw, tmp_path)
    assert not (tmp_path / "eicu.sqlite").exists()
    write(raw, "lab.raw_169stays", ["labid", "patientunitstayid", "labresultoffset", "labname", "labresult"],
          [[7, 101, 8, "sodium", 140]])
    connection, _, said = built(raw, tmp_path, stand_ins=True)
    assert "eicu lab: lab.hourly_from_yaib.csv.gz stands in for lab.csv" in said
    assert set(column(connection, "select labname from lab where patientunitstayid = 101")) <= {"sodium"}


@pytest.mark.parametrize(("name", "content", "complaint"), [
    ("treatment", None, "treatment.csv .*missing"), ("diagnosis", b"not gzip", "cannot be read"),
    ("allergy", gzip.compress(b"allergyid,patientunitstayid\n1,2\n"), "column allergyoffset is missing"),
    ("patient", gzip.compress((",".join(PATIENT) + "\n").encode()), "is missing|no patient|cannot be read|holds something"),
    ("microLab", gzip.compress(b"patientunitstayid,culturetakenoffset,culturesite,organism\nx,1,a,b\n"), "is no number"),
], ids=["missing", "not-gzip", "column", "empty", "number"])  # content names a test by the second in which it was packed
def test_bad_tables_are_named_with_the_cure(raw, tmp_path, name, content, complaint):
    path = raw / f"{name}.csv.gz"
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(UserError, match=complaint) as error:
        built(raw, tmp_path)
    assert str(raw) in str(error.value)


def test_a_truncated_file_and_a_wrong_checksum(raw, tmp_path):
    path = raw / "treatment.csv.gz"
    whole = path.read_bytes()
    path.write_bytes(whole[:-12])
    with pytest.raises(UserError, match=r"treatment.csv.gz cannot be read"):
        built(raw, tmp_path)
    path.write_bytes(whole)
    (raw / "SHA256SUMS.txt").write_text("0" * 64 + " treatment.csv.gz\n")
    with pytest.raises(UserError, match="checksum"):
        built(raw, tmp_path)


def test_questions_on_a_database_built_here(raw, tmp_path):
    rows = [{"db_id": "eicu", "id": "q1", "question": "How many?", "query": "select count(*)>0 from patient", "q_tag": "x",
             "is_impossible": False, "split": "valid"}]
    source = tmp_path / "all"
    source.mkdir()
    raw.rename(source / "tables")
    (source / "valid.json").write_text(json.dumps(rows))
    folder = EICU().build(BuildRequest(source=source, options={"sample": "all", "current": "3"}), root=tmp_path / "built")
    assert folder.tasks("test")[0].key.reference == [[1]]
    assert json.loads((folder.folder / "build_steps.json").read_text())["steps"][0]["rows_in"] == 49
