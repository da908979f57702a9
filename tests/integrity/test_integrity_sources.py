"""House rules that a machine can check: no private paths, sizes, docstrings."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("medcopilot", "env", "rewards", "recipes")
# spelled in pieces so that this file does not match itself
PRIVATE = re.compile("|".join(("/" + r"work/\w", "/" + r"home/\w+/", "/" + r"root/\w", "/" + r"Users/\w", r"C:\\" + "Users")))
BINARY = {".png", ".jpg", ".pdf", ".gz", ".sqlite", ".parquet", ".safetensors"}


def sources() -> list[Path]:
    """Every file that git would carry."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [path for name in listed.stdout.splitlines() if (path := ROOT / name).is_file() and path.suffix not in BINARY]


def code() -> list[Path]:
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def test_no_file_names_a_private_path():
    found = [f"{path.relative_to(ROOT)}:{number}: {line.strip()[:90]}" for path in sources()
             for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1)
             if PRIVATE.search(line)]
    assert not found


def test_no_file_is_large():
    assert [str(path.relative_to(ROOT)) for path in sources() if path.stat().st_size > 2 << 20] == []


def test_no_module_is_longer_than_450_lines():
    assert [f"{path.relative_to(ROOT)}: {count}" for path in code() if (count := path.read_text().count("\n")) > 450] == []


def test_no_function_is_longer_than_80_lines():
    long = [f"{path.relative_to(ROOT)}:{node.lineno} {node.name}: {size}" for path in code()
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            and (size := (node.end_lineno or node.lineno) - node.lineno + 1) > 80]
    assert not long


def test_every_module_says_what_it_is():
    assert [str(path.relative_to(ROOT)) for path in code()
            if path.read_text().count("\n") > 20 and not ast.get_docstring(ast.parse(path.read_text()))] == []


def test_nothing_is_left_to_be_done():
    marks = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X|NotImplemented" + r"Error)\b")
    found = [f"{path.relative_to(ROOT)}:{number}" for path in code()
             for number, line in enumerate(path.read_text().splitlines(), start=1) if marks.search(line)]
    assert not found
