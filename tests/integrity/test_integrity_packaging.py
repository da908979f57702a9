"""What is installed is what is written: packages, package data, recipes, licence."""

from __future__ import annotations

import importlib
import subprocess
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from typer.testing import CliRunner

import medcopilot
from env.errors import UserError
from medcopilot import project
from medcopilot.cli.main import app
from medcopilot.project import FOLDERS, checkout, shared

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES = ("medcopilot", "env", "rewards")


@pytest.mark.parametrize("package", PACKAGES)
def test_every_folder_of_code_is_a_package(package):
    folders = {path.parent for path in (ROOT / package).rglob("*.py")}
    assert [str(folder.relative_to(ROOT)) for folder in folders if not (folder / "__init__.py").exists()] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_every_data_file_is_packaged(package):
    patterns = PROJECT["tool"]["setuptools"]["package-data"].get(package, [])
    covered = {path for pattern in patterns for path in (ROOT / package).glob(pattern)}
    data = {path for path in (ROOT / package).rglob("*")
            if path.is_file() and path.suffix not in (".py", ".pyc") and "__pycache__" not in path.parts}
    assert sorted(str(path.relative_to(ROOT)) for path in data - covered) == []


def test_git_does_not_hide_the_env_package():
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    hidden = subprocess.run(["git", "check-ignore", "env/task.py", "rewards/types.py", "medcopilot/data/__init__.py"], cwd=ROOT,
                            capture_output=True, text=True, check=False)
    assert hidden.stdout == ""


def test_the_console_script_points_at_something():
    module, _, name = PROJECT["project"]["scripts"]["medcopilot"].partition(":")
    assert callable(getattr(importlib.import_module(module), name))


def test_the_version_is_said_once():
    assert metadata.version("medcopilot") == PROJECT["project"]["version"]
    assert getattr(medcopilot, "__version__", PROJECT["project"]["version"]) == PROJECT["project"]["version"]


def test_everything_shared_is_packaged():
    data_files = PROJECT["tool"]["setuptools"]["data-files"]
    covered = {path for patterns in data_files.values() for pattern in patterns for path in ROOT.glob(pattern)}
    there = {path for folder in FOLDERS for path in (ROOT / folder).rglob("*")
             if path.is_file() and "__pycache__" not in path.parts}
    assert sorted(str(path.relative_to(ROOT)) for path in there ^ covered) == []
    for place, patterns in data_files.items():
        assert {f"share/medcopilot/{Path(pattern).parent}" for pattern in patterns} == {place}


def test_shared_files_are_the_checkouts_own_here():
    assert checkout() == shared() == ROOT


def test_an_installation_without_them_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(project, "checkout", lambda: None)
    monkeypatch.setattr(metadata, "files", lambda name: [])
    with pytest.raises(UserError, match="came without its recipes"):
        shared()


def test_the_version_is_an_option():
    said = CliRunner().invoke(app, ["--version"])
    assert (said.exit_code, said.output) == (0, f"medcopilot {medcopilot.__version__}\n")


def test_recipes_are_copied_once(tmp_path):
    assert CliRunner().invoke(app, ["recipes", "--out", str(tmp_path)]).exit_code == 0
    assert (tmp_path / "recipes/nano/sft.yaml").read_bytes() == (ROOT / "recipes/nano/sft.yaml").read_bytes()
    assert (tmp_path / "logs").is_dir()  # of job scripts: Slurm does not make it
    again = CliRunner().invoke(app, ["recipes", "--out", str(tmp_path)])
    assert isinstance(again.exception, UserError)
    assert "is there already" in str(again.exception)
    listed = CliRunner().invoke(app, ["recipes"]).output.splitlines()
    assert listed == [str(path) for path in sorted((ROOT / "recipes").glob("*/*.yaml"))]


def test_the_licence_is_apache_2():
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text
    assert PROJECT["project"]["license"] == "Apache-2.0"
