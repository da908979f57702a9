"""Rows of the verifier: balanced, distinct, of the training split, with the loss on the answer alone."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from medcopilot.agent.render import ChatRenderer
from medcopilot.cli.main import app
from medcopilot.data.export import write_selection
from medcopilot.data.funnel import Funnel
from medcopilot.trace import Trace, Turn, write_line
from medcopilot.verifier.prompt import VerifierPrompt
from medcopilot.verifier.rows import VerifierOptions, verifier_rows


def make_rows(traces: list[Trace], renderer: ChatRenderer, **options: Any) -> tuple[list[dict[str, Any]], Counter[str]]:
    funnel = Funnel()
    return verifier_rows(traces, renderer, VerifierOptions(profile="nano", **options), funnel), funnel.skipped


def test_only_the_answer_token_carries_loss(renderer: ChatRenderer, traces: list[Trace]) -> None:
    rows, _ = make_rows(traces[:4], renderer)
    prompt = VerifierPrompt(renderer, "nano")
    known = {trace.id: trace for trace in traces}
    assert len(rows) == 4
    for row in rows:
        trace = known[row["trace_id"]]
        token = prompt.answers.yes if trace.success else prompt.answers.no
        assert row["input_ids"] == [*prompt.ids(trace), token]
        assert row["labels"] == [-100] * (len(row["input_ids"]) - 1) + [token]
        assert row["answer"] == ("YES" if trace.success else "NO")


def test_answers_are_balanced_per_dataset_and_per_task(renderer: ChatRenderer, traces: list[Trace]) -> None:
    lopsided = [trace for trace in traces if trace.success or not trace.id.endswith("-2")]  # two YES and one NO per task
    rows, skipped = make_rows(lopsided, renderer)
    for key in ("dataset", "task_id"):
        counts = Counter((row[key], row["answer"]) for row in rows)
        assert all(counts[value, "YES"] == counts[value, "NO"] for value, _ in counts)
    assert len(rows) == 80
    assert skipped == {"unpaired": 40}


def test_tasks_with_one_outcome_are_paired_within_their_dataset(renderer: ChatRenderer, traces: list[Trace]) -> None:
    one_sided = [trace for trace in traces if trace.success == (int(trace.task_id[1:]) % 4 < 2)]
    rows, _ = make_rows(one_sided, renderer)
    counts = Counter((row["dataset"], row["answer"]) for row in rows)
    assert len(set(counts.values())) == 1
    assert len(counts) == 4
    assert make_rows([trace for trace in traces if trace.success], renderer)[0] == []


def test_limits_keep_the_balance_and_meet_all_datasets_and_tasks(renderer: ChatRenderer, traces: list[Trace]) -> None:
    rows, _ = make_rows(traces, renderer, limit=21)
    assert Counter(row["answer"] for row in rows) == {"YES": 10, "NO": 10}
    assert {row["dataset"] for row in rows} == {"medcalcbench", "mimic_iii"}
    assert len({row["task_id"] for row in rows}) == 10
    rows, _ = make_rows(traces, renderer, per_task=2)
    assert set(Counter(row["task_id"] for row in rows).values()) == {2}


def test_what_may_not_train_is_left_out_and_counted(renderer: ChatRenderer, trace_of: Callable[..., Trace],
                                                    turn_of: Callable[..., Turn]) -> None:
    traces = [
        trace_of("good", turn_of("print(3)", "3")), trace_of("bad", turn_of("print(4)", "4"), answer=4, success=False),
        trace_of("test", answer=5, split="test"), trace_of("ungraded", answer=6, success=None),
        trace_of("ours", answer=7, success=None, stop="infrastructure"),
        trace_of("paper", answer=8, protocol="paper", stop="success"),
        trace_of("again", turn_of("print(3)", "3")),
        trace_of("both", answer=9), trace_of("ways", answer=9, success=False)]
    rows, skipped = make_rows(traces, renderer)
    assert {row["answer"] for row in rows} == {"YES", "NO"}
    assert {row["trace_id"] for row in rows} <= {"good", "again", "bad"}
    assert skipped == {"test_split": 1, "ungraded": 1, "infrastructure": 1, "paper_protocol": 1, "duplicate": 2,
                       "judged_both_ways": 1}


def test_choice_depends_on_the_seed_only(renderer: ChatRenderer, traces: list[Trace]) -> None:
    first, _ = make_rows(traces, renderer, limit=10, seed=1)
    assert make_rows(traces[::-1], renderer, limit=10, seed=1)[0] == first
    assert make_rows(traces, renderer, limit=10, seed=2)[0] != first


def test_export_writes_rows_and_their_card(tmp_path: Path, traces: list[Trace], tokenizer_folder: Path, tokenizer: Any) -> None:
    shard = tmp_path / "run" / "traces" / "0.jsonl"
    shard.parent.mkdir(parents=True)
    shard.write_text("".join(write_line(trace) for trace in traces[:16]))
    out = tmp_path / "verifier.parquet"
    command = ["export", "verifier", str(tmp_path / "run"), "--out", str(out), "--tokenizer", str(tokenizer_folder),
               "--profile", "nano"]
    found = CliRunner().invoke(app, command, catch_exceptions=False)
    assert "16 rows" in found.output
    assert "(16 trained)" in found.output
    card = json.loads(Path(f"{out}.card.json").read_text())
    assert (card["kind"], card["rows"], card["options"]["profile"]) == ("verifier", 16, "nano")
    again = write_selection(traces[:16], tmp_path / "again.jsonl", tokenizer, VerifierOptions(profile="nano"))
    assert again.digest == card["digest"]


@pytest.mark.parametrize("bad", [{"limit": 1}, {"per_task": 1}, {"profile": "huge"}])
def test_options_that_cannot_be_balanced_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(bad))):
        VerifierOptions(**bad)
