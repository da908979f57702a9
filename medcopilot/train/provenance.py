"""What a checkpoint's weights have seen: the licence tags of every row that they, or a parent of theirs, were trained on.

Promises: every stage writes `provenance.json` beside its weights (and its resumable states), with the tags of its own rows or tasks
and of all that its parents have seen, a critic and a verifier included; the record names the digest of the weights that it belongs
to. What is not known is written down as unknown, never guessed: a parent without a record, rows without a tag. No path of this
machine is in it.
Does not cover: what models of the hub were trained on (their names are kept), and the texts that a tokenizer was fitted to: those
are the same runs as the rows of the first stage, where `medcopilot export --new-tokenizer` made it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from env.files import atomic_write
from medcopilot.train import parallel
from medcopilot.train.config import Config, StageConfig, dump_config
from medcopilot.train.model import checkpoint_digest

FILE = "provenance.json"
RECIPE = "recipe.yaml"
_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
Role = Literal["policy", "critic", "verifier"]


class Seen(Config):
    """What one stage learnt from, of one dataset under one licence tag."""

    stage: str
    dataset: str = ""
    licence: str = ""
    """Empty: the rows carry no tag, which counts as restricted."""
    count: int = Field(ge=0)
    what: Literal["rows", "tasks"] = "rows"


class Parent(Config):
    """Weights that another stage, or somebody else, made."""

    role: Role
    name: str
    """Name on the hub, or the folder's last part."""
    digest: str = ""
    """Of a folder's weights and tokenizer."""


class Provenance(Config):
    """`provenance.json`."""

    checkpoint: str = ""
    """Digest of the weights that it stands beside; empty beside a resumable state."""
    parents: tuple[Parent, ...] = ()
    """Of this stage."""
    bases: tuple[str, ...] = ()
    """Where the weights began: names on the hub, or `random weights, seed N`."""
    seen: tuple[Seen, ...] = ()
    """By this stage and all before it."""
    unknown: tuple[str, ...] = ()
    """What could not be found out, in words."""


def row_tags(rows: Iterable[Mapping[str, Any]]) -> Counter[tuple[str, str]]:
    """(dataset, licence) of training rows, counted."""
    return Counter((str(row.get("dataset") or ""), str(row.get("licence") or "")) for row in rows)


def task_tags(tasks: Iterable[Any]) -> Counter[tuple[str, str]]:
    """(dataset, licence) of tasks, counted."""
    return Counter((task.dataset, task.licence) for task in tasks)


def read_provenance(folder: Path) -> Provenance | None:
    """The record in a folder; None when there is none that can be read."""
    try:
        return Provenance.model_validate_json((folder / FILE).read_bytes())
    except (OSError, ValidationError):
        return None


def own_record(folder: Path) -> Provenance | None:
    """The record of a finished checkpoint, if it is there and belongs to these very weights."""
    found = read_provenance(folder)
    return found if found is not None and found.checkpoint == checkpoint_digest(folder) else None


def trace_back(stage: str, seed: int, tags: Mapping[tuple[str, str], int], parents: Sequence[tuple[Role, str | None]], *,
               what: Literal["rows", "tasks"] = "rows") -> Provenance:
    """The record of a stage.

    Args:
        tags: (dataset, licence) of what it learns from, counted.
        parents: role and folder or hub name of all weights that have a say in it; None: random weights.
    """
    seen = [Seen(stage=stage, dataset=dataset, licence=licence, count=count, what=what)
            for (dataset, licence), count in sorted(tags.items())]
    bases, unknown, found = [], [], []
    for role, source in parents:
        folder = None if source is None else Path(source)
        if folder is None:
            bases.append(f"random weights, seed {seed}")
        elif not folder.is_dir() and _HUB_NAME.fullmatch(str(source)) is None:
            unknown.append(f"the {role} that {stage} starts from ({folder.name}) is not there any more")
        elif not folder.is_dir():
            bases.append(str(source))
            found.append(Parent(role=role, name=str(source)))
        else:
            digest = checkpoint_digest(folder)
            found.append(Parent(role=role, name=folder.resolve().name, digest=digest))
            before = read_provenance(folder)
            if before is None or before.checkpoint != digest:
                unknown.append(f"the {role} that {stage} starts from ({folder.resolve().name}, {digest}) has no record")
            else:
                seen += before.seen
                bases += before.bases
                unknown += before.unknown
    return Provenance(parents=tuple(found), bases=tuple(dict.fromkeys(bases)), seen=tuple(dict.fromkeys(seen)),
                      unknown=tuple(dict.fromkeys(unknown)))


def note(config: StageConfig, tags: Mapping[tuple[str, str], int], parents: Sequence[tuple[Role, str | None]],
         what: Literal["rows", "tasks"] = "rows") -> None:
    """Write record and recipe beside the resumable states of a stage that begins. Every rank must call it; rank 0 writes."""

    def write() -> None:
        record = trace_back(config.name, config.seed, tags, parents, what=what)
        atomic_write(config.work / FILE, record.model_dump_json(indent=2) + "\n")
        atomic_write(config.work / RECIPE, dump_config(config))

    parallel.on_first(write)


def seal(record: Provenance, folder: Path) -> None:
    """Put the record into a checkpoint folder that is otherwise complete, bound to its weights."""
    bound = record.model_copy(update={"checkpoint": checkpoint_digest(folder)})
    atomic_write(folder / FILE, bound.model_dump_json(indent=2) + "\n")
