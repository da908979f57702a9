"""What a bubblewrap box looks like inside: mounts, environment, namespaces, as bubblewrap arguments.

Promises: only the system's /usr, the interpreter's own prefix, its site-packages and the files of the spec are bound, all
read-only; anything of ours that happens to lie below one of those is covered by an empty tmpfs. Everything writable is a
tmpfs with a size.
Does not cover: starting it (`env.sandbox.bwrap`).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Literal

from env.datasets.base import data_root
from env.errors import UserError
from env.sandbox import packages
from env.sandbox.base import BoxSpec, Mount

Mode = Literal["root", "user"]
_SYSTEM = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_ETC = ("/etc/ld.so.cache", "/etc/alternatives")
PROGRAMS = "/programs"
"""First on the path of a box: `python` is the interpreter that runs us, also where the system has no program of that name."""
_PRIVATE = ("/dev/shm", "/tmp", "/workspace")


def interpreter() -> str:
    """The real file of the running interpreter."""
    return os.path.realpath(sys.executable)


@cache
def site_folders() -> tuple[str, ...]:
    """Folders of installed packages on our path."""
    named = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    return tuple(str(Path(path).absolute()) for path in dict.fromkeys(named) if Path(path).is_dir())


@cache
def bound_folders() -> tuple[str, ...]:
    """Host folders a box sees, outermost first, none inside another."""
    wanted = ["/usr", sys.base_prefix, str(Path(interpreter()).parent.parent), *site_folders()]
    bound: list[str] = []
    for folder in sorted({os.path.normpath(path) for path in wanted}, key=len):
        if not any(_inside(folder, other) for other in bound):
            bound.append(folder)
    return tuple(bound)


def seen_as(path: str) -> str:
    """Where a bound host path lies in a box: where it is, unless a private folder of the box would cover it there (a virtual
    environment in a checkout below /tmp, say)."""
    return f"/libraries{path}" if any(_inside(path, folder) for folder in _PRIVATE) else path


def hidden_folders(bound: Iterable[str], folders: Iterable[Path] = ()) -> list[str]:
    """Folders that a bound one would show and must not: built data, runs, the working directory, our own packages where they are
    installed among the libraries (they hold calculators and the builders of the twins), and `folders`."""
    here, home = Path.cwd(), Path(__file__).parents[2]
    own = [home / name for name in ("env", "rewards", "medcopilot")]
    ours = {str(path.resolve()) for path in (here, here / "data", here / "runs", data_root(), *own, *folders) if path.is_dir()}
    packages = [*site_folders(), sys.base_prefix]
    return sorted(path for path in ours
                  if any(_inside(path, folder) for folder in bound) and not any(_inside(item, path) for item in packages))


def _hide(folders: list[str]) -> list[str]:
    return [word for path in folders for word in ("--size", "4096", "--tmpfs", seen_as(path), "--remount-ro", seen_as(path))]


def environment() -> dict[str, str]:
    """The whole environment of a box; nothing is inherited."""
    one = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMEXPR")}
    path = f"{PROGRAMS}:{Path(seen_as(interpreter())).parent}:/usr/local/bin:/usr/bin:/bin"
    return {"PATH": path, "HOME": "/workspace", "TMPDIR": "/tmp",
            "USER": "agent", "LOGNAME": "agent", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "TZ": "UTC", "TERM": "dumb",
            "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONNOUSERSITE": "1", "PYTHONIOENCODING": "utf-8",
            "MPLBACKEND": "Agg", "MPLCONFIGDIR": "/tmp", "LOKY_MAX_CPU_COUNT": "1", **one}


def static_arguments(mode: Mode, *, zygote: bool = False) -> list[str]:
    """The part of the arguments that all boxes share.

    Args:
        zygote: what is started makes boxes itself and keeps the capabilities for that.
    """
    arguments = ["--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try",
                 "--new-session", "--as-pid-1", "--hostname", "box"]
    arguments += ["--cap-drop", "ALL"]
    if mode == "root":  # the worker leaves uid 0 for good before it listens; see `env.sandbox.harness.worker`
        arguments += ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    elif zygote:  # as 0, which is our own uid: for any other bubblewrap would nest a user namespace that may not mount
        arguments += ["--unshare-user", "--uid", "0", "--gid", "0", "--cap-add", "CAP_SETFCAP"]  # the last to map 0 once more
    else:
        arguments += ["--unshare-user", "--uid", "65534", "--gid", "65534"]
    if zygote:  # namespaces and mounts; the bounding set; loopbacks
        arguments += [word for name in ("SYS_ADMIN", "SETPCAP", "NET_ADMIN") for word in ("--cap-add", f"CAP_{name}")]
    bound = bound_folders()
    parents = {str(parent) for folder in bound for parent in Path(seen_as(folder)).parents} - {"/"}
    for folder in [*sorted(parents, key=len), "/etc", "/data", PROGRAMS]:  # bubblewrap itself would make them for their owner only
        arguments += ["--perms", "0755", "--dir", folder]
    for folder in bound:
        arguments += ["--ro-bind", folder, seen_as(folder)]
    for path, target in links().items():
        arguments += ["--symlink", target, path]
    for path in _SYSTEM:
        if os.path.isdir(path) and not os.path.islink(path):
            arguments += ["--ro-bind", path, path]
    for path in _ETC:
        arguments += ["--ro-bind-try", path, path]
    return arguments


def links() -> dict[str, str]:
    """Every link of a box's root: path -> target."""
    return {**system_links(), **{f"{PROGRAMS}/{name}": seen_as(interpreter()) for name in ("python", "python3")}}


def system_links() -> dict[str, str]:
    """Where the system's folders are links, as on most machines: path -> target."""
    return {path: os.readlink(path) for path in _SYSTEM if os.path.islink(path)}


def system_paths() -> list[str]:
    """The other paths of the system that a box sees."""
    return [path for path in (*_SYSTEM, *_ETC) if os.path.exists(path) and not os.path.islink(path)]


def check_mounts(spec: BoxSpec, mode: Mode) -> None:
    """Refuse what a box could not see; in mode `root` it runs under another user.

    Raises:
        UserError: a file of the spec is missing, unreadable for the box, or badly named.
    """
    for mount in spec.mounts:
        _check(mount, mode)


def private_folders() -> list[str]:
    """Where a box may write."""
    return list(_PRIVATE)


def box_arguments(spec: BoxSpec, mode: Mode) -> list[str]:
    """The part that belongs to one spec.

    Raises:
        UserError: a file of the spec is missing, unreadable for the box, or badly named; or a package set is not installed.
    """
    size = str(spec.limits.file_mb << 20)
    beside = {mount.host.parent for mount in spec.mounts}  # keys lie beside the databases
    arguments = [*_hide(hidden_folders(bound_folders(), beside)), "--proc", "/proc", "--dev", "/dev"]
    for folder in _PRIVATE:
        arguments += ["--perms", "1777", "--size", size, "--tmpfs", folder]
    check_mounts(spec, mode)
    for mount in spec.mounts:
        arguments += ["--ro-bind", str(mount.host), f"/data/{mount.name}"]
    for folder in packages.site_folders(spec.packages):
        for parent in reversed(Path(seen_as(folder)).parents[:-1]):
            arguments += ["--perms", "0755", "--dir", str(parent)]
        arguments += ["--ro-bind", folder, seen_as(folder)]
    return [*arguments, "--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/workspace"]


def _check(mount: Mount, mode: Mode) -> None:
    if not mount.name or mount.name in (".", "..") or "/" in mount.name or "\0" in mount.name:
        raise UserError(f"data file name {mount.name!r}: must be a plain file name, since it appears below /data")
    try:
        bits = mount.host.stat().st_mode
    except OSError as error:
        raise UserError(f"{mount.host}: cannot be read ({error.strerror}); build the dataset again") from None
    needed = 0o005 if mount.host.is_dir() else 0o004
    if mode == "root" and bits & needed != needed:
        raise UserError(f"{mount.host}: boxes run as an unprivileged user and cannot read it; run `chmod o+rX {mount.host}`")


def _inside(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")
