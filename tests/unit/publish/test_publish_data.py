"""Data sets: what is staged, what is refused, and that nothing is sent unasked."""

from __future__ import annotations

import json

import pytest
from huggingface_hub import DatasetCard
from typer.testing import CliRunner

from env.datasets.base import BuildRequest
from env.datasets.registry import get_dataset
from env.errors import AgreementError, UserError
from env.files import file_digest
from medcopilot.cli.main import app
from medcopilot.data.rows import Card, write_rows
from medcopilot.publish.data_folder import file_tags, stage_data
from medcopilot.publish.tree import show, tree

PERMIT = "- {{dataset: {name}, exit: hub, allowed: true, who: Jane Doe, date: 2026-11-03}}\n"


def rows(licence: str | None = "synthetic", count: int = 3) -> list[dict]:
    tag = {} if licence is None else {"licence": licence}
    return [{"input_ids": [i, 2], "labels": [-100, 2], "dataset": "eicu", **tag} for i in range(count)]


def export(path, body):
    card = Card(kind="sft", digest="d" * 16, rows=len(body), tokens=6, trained_tokens=3, tokenizer="t" * 16,
                runs=["/srv/private/runs/expert"], skipped={"failed": 2})
    write_rows(path, body, card)
    return path


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_exported_rows_get_a_card_that_the_hub_reads(tmp_path, suffix):
    files = stage_data(export(tmp_path / f"sft{suffix}", rows()), tmp_path / "out", "sft-rows", "apache-2.0")
    assert [file.path for file in files] == ["README.md", f"data/train{suffix}", f"data/train{suffix}.card.json"]
    card = DatasetCard.load(tmp_path / "out" / "README.md")
    assert card.data.license == "apache-2.0"
    assert card.data.configs == [{"config_name": "default", "data_files": [{"split": "train", "path": f"data/train{suffix}"}]}]
    assert "| eicu | synthetic | 3 |" in card.text
    assert "Not for clinical care" in card.text
    assert file_tags(tmp_path / "out" / "data" / f"train{suffix}") == {("eicu", "synthetic"): 3}
    assert not any(b"/srv/private" in (tmp_path / "out" / file.path).read_bytes() for file in files)


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_one_restricted_row_is_enough(tmp_path, permissions, suffix):
    path = export(tmp_path / f"sft{suffix}", [*rows(), *rows("PhysioNet-credentialed", 1)])
    with pytest.raises(AgreementError, match="rows of eicu"):
        stage_data(path, tmp_path / "out", "x")
    assert not (tmp_path / "out").exists()
    permissions.write_text(PERMIT.format(name="eicu"))
    assert stage_data(path, tmp_path / "out", "x")


def test_of_two_tags_the_restricted_one_counts(tmp_path):
    path = export(tmp_path / "sft.jsonl", [{**row, "license": "PhysioNet-credentialed"} for row in rows()])
    with pytest.raises(AgreementError, match="rows of eicu"):
        stage_data(path, tmp_path / "out", "x")


def test_rows_without_a_tag_are_refused_until_somebody_answers_for_them(tmp_path, permissions):
    path = export(tmp_path / "sft.jsonl", rows(None))
    with pytest.raises(AgreementError, match=r"no licence tag.*export them again") as refusal:
        stage_data(path, tmp_path / "out", "x")
    name = str(refusal.value).partition("{dataset: ")[2].partition(",")[0]
    permissions.write_text(PERMIT.format(name=name))
    assert stage_data(path, tmp_path / "out", "x")
    write_rows(path, rows(None, 4), Card(kind="sft", digest="", rows=4, tokens=0, trained_tokens=0, tokenizer=""))
    with pytest.raises(AgreementError):  # other rows, another name
        stage_data(path, tmp_path / "out", "x")


def test_the_rows_count_and_not_the_card(tmp_path):
    path = export(tmp_path / "sft.jsonl", rows("Stanford-EHRSHOT"))
    card = json.loads((tmp_path / "sft.jsonl.card.json").read_text())
    (tmp_path / "sft.jsonl.card.json").write_text(json.dumps({**card, "licences": {"synthetic": 3}}))
    with pytest.raises(AgreementError):
        stage_data(path, tmp_path / "out", "x")


def test_a_folder_with_a_card_is_taken_as_it_is(tmp_path):
    source = tmp_path / "hf"
    export(source / "data" / "train.parquet", rows())
    (source / "README.md").write_text("---\nlicense: cc-by-4.0\n---\n\n# mine\n")
    (source / ".cache").mkdir()
    (source / ".cache" / "x").write_text("x")
    files = stage_data(source, tmp_path / "out", "x")
    card = "data/train.parquet.card.json"
    assert [file for file in files if file.path != card] == [file for file in tree(source) if file.path != card]
    assert json.loads((tmp_path / "out" / card).read_text())["runs"] == ["runs/expert"]
    assert ".cache/x" not in show(files)


@pytest.mark.parametrize("spoil", ["card", "empty", "torn", "link", "bare", "csv"])
def test_folders_that_are_not_right_are_refused(tmp_path, spoil):
    source = tmp_path / "hf"
    export(source / "train.jsonl", rows())
    (source / "README.md").write_text("---\nlicense: cc-by-4.0\n---\n")
    if spoil == "card":
        (source / "README.md").write_text("---\nlicense: [\n---\n")
    elif spoil == "empty":
        (source / "train.jsonl").unlink()
    elif spoil == "torn":
        (source / "train.jsonl").write_text('{"a": 1}\n{"a"')
    elif spoil == "link":
        (source / "more.jsonl").symlink_to(source / "train.jsonl")
    elif spoil == "csv":
        (source / "patients.csv").write_text("subject_id\n1\n")
    else:
        (source / "README.md").unlink()
    with pytest.raises(UserError) as refusal:
        stage_data(source, tmp_path / "out", "x")
    assert str(source) in str(refusal.value)
    assert not (tmp_path / "out").exists()


def twins(folder, licences=("synthetic",), **changes):
    """A task set as a build leaves it: tasks, their keys, and tables, one of them in a folder."""
    for place in ("blocks/0", ".values"):
        (folder / place).mkdir(parents=True, exist_ok=True)
    views = [{"view": {"id": str(i), "dataset": "eicu"}, "licence": licence} for i, licence in enumerate(licences)]
    (folder / "train.views.jsonl").write_text("".join(json.dumps(view) + "\n" for view in views))
    (folder / "train.keys.jsonl").write_text("".join(json.dumps({"id": view["view"]["id"], "key": {}}) + "\n" for view in views))
    (folder / "train.sqlite").write_bytes(b"tables")
    (folder / "blocks" / "0" / "labels.csv").write_text("id\n1\n")
    named = ("blocks/0/labels.csv", "train.keys.jsonl", "train.sqlite", "train.views.jsonl")
    manifest = {"dataset": "eicu", "licence": " AND ".join(sorted(set(licences))), "counts": {"train": len(licences)},
                "request": {"source": None, "seed": 3}, "files": {name: file_digest(folder / name) for name in named}, **changes}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / ".values" / "index").write_text("made when it was played")
    return folder


def test_a_synthetic_task_set_is_published_and_a_real_one_is_not(tmp_path):
    files = stage_data(twins(tmp_path / "built"), tmp_path / "out", "twins")
    assert [file.path for file in files] == ["README.md", "blocks/0/labels.csv", "manifest.json", "train.keys.jsonl",
                                             "train.sqlite", "train.views.jsonl"]
    assert "canary" in (tmp_path / "out" / "README.md").read_text()
    twins(tmp_path / "built", request={"source": "/data/eicu"})
    with pytest.raises(UserError, match="real source"):
        stage_data(tmp_path / "built", tmp_path / "out", "twins")


@pytest.mark.parametrize("name", ["medcalcbench", "biodsbench"])
def test_what_a_build_leaves_is_published_whole_and_nothing_beside_it(tmp_path, name):
    """Tables in folders of their own included."""
    built = get_dataset(name).build(BuildRequest(train=4, test=4, patients=60), tmp_path / "data").folder
    whole = {path.relative_to(built).as_posix() for path in built.rglob("*") if path.is_file()}
    assert {file.path for file in stage_data(built, tmp_path / "out", "twins")} == {*whole, "README.md"}
    table = next((path for path in built.rglob("*.csv")), None)
    beside = (table.parent if table else built / "notes") / "patients.csv"
    beside.parent.mkdir(exist_ok=True)
    beside.write_text("subject_id\n1\n")
    with pytest.raises(UserError, match=r"patients\.csv: not one of the files that were built"):
        stage_data(built, tmp_path / "out", "twins")
    beside.unlink()
    with (built / "test.views.jsonl").open("a") as handle:
        handle.write(json.dumps({"id": "x", "licence": "PhysioNet Credentialed Health Data License 1.5.0"}) + "\n")
    with pytest.raises(AgreementError, match=f"rows of {name}"):
        stage_data(built, tmp_path / "again", "twins")
    assert not (tmp_path / "again").exists()


def test_the_tasks_own_tags_count_and_not_the_manifest_alone(tmp_path, permissions):
    built = twins(tmp_path / "built", ("synthetic", "PhysioNet-credentialed"), licence="synthetic")
    with pytest.raises(AgreementError, match=r"rows of eicu \(PhysioNet-credentialed\)"):
        stage_data(built, tmp_path / "out", "twins")
    permissions.write_text(PERMIT.format(name="PhysioNet-credentialed"))
    twins(built, ("synthetic", "PhysioNet-credentialed"))
    stage_data(built, tmp_path / "out", "twins")
    card = (tmp_path / "out" / "README.md").read_text()
    assert "| eicu | synthetic | 1 |" in card
    assert "| eicu | PhysioNet-credentialed | 1 |" in card
    permissions.unlink()
    for changes in ({"licence": "PhysioNet-credentialed"}, {"licence": ""}):
        twins(built, **changes)
        with pytest.raises(AgreementError):
            stage_data(built, tmp_path / "out", "twins")
    twins(built, ("synthetic", ""), licence="synthetic")
    with pytest.raises(AgreementError, match="no licence tag"):
        stage_data(built, tmp_path / "out", "twins")


def test_a_key_that_carries_a_tag_goes_through_the_gate(tmp_path):
    built = twins(tmp_path / "built")
    with (built / "train.keys.jsonl").open("a") as handle:
        handle.write('{"id": "1", "license": "Stanford-EHRSHOT"}\n')
    with pytest.raises(AgreementError, match="rows of eicu"):
        stage_data(built, tmp_path / "out", "twins")


@pytest.mark.parametrize("spoil", ["sqlite", "labels", "lost", "more", "old"])
def test_a_task_set_that_is_not_as_it_was_built_is_refused(tmp_path, spoil):
    built = twins(tmp_path / "built")
    name = {"sqlite": "train.sqlite", "labels": "blocks/0/labels.csv", "lost": "train.sqlite", "more": "more.views.jsonl",
            "old": "manifest.json"}[spoil]
    if spoil == "lost":
        (built / name).unlink()
    elif spoil == "old":
        manifest = json.loads((built / name).read_text())
        (built / name).write_text(json.dumps({key: value for key, value in manifest.items() if key != "files"}))
    else:
        (built / name).write_text('{"licence": "synthetic"}\n')
    with pytest.raises(UserError) as refusal:
        stage_data(built, tmp_path / "out", "twins")
    assert str(refusal.value).startswith(str(built / name))
    assert not (tmp_path / "out").exists()


def test_a_dry_run_shows_the_commit_and_sends_nothing(hub, tmp_path):
    path = export(tmp_path / "sft.jsonl", rows())
    words = ["publish", str(path), "--type", "dataset", "--repo-id", "lab/rows", "--out", str(tmp_path / "out")]
    shown = CliRunner().invoke(app, [*words, "--dry-run"])
    assert shown.exit_code == 0
    assert "nothing was sent" in shown.output
    assert hub.requests == []
    sent = CliRunner().invoke(app, words)
    assert sent.exit_code == 0
    listed = [line.split()[-1] for line in shown.output.splitlines() if line.startswith(" ") and "bytes in" not in line]
    assert hub.repos["lab/rows"].commits == [listed]
    assert show(tree(tmp_path / "out")) in sent.output


def test_without_a_name_nothing_is_sent(hub, tmp_path):
    done = CliRunner().invoke(app, ["publish", str(export(tmp_path / "sft.jsonl", rows())), "--type", "dataset"])
    assert done.exit_code == 0
    assert hub.requests == []
    assert (tmp_path / "sft.jsonl.publish" / "README.md").is_file()


@pytest.mark.parametrize("out", ["rows", "other"])
def test_a_folder_with_something_else_in_it_is_never_replaced(tmp_path, out):
    """Also where the rows themselves lie in it."""
    for name in ("rows", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "README.md").write_text("mine")
    path = export(tmp_path / "rows" / "sft.jsonl", rows())
    with pytest.raises(UserError, match="would be lost"):
        stage_data(path, tmp_path / out, "x")
    assert (tmp_path / out / "README.md").read_text() == "mine"
    assert stage_data(path, tmp_path / "new", "x") == stage_data(path, tmp_path / "new", "x")
