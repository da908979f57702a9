"""Package sets: seen by the boxes that ask for them, at the versions of their locks, in every kind of box."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from boxes import run

from env.errors import UserError
from env.sandbox import packages
from env.sandbox.backend import WorkerBackend
from env.sandbox.base import BoxSpec, Program
from env.sandbox.zygote import profile_of
from env.task import Limits

PROGRAMS = {
    "bio": """
import networkx, pysam
from Bio.Seq import Seq
from Bio import __version__ as biopython
answer = [str(Seq('ATGC').reverse_complement()), networkx.shortest_path_length(networkx.path_graph(4), 0, 3),
          {'biopython': biopython, 'pysam': pysam.__version__}]
""",
    "survival": """
import lifelines, pandas
fitted = lifelines.KaplanMeierFitter().fit([1, 2, 3, 4], [1, 1, 0, 1])
answer = [round(float(fitted.survival_function_.iloc[2, 0]), 6), float(fitted.median_survival_time_),
          {'lifelines': lifelines.__version__, 'pandas': pandas.__version__}]
""",
    "plots": """
import matplotlib.pyplot, os, seaborn
seaborn.barplot(x=['a', 'b'], y=[1, 2])
matplotlib.pyplot.savefig('figure.png')
answer = [os.path.getsize('figure.png') > 1000, matplotlib.get_backend().lower(), {'seaborn': seaborn.__version__}]
""",
    "oncoprint": """
import importlib.metadata, PyComplexHeatmap
answer = [PyComplexHeatmap.oncoPrint.oncoPrintPlotter.__name__, {'palettable': importlib.metadata.version('palettable')}]
""",
}
EXPECTED = {"bio": ["GCAT", 3], "survival": [0.5, 2.0], "plots": [True, "agg"], "oncoprint": ["oncoPrintPlotter"]}
LIMITS = Limits(exec_seconds=60.0)


@pytest.fixture(autouse=True)
def installed() -> None:
    missing = [name for name in packages.SETS if not packages.is_installed(name)]
    if missing:
        pytest.skip(f"package sets {', '.join(missing)} are not installed: run `medcopilot sandbox packages`")


@pytest.mark.parametrize("name", packages.SETS)
def test_a_box_sees_its_set_at_the_locked_versions(backend: WorkerBackend, name: str) -> None:
    for _ in range(2):  # the first box of a kind may be made in another way than the later ones
        result = run(backend, BoxSpec(limits=LIMITS, packages=(name,)), PROGRAMS[name])
        assert result.has_value, result
        *found, versions = result.value
        assert found == EXPECTED[name]
        assert versions == {package: packages.pins(name)[package] for package in versions}


def test_other_boxes_do_not(backend: WorkerBackend) -> None:
    source = ("import importlib.util as u\n"
              "answer = [bool(u.find_spec(n)) for n in ('lifelines', 'Bio', 'pysam', 'seaborn', 'pandas')]")
    assert run(backend, BoxSpec(), source).value == [False] * 4 + [True]
    assert run(backend, BoxSpec(packages=("bio",)), source).value == [False, True, True, False, True]
    two = run(backend, BoxSpec(packages=("plots", "survival")), source + "\nimport pandas\nanswer.append(pandas.__version__)").value
    assert two == [True, False, False, True, True, packages.pins("survival")["pandas"]]


def test_the_record_holds_all_versions(backend: WorkerBackend) -> None:
    described = backend.describe()["packages"]
    assert set(described) == {"base", *packages.SETS}
    assert described["survival"]["lifelines"] == packages.pins("survival")["lifelines"]
    answer = run(backend, BoxSpec(), "import numpy, pandas, scipy\nanswer = [m.__version__ for m in (numpy, pandas, scipy)]").value
    assert answer == [described["base"][name] for name in ("numpy", "pandas", "scipy")]


def test_a_set_that_is_not_there_is_refused_with_the_cure(backend: WorkerBackend, monkeypatch: pytest.MonkeyPatch,
                                                          tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist: use bio, survival, plots, oncoprint"):
        backend.open(BoxSpec(packages=("biology",)))
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(UserError, match=r"run `medcopilot sandbox packages bio`"):
        backend.open(BoxSpec(packages=("bio",)))
    (tmp_path / "packages" / "bio").mkdir(parents=True)
    (tmp_path / "packages" / "bio" / ".lock").write_text("of an older lock")
    assert not packages.is_installed("bio")


def test_without_an_environment_of_ones_own_a_set_lies_in_the_users_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = []

    def pip(command: list[str], **options: object) -> subprocess.CompletedProcess[str]:
        asked.append(command)
        (Path(command[command.index("--target") + 1]) / "Bio").mkdir()
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", pip)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "system"))
    monkeypatch.setattr(sys, "base_prefix", str(tmp_path / "system"))
    place = packages.install("bio")
    assert place.parent == tmp_path / "cache" / "medcopilot" / "packages"
    assert packages.site_folders(["bio"]) == (str(place),)
    assert (place / "Bio").is_dir()
    monkeypatch.setattr(sys, "base_prefix", str(tmp_path))  # a virtual environment takes what the user has already
    assert packages.install("bio") == place
    (tmp_path / "system").mkdir()
    assert packages.install("plots") == tmp_path / "system" / "packages" / "plots"
    assert len(asked) == 2


def test_an_environment_without_pip_is_told_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match="-m ensurepip"):
        packages.install("bio")


def test_locks_pin_every_package() -> None:
    for name in packages.SETS:
        assert packages.pins(name)
        assert all(version and version[0].isdigit() for version in packages.pins(name).values())


@pytest.mark.parametrize(("source", "profile"), [
    ("from lifelines import CoxPHFitter\nimport matplotlib", "survival"), ("from Bio import SeqIO", "bio"),
    ("import seaborn as sns", "plots"),
    ("import numpy as np, sklearn.svm", "science"), ("import pandas", "pandas"), ("import json", "base")])
def test_a_program_chooses_its_zygote(source: str, profile: str) -> None:
    assert profile_of(Program(source=source)) == profile
