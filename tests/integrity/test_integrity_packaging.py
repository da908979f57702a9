"""What is installed is what is written: packages, package data, lock file, licence."""

from __future__ import annotations

import importlib
import re
import subprocess
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

import medcopilot

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES = ("medcopilot", "env", "rewards")


def lock() -> dict[str, str]:
    lines = [line for name in ("cpu.txt", "deepspeed.txt") for line in (ROOT / "requirements" / name).read_text().splitlines()]
    pins = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in pins}


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


@pytest.mark.parametrize("text", [*PROJECT["project"]["dependencies"], *PROJECT["project"]["optional-dependencies"]["dev"]])
def test_the_lock_file_satisfies_the_declared_bounds(text):
    requirement = Requirement(text)
    name = re.sub(r"[-_.]+", "-", requirement.name).lower()
    assert requirement.specifier.contains(Version(lock()[name]))


def test_the_environment_is_the_locked_one():
    def public(name):
        return metadata.version(name).partition("+")[0]

    different = {name: (public(name), pin) for name, pin in lock().items() if public(name) != pin}
    assert different == {}


def test_torch_is_pinned_for_every_index():
    assert "+" not in lock()["torch"]


def test_the_licence_is_apache_2():
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text
    assert PROJECT["project"]["license"] == "Apache-2.0"
