"""Training rows on disk: JSON lines or Parquet, chosen by the file's suffix, with a small card beside them.

Promises: files are written whole; the card (`<file>.card.json`) carries the digest of the rows, counts, licence tags and the
tokenizer's digest; reading checks columns and says which file and what to do.
Does not cover: what goes into the rows (`medcopilot.data.sft`, `.pairs`, `medcopilot.verifier.rows`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from env.errors import UserError
from env.files import atomic_write
from medcopilot.data.funnel import Filter
from medcopilot.data.sources import Source

SUFFIXES = (".jsonl", ".parquet")


class Card(BaseModel):
    """What a file of training rows is."""

    model_config = ConfigDict(extra="forbid")
    kind: str
    """`sft`, `dpo` or `verifier`."""
    digest: str
    """16 hex digits over the rows."""
    rows: int
    tokens: int
    """All tokens; of a pair, both sides with the shared opening counted twice."""
    trained_tokens: int
    """Tokens that carry loss."""
    tokenizer: str
    """Digest of the tokenizer's vocabulary."""
    datasets: dict[str, int] = Field(default_factory=dict)
    licences: dict[str, int] = Field(default_factory=dict)
    skipped: dict[str, int] = Field(default_factory=dict)
    """Traces, or pairs, that were left out, by reason."""
    runs: list[str] = Field(default_factory=list)
    options: dict[str, Any] = Field(default_factory=dict)
    sources: list[Source] = Field(default_factory=list)
    categories: dict[str, int] = Field(default_factory=dict)
    """Rows by `dataset/category`."""
    difficulties: dict[str, int] = Field(default_factory=dict)
    sides: dict[str, int] = Field(default_factory=dict)
    """Of pairs: both sides from one run (`on_policy`) or not."""
    filters: list[Filter] = Field(default_factory=list)
    """Every step of the choice, with rows in and out."""
    contamination: str = ""
    """How questions were checked against the test split, or why they were not."""
    agreements: list[str] = Field(default_factory=list)
    """Licence tags that stand for a data-use agreement: rows under them stay where the agreement lets them be."""


def tokenizer_digest(tokenizer: Any) -> str:
    """16 hex digits over the vocabulary, special tokens included."""
    body = json.dumps(sorted(tokenizer.get_vocab().items()), ensure_ascii=False)
    return hashlib.blake2b(body.encode(), digest_size=8).hexdigest()


def rows_digest(rows: Iterable[dict[str, Any]]) -> str:
    """16 hex digits over the rows in their order."""
    state = hashlib.blake2b(digest_size=8)
    for row in rows:
        state.update(json.dumps(row, sort_keys=True, ensure_ascii=False).encode() + b"\n")
    return state.hexdigest()


def check_suffix(path: Path) -> None:
    """Refuse a file name whose format is unknown."""
    if path.suffix not in SUFFIXES:
        raise UserError(f"{path}: training rows are written as .jsonl or .parquet: choose one of these endings")


def card_path(path: Path) -> Path:
    return path.with_name(path.name + ".card.json")


def write_rows(path: Path, rows: Sequence[dict[str, Any]], card: Card) -> None:
    """Write rows and card."""
    check_suffix(path)
    if path.suffix == ".jsonl":
        atomic_write(path, "".join(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n" for row in rows))
    else:
        import pyarrow
        import pyarrow.parquet

        sink = pyarrow.BufferOutputStream()
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(list(rows)), sink, compression="zstd")
        atomic_write(path, sink.getvalue().to_pybytes())
    atomic_write(card_path(path), card.model_dump_json(indent=2) + "\n")


def read_rows(path: Path, columns: Sequence[str]) -> list[dict[str, Any]]:
    """All rows.

    Raises:
        UserError: missing file, malformed line, missing column, no rows.
    """
    check_suffix(path)
    if not path.is_file():
        raise UserError(f"{path}: there are no training rows: write them with `medcopilot export {{sft|dpo|verifier}} RUN --out "
                        f"{path}`")
    rows = list(iter_jsonl(path)) if path.suffix == ".jsonl" else _read_parquet(path)
    if not rows:
        raise UserError(f"{path}: the file has no rows: sample more episodes and export again")
    missing = [column for column in columns if column not in rows[0]]
    if missing:
        raise UserError(f"{path}: the rows lack {' and '.join(missing)}: was the file exported for another stage? export it again")
    return rows


def read_card(path: Path) -> Card | None:
    """The card beside a file of rows, None when there is none."""
    card = card_path(path)
    if not card.is_file():
        return None
    try:
        return Card.model_validate_json(card.read_bytes())
    except ValidationError as error:
        raise UserError(f"{card}: not a valid card ({error.error_count()} fields are wrong): export the rows again") from None


def iter_jsonl(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a file of JSON lines, one after another.

    Raises:
        UserError: a line is no JSON object.
    """
    with path.open("rb") as handle:
        for number, line in enumerate(handle, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError:
                row = None
            if not isinstance(row, dict):
                raise UserError(f"{path} line {number}: not a JSON object: export the rows again")
            yield row


def _read_parquet(path: Path) -> list[dict[str, Any]]:
    import pyarrow
    import pyarrow.parquet

    try:
        return pyarrow.parquet.read_table(path).to_pylist()
    except (pyarrow.ArrowInvalid, OSError) as error:
        raise UserError(f"{path}: not a Parquet file ({str(error).splitlines()[0]}): export the rows again") from None
