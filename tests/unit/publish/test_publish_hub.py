"""The real client against a hub on a loopback port: one commit with exactly the tree, faults in between, and a second start."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hub_double import TOKEN, Repo
from tenacity import wait_none

from env.errors import InfrastructureError, UserError
from medcopilot.publish.hub import ATTEMPTS, Sent, upload
from medcopilot.publish.tree import tree

ROOT = Path(__file__).resolve().parents[3]
REPO = "lab/agent"


@pytest.fixture
def folder(tmp_path) -> Path:
    """What a staged model looks like to the client."""
    made = tmp_path / "staged"
    made.mkdir()
    (made / "README.md").write_text("---\nlibrary_name: transformers\n---\n\n# agent\n")
    (made / "config.json").write_text("{}")
    (made / "empty.txt").write_text("")
    (made / "model.safetensors").write_bytes(os.urandom(200_000))
    (made / "sub").mkdir()
    (made / "sub" / "notes.txt").write_text("x")
    (made / ".hidden").write_text("stays here")
    return made


def send(folder: Path, **options) -> Sent:
    return upload(folder, tree(folder), REPO, wait=wait_none(), **options)


def contents(folder: Path) -> dict[str, bytes]:
    return {file.path: (folder / file.path).read_bytes() for file in tree(folder)}


def test_one_commit_holds_exactly_the_tree(hub, folder):
    sent = send(folder)
    repo = hub.repos[REPO]
    assert repo.private
    assert repo.files == contents(folder)
    assert repo.large == {"model.safetensors"}
    assert repo.commits == [[file.path for file in tree(folder)]]
    assert ".hidden" not in repo.files
    assert sent == (f"{hub.url}/{REPO}/commit/{1:040x}", True)


def test_the_same_again_sends_and_changes_nothing(hub, folder):
    send(folder)
    hub.requests.clear()
    send(folder)
    assert len(hub.repos[REPO].commits) == 1
    assert not hub.sent("PUT /lfs/")
    assert not hub.sent("/commit/")


def test_only_what_changed_is_sent(hub, folder):
    send(folder)
    hub.requests.clear()
    (folder / "config.json").write_text('{"a": 1}')
    send(folder)
    assert hub.repos[REPO].commits[1] == ["config.json"]
    assert not hub.sent("PUT /lfs/")


@pytest.mark.parametrize("where", ["repos/create", "preupload", "objects/batch", "PUT /lfs/", "/commit/"])
@pytest.mark.parametrize("status", [500, 503])
def test_a_server_error_is_tried_again(hub, folder, where, status):
    hub.faults.append((where, status))
    send(folder)
    assert hub.faults == []
    assert hub.repos[REPO].files == contents(folder)
    assert len(hub.repos[REPO].commits) == 1


def test_a_commit_whose_reply_is_lost_is_not_made_twice(hub, folder):
    hub.lose_reply_of_commit = True
    send(folder)
    assert len(hub.repos[REPO].commits) == 1
    assert hub.repos[REPO].files == contents(folder)


def test_a_hub_that_stays_down_is_one_sentence(hub, folder):
    hub.faults += [("/commit/", 502)] * ATTEMPTS
    told = []
    with pytest.raises(InfrastructureError, match=r"answered 502, 5 times: run the same command again") as refusal:
        send(folder, tell=told.append)
    assert isinstance(refusal.value, UserError)  # exit code 2
    assert len(told) == ATTEMPTS - 1
    hub.requests.clear()
    send(folder)
    assert not hub.sent("PUT /lfs/")  # the weights had arrived


def test_nobody_listens(hub, folder, monkeypatch):
    from huggingface_hub import constants

    hub.close()
    with pytest.raises(InfrastructureError, match="no connection to http://127"):
        send(folder)
    assert hub.url == constants.ENDPOINT


def test_a_wrong_token_is_one_sentence_without_the_token(hub, folder, monkeypatch, capfd):
    monkeypatch.setenv("HF_TOKEN", "hf_" + "wrong" * 7)
    with pytest.raises(UserError, match="does not accept the token") as refusal:
        send(folder)
    said = "".join(capfd.readouterr())
    assert "wrongwrong" not in str(refusal.value) + said
    assert "\n" not in str(refusal.value)
    assert hub.repos == {}


@pytest.mark.parametrize("where", ["repos/create", "preupload", "/commit/"])
def test_a_token_without_the_right_is_one_sentence(hub, folder, where):
    hub.faults += [(where, 403)] * 2
    with pytest.raises(UserError, match="may not write there") as refusal:
        send(folder)
    assert "\n" not in str(refusal.value)
    assert not any(repo.commits for repo in hub.repos.values())


def test_without_a_token_nothing_is_asked(hub, folder, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr("medcopilot.publish.hub.get_token", lambda: None)
    with pytest.raises(UserError, match="hf auth login"):
        send(folder)
    assert hub.requests == []


def test_a_public_repository_is_refused_where_private_was_meant(hub, folder):
    hub.repos[REPO] = Repo(private=False, files={"README.md": b"old"})
    with pytest.raises(UserError, match="is public: add --public"):
        send(folder)
    assert hub.repos[REPO].commits == []
    send(folder, public=True)
    assert hub.repos[REPO].files == contents(folder)


def test_public_is_public(hub, folder):
    assert not send(folder, public=True).private
    assert not hub.repos[REPO].private


def test_weights_of_an_older_form_go_and_other_files_stay(hub, folder):
    hub.repos[REPO] = Repo(private=True, files={"pytorch_model.bin": b"old", "model-00001-of-00002.safetensors": b"old",
                                                "notes.md": b"mine"})
    send(folder)
    assert hub.repos[REPO].files == {**contents(folder), "notes.md": b"mine"}


@pytest.mark.parametrize("name", ["agent", "a/b/c", "lab/", "lab/ag ent", "-lab/--x", "../x"])
def test_odd_names_are_refused(folder, name):
    with pytest.raises(UserError, match="OWNER/NAME"):
        upload(folder, [], name)


@pytest.mark.slow
def test_killed_in_the_middle_the_same_command_goes_on(hub, tmp_path):
    """The command itself, in a process of its own, killed while the second large file is on its way."""
    import hashlib

    import pyarrow
    import pyarrow.parquet

    data = tmp_path / "rows"
    data.mkdir()
    (data / "README.md").write_text("---\nlicense: apache-2.0\n---\n\n# rows\n")
    for name in ("a", "b"):
        rows = [{"dataset": "medcalcbench", "licence": "synthetic", "text": f"{name}{i}"} for i in range(50)]
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), data / f"{name}.parquet")
    first, second = (hashlib.sha256((data / f"{name}.parquet").read_bytes()).hexdigest() for name in ("a", "b"))
    hub.stall = second
    environment = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HUB_DISABLE_XET": "1", "HF_HUB_OFFLINE": "0", "HF_TOKEN": TOKEN,
                   "PYTHONPATH": str(ROOT), "HF_HOME": str(tmp_path / "hf")}
    words = [sys.executable, "-m", "medcopilot.cli.main", "publish", str(data), "--type", "dataset", "--repo-id", REPO,
             "--json", str(tmp_path / "done.json")]
    process = subprocess.Popen(words, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        assert hub.arriving.wait(120)
        while first not in hub.objects:  # five threads upload: the other file may come after
            assert process.poll() is None
    finally:
        process.kill()
        process.communicate()
    assert hub.repos[REPO].commits == []
    hub.stall = ""
    hub.requests.clear()
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr
    assert hub.sent("PUT /lfs/") == [f"PUT /lfs/{second}"]
    shown = json.loads((tmp_path / "done.json").read_text())
    assert {file["path"]: file["sha256"] for file in shown["files"]} == \
        {path: hashlib.sha256(body).hexdigest() for path, body in hub.repos[REPO].files.items()}
    assert TOKEN not in done.stdout + done.stderr
    refused = subprocess.run(words, cwd=ROOT, env={**environment, "HF_TOKEN": "hf_" + "y" * 34}, capture_output=True, text=True,
                             timeout=180, check=False)
    assert refused.returncode == 2
    assert refused.stderr.startswith("medcopilot: lab/agent: the hub does not accept the token (401)")
    assert refused.stderr.count("\n") == 1
