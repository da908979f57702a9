"""Imports point one way: recipes -> medcopilot -> env -> rewards."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEAVY = {"torch", "transformers", "trl", "vllm", "ray", "peft", "accelerate", "datasets", "deepspeed"}
ALLOWED_IN_REWARDS = {"numpy", "pandas", "scipy", "sklearn", "statsmodels", "sqlglot", "rewards"}
FORBIDDEN = {
    "rewards": HEAVY | {"env", "medcopilot", "recipes"},
    "env": HEAVY | {"medcopilot", "recipes"},
    "medcopilot": {"recipes"},
}


def imports(path: Path) -> dict[str, int]:
    """Top-level module name -> line, of every import in a file, wherever it stands."""
    found: dict[str, int] = {}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [node.module or ""]
        else:
            continue
        for name in names:
            found.setdefault(name.partition(".")[0], node.lineno)
    return found


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


@pytest.mark.parametrize("package", sorted(FORBIDDEN))
def test_no_import_points_upwards(package):
    wrong = [f"{path.relative_to(ROOT)}:{line} imports {name}" for path in modules(package)
             for name, line in imports(path).items() if name in FORBIDDEN[package]]
    assert not wrong


def test_rewards_needs_nothing_but_numerical_libraries():
    allowed = ALLOWED_IN_REWARDS | set(sys.stdlib_module_names)
    wrong = [f"{path.relative_to(ROOT)}:{line} imports {name}" for path in modules("rewards")
             for name, line in imports(path).items() if name not in allowed]
    assert not wrong


def test_the_layers_are_not_empty():
    assert all(len(modules(package)) > 3 for package in FORBIDDEN)


def test_importing_the_command_line_loads_nothing_heavy():
    code = ("import sys, medcopilot.cli.main\n"
            "print(*(name for name in ('torch', 'transformers', 'trl', 'pandas', 'numpy', 'pydantic', 'matplotlib', 'scipy')"
            " if name in sys.modules))")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == []
