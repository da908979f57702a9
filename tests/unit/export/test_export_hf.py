"""The folder that `datasets` reads, its card, and the gate in front of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from export_traces import BAD, GOOD, LOOK, trace

from env.errors import AgreementError, UserError
from medcopilot.agent.render import ChatRenderer
from medcopilot.data.export import Material, write_material
from medcopilot.data.hf_folder import FILE
from medcopilot.data.pairs import PairOptions
from medcopilot.data.rows import read_card, read_rows
from medcopilot.data.sft import SftOptions
from medcopilot.trace import Trace


def episodes(**fields: Any) -> list[Trace]:
    return [trace("g", LOOK, GOOD, **fields), trace("b", LOOK, BAD, score=0.0, **fields)]


def write(traces: list[Trace], out: Path, tokenizer: Any, options: Any = None) -> Any:
    return write_material(Material({"runs/own": traces}), out, tokenizer, options or SftOptions(), hf=True)


def test_load_dataset_reads_the_folder(tmp_path: Path, tokenizer: Any, renderer: ChatRenderer) -> None:
    import datasets

    write(episodes(), tmp_path / "pairs", tokenizer, PairOptions())
    found = datasets.load_dataset(str(tmp_path / "pairs"), cache_dir=str(tmp_path / "cache"))
    assert list(found) == ["train"]
    (row,) = found["train"]
    (written,) = read_rows(tmp_path / "pairs" / FILE, ("prompt_ids", "chosen_mask"))
    assert row == written
    assert row["chosen"] == renderer.tokenizer.decode(row["chosen_ids"]) == f"{GOOD}<|im_end|>"
    assert row["rejected"] == f"{BAD}<|im_end|>"


def test_the_card_says_what_the_rows_are(tmp_path: Path, tokenizer: Any) -> None:
    out = tmp_path / "own-successes"
    card = write([*episodes(), trace("h", GOOD, task="t2", question="Q2?", licence="CC-BY-4.0", category="d")], out, tokenizer)
    _, front, body = (out / "README.md").read_text().split("---\n", 2)
    head = yaml.safe_load(front)
    assert head["configs"] == [{"config_name": "default", "data_files": [{"split": "train", "path": "data/train-*.parquet"}]}]
    assert (head["license"], head["license_name"]) == ("other", "cc-by-4.0-and-synthetic")
    assert {"licence:CC-BY-4.0", "licence:synthetic", "sft"} <= set(head["tags"])
    for text in (card.digest, card.tokenizer, "success | 3 | 2 | episodes | failed 1", "mimic_iii/c | 1", "mimic_iii/d | 1",
                 "Contamination: not checked", "Not for decisions", "seed 0"):
        assert text in body
    assert read_card(out / FILE) == card


def test_one_known_licence_is_the_hubs(tmp_path: Path, tokenizer: Any) -> None:
    write(episodes(licence="CC-BY-SA-4.0"), tmp_path / "rows", tokenizer)
    assert "license: cc-by-sa-4.0\n" in (tmp_path / "rows" / "README.md").read_text()


def test_rows_under_an_agreement_need_permission_for_the_hub(tmp_path: Path, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
                                                            ) -> None:
    record = tmp_path / "agreements.yaml"
    monkeypatch.setenv("MEDCOPILOT_AGREEMENTS", str(record))
    held = episodes(licence="PhysioNet-credentialed")
    with pytest.raises(AgreementError, match="mimic_iii"):
        write(held, tmp_path / "rows", tokenizer)
    assert not (tmp_path / "rows").exists()
    assert write_material(Material({"": held}), tmp_path / "rows.jsonl", tokenizer, SftOptions()).rows == 1  # stays on this machine
    record.write_text("- {dataset: mimic_iii, exit: hub, allowed: true, who: Jane Doe, date: 2026-11-03}\n")
    card = write(held, tmp_path / "rows", tokenizer)
    assert card.agreements == ["PhysioNet-credentialed"]
    assert "agreement:PhysioNet-credentialed" in (tmp_path / "rows" / "README.md").read_text()


def test_an_earlier_export_is_replaced_and_nothing_else(tmp_path: Path, tokenizer: Any) -> None:
    out = tmp_path / "rows"
    first = write(episodes(), out, tokenizer)
    assert write([*episodes(), trace("h", GOOD, task="t2", question="Q2?")], out, tokenizer).rows == first.rows + 1
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.txt").write_text("all of it")
    with pytest.raises(UserError, match="choose another --out"):
        write(episodes(), precious, tokenizer)
    assert (precious / "thesis.txt").read_text() == "all of it"
