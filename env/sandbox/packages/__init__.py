"""Package sets: what programs of a task family can import beside the base set, at locked versions.

Promises: the base set is the environment that runs us. Every other set is a folder of its own, which only boxes that ask for it
see, before the base set on their path: a set may hold another version of a package than the base (lifelines wants pandas 2). A set
is there completely, at its lock's versions, or not at all. It lies in `packages/` of our virtual environment; where that belongs to
others, or there is none, in the user's cache folder.
Does not cover: what a set's packages need of the base set; the lock files say so.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from functools import cache
from importlib import metadata, resources
from pathlib import Path

from env.errors import UserError

BASE = ("numpy", "pandas", "scipy", "scikit-learn", "statsmodels", "matplotlib", "networkx")
"""Of the base set, what programs are told that they may use."""
SETS = ("bio", "survival", "plots", "oncoprint")
_MARK = ".lock"


def lock_text(name: str) -> str:
    """The pins of a set, as pip reads them.

    Raises:
        UserError: there is no such set.
    """
    if name not in SETS:
        raise UserError(f"package set {name!r} does not exist: use {', '.join(SETS)}")
    return resources.files(__package__).joinpath(f"{name}.txt").read_text(encoding="utf-8")


def pins(name: str) -> dict[str, str]:
    """Package -> version of a set's lock."""
    lines = (line.split("#")[0].strip() for line in lock_text(name).splitlines())
    return {package: version for package, _, version in (line.partition("==") for line in lines if line)}


def folder(name: str) -> Path:
    """Where a set lies, or would."""
    ours, cached = Path(sys.prefix) / "packages" / name, cache_root() / "packages" / f"{name}-{_digest(name)[:12]}"
    if _is_complete(ours, name):
        return ours
    may_write = sys.prefix != sys.base_prefix and os.access(sys.prefix, os.W_OK)
    return ours if may_write and not _is_complete(cached, name) else cached


def cache_root() -> Path:
    """The user's cache folder for us: `$XDG_CACHE_HOME/medcopilot`, else `~/.cache/medcopilot`."""
    named = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(named) if os.path.isabs(named) else Path.home() / ".cache") / "medcopilot"


def is_installed(name: str) -> bool:
    """True when it is there at the versions of its lock."""
    return _is_complete(folder(name), name)


def _is_complete(place: Path, name: str) -> bool:
    try:
        return (place / _MARK).read_text() == _digest(name)
    except OSError:
        return False


def site_folders(names: Iterable[str]) -> tuple[str, ...]:
    """The folders of these sets, in this order.

    Raises:
        UserError: one does not exist, or is not installed.
    """
    found = []
    for name in dict.fromkeys(names):
        lock_text(name)
        if not is_installed(name):
            raise UserError(f"package set {name!r} is not installed, or not at the versions of its lock: run "
                            f"`medcopilot sandbox packages {name}`")
        found.append(str(folder(name)))
    return tuple(found)


def install(name: str) -> Path:
    """Install a set with pip, at the versions of its lock; where it is there already, nothing happens.

    Raises:
        UserError: pip failed, the message holds its last line; or there is no pip.
    """
    text, place = lock_text(name), folder(name)
    if is_installed(name):
        return place
    if importlib.util.find_spec("pip") is None:  # as in environments that uv makes
        raise UserError(f"package set {name!r} could not be installed: this environment has no pip: run `{sys.executable} -m "
                        "ensurepip` and repeat the command")
    partial = place.with_name(f"{name}.partial-{os.getpid()}")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        (partial / "requirements.txt").write_text(text, encoding="utf-8")
        command = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--no-deps", "--prefer-binary",
                   "--target", str(partial), "--requirement", str(partial / "requirements.txt")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            said = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
            raise UserError(f"package set {name!r} could not be installed: {said}")
        (partial / _MARK).write_text(_digest(name))
        if not _is_complete(place, name):  # another process may have been quicker, and boxes may look into its folder
            shutil.rmtree(place, ignore_errors=True)
            partial.rename(place)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return place


@cache
def versions() -> dict[str, dict[str, str]]:
    """Set -> package -> version, of the base set and of every set that is installed here."""
    found = {"base": {name: metadata.version(name) for name in BASE if _is_there(name)}}
    return found | {name: pins(name) for name in SETS if is_installed(name)}


def _is_there(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _digest(name: str) -> str:
    return hashlib.sha256(f"{sys.version_info[:2]} {lock_text(name)}".encode()).hexdigest()
