"""The gate is asked about what tasks carry: a dataset's own sentence on licences says nothing of the database at hand."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from env.agreement import restricted
from env.datasets import BuildRequest, Built, get_dataset
from env.datasets.ehrshot import meds
from env.datasets.mimic_iii.schema import create_statements
from env.errors import AgreementError
from medcopilot.own_data import licence_of
from medcopilot.rollout.settings import SampleConfig, policy_of
from medcopilot.starter import write_starter

ELSEWHERE = "openai:m@https://api.example.com/v1"


@pytest.fixture(autouse=True)
def no_permission(monkeypatch, tmp_path):
    monkeypatch.setenv("MEDCOPILOT_AGREEMENTS", str(tmp_path / "none.yaml"))
    monkeypatch.setenv("OPENAI_API_KEY", "k")


def mimic(tmp_path: Path, database: str) -> Built:
    source = tmp_path / "source"
    source.mkdir()
    connection = sqlite3.connect(source / database)
    for statement in create_statements():
        connection.execute(statement)
    connection.commit()
    connection.close()
    (source / "valid.json").write_text(json.dumps([
        {"db_id": "mimic_iii", "question": "How many?", "query": "select count(*) from patients", "q_tag": "how many?",
         "is_impossible": False, "split": "valid", "id": "a", "value": {}}]))
    return get_dataset("mimic_iii").build(BuildRequest(source=source), tmp_path / "data")


def ask_elsewhere(built: Built, name: str) -> None:
    config = SampleConfig(out=Path("run"), policy=ELSEWHERE, datasets=(name,))
    policy_of(config, {name: built}).session(built.tasks("test")[0].view)


def test_rows_of_the_credentialed_database_reach_no_endpoint(tmp_path):
    built = mimic(tmp_path, "mimic_iii.sqlite")
    assert built.manifest["licence"] == built.licence() == "PhysioNet-credentialed"
    with pytest.raises(AgreementError, match="mimic_iii"):
        ask_elsewhere(built, "mimic_iii")
    assert licence_of(built.folder / "mimic_iii.sqlite") == "PhysioNet-credentialed"


def test_rows_of_the_open_demo_do(tmp_path):
    built = mimic(tmp_path, "mimic_iii_demo_ehrsql.sqlite")
    ask_elsewhere(built, "mimic_iii")


def test_rows_of_a_yaml_file_with_an_agreement_reach_no_endpoint(tmp_path, monkeypatch):
    write_starter("ward7", tmp_path / "datasets")
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "datasets" / "ward7.yaml"
    ask_elsewhere(get_dataset("ward7").build(BuildRequest(), tmp_path / "open"), "ward7")
    path.write_text(path.read_text().replace("CC0-1.0", "PhysioNet-credentialed"))
    with pytest.raises(AgreementError, match="ward7"):
        ask_elsewhere(get_dataset("ward7").build(BuildRequest(), tmp_path / "data"), "ward7")


def test_a_built_folder_knows_its_tags_whatever_its_manifest_says(tmp_path):
    """Manifests of earlier versions hold the dataset's sentence."""
    built = mimic(tmp_path, "mimic_iii.sqlite")
    manifest = built.folder / "manifest.json"
    manifest.write_text(manifest.read_text().replace("PhysioNet-credentialed", "CC-BY-4.0 (questions)"))
    assert Built(built.folder).licence() == "PhysioNet-credentialed"
    inner = built.folder / "tables" / "hourly.csv"
    inner.parent.mkdir()
    inner.write_text("a\n1\n")
    assert licence_of(inner) == licence_of(inner.parent) == "PhysioNet-credentialed"


def test_data_whose_owner_is_not_known_count_as_restricted():
    assert restricted(meds.LICENCE)
