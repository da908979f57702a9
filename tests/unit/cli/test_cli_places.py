"""Places that options name are looked at before anything heavy is done."""

import inspect
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from env.errors import UserError
from env.files import atomic_write
from medcopilot.cli.main import app
from medcopilot.cli.places import no_folder


def refusal(*words: str) -> str:
    error = CliRunner().invoke(app, list(words)).exception
    assert isinstance(error, UserError), error
    assert "\n" not in str(error)
    return str(error)


def test_a_folder_is_no_file_to_write(tmp_path: Path) -> None:
    for place in (Path("/"), tmp_path):
        with pytest.raises(UserError, match="is a folder"):
            atomic_write(place, "x")
        with pytest.raises(UserError, match="name a file"):
            no_folder(place)
    assert no_folder(tmp_path / "new.json") == tmp_path / "new.json"
    assert list(tmp_path.iterdir()) == []


def test_every_command_that_writes_json_refuses_a_folder() -> None:
    groups = [app, *(group.typer_instance for group in app.registered_groups)]
    files = 0
    for command in (command for group in groups for command in group.registered_commands):
        for parameter in inspect.signature(command.callback, eval_str=True).parameters.values():
            option = next(iter(getattr(parameter.annotation, "__metadata__", ())), None)
            # typer takes the first name of an annotated option for its default
            if getattr(option, "default", None) == "--json" and "Path" in str(parameter.annotation):
                assert option.callback is no_folder, command.callback
                files += 1
    assert files > 15


def test_publish_looks_at_the_path_before_it_loads_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("model_folder", "data_folder", "hub", "tree"):
        monkeypatch.setitem(sys.modules, f"medcopilot.publish.{name}", None)  # to import one of them now fails
    rows = tmp_path / "rows.jsonl"
    rows.write_text("{}\n")
    assert "there is no such folder" in refusal("publish", "/nowhere")
    assert "publish rows with --type dataset" in refusal("publish", str(rows))
    assert "there is no such file or folder" in refusal("publish", "/nowhere", "--type", "dataset")
