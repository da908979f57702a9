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


def test_the_filters_and_the_folder_of_datasets(run_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "rows"
    words = ["sft", str(run_folder), "--out", str(out), "--format", "hf", "--tokenizer", str(tmp_path / "tokenizer"),
             "--new-tokenizer", "300", "--balance", "category", "--balance", "difficulty", "--cap", "2"]
    found = CliRunner().invoke(app, words, catch_exceptions=False)
    for line in ("training split, graded: 6 -> 6 episodes", "success: 6 -> 3 episodes (failed 3)",
                 "cap of each group: 3 -> 2 episodes (cap 1)", "test questions: not checked: ", "2 rows", "difficulty: medium 2"):
        assert line in found.output
    assert (out / "README.md").is_file()


def test_best_against_worst_reads_scores(run_folder: Path, tmp_path: Path) -> None:
    shared = ["--tokenizer", str(tmp_path / "tokenizer"), "--new-tokenizer", "300"]
    scores = tmp_path / "scores.jsonl"
    scores.write_text("".join(json.dumps({"id": f"x{i}", "score": i / 10}) + "\n" for i in range(4)))
    words = ["dpo", str(run_folder), "--out", str(tmp_path / "a.jsonl"), *shared, "--best-worst"]
    found = CliRunner().invoke(app, [*words, "--verifier", str(scores)], catch_exceptions=False)
    assert "scored: 6 -> 4 episodes (no_score 2)" in found.output
    assert "2 pairs" in found.output
    (run_folder / "scores").mkdir()
    (run_folder / "scores" / "v.jsonl").write_text(scores.read_text())  # as `medcopilot eval --verifier` leaves them
    found = CliRunner().invoke(app, words, catch_exceptions=False)
    assert "2 pairs" in found.output


def test_off_policy_pairs_name_the_run_of_the_chosen_sides(run_folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "expert"
    (other / "traces").mkdir(parents=True)
    (other / "traces" / "0.jsonl").write_text((run_folder / "traces" / "0.jsonl").read_text())
    words = ["dpo", str(run_folder), "--chosen", str(other), "--out", str(tmp_path / "a.jsonl"), "--tokenizer",
             str(tmp_path / "tokenizer"), "--new-tokenizer", "300"]
    found = CliRunner().invoke(app, words, catch_exceptions=False)
    assert "sides: off_policy 3" in found.output


def test_a_run_counts_once_however_it_is_spelled(run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(run_folder)
    rest = ["--tokenizer", str(tmp_path / "tokenizer"), "--new-tokenizer", "300", "--json", str(tmp_path / "card.json")]
    words = ["sft", "run", "./run", str(run_folder), "link", "--out", "a.jsonl", *rest]
    found = CliRunner().invoke(app, words, catch_exceptions=False)
    assert "training split, graded: 6 -> 6 episodes" in found.output
    assert "difficulty: medium 3" in found.output
    assert json.loads((tmp_path / "card.json").read_text())["runs"] == ["run"]
    pairs = ["dpo", "run", "--chosen", str(run_folder), "--out", "b.jsonl", *rest]
    found = CliRunner().invoke(app, pairs, catch_exceptions=False)
    assert "sides: on_policy 3" in found.output
    with pytest.raises(UserError, match=r"0\.jsonl is a part of run: its episodes would count twice"):
        CliRunner().invoke(app, ["sft", "run", "run/traces/0.jsonl", "--out", "c.jsonl", *rest], catch_exceptions=False)


@pytest.mark.parametrize(("arguments", "message"), [
    (["ppo", "{run}", "--out", "x.jsonl", "--tokenizer", "t"], "choose sft, dpo or verifier"),
    (["sft", "{run}", "--out", "x.csv", "--tokenizer", "t"], "jsonl or .parquet"),
    (["sft", "{run}", "--out", "x.jsonl", "--tokenizer", "t", "--limit", "0"], "--limit 0"),
    (["sft", "{run}", "--out", "x.jsonl", "--tokenizer", "t", "--profile", "nano"], "wording of the verifier's prompt"),
    (["verifier", "{run}", "--out", "x.jsonl", "--tokenizer", "t", "--profile", "huge"], "--profile huge"),
    (["sft", "{run}", "--out", "x.jsonl", "--tokenizer", "t", "--contamination", "1.2"], "--contamination 1.2: a share"),
    (["sft", "{run}", "--out", "x.jsonl", "--tokenizer", "t", "--contamination", "0.5"], "is not a run folder"),
    (["sft", "{run}", "--out", "x.jsonl", "--tokenizer", "t", "--against", "train"], "--against train: the test split has"),
    (["sft", "{run}", "--out", "x.jsonl", "--tokenizer", "t", "--near", "2"], "--near 2"),
    (["sft", "{run}", "--out", "x.jsonl", "--tokenizer", "t", "--balance", "category"], "balancing needs a measure"),
    (["sft", "{run}", "--out", "x.jsonl", "--tokenizer", "t", "--balance", "length", "--cap", "2"], "--balance length"),
    (["sft", "{run}", "--out", "x.jsonl", "--tokenizer", "t", "--level", "step"], "--level is no option of"),
    (["sft", "{run}", "--out", "x.jsonl", "--tokenizer", "t", "--chosen", "{run}"], "--chosen is about the two sides of a pair"),
    (["dpo", "{run}", "--out", "x.jsonl", "--tokenizer", "t", "--level", "turn"], "--level turn"),
    (["dpo", "{run}", "--out", "x.jsonl", "--tokenizer", "t", "--level", "step", "--best-worst"], "lies within one episode"),
    (["dpo", "{run}", "--out", "x.jsonl", "--tokenizer", "t", "--level", "step", "--chosen", "{run}"], "names another run"),
    (["dpo", "{run}", "--out", "x.jsonl", "--tokenizer", "t", "--best-worst"], "name the verifier with --verifier"),
    (["dpo", "{run}", "--out", "x.jsonl", "--tokenizer", "t", "--verifier", "v"], "scores for --best-worst"),
    (["dpo", "{run}", "--out", "x.jsonl", "--tokenizer", "t", "--best-worst", "--verifier", "missing"], "no verifier and no file"),
    (["sft", "{run}", "--out", "x.jsonl", "--tokenizer", "t", "--format", "csv"], "choose jsonl, parquet or hf"),
    (["sft", "{run}", "--out", "x.jsonl", "--tokenizer", "t", "--format", "parquet"], "do not fit"),
    (["sft", "{run}", "--out", "{run}", "--tokenizer", "t", "--format", "hf"], "choose another --out"),
    (["sft", "{run}/missing", "--out", "x.jsonl", "--tokenizer", "t"], "no traces"),
    (["sft", "{run}", "--out", "x.jsonl", "--tokenizer", "missing"], "no such tokenizer folder"),
])
def test_bad_input_is_one_sentence(run_folder: Path, arguments: list[str], message: str) -> None:
    found = CliRunner().invoke(app, [argument.format(run=run_folder) for argument in arguments])
    assert isinstance(found.exception, UserError)
    assert message in str(found.exception)
    assert "\n" not in str(found.exception)
