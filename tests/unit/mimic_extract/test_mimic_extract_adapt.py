"""Real hourly cohorts: both layouts load, labels are derived as stated, and what is missing is named."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from env.agreement import restricted
from env.datasets import BuildRequest, Built, get_dataset
from env.datasets.mimic_extract.adapt import read_cohort
from env.errors import UserError

STAYS = 500


def series(rng: np.random.Generator, ill: np.ndarray, hours: int = 26) -> pd.DataFrame:
    """Hourly heart rate and lactate that tell who is ill."""
    stay = np.repeat(np.arange(len(ill)) + 1, hours)
    heart = 80 + 15 * np.repeat(ill, hours) + 8 * rng.standard_normal(len(stay))
    lactate = np.where(rng.random(len(stay)) < 0.2, 1.5 + np.repeat(ill, hours) + 0.5 * rng.standard_normal(len(stay)), np.nan)
    return pd.DataFrame({"stay_id": stay, "hour": np.tile(np.arange(hours), len(ill)), "hr": heart.round(),
                         "lact": lactate.round(1)})


def illness(seed: int) -> tuple[np.random.Generator, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    ill = rng.standard_normal(STAYS)
    return rng, ill, (1.8 * ill + rng.logistic(size=STAYS) > 1.8).astype(int)


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    rng, ill, label = illness(0)
    place = tmp_path / "source" / "mortality24" / "demo"
    place.mkdir(parents=True)
    dynamic = series(rng, ill)
    dynamic.assign(time=pd.to_timedelta(dynamic.pop("hour"), unit="h")).to_parquet(place / "dyn.parquet")
    facts = pd.DataFrame({"stay_id": np.arange(STAYS) + 1, "age": rng.integers(30, 90, STAYS), "sex": "Male"})
    facts.to_parquet(place / "sta.parquet")
    pd.DataFrame({"stay_id": np.arange(STAYS) + 1, "label": label}).to_parquet(place / "outc.parquet")
    return tmp_path / "source"


def build(source: Path, tmp_path: Path) -> Built:
    return get_dataset("mimic_extract").build(BuildRequest(source=source), tmp_path / "built")


def test_a_cohort_becomes_a_task_on_the_first_day(cohort: Path, tmp_path: Path) -> None:
    built = build(cohort, tmp_path)
    task, = built.tasks("test")
    assert (task.template, task.category, task.slice) == ("mortality24_demo", "Mortality", "official")
    assert restricted(task.licence), "nobody has said that this cohort is open"
    assert min(task.key.args["auroc"]) > 0.7
    report = json.loads((built.folder / "baselines.json").read_text())
    assert report["tasks"][0]["rows"] == {"train": 300, "tuning": 50, "test": 150}
    hourly = pd.read_csv(built.host_path(next(file.path for file in task.view.data if file.name == "hourly.csv")))
    assert hourly["hour"].max() == 23
    assert "Will the patient die in the ICU" in task.view.question


def test_hourly_labels_mean_after_the_first_day_and_not_before(tmp_path: Path) -> None:
    stays = {1: [0] * 30, 2: [0] * 25 + [1] * 5, 3: [0] * 10 + [1] * 20, 4: [0] * 20, 5: [0] * 24 + [1]}
    rows = [(stay, hour, label) for stay, labels in stays.items() for hour, label in enumerate(labels)]
    frame = pd.DataFrame(rows, columns=["stay_id", "time", "label"])
    frame.to_csv(tmp_path / "outc.csv", index=False)
    frame.drop(columns="label").assign(hr=80).to_csv(tmp_path / "dyn.csv", index=False)
    pd.DataFrame({"stay_id": list(stays)}).to_csv(tmp_path / "sta.csv", index=False)
    found = read_cohort(tmp_path, tmp_path)
    assert next(iter(found.outcomes.values())).to_dict() == {1: 0.0, 2: 1.0, 5: 1.0}
    assert found.left_out == {"outcome_in_the_first_day": 1, "shorter_than_a_day": 1}


def test_tables_of_mimic_extract(tmp_path: Path) -> None:
    rng, ill, label = illness(1)
    source = tmp_path / "extract"
    source.mkdir()
    hourly = series(rng, ill, 24).rename(columns={"stay_id": "icustay_id", "hour": "hours_in"})
    hourly.insert(0, "subject_id", hourly["icustay_id"] // 2)
    hourly.to_csv(source / "vitals_labs_mean.csv", index=False)
    people = pd.DataFrame({"subject_id": (np.arange(STAYS) + 1) // 2, "icustay_id": np.arange(STAYS) + 1, "age": 60, "gender": "F",
                           "mort_hosp": label, "mort_icu": 0, "los_icu": np.where(np.arange(STAYS) < 10, 1.0, 2.0)})
    people.to_csv(source / "patients.csv", index=False)
    built = build(source, tmp_path)
    assert [task.template for task in built.tasks("test")] == ["mort_hosp"]
    report = json.loads((built.folder / "baselines.json").read_text())
    assert report["left_out"] == {"mimic_extract": {"shorter_than_30_hours": 10}}
    assert {row["task"] for row in report["quarantined"]} == {"mort_icu", "los_3", "los_7"}
    task, = built.tasks("test")
    owner = people.set_index("icustay_id")["subject_id"]
    parts = [set(pd.read_csv(built.host_path(file.path))["stay_id"].map(owner)) for file in task.view.data
             if file.name in ("train.csv", "tuning.csv", "test.csv")]
    assert sum(map(len, parts)) == len(set.union(*parts))  # both stays of a patient lie in one file


def test_what_is_missing_is_named(cohort: Path, tmp_path: Path) -> None:
    place = cohort / "mortality24" / "demo"
    with pytest.raises(UserError, match="is not a folder"):
        build(tmp_path / "nowhere", tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no cohort in"):
        build(tmp_path / "empty", tmp_path)
    (tmp_path / "empty" / "X_lab_train.pkl").write_bytes(b"")
    with pytest.raises(UserError, match="pickles, which are never loaded"):
        build(tmp_path / "empty", tmp_path)
    (tmp_path / "empty" / "all_hourly_data.h5").write_bytes(b"HDF")
    with pytest.raises(UserError, match="HDF5 files, which are not read: export"):
        build(tmp_path / "empty", tmp_path)
    outcome = pd.read_parquet(place / "outc.parquet")
    for changed, match in ((outcome.rename(columns={"label": "y"}), "column 'label' is missing"),
                           (outcome.assign(label=outcome["label"] * 2.5), "'label' must be 0 or 1")):
        changed.to_parquet(place / "outc.parquet")
        with pytest.raises(UserError, match=match):
            build(cohort, tmp_path)
    (place / "outc.parquet").write_bytes(b"torn")
    with pytest.raises(UserError, match="cannot be read"):
        build(cohort, tmp_path)
    outcome.assign(label=0).to_parquet(place / "outc.parquet")
    with pytest.raises(UserError, match="no task of this source can be graded"):
        build(cohort, tmp_path)
    (place / "sta.parquet").unlink()
    with pytest.raises(UserError, match=r"sta.parquet is missing"):
        build(cohort, tmp_path)
