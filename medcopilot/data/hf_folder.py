"""A folder that `datasets.load_dataset(FOLDER)` reads: Parquet rows under `data/`, and a dataset card.

    FOLDER/{README.md, data/train-00000-of-00001.parquet, data/train-00000-of-00001.parquet.card.json}

Promises: the folder appears whole or not at all; the card says what the rows are, where they are from, under which licences, what
every filter took in and gave out, and what they are for; the Parquet file is one that the recipes read. It is made to be handed
on, so rows under a data-use agreement pass the gate's exit `hub` or are not written.
Does not cover: uploading.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from env import agreement
from env.errors import UserError
from medcopilot.data.rows import Card, write_rows
from medcopilot.train.folders import write_folder

FILE = Path("data") / "train-00000-of-00001.parquet"
_LICENCES = {"apache-2.0", "mit", "odbl", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0"}
"""Identifiers that the hub knows, of those that the datasets have."""
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_WHAT = {
    "sft": "successful episodes of a code-writing medical agent, for supervised fine-tuning",
    "dpo": "preference pairs of a code-writing medical agent's episodes, for preference optimisation",
    "verifier": "judged episodes of a code-writing medical agent, for an outcome verifier",
}
_COLUMNS = {
    "sft": "`input_ids` and `labels` (-100 on every token that the policy did not sample)",
    "dpo": "`prompt_ids` (the shared opening), `chosen_ids`, `rejected_ids` and, token by token, `chosen_mask` and `rejected_mask` "
           "(1 on tokens that the policy sampled)",
    "verifier": "`input_ids` and `labels` (-100 on all but the answer), `answer` (YES or NO), `submitted`",
}
_USE = """Training and studying agents that answer questions about records and literature by writing programs. Not for decisions
about patients: answers were graded against synthetic or released references, and programs are the policies' own, mistakes
included."""


def check_folder(folder: Path) -> None:
    """Refuse a folder that holds anything but an earlier export: it would be replaced.

    Raises:
        UserError: it does, or it is a file.
    """
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir()) and not (folder / FILE).is_file()):
        raise UserError(f"{folder}: something else than an exported dataset is there, which would be lost: choose another --out")


def write_hf(folder: Path, rows: list[dict[str, Any]], card: Card, tokenizer: Any) -> None:
    """Write rows, with their text beside their ids, and the card.

    Raises:
        AgreementError: a row is under an agreement and no permission is recorded for the exit `hub`.
        UserError: something else is there.
    """
    check_folder(folder)
    agreement.check("hub", sorted({(row["dataset"], row["licence"]) for row in rows}))
    whole = [{**row, **_texts(row, tokenizer)} for row in rows]

    def fill(partial: Path) -> None:
        write_rows(partial / FILE, whole, card)
        (partial / "README.md").write_text(readme(card, folder.name), encoding="utf-8")

    write_folder(folder, fill)


def readme(card: Card, name: str) -> str:
    """The dataset card: YAML that the hub and `datasets` read, then text for people."""
    return f"---\n{yaml.safe_dump(_front(card, name), sort_keys=False, allow_unicode=True)}---\n\n{_body(card, name)}"


def _texts(row: Mapping[str, Any], tokenizer: Any) -> dict[str, str]:
    """Columns of ids as text, for people to read: `text`, or `prompt`, `chosen` and `rejected`."""
    names = {"input_ids": "text", "prompt_ids": "prompt", "chosen_ids": "chosen", "rejected_ids": "rejected"}
    return {text: tokenizer.decode(row[ids], skip_special_tokens=False, clean_up_tokenization_spaces=False)
            for ids, text in names.items() if ids in row}


def _front(card: Card, name: str) -> dict[str, Any]:
    tags = list(card.licences)
    known = tags[0].lower() if len(tags) == 1 and tags[0].lower() in _LICENCES else None
    licence = {"license": known} if known else {"license": "other", "license_name": _slug("-and-".join(sorted(tags)) or "none")}
    size = next((text for most, text in _SIZES if card.rows < most), "n>1M")
    return {"pretty_name": f"{name} ({card.kind})", **licence, "language": ["en"], "task_categories": ["text-generation"],
            "size_categories": [size],
            "tags": ["medical", "agents", "code", card.kind, *(f"licence:{tag}" for tag in sorted(tags)),
                     *(f"agreement:{tag}" for tag in card.agreements)],
            "configs": [{"config_name": "default", "data_files": [{"split": "train", "path": "data/train-*.parquet"}]}]}


def _body(card: Card, name: str) -> str:
    options = {key: value for key, value in card.options.items() if value not in (None, [], ()) and value is not False}
    held = ", ".join(card.agreements) or "none"
    parts = [
        f"# {name}\n\n{card.rows:,} {'pairs' if card.kind == 'dpo' else 'rows'}: {_WHAT.get(card.kind, card.kind)}. "
        f"{card.tokens:,} tokens, {card.trained_tokens:,} of them trained.",
        f"Columns: {_COLUMNS.get(card.kind, '')}; where each row is from (`dataset`, `category`, `task_id`, `trace_id`, "
        f"`licence`); and its text. Ids are of the tokenizer with the digest `{card.tokenizer}`; digest of the rows: "
        f"`{card.digest}`.",
        f"## Intended use\n\n{_USE}",
        "## Licences\n\n" + _table(("licence tag", "rows"), card.licences.items()) + f"\n\nData-use agreements: {held}.",
        "## Sources\n\n" + _table(("run", "digest of its settings", "policies", "episodes"), (
            (source.run, source.digest or "unknown", ", ".join(source.policies), source.traces) for source in card.sources)),
        "## Filters\n\n" + _table(("step", "in", "out", "of", "dropped"), (
            (step.name, step.rows_in, step.rows_out, step.unit,
             ", ".join(f"{reason} {count}" for reason, count in sorted(step.dropped.items()))) for step in card.filters)),
        f"Contamination: {card.contamination}.",
        "Options: " + (", ".join(f"{key} {value}" for key, value in options.items()) or "the defaults") + ".",
        "## Counts\n\n" + _table(("dataset / category", "rows"), sorted({**card.datasets, **card.categories}.items()))]
    for title, counts in (("difficulty", card.difficulties), ("sides", card.sides)):
        if counts:
            parts.append(_table((title, "rows"), sorted(counts.items())))
    return "\n\n".join(parts) + "\n"


def _table(head: tuple[str, ...], rows: Iterable[Iterable[Any]]) -> str:
    def line(cells: Iterable[Any]) -> str:
        return "| " + " | ".join(f"{cell:,}" if isinstance(cell, int) else str(cell).replace("|", "\\|") for cell in cells) + " |"

    return "\n".join([line(head), "|" + "---|" * len(head), *(line(row) for row in rows)])


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-")
