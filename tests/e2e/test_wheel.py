"""The wheel and the sdist hold what the installed program needs and nothing else, and the program runs without the checkout.

Shows: the packages, their data and the recipes arrive; no command looks for the checkout. The clean environment is a new one with
the wheel alone; its dependencies are those of the environment that runs the test, which lie behind it on its path (a `.pth` file),
so that nothing is downloaded. Not shown: that pip finds these dependencies by the wheel's metadata (`make lock` resolves every
extra, `make setup` installs them), and `medcopilot sandbox packages`, which downloads.
"""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path
from typing import NamedTuple

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("medcopilot", "env", "rewards")
SHARED = ("recipes", "accelerate_configs", "slurm")
_BUILD = "import sys, setuptools.build_meta as backend; print(getattr(backend, sys.argv[1])(sys.argv[2]))"


class Built(NamedTuple):
    wheel: Path
    sdist: Path
    again: Path
    """The wheel that the sdist makes."""


def tracked(*folders: str) -> set[str]:
    listed = subprocess.run(["git", "ls-files", "-z", *folders], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return set(listed.strip("\0").split("\0"))


def build(kind: str, source: Path, out: Path) -> Path:
    """What `pip wheel` and `python -m build` do, by the backend of this environment."""
    out.mkdir(exist_ok=True)
    done = subprocess.run([sys.executable, "-c", _BUILD, f"build_{kind}", str(out)], cwd=source, capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    return out / done.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    folder = tmp_path_factory.mktemp("built")
    source = folder / "source"
    for name in tracked():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes((ROOT / name).read_bytes())
    sdist = build("sdist", source, folder / "sdist")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder / "unpacked", filter="data")
    [unpacked] = (folder / "unpacked").iterdir()
    return Built(build("wheel", source, folder / "wheel"), sdist, build("wheel", unpacked, folder / "again"))


class Installed(NamedTuple):
    """The wheel in an environment of its own, and an empty folder far from the checkout."""

    python: Path
    here: Path

    def run(self, *words: object, code: int = 0) -> str:
        environment = {"PATH": f"{self.python.parent}:/usr/local/bin:/usr/bin:/bin", "HOME": str(self.here.parent / "home"),
                       "COLUMNS": "200", "OMP_NUM_THREADS": "1", "LANG": "C.UTF-8"}
        done = subprocess.run([str(word) for word in words], cwd=self.here, env=environment, capture_output=True, text=True,
                              timeout=900, check=False)
        assert done.returncode == code, f"{words}\n{done.stdout[-2000:]}{done.stderr[-3000:]}"
        return done.stdout + done.stderr

    def medcopilot(self, *words: object, code: int = 0) -> str:
        return self.run("medcopilot", *words, code=code)


@pytest.fixture(scope="module")
def installed(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("clean")
    venv.create(folder / "venv", symlinks=True)
    python = folder / "venv" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index",
                    str(built.wheel)], check=True)
    site = subprocess.run([str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], capture_output=True,
                          text=True, check=True).stdout.strip()
    # a plain line adds the folder; the editable install's own .pth file in there is not read
    (Path(site) / "zz-dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    (folder / "here").mkdir()
    return Installed(python, folder / "here")


def names(wheel: Path) -> dict[str, int]:
    """Name -> checksum of its files; what pip puts below `share/medcopilot` has its name in the checkout."""
    with zipfile.ZipFile(wheel) as archive:
        files = {info.filename: info.CRC for info in archive.infolist() if not info.is_dir()}
    return {name.rpartition(".data/data/share/medcopilot/")[2]: crc for name, crc in files.items() if ".dist-info/" not in name}


def test_the_wheel_holds_the_packages_and_the_recipes_and_nothing_else(built: Built) -> None:
    assert set(names(built.wheel)) == tracked(*PACKAGES, *SHARED)


def test_the_sdist_holds_the_same_and_makes_the_same_wheel(built: Built) -> None:
    with tarfile.open(built.sdist) as archive:
        held = {member.name.partition("/")[2] for member in archive.getmembers() if member.isfile()}
    made = {name for name in held if name.startswith("medcopilot.egg-info/")} | {"PKG-INFO", "setup.cfg"}
    assert held - made == tracked(*PACKAGES, *SHARED, "LICENSE", "README.md", "pyproject.toml")
    assert names(built.again) == names(built.wheel)


def test_the_metadata_says_what_it_is(built: Built) -> None:
    with zipfile.ZipFile(built.wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        text = archive.read(name).decode()
        points = archive.read(name.replace("METADATA", "entry_points.txt")).decode()
    head, _, description = text.partition("\n\n")
    assert "License-Expression: Apache-2.0" in head
    assert "Requires-Python: <3.13,>=3.11" in head
    assert description.startswith("# Med-Copilot")
    assert {"[console_scripts]", "[vllm.general_plugins]", "[inspect_ai]"} <= set(points.splitlines())


def test_it_is_the_wheel_that_runs(installed: Installed) -> None:
    script = ("import medcopilot, env, rewards, sys\nfor package in (medcopilot, env, rewards): print(package.__file__)\n"
              "print(*sys.path, sep='\\n')")
    said = installed.run(installed.python, "-c", script).splitlines()
    assert all(line.startswith(str(installed.python.parent.parent)) for line in said[:3])
    assert str(ROOT) not in said[3:]
    assert installed.medcopilot("--version").split() == ["medcopilot", "0.1.0"]
    assert "Gym, training and evaluation" in installed.medcopilot("--help")


def test_data_is_built_validated_played_and_reported(installed: Installed) -> None:
    go = installed.medcopilot
    assert "biodsbench" in go("tasks")
    assert "medcalcbench" in go("data", "build", "medcalcbench", "--train", 40, "--test", 20)
    assert (installed.here / "data" / "medcalcbench").is_dir()
    said = go("validate", "--dataset", "medcalcbench", "--train", 40, "--test", 20, "--limit", 5, "--json", "out.json")
    assert "no breach" in said
    assert json.loads((installed.here / "out.json").read_text())["breaches"] == 0
    go("sample", "expert", "--dataset", "medcalcbench", "--train", 40, "--test", 20, "--n", 4, "--out", "runs/expert")
    go("report", "runs/expert", "--out", "report.html")
    assert "<style>" in (installed.here / "report.html").read_text()


def test_a_dataset_of_ones_own(installed: Installed) -> None:
    installed.medcopilot("tasks", "init", "mydata")
    assert "no breach" in installed.medcopilot("validate", "--dataset", "mydata", "--limit", 3)


def test_recipes_come_with_it(installed: Installed) -> None:
    listed = installed.medcopilot("recipes").splitlines()
    assert {Path(line).relative_to(installed.python.parent.parent / "share" / "medcopilot") for line in listed} == {
        Path(name) for name in tracked("recipes") if name.endswith(".yaml")}
    installed.medcopilot("recipes", "--out", ".")
    assert "is there already" in installed.medcopilot("recipes", "--out", ".", code=2)
    for name in tracked(*SHARED):
        assert (installed.here / name).read_bytes() == (ROOT / name).read_bytes()
    assert "max_steps" in installed.run("python", "recipes/sft.py", "recipes/nano/sft.yaml", "--dry-run")
    assert "fits: " in installed.medcopilot("plan", "recipes/qwen2.5-7b/sft-lora.yaml")


def test_the_demos_steps_find_their_recipes(installed: Installed) -> None:
    said = installed.run("python", "-c", "from medcopilot import steps; steps.recipe('sft', 1, '--dry-run')")
    assert "share/medcopilot/recipes/nano/sft.yaml, digest" in said


@pytest.mark.thorough
def test_the_demo_trains_from_the_wheel(installed: Installed) -> None:
    said = installed.run("python", "-m", "medcopilot.demo", "--scale", "tiny", "--until", "SFT", "--out", "runs/demo")
    assert "SFT: " in said
    assert (installed.here / "runs" / "demo" / "checkpoints" / "sft" / "model.safetensors").is_file()


@pytest.mark.parametrize("module", ["medcopilot.studies", "medcopilot.bench.train", "medcopilot.demo"])
def test_the_other_programs_answer(installed: Installed, module: str) -> None:
    assert "usage:" in installed.run("python", "-m", module, "--help")
