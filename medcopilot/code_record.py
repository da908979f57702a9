"""The code that is running: its version, its commit, and the libraries that move numbers.

Promises: never fails (what cannot be found out is left out) and never reads the environment's variables.
"""

from __future__ import annotations

import platform
import subprocess
from importlib import metadata
from pathlib import Path

from medcopilot import __version__

_PACKAGES = ("torch", "transformers", "trl", "vllm", "numpy", "scipy")


def code_record() -> dict[str, str]:
    """Versions of this code and of the libraries that move numbers."""
    record = {"medcopilot": __version__, "commit": _commit(), "python": platform.python_version(), "system": platform.platform()}
    for name in _PACKAGES:
        try:
            record[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {name: value for name, value in record.items() if value}


def _commit() -> str:
    """The commit of the checkout that this file lies in, marked when files differ from it."""
    root = Path(__file__).resolve().parents[1]
    if not (root / ".git").exists():
        return ""
    try:
        done = subprocess.run(["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"], cwd=root, timeout=10,
                              capture_output=True, text=True, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
