"""Exported rows, a folder in the hub's form, or a built synthetic task set, as the folder that is published.

Promises: every row's licence tag is read from the files themselves, never from a card, and goes through the gate; the folder
appears whole or not at all. A folder with a README.md is taken as it is, but for paths in the cards of exported rows; rows of
`medcopilot export` and task sets get a card. Files whose rows cannot be read for their tags are refused, not sent along; of a task
set, where the tasks carry the tags of their databases and tables, so is every file that is not as it was built.
Does not cover: rows in other forms than JSON lines and Parquet; what somebody writes into a README.md, or a manifest written anew.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from env.agreement import restricted
from env.datasets.verify import verify_files
from env.errors import UserError
from env.files import file_digest
from medcopilot.data.rows import SUFFIXES, card_path, iter_jsonl, read_card
from medcopilot.publish.card import check_card, data_card, public_recipe
from medcopilot.publish.gate import allow_rows
from medcopilot.publish.places import check_data
from medcopilot.publish.tree import File, files_of, stage, tree

Tags = Counter[tuple[str, str]]
MANIFEST = "manifest.json"
_CARD = ".card.json"
_PAGES = (".md", ".png", ".svg")
_BESIDE = (_CARD, "LICENSE", "LICENSE.txt", "NOTICE", "CITATION.cff")
_LICENCE = ("licence", "license")


def stage_data(path: Path, out: Path, name: str, licence: str | None = None) -> list[File]:
    """Write the folder `out` (one that was staged before is replaced). Returns its files.

    Raises:
        AgreementError: a row may not leave, or carries no licence tag.
        UserError: nothing that is a data set, torn files, or something else at `out`.
    """
    check_data(path)
    if path.is_dir() and (out.resolve() == path.resolve() or path.resolve() in out.resolve().parents):
        raise UserError(f"--out {out} lies in {path}: choose another folder")
    if path.is_file():
        tags = _checked(path, [path])
        stage(out, lambda partial: _exported(partial, path, tags, name, licence))
    elif (path / "README.md").is_file():
        check_card(path / "README.md", "DatasetCard")
        files = files_of(path)
        odd = [file for file in files if file.suffix not in (*SUFFIXES, *_PAGES) and not file.name.endswith(_BESIDE)]
        if odd:
            raise UserError(f"{odd[0]}: rows in it could not be read for their licence tags: write them as .jsonl or .parquet, or "
                            "take the file out")
        _checked(path, [file for file in files if file.suffix in SUFFIXES])
        stage(out, lambda partial: _copy(files, path, partial))
    elif (path / MANIFEST).is_file():
        tags = _task_tags(path)
        stage(out, lambda partial: _tasks(partial, path, tags, name, licence))
    else:
        raise UserError(f"{path}: not a data set: it has neither a README.md nor a manifest.json: publish one file of rows, a "
                        "folder in the hub's form with README.md, or a built task set")
    return tree(out)


def file_tags(path: Path) -> Tags:
    """(dataset, licence) of the rows of one file, counted.

    Raises:
        UserError: it cannot be read.
    """
    found: Tags = Counter()
    for row in _rows(path):
        found[str(row.get("dataset") or ""), _licence(row)] += 1
    return found


def _licence(row: Mapping[str, Any]) -> str:
    """A row's tag; of two, the one that holds it back."""
    tags = [str(row[key]) for key in _LICENCE if row.get(key)]
    return next((tag for tag in tags if restricted(tag)), tags[0] if tags else "")


def _rows(path: Path) -> Iterator[Mapping[str, Any]]:
    if path.suffix == ".parquet":
        import pyarrow.parquet

        try:
            source = pyarrow.parquet.ParquetFile(path)
            columns = [name for name in ("dataset", *_LICENCE) if name in source.schema_arrow.names]
            if not columns:
                yield from ({} for _ in range(source.metadata.num_rows))
                return
            for batch in source.iter_batches(columns=columns):
                yield from batch.to_pylist()
        except (pyarrow.ArrowInvalid, OSError) as error:
            raise UserError(f"{path}: not a Parquet file ({str(error).splitlines()[0]}): export the rows again") from None
        return
    yield from iter_jsonl(path)


def _checked(path: Path, files: list[Path]) -> Tags:
    """The tags of all rows, which have passed the gate."""
    if not files or any(file.suffix not in SUFFIXES for file in files):
        raise UserError(f"{path}: there are no rows in it that this can read: rows are .jsonl or .parquet files")
    tags: Tags = Counter()
    for file in files:
        tags += file_tags(file)
    if not tags:
        raise UserError(f"{path}: there are no rows in it: export them again")
    allow_rows(path, tags, _digest(files))
    return tags


def _digest(files: list[Path]) -> str:
    body = "\n".join(f"{file.name} {file_digest(file)}" for file in files)
    return hashlib.blake2b(body.encode(), digest_size=8).hexdigest()


def _exported(folder: Path, path: Path, tags: Tags, name: str, licence: str | None) -> None:
    """One file of `medcopilot export`, with its card in words."""
    made = read_card(path)
    (folder / "data").mkdir()
    target = folder / "data" / f"train{path.suffix}"
    shutil.copyfile(path, target)
    facts: dict[str, Any] = {}
    if made is not None:
        facts = {"tokens": f"{made.tokens:,}", "tokens with loss": f"{made.trained_tokens:,}", "digest of the rows": made.digest,
                 "digest of the tokenizer": made.tokenizer,
                 "runs": ", ".join(Path(run).name for run in made.runs) or "not recorded",
                 "left out": ", ".join(f"{why} {count:,}" for why, count in sorted(made.skipped.items())) or "nothing",
                 "options": json.dumps(public_recipe(made.options))}
        public = made.model_copy(update={"runs": [Path(run).name for run in made.runs], "options": public_recipe(made.options)})
        card_path(target).write_text(public.model_dump_json(indent=2) + "\n", encoding="utf-8")
    card = data_card(name, kind=made.kind if made else "rows", tags=tags, files={f"data/train{path.suffix}": "train"}, facts=facts,
                     licence=licence)
    (folder / "README.md").write_text(card, encoding="utf-8")


def _task_tags(path: Path) -> Tags:
    """The tags of all tasks of a built set, which have passed the gate; it was generated, not taken from a source."""
    try:
        manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
        built, said, source = dict(manifest["files"]), str(manifest.get("licence") or ""), manifest["request"].get("source")
        dataset, halves = str(manifest["dataset"]), [(split, half) for split in manifest["counts"] for half in ("views", "keys")]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise UserError(f"{path / MANIFEST}: not the manifest of a built task set: build it again with `medcopilot data build`"
                        ) from None
    if source:
        raise UserError(f"{path}: these tasks were made from a real source's own files: publish the code that builds them, not the "
                        "tasks; only synthetic twins are published")
    tags: Tags = Counter()
    others: set[tuple[str, str]] = set()
    for split, half in halves:
        file = path / f"{split}.{half}.jsonl"
        for row in iter_jsonl(file) if file.is_file() else ():
            if half == "views":
                tags[_task_tag(row, dataset)] += 1
            elif any(row.get(key) for key in _LICENCE):  # the tag of a task is its view's; a key has none of its own
                others.add(_task_tag(row, dataset))
    if said != " AND ".join(sorted({licence for _, licence in tags})):
        others.add((dataset, said))
    if not tags:
        raise UserError(f"{path}: there are no tasks in it: build it again with `medcopilot data build`")
    allow_rows(path, {*tags, *others}, file_digest(path / MANIFEST)[:16])
    _as_built(path, built)
    return tags


def _task_tag(row: Mapping[str, Any], dataset: str) -> tuple[str, str]:
    """(dataset, licence) of one line of views or keys."""
    view = row.get("view")
    own = view.get("dataset") if isinstance(view, Mapping) else None
    return str(own or dataset), _licence(row)


def _as_built(path: Path, built: Mapping[str, str]) -> None:
    """Refuse a task set that is not, file for file, what was built: nothing says what the rows of another file are.

    Raises:
        UserError: a file was added, changed or lost.
    """
    found = verify_files(path, built)
    if found.problems:
        raise UserError(found.problems[0])
    if found.unlisted:
        raise UserError(f"{path / found.unlisted[0]}: not one of the files that were built, so nothing says under what licence its "
                        "rows are: take it out, or build the tasks again")


def _tasks(folder: Path, path: Path, tags: Tags, name: str, licence: str | None) -> None:
    _copy(files_of(path), path, folder)
    manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
    views = {split: file for split in manifest["counts"] if (path / (file := f"{split}.views.jsonl")).is_file()}
    facts = {"dataset": manifest["dataset"], "modelled on": manifest.get("reference", "not recorded"),
             "build": json.dumps({key: value for key, value in manifest["request"].items() if key != "source"})}
    card = data_card(name, kind="tasks", tags=tags, files={file: split for split, file in views.items()}, facts=facts,
                     licence=licence)
    (folder / "README.md").write_text(card, encoding="utf-8")


def _copy(files: list[Path], source: Path, target: Path) -> None:
    for file in files:
        place = target / file.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        if file.name.endswith(_CARD):  # it names runs by their paths
            place.write_text(json.dumps(public_recipe(_json(file)), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        else:
            shutil.copyfile(file, place)


def _json(path: Path) -> dict[str, Any]:
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise UserError(f"{path}: not a card of exported rows: export the rows again, or delete it")
    return body
