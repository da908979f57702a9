"""The Docker image holds this checkout's code and nothing that lies beside it; its containers may do no more than boxes need."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from env.sandbox.seccomp import container_profile

ROOT = Path(__file__).resolve().parents[2]


def allowed() -> set[str]:
    """Top-level names that the build context has."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*", "everything is left out but what is named"
    return {rule[1:] for rule in rules if rule.startswith("!")}


def test_the_filter_of_the_container_is_that_of_the_docker_backend():
    assert json.loads((ROOT / "docker" / "seccomp.json").read_text()) == container_profile()


def test_the_image_has_every_folder_of_code_and_no_other():
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    assert allowed() == {name.partition("/")[0] for name in listed.stdout.splitlines() if (ROOT / name).exists()}


def test_what_sets_the_environment_up_is_there_before_it_is_set_up():
    """`make` compares a digest of these files with the one that `.ci/setup` has left: were one missing, it would set up again."""
    before, _, _ = (ROOT / "docker" / "Dockerfile").read_text().partition("&& PIP_NO_CACHE_DIR=1 .ci/setup")
    copied = {word for line in before.splitlines() if line.startswith("COPY") for word in line.split()[1:-1]}
    ready = re.search(r"cat (.+?) \| sha256sum", (ROOT / "Makefile").read_text())
    assert ready is not None
    assert [name for name in ready[1].split() if not {name, name.partition("/")[0]} & copied] == []
