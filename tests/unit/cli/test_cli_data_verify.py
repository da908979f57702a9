"""`medcopilot data sources` and `data verify`: what is to be fetched, and whether it is still what it was."""

import hashlib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from env.datasets import BuildRequest, dataset_names, get_dataset
from env.datasets.access import ACCESS, written
from medcopilot.cli.main import app

ROOT = Path(__file__).resolve().parents[3]


def call(*words):
    return CliRunner().invoke(app, ["data", *map(str, words)], catch_exceptions=False)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    return root, get_dataset("npowerai").build(BuildRequest(train=20, test=10), root).folder


def test_every_dataset_says_where_its_source_comes_from():
    assert sorted(ACCESS) == sorted(dataset_names())
    said = call("sources").stdout
    assert all(f"\n{name}\n" in "\n" + said for name in dataset_names())
    one = call("sources", "ehrcon").stdout
    assert "physionet.org/content/ehrcon" in one
    assert "Credentialed" in one


def test_the_page_is_written_from_the_same_table():
    page = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
    assert written(page) == page, "python -m env.datasets.access docs/data.md"


def test_an_unharmed_build_passes(built):
    root, folder = built
    done = call("verify", "--root", root)
    assert done.exit_code == 0
    assert f"{folder}: 4 files compared, unharmed" in done.stdout


@pytest.mark.parametrize(("damage", "said"), [
    (lambda folder: (folder / "test.keys.jsonl").unlink(), "test.keys.jsonl is missing"),
    (lambda folder: (folder / "train.views.jsonl").open("a").write("\n{}"), "is not the file that was built"),
])
def test_what_happened_to_a_build_is_said(tmp_path, damage, said):
    folder = get_dataset("npowerai").build(BuildRequest(train=4, test=2), tmp_path).folder
    damage(folder)
    done = call("verify", "npowerai", "--root", tmp_path)
    assert done.exit_code == 1
    assert said in done.stdout
    assert "build again" in done.stdout


def source(tmp_path):
    (tmp_path / "hosp").mkdir()
    (tmp_path / "hosp" / "A.csv").write_text("a,b\n1,2\n")
    (tmp_path / "extra.txt").write_text("x")
    digest = hashlib.sha256(b"a,b\n1,2\n").hexdigest()
    (tmp_path / "SHA256SUMS.txt").write_text(f"{digest} hosp/A.csv\n{'0' * 64} hosp/NOT_FETCHED.csv\n")
    return tmp_path


def test_a_source_is_compared_with_its_published_checksums(tmp_path):
    done = call("verify", "--source", source(tmp_path))
    assert done.exit_code == 0
    assert "1 files compared, unharmed" in done.stdout
    assert "without a checksum: 1, e.g. extra.txt" in done.stdout
    (tmp_path / "hosp" / "A.csv").write_text("a,b\n1,3\n")
    done = call("verify", "--source", tmp_path)
    assert done.exit_code == 1
    assert "A.csv differs from its published checksum: fetch it again" in done.stdout


def test_a_torn_list_of_checksums_is_a_problem(tmp_path):
    (source(tmp_path) / "SHA256SUMS.txt").write_text("<html>not found</html>\n")
    done = call("verify", "--source", tmp_path)
    assert done.exit_code == 1
    assert "SHA256SUMS.txt line 1" in done.stdout


def test_bad_input(tmp_path, monkeypatch):
    from env.errors import UserError

    for words, said in ((("verify", "--source", tmp_path), "no SHA256SUMS.txt"), (("verify", "--root", tmp_path), "not built"),
                        (("verify", "--source", tmp_path / "none"), "is no folder"),
                        (("verify", "mimic_iii", "--source", tmp_path), "leave out mimic_iii"),
                        (("sources", "nothing"), "nothing")):
        with pytest.raises(UserError, match=said):
            call(*words)
