"""`medcopilot data sources` and `data verify`: what is to be fetched, and whether it is still what it was."""

import hashlib
import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from env.datasets import BuildRequest, dataset_names, get_dataset
from env.datasets.access import ACCESS, written
from env.value_index import FOLDER
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


def test_the_index_that_playing_leaves_is_no_file_of_the_build(built):
    root, folder = built
    (folder / FOLDER).mkdir()
    (folder / FOLDER / "index").write_text("made when it was played")
    assert "without a checksum" not in call("verify", "--root", root).stdout


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


@pytest.mark.parametrize(("name", "form"), [("A.csv.md5", "{md5}\n"), ("CHECKS.md5", "MD5 (A.csv) = {md5}\n"),
                                            ("A.csv.sha256", "{sha256} *A.csv\n"), ("SHA256SUMS", "SHA256 (A.csv) = {sha256}\n")])
def test_checksums_are_read_in_every_usual_form(tmp_path, name, form):
    place = source(tmp_path) / "hosp"
    whole = (place / "A.csv").read_bytes()
    (place / name).write_text(form.format(md5=hashlib.md5(whole).hexdigest(), sha256=hashlib.sha256(whole).hexdigest()))
    (tmp_path / "SHA256SUMS.txt").unlink()
    assert "1 files compared, unharmed" in call("verify", "--source", tmp_path).stdout
    (place / "A.csv").write_text("a,b\n1,3\n")
    assert "A.csv differs from its published checksum" in call("verify", "--source", tmp_path).stdout


def test_a_torn_list_of_checksums_is_a_problem(tmp_path):
    (source(tmp_path) / "SHA256SUMS.txt").write_text("<html>not found</html>\n")
    done = call("verify", "--source", tmp_path)
    assert done.exit_code == 1
    assert "SHA256SUMS.txt line 1" in done.stdout


def test_bad_input(tmp_path, monkeypatch):
    from env.errors import UserError

    for words, said in ((("verify", "--source", tmp_path), "no SHA256SUMS.txt"), (("verify", "--root", tmp_path), "is built there"),
                        (("verify", "--source", tmp_path / "none"), "is no folder"),
                        (("verify", "mimic_iii", "--source", tmp_path), "leave out mimic_iii"),
                        (("sources", "nothing"), "nothing")):
        with pytest.raises(UserError, match=said):
            call(*words)


def rows(tmp_path, *, digest=""):
    """BioCoder's rows, one of which can be graded, and a checksum file where `digest` is given."""
    row = {"problem": "p", "solution": "def f():\n    return 1", "context": "<<insert solution here>>\nprint(f())",
           "signature": "f()"}
    text = json.dumps(row) + "\n"
    (tmp_path / "test_tasks.jsonl").write_text(text)
    if digest:
        true = hashlib.sha256(text.encode()).hexdigest()
        (tmp_path / "SHA256SUMS.txt").write_text(f"{true if digest == 'true' else digest} test_tasks.jsonl\n")
    return tmp_path


def test_a_build_compares_its_source_first(tmp_path):
    (tmp_path / "source").mkdir()
    where = rows(tmp_path / "source", digest="true")
    done = call("build", "biocoder", "--source", where, "--root", tmp_path / "data")
    assert "terms of the source" in done.stderr
    assert "1 files compared with their published checksums, unharmed; 0 without one" in done.stderr
    again = call("build", "biocoder", "--source", where, "--root", tmp_path / "data")
    assert "compared" not in again.stderr  # what is there is not rebuilt


def test_a_build_of_a_harmed_source_stops_before_it_begins(tmp_path):
    from env.errors import UserError

    (tmp_path / "source").mkdir()
    where = rows(tmp_path / "source", digest="0" * 64)
    with pytest.raises(UserError, match="differs from its published checksum: fetch it again") as refusal:
        call("build", "biocoder", "--source", where, "--root", tmp_path / "data")
    assert "\n" not in str(refusal.value)
    assert not list(tmp_path.glob("data/*/*"))


def test_a_build_says_that_there_is_no_checksum(tmp_path):
    (tmp_path / "source").mkdir()
    where = rows(tmp_path / "source")
    for place in (where, where / "test_tasks.jsonl"):
        assert f"lies in {place}: nothing was compared" in call("build", "biocoder", "--source", place, "--root",
                                                                  tmp_path / place.name).stderr


@pytest.mark.parametrize("name", sorted(ACCESS))
def test_what_an_empty_folder_lacks_is_said_as_the_page_says_it(tmp_path, name):
    """Addresses in a refusal are those of `data sources`, and its files are named there."""
    from env.errors import UserError

    (tmp_path / "source").mkdir()
    with pytest.raises(UserError) as refusal:
        get_dataset(name).build(BuildRequest(source=tmp_path / "source"), tmp_path / "data")
    said = str(refusal.value).replace(str(tmp_path), "")
    access = ACCESS[name]
    known = " ".join([*(address for _, address in access.fetch), access.folder, access.open_part])
    for address in re.findall(r"[\w.]+\.(?:com|org|edu)/[\w.-]+(?:/[\w.-]+)?", said):
        assert address.rstrip(".") in known, said
    assert "physionet.org)" not in said


def test_every_dataset_that_is_not_built_is_named(built, tmp_path):
    from env.errors import UserError

    with pytest.raises(UserError, match="no dataset is built there: run `medcopilot data build` first"):
        call("verify", "--root", tmp_path)
    with pytest.raises(UserError, match="eicu is not built there: run `medcopilot data build eicu` first"):
        call("verify", "npowerai", "eicu", "--root", built[0])
