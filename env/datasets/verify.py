"""Are the files still those that were fetched, and those that were built?

Promises: a built folder is compared with the digests of its own manifest, its tasks are counted, and every key is matched with its
view; a source folder is compared with the checksum files that its publisher put beside the data (`SHA256SUMS.txt`, `*.sha256`,
`*.md5`). Nothing is changed.
Does not cover: whether a reference is right (`medcopilot validate`), and files without a published checksum, which are named.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from env.datasets.base import Built
from env.errors import UserError
from env.files import file_digest, visible

_LINES = (re.compile(r"^(?P<digest>[0-9a-fA-F]{32,128})\s+\*?(?P<name>.+?)\s*$"),
          re.compile(r"^[A-Z0-9-]+ \((?P<name>.+)\) = (?P<digest>[0-9a-fA-F]{32,128})\s*$"),
          re.compile(r"^(?P<digest>[0-9a-fA-F]{32,128})(?P<name>)\s*$"))
"""As GNU's tools write them, as BSD's do, and a digest alone: of the file that the list is called after."""
_SUFFIXES = (".sha256", ".md5", ".sha512")
_KINDS = {32: "md5", 40: "sha1", 64: "sha256", 128: "sha512"}
"""Digest by its number of hex digits."""


class Verified(NamedTuple):
    """What was found in one folder."""

    folder: Path
    checked: int
    """Files compared with a digest."""
    unlisted: tuple[str, ...]
    """Files that no checksum names."""
    problems: tuple[str, ...]
    """One sentence each; empty: all is as it was."""


def verify_built(folder: Path, progress: Callable[[str], None] = lambda _: None) -> Verified:
    """Compare a built dataset with its manifest.

    Raises:
        UserError: no readable manifest.
    """
    built = Built(folder)
    compared = verify_files(folder, built.manifest.get("files", {}), progress)
    problems = list(compared.problems)
    for split, count in built.manifest.get("counts", {}).items():
        try:
            found = sum(1 for _ in built.iter_tasks(split))
        except (UserError, ValueError) as error:
            problems.append(str(error))
            continue
        if found != count:
            problems.append(f"{folder}: {found:,} {split} tasks, and the manifest has {count:,}: delete the folder and build again")
    return compared._replace(problems=tuple(problems))


def verify_files(folder: Path, files: Mapping[str, str], progress: Callable[[str], None] = lambda _: None) -> Verified:
    """Compare the files of a built dataset with their digests (`files` of its manifest); indices that playing left are no files."""
    problems = []
    for name, digest in files.items():
        progress(name)
        path = folder / name
        if not path.is_file():
            problems.append(f"{path} is missing: delete the folder and build again")
        elif file_digest(path) != digest:
            problems.append(f"{path} is not the file that was built: delete the folder and build again")
    present = {path.relative_to(folder).as_posix() for path in visible(folder) if path.is_file()}
    return Verified(folder, len(files), tuple(sorted(present - set(files) - {"manifest.json"})), tuple(problems))


def verify_source(folder: Path, progress: Callable[[str], None] = lambda _: None) -> Verified:
    """Compare a source's files with the checksums that lie beside them.

    Raises:
        UserError: no such folder, or no checksum file anywhere in it.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder: give the folder into which the source was fetched")
    lists = checksum_files(folder)
    if not lists:
        raise UserError(f"{folder}: no SHA256SUMS.txt, *.sha256 or *.md5 lies in it: fetch the publisher's checksum file too, or "
                        "compare by hand")
    named: dict[Path, str] = {}
    problems = []
    for path in lists:
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
            if not line.strip():
                continue
            found = next(filter(None, (form.match(line) for form in _LINES)), None)
            if found is None or len(found["digest"]) not in _KINDS or not (found["name"] or path.suffix in _SUFFIXES):
                problems.append(f"{path} line {number}: not `DIGEST  FILE`: fetch the checksum file again")
                continue
            named[path.parent / found["name"] if found["name"] else path.with_suffix("")] = found["digest"].lower()
    checked = 0
    for path, digest in named.items():
        if not path.is_file():
            continue  # part of a source may be fetched; what is needed and missing the build says
        progress(path.name)
        checked += 1
        with path.open("rb") as handle:
            if hashlib.file_digest(handle, _KINDS[len(digest)]).hexdigest() != digest:
                problems.append(f"{path} differs from its published checksum: fetch it again")
    present = {path for path in folder.rglob("*") if path.is_file()} - set(lists) - set(named)
    return Verified(folder, checked, tuple(sorted(str(path.relative_to(folder)) for path in present)), tuple(problems))


def checksum_files(folder: Path) -> list[Path]:
    """The checksum files in a source's folder and below."""
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and _is_list(path)]


def _is_list(path: Path) -> bool:
    return path.name.upper().startswith(("SHA256SUMS", "MD5SUMS", "SHA512SUMS")) or path.suffix in _SUFFIXES
