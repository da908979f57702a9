"""`medcopilot export` on a run folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from env.errors import UserError
from medcopilot.cli import export
from medcopilot.trace import GradeRecord, Trace, Turn, write_line

app = typer.Typer()
app.command()(export.run)


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    shards = tmp_path / "run" / "traces"
    shards.mkdir(parents=True)
    lines = []
    for i in range(6):
        reply = f'{{"action":"submit","params":{{"answer":{i // 2 + i % 2}}}}}'
        score = float(i % 2 == 0)
        lines.append(write_line(Trace(
            id=f"x{i}", task_id=f"t{i // 2}", dataset="medcalcbench", category="c", template="q", split="train", slice="train",
            cluster="k", licence="synthetic", policy="expert", stop="submit", turns=[Turn(reply=reply)],
            messages=[{"role": "user", "content": f"What is {i // 2}?"}, {"role": "assistant", "content": reply}],
            grades={"strict": GradeRecord(score=score, label="x"), "paper": GradeRecord(score=score, label="x")})))
    (shards / "0.jsonl").write_text("".join(lines))
    return tmp_path / "run"


def test_sft_with_a_new_tokenizer_then_pairs_with_the_same(run_folder: Path, tmp_path: Path) -> None:
    tokenizer = tmp_path / "tokenizer"
    common = ["--tokenizer", str(tokenizer)]
    sft = ["sft", str(run_folder), "--out", str(tmp_path / "sft.jsonl"), *common, "--new-tokenizer", "300"]
    found = CliRunner().invoke(app, [*sft, "--json", str(tmp_path / "card.json")], catch_exceptions=False)
    assert found.exit_code == 0
    assert "3 rows" in found.output
    card = json.loads((tmp_path / "card.json").read_text())
    before = (tokenizer / "tokenizer.json").read_bytes()
    dpo = ["dpo", str(run_folder), "--out", str(tmp_path / "dpo.parquet"), *common, "--new-tokenizer", "400"]
    found = CliRunner().invoke(app, dpo, catch_exceptions=False)
    assert "3 pairs" in found.output
    assert (tokenizer / "tokenizer.json").read_bytes() == before
    assert json.loads((tmp_path / "dpo.parquet.card.json").read_text())["tokenizer"] == card["tokenizer"]


@pytest.mark.parametrize(("arguments", "message"), [
    (["ppo", "{run}", "--out", "x.jsonl", "--tokenizer", "t"], "choose sft, dpo or verifier"),
    (["sft", "{run}", "--out", "x.csv", "--tokenizer", "t"], "jsonl or .parquet"),
    (["sft", "{run}", "--out", "x.jsonl", "--tokenizer", "t", "--limit", "0"], "--limit 0"),
    (["sft", "{run}", "--out", "x.jsonl", "--tokenizer", "t", "--profile", "nano"], "wording of the verifier's prompt"),
    (["verifier", "{run}", "--out", "x.jsonl", "--tokenizer", "t", "--profile", "huge"], "--profile huge"),
    (["sft", "{run}/missing", "--out", "x.jsonl", "--tokenizer", "t"], "no traces"),
    (["sft", "{run}", "--out", "x.jsonl", "--tokenizer", "missing"], "no such tokenizer folder"),
])
def test_bad_input_is_one_sentence(run_folder: Path, arguments: list[str], message: str) -> None:
    found = CliRunner().invoke(app, [argument.format(run=run_folder) for argument in arguments])
    assert isinstance(found.exception, UserError)
    assert message in str(found.exception)
    assert "\n" not in str(found.exception)
