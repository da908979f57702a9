"""What a dataset is, and the folder that building one leaves behind.

Promises: a built folder is complete or absent (built beside, then renamed); views and keys lie in separate files, the keys
readable by their owner only; `manifest.json` holds seed, counts, licence and the digest of every file. Building the same request
again returns the folder that is there.

    <root>/<dataset>/<origin>/{manifest.json, train.views.jsonl, train.keys.jsonl, test.views.jsonl, test.keys.jsonl, *.sqlite}
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
import platform
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from env.errors import UserError
from env.files import atomic_write, file_digest, visible
from env.task import Record, Split, Task, TaskKey, TaskView

Progress = Callable[[str, int, int], None]
"""`progress(what, done, total)`."""


def data_root() -> Path:
    """Where built datasets lie: `MEDCOPILOT_DATA`, else `./data`."""
    return Path(os.environ.get("MEDCOPILOT_DATA", "data"))


class BuildRequest(Record):
    """What to build."""

    source: Path | None = None
    """Folder or file of the real source; None builds the synthetic twin."""
    seed: int = 0
    train: int | None = Field(None, ge=0)
    """Number of training tasks (synthetic only); None: the paper's count."""
    test: int | None = Field(None, ge=0)
    patients: int = Field(1000, ge=50)
    """Patients per synthetic database (train and test have one each)."""
    options: dict[str, str] = Field(default_factory=dict)
    """Dataset-specific choices, e.g. `labels=corrected` of medcalcbench."""

    def folder_name(self) -> str:
        """Name of the built folder: same request, same name."""
        extra = "".join(f"-{key}_{value}" for key, value in sorted(self.options.items()))
        if self.source is not None:
            place = hashlib.blake2b(str(self.source.resolve()).encode(), digest_size=3).hexdigest()
            return f"source-{self.source.resolve().name}-{place}{extra}"
        train, test = ("paper" if n is None else str(n) for n in (self.train, self.test))
        return f"synthetic-s{self.seed}-p{self.patients}-{train}-{test}{extra}"


class Built:
    """A built dataset folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            self.manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
        except (OSError, ValueError) as error:
            raise UserError(f"{folder}/manifest.json cannot be read ({error}): run `medcopilot data build` again") from None

    def tasks(self, split: Split) -> list[Task]:
        """All tasks of a split, views and keys joined."""
        return list(self.iter_tasks(split))

    def iter_tasks(self, split: Split) -> Iterator[Task]:
        views, keys = self.folder / f"{split}.views.jsonl", self.folder / f"{split}.keys.jsonl"
        for number, (view_row, key_row) in enumerate(zip(_rows(views), _rows(keys), strict=True), start=1):
            try:
                task = Task(view=TaskView(**view_row.pop("view")), key=TaskKey(**key_row["key"]), **view_row)
            except (ValidationError, KeyError, TypeError) as error:
                raise UserError(f"{views} line {number}: not a task ({error}); run `medcopilot data build` again") from None
            if key_row["id"] != task.id:
                raise UserError(f"{keys} line {number}: belongs to another task; run `medcopilot data build` again")
            yield task

    def licence(self) -> str:
        """The licence tags that its tasks carry, in one text: under an agreement when one of them is. The gate is asked about this
        and not about the dataset's own words: one source may be the open demo or the credentialed whole."""
        return _joined({str(row.get("licence") or "") for split in ("train", "test")
                        for row in _rows(self.folder / f"{split}.views.jsonl")})

    def host_path(self, relative: str) -> Path:
        """Where a `DataFile.path` lies on the host."""
        return self.folder / relative


def _joined(licences: Iterable[str]) -> str:
    """Several tags as one; empty, which counts as restricted, when a task has none."""
    tags = sorted(set(licences))
    return "" if "" in tags else " AND ".join(tags)


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    try:
        with path.open(encoding="utf-8") as handle:
            for number, line in enumerate(handle, start=1):
                try:
                    yield json.loads(line)
                except ValueError as error:
                    raise UserError(f"{path} line {number}: not JSON ({error}); run `medcopilot data build` again") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error}): run `medcopilot data build` again") from None


class Disagreement(AssertionError):
    """The two programs of a task differ: a bug in a template or question, never a bad row to skip."""


class Dataset(ABC):
    """A named source of tasks with two origins behind one interface."""

    name: str
    family: str
    title: str
    licence: str
    """Licence of the real source; twins are `synthetic`."""
    paper_counts: dict[Split, int]
    reference: str
    """Citation of the source."""
    packages: tuple[str, ...] = ()
    """Package sets that its programs use beside the base set (`env.sandbox.packages`)."""
    twin_licence: str = "synthetic"
    """Licence of what is built without a source."""

    def version(self, request: BuildRequest) -> str:
        """What the name of the built folder ends with, where the content depends on more than the request and this code."""
        return ""

    def wanted(self, request: BuildRequest, split: Split) -> int:
        """How many tasks of a split: the request's number, else the paper's."""
        asked = request.train if split == "train" else request.test
        return self.paper_counts[split] if asked is None else asked

    @abstractmethod
    def synthesize(self, request: BuildRequest, folder: Path, progress: Progress) -> Iterable[Task]:
        """Write the databases of the twin into `folder` and yield its tasks (train and test)."""

    @abstractmethod
    def adapt(self, request: BuildRequest, folder: Path, progress: Progress) -> Iterable[Task]:
        """Read the real source's own files at `request.source` and yield its tasks.

        Raises:
            UserError: a file is missing or malformed; the message names file, field and cure.
        """

    def find(self, request: BuildRequest, root: Path | None = None) -> Built | None:
        """What was built of this request; None when it was not."""
        folder = self._folder(request, root)
        return Built(folder) if (folder / "manifest.json").exists() else None

    def _folder(self, request: BuildRequest, root: Path | None) -> Path:
        version = self.version(request)
        return (root or data_root()) / self.name / (request.folder_name() + (f"-{version}" if version else ""))

    def build(self, request: BuildRequest, root: Path | None = None, progress: Progress = lambda *_: None) -> Built:
        """Build, or return what is already built. Complete or absent: written beside, then renamed."""
        if (built := self.find(request, root)) is not None:
            return built
        folder = self._folder(request, root)
        partial = folder.with_name(f"{folder.name}.partial-{platform.node()}-{os.getpid()}")
        _sweep(partial)
        partial.mkdir(parents=True)
        try:
            make = self.synthesize if request.source is None else self.adapt
            counts, licences = _write_tasks(make(request, partial, progress), partial)
            files = sorted(p.relative_to(partial).as_posix() for p in visible(partial) if p.is_file())
            manifest = {"dataset": self.name, "request": request.model_dump(mode="json"), "counts": counts,
                        "licence": _joined(licences), "reference": self.reference,
                        "packages": list(self.packages),
                        "files": {name: file_digest(partial / name) for name in files}}
            atomic_write(partial / "manifest.json", json.dumps(manifest, indent=2))
            shutil.rmtree(folder, ignore_errors=True)
            partial.rename(folder)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        return Built(folder)


def _sweep(partial: Path) -> None:
    """Remove this folder, and what builds of the same that were killed on this machine have left."""
    stem = partial.name.rpartition("-")[0]
    for path in partial.parent.glob(f"{glob.escape(stem)}-*"):
        pid = path.name.rpartition("-")[2]
        if path == partial or (pid.isdecimal() and not Path("/proc", pid).exists()):
            shutil.rmtree(path, ignore_errors=True)


def _write_tasks(tasks: Iterable[Task], folder: Path) -> tuple[dict[str, int], set[str]]:
    """How many there are of each split, and their licence tags."""
    counts, licences = {"train": 0, "test": 0}, set()
    handles = {}
    try:
        for split in ("train", "test"):
            for half in ("views", "keys"):
                path = folder / f"{split}.{half}.jsonl"
                descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600 if half == "keys" else 0o644)
                handles[split, half] = os.fdopen(descriptor, "w", encoding="utf-8")
        for task in tasks:
            row = task.model_dump(mode="json", exclude={"key"})
            handles[task.split, "views"].write(json.dumps(row, ensure_ascii=False) + "\n")
            key = {"id": task.id, "key": task.key.model_dump(mode="json")}
            handles[task.split, "keys"].write(json.dumps(key, ensure_ascii=False) + "\n")
            counts[task.split] += 1
            licences.add(task.licence)
    finally:
        for handle in handles.values():
            handle.flush()
            os.fsync(handle.fileno())
            handle.close()
    return counts, licences
