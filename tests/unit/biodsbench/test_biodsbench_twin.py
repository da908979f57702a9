"""The twin of BioDSBench: studies that fit together, two programs that agree, results that no constant covers."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

from env.datasets import BuildRequest, get_dataset
from env.datasets.base import Built, Disagreement
from env.datasets.biodsbench.designs import TEST, TRAIN
from env.datasets.biodsbench.genes import BY_SYMBOL, GENES, PANELS
from env.datasets.biodsbench.golds import run_golds
from env.datasets.biodsbench.studies import TABLES, designs, make_study
from env.datasets.biodsbench.tasks import TEMPLATES, UNSEEN, read
from env.errors import UserError
from rewards import assertions
from rewards.types import Evidence

STUDY = make_study(TRAIN[0], 200, 3)


def test_tables_fit_each_other():
    people, samples, mutations, copies, levels, panels, matrix = (STUDY[name] for name in TABLES)
    assert people["PATIENT_ID"].is_unique
    assert samples["SAMPLE_ID"].is_unique
    assert set(samples["PATIENT_ID"]) == set(people["PATIENT_ID"])
    assert set(mutations["Tumor_Sample_Barcode"]) <= set(samples["SAMPLE_ID"])
    assert list(copies.columns[2:]) == list(samples["SAMPLE_ID"]) == list(matrix["SAMPLE_ID"])
    assert set(levels.columns[1:]) < set(samples["SAMPLE_ID"])
    covered = {name: set(group["Hugo_Symbol"]) for name, group in panels.groupby("GENE_PANEL")}
    panel = samples.set_index("SAMPLE_ID")["GENE_PANEL"]
    hits = zip(mutations["Tumor_Sample_Barcode"], mutations["Hugo_Symbol"], strict=True)
    assert all(gene in covered[panel[name]] for name, gene in hits)
    for name in panel.index[:40]:
        assert set(copies.loc[copies[name].isna(), "Hugo_Symbol"]).isdisjoint(covered[panel[name]])
    known = people.dropna(subset=["OS_MONTHS"])
    assert (known["PFS_MONTHS"] <= known["OS_MONTHS"]).all()
    assert set(known["OS_STATUS"]) == {"0:LIVING", "1:DECEASED"}
    counts = mutations[mutations["Variant_Classification"] != "Silent"]["Tumor_Sample_Barcode"].value_counts()
    size = panel.map({name: megabases for name, (_, megabases) in PANELS.items()})
    burden = (counts.reindex(panel.index).fillna(0) / size).round(4)
    assert (burden.to_numpy() == samples["TMB_NONSYNONYMOUS"].to_numpy()).all()


def test_data_is_plausible():
    people, samples, mutations = (STUDY[name] for name in TABLES[:3])
    positions = mutations["Protein_position"] <= mutations["Hugo_Symbol"].map({gene.symbol: gene.length for gene in GENES})
    assert positions.all()
    assert 0.3 < (people["OS_STATUS"] == "1:DECEASED").mean() < 0.8
    months = people.groupby("STAGE")["OS_MONTHS"].median()
    assert months["I"] > months["IV"]
    carriers = mutations.groupby("Hugo_Symbol")["Tumor_Sample_Barcode"].nunique() / len(samples)
    assert carriers["TP53"] > 0.35 > carriers["BRAF"]
    assert carriers["TTN"] > carriers["RHOA"] if "RHOA" in carriers else True
    assert 0.01 < people["BMI"].isna().mean() < 0.2
    hot = mutations[(mutations["Hugo_Symbol"] == "KRAS")]["HGVSp_Short"].mode()[0]
    assert hot.removeprefix("p.") in BY_SYMBOL["KRAS"].hotspots


def test_splits_share_no_patient_study_or_cancer():
    assert {design.cancer for design in TRAIN}.isdisjoint(design.cancer for design in TEST)
    assert sum(patients for _, patients in designs("train", 1000)) == 1000
    ids = {split: {name for design, patients in designs(split, 300)
                   for name in make_study(design, patients, 1)[TABLES[0]]["PATIENT_ID"]} for split in ("train", "test")}
    assert ids["train"].isdisjoint(ids["test"])
    assert make_study(TRAIN[1], 60, 1)[TABLES[2]].equals(make_study(TRAIN[1], 60, 1)[TABLES[2]])
    assert not make_study(TRAIN[1], 60, 1)[TABLES[2]].equals(make_study(TRAIN[1], 60, 2)[TABLES[2]])


def test_templates_cover_twelve_kinds_and_hold_one_of_each_out():
    names = [template.name for template in TEMPLATES]
    assert len(set(names)) == len(names) >= 48
    kinds = {template.category for template in TEMPLATES}
    assert len(kinds) == 12
    assert {template.category for template in TEMPLATES if template.name in UNSEEN} == kinds
    assert set(names) > UNSEEN
    assert sum(template.hard for template in TEMPLATES) >= 15


def test_tasks_are_many_sided(twin: Built):
    tasks = {split: twin.tasks(split) for split in ("train", "test")}
    assert {split: len(found) for split, found in tasks.items()} == {"train": 24, "test": 16}  # as the fixture asks
    trained = {task.template for task in tasks["train"]}
    for split, found in tasks.items():
        assert len({task.view.question for task in found}) == len(found)
        assert len({task.category for task in found}) == 12
        answers = Counter(json.dumps(task.key.reference, sort_keys=True) for task in found)
        assert answers.most_common(1)[0][1] <= max(1, 0.05 * len(found)), split
        for task in found:
            assert task.view.answer_kind == ("program",)
            assert set(task.key.reference) == set(task.key.args["variables"])
            assert all(f"`{name}`" in task.view.question for name in task.key.reference)
            assert "$" not in task.view.question + task.key.gold + task.key.gold_alt
            assert (twin.folder / task.view.data[0].path / "data_mutations.csv").is_file()
    slices = Counter(task.slice for task in tasks["test"])
    assert slices == {"seen": 12, "unseen": 4}
    assert trained.isdisjoint(task.template for task in tasks["test"] if task.slice == "unseen")
    assert {file.name for task in tasks["train"] for file in task.view.data}.isdisjoint(
        file.name for task in tasks["test"] for file in task.view.data)


def test_the_same_request_gives_the_same_bytes(twin: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    request = BuildRequest(seed=9, train=4, test=0, patients=60)
    monkeypatch.chdir(tmp_path)  # the usual root is `data`, relative to where the command runs
    one, other = (get_dataset("biodsbench").build(request, root) for root in (tmp_path / "a", Path("b")))
    assert one.manifest["files"] == other.manifest["files"]
    csv = "nsclc_harrow_2019/data_mutations.csv"
    assert (one.folder / csv).read_bytes() == (other.folder / csv).read_bytes()
    assert one.manifest["packages"] == ["survival"]


def test_bad_requests_are_refused(tmp_path: Path):
    dataset = get_dataset("biodsbench")
    with pytest.raises(UserError, match="unknown option 'labels'"):
        dataset.build(BuildRequest(options={"labels": "x"}), tmp_path)
    with pytest.raises(UserError, match="patients=30000"):
        dataset.build(BuildRequest(patients=30_000), tmp_path)


def test_results_in_other_forms_are_as_right(twin: Built):
    tasks = [task for split in ("train", "test") for task in twin.tasks(split)]
    jobs = [(task, name, program) for task in tasks for name, program in task.key.hints["variants"].items()]
    assert {name for _, name, _ in jobs} == {"other containers", "other order", "records, labels and numpy scalars"}
    found = run_golds([(program, list(task.key.args["variables"])) for task, _, program in jobs], twin.folder, ("survival",))
    for (task, name, program), variables in zip(jobs, found, strict=True):
        grade = assertions.judge(Evidence(kind="program", checks=({"variables": variables},)), task.key)
        assert grade.success, (name, grade, program)


def test_a_gold_program_that_fails_stops_the_build(twin: Built):
    with pytest.raises(Disagreement, match="ZeroDivisionError"):
        run_golds([("x = 1", ["x"]), ("x = 1 / 0", ["x"])], twin.folder, ("survival",))
    found = run_golds([("import pandas as pd\nx = pd.__version__\ny = float('nan')", ["x", "y", "z"])], twin.folder, ("survival",))
    assert found == [{"x": {"t": "str", "v": found[0]["x"]["v"]}, "y": {"t": "float", "v": None}}]
    assert found[0]["x"]["v"].startswith("2.")
    assert pd.__version__.startswith("3.")


def test_an_empty_list_of_records_is_a_table_without_rows():
    assert read({"t": "list", "v": []}, {"kind": "table", "columns": ["PATIENT_ID"]}) == []
