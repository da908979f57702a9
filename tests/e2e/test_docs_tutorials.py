"""What the tutorials and the pages on the gym and on traces tell a reader to type, typed in their order."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
_BLOCK = re.compile(r"```(sh|python)\n(.*?)```", re.DOTALL)


def blocks(page: str) -> list[tuple[str, str]]:
    """Language and text of every block that is meant to be run."""
    return _BLOCK.findall((ROOT / "docs" / page).read_text(encoding="utf-8"))


@pytest.fixture
def run(tmp_path):
    bin_folder = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{bin_folder}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT), "COLUMNS": "200",
                   "MEDCOPILOT_DATA": str(tmp_path / "data")}

    def go(words: list[str], text: str = "") -> str:
        done = subprocess.run(words, input=text, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=500,
                              check=False)
        assert done.returncode == 0, f"{words} {text}\n{done.stdout[-2000:]}{done.stderr[-3000:]}"
        return done.stdout

    return go


def test_the_tutorial_of_an_own_dataset_and_the_page_on_traces(run, tmp_path):
    for language, text in blocks("tutorials/own-dataset.md"):
        assert language == "sh"
        said = run(["bash", "-e"], text)
        if "tasks ward --limit" in text:
            assert "How many stays are there?" in said
        if "validate" in text:
            assert "no breach" in said
    assert (tmp_path / "ward.html").stat().st_size > 10_000
    [(language, text)] = blocks("traces.md")
    lines = run([sys.executable, "-"], text).splitlines()
    assert len(lines) == 4
    assert all(line.startswith("ward True submit") for line in lines)


def test_the_page_on_the_gym(run):
    text = "\n".join(text for _, text in blocks("gym.md"))
    assert run([sys.executable, "-"], text)
