"""The one gate for data-use agreements: what may leave this machine, and through which exit.

Promises: rows whose licence tag says PhysioNet, Stanford, credentialed or DUA, and rows without a tag, pass no exit unless the
user recorded the permission for that dataset and that exit in `agreements.yaml`; the refusal names the cure. A later entry
withdraws an earlier one, and `allowed: false` weighs more than `true` of the same day, and than what is recorded under the other
name (dataset, licence tag). Fails closed: a file that cannot be read permits nothing.
Does not cover: what happens behind a loopback address (a tunnel to elsewhere is the user's own doing), files that the user
copies by hand, and whether a recorded permission is true.

    # $MEDCOPILOT_AGREEMENTS, else ~/.config/medcopilot/agreements.yaml
    - {dataset: mimic_iii, exit: endpoint, allowed: true, who: Jane Doe, date: 2026-11-03, note: zero-retention contract}
"""

from __future__ import annotations

import datetime
import os
import re
from collections.abc import Iterable
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

import yaml
from pydantic import ValidationError

from env.errors import AgreementError, UserError
from env.task import Record

Exit = Literal["endpoint", "second_model", "hub", "tracker", "report", "log_export", "cluster"]
EXITS: tuple[Exit, ...] = get_args(Exit)
_RESTRICTED = re.compile(r"^\s*(physionet|stanford)|credentialed|(?-i:DUA)|\bdua\b|data[ -]use[ -]agreement", re.IGNORECASE)


class Permission(Record):
    """One recorded permission."""

    dataset: str
    """Dataset name, or the licence tag itself."""
    exit: Exit
    allowed: bool
    who: str
    """Who permits it."""
    date: datetime.date
    note: str = ""


def restricted(licence: str) -> bool:
    """Whether a licence tag stands for a data-use agreement. A missing tag counts as one."""
    return not licence.strip() or _RESTRICTED.search(licence) is not None


def is_loopback(url: str) -> bool:
    """Whether a URL points at this very machine: 127.0.0.0/8, ::1 or localhost. Malformed URLs do not."""
    if re.search(r"[\s\\\x00-\x1f]", url):
        return False
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return False
    if parts.scheme not in ("http", "https"):
        return False
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def agreements_file() -> Path:
    """Where permissions are recorded."""
    named = os.environ.get("MEDCOPILOT_AGREEMENTS")
    return Path(named) if named else Path.home() / ".config" / "medcopilot" / "agreements.yaml"


def read_permissions(path: Path | None = None) -> list[Permission]:
    """The recorded permissions; none when there is no file.

    Raises:
        UserError: the file is malformed; the message names the entry and the cure.
    """
    path = path or agreements_file()
    form = "{dataset: NAME, exit: " + "|".join(EXITS) + ", allowed: true, who: NAME, date: YYYY-MM-DD, note: TEXT}"
    try:
        entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UserError(f"{path} cannot be read ({type(error).__name__}): make it a YAML list of {form}") from None
    if entries is None:
        return []
    if not isinstance(entries, list):
        raise UserError(f"{path} must be a YAML list of {form}")
    permissions = []
    for number, entry in enumerate(entries, start=1):
        try:
            if not isinstance(entry, dict) or not isinstance(entry.get("allowed"), bool):
                raise UserError(f"{path} entry {number}: allowed must be true or false; write {form}")
            permissions.append(Permission.model_validate(entry))
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"])
            raise UserError(f"{path} entry {number}, field {field}: {first['msg']}; write {form}") from None
    return permissions


def check(exit: Exit, rows: Iterable[Any], *, url: str = "", path: Path | None = None) -> None:
    """Let rows pass an exit, or refuse.

    Args:
        exit: which exit they are about to take.
        rows: licence tags, (dataset, licence) pairs, or objects with `.licence` (and `.dataset`): tasks, traces.
        url: for `endpoint` and `second_model`, where they go; a loopback address is no exit.
        path: the file of permissions; default `agreements_file()`.

    Raises:
        AgreementError: a row is under an agreement and no permission is recorded for its dataset and this exit.
        UserError: the file of permissions is malformed.
    """
    if exit not in EXITS:
        raise ValueError(f"unknown exit {exit!r}: one of {', '.join(EXITS)}")
    if exit in ("endpoint", "second_model") and url and is_loopback(url):
        return
    held = sorted({(dataset, licence) for dataset, licence in map(_tag, rows) if restricted(licence)})
    if not held:
        return
    path = path or agreements_file()
    latest = {entry.dataset: entry.allowed for entry in sorted(
        read_permissions(path), key=lambda entry: (entry.date, not entry.allowed)) if entry.exit == exit}
    for dataset, licence in held:
        recorded = [latest[name] for name in {dataset, licence} - {""} if name in latest]
        if not recorded or not all(recorded):
            tag = licence or "no licence tag"
            name = dataset or tag
            cure = (f"if your agreement allows it, record {{dataset: {name}, exit: {exit}, allowed: true, who: NAME, "
                    "date: YYYY-MM-DD} in")
            raise AgreementError(f"rows of {name} ({tag}) must not leave this machine through {exit!r}: "
                                 + (f"{path} says that it is not allowed" if recorded else f"{cure} {path}"))


def _tag(row: Any) -> tuple[str, str]:
    """(dataset, licence) of a row."""
    if isinstance(row, str):
        return "", row
    if isinstance(row, tuple):
        dataset, licence = row
        return str(dataset), str(licence or "")
    return str(getattr(row, "dataset", "") or ""), str(row.licence or "")
