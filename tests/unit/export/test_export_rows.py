"""Training rows from traces: who may train, exact ids, pairs with a shared opening, files with a card."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from export_traces import BAD, GOOD, LOOK, QUESTION, trace

from env.errors import UserError
from medcopilot.agent.render import ChatRenderer
from medcopilot.data.choose import round_robin
from medcopilot.data.export import export_rows, texts_for_tokenizer, write_selection
from medcopilot.data.funnel import Funnel
from medcopilot.data.pairs import PairOptions, Rollout, pair_rows
from medcopilot.data.rows import Card, card_path, read_card, read_rows, rows_digest
from medcopilot.data.sft import SftOptions, sft_rows
from medcopilot.data.sources import load_traces, tokenize, turn_spans
from medcopilot.trace import Tokens, Trace, write_line


def with_tokens(item: Trace, renderer: ChatRenderer) -> Trace:
    ids, mask = renderer.trace(item.messages)
    return item.model_copy(update={"tokens": Tokens(ids=ids, mask=mask, logprobs=[0.0] * len(ids), versions=[-1] * len(ids))})


def make_sft(traces: list[Trace], renderer: ChatRenderer, **options: Any) -> tuple[list[dict[str, Any]], Counter[str]]:
    funnel = Funnel()
    return sft_rows(traces, renderer, SftOptions(**options), funnel), funnel.skipped


def make_pairs(traces: list[Trace], renderer: ChatRenderer, **options: Any) -> tuple[list[dict[str, Any]], Counter[str]]:
    funnel = Funnel()
    return pair_rows([Rollout(item) for item in traces], renderer, PairOptions(**options), funnel), funnel.skipped


def test_only_strict_successes_of_the_training_split_train(renderer: ChatRenderer) -> None:
    traces = [trace("a", LOOK, GOOD), trace("b", BAD, score=0.0), trace("c", GOOD, score=None), trace("d", GOOD, split="test"),
              trace("e", GOOD, score=None, stop="infrastructure"), trace("f", GOOD, score=0.5)]
    rows, skipped = make_sft(traces, renderer)
    assert [row["trace_id"] for row in rows] == ["a"]
    assert skipped == {"failed": 2, "ungraded": 1, "test_split": 1, "infrastructure": 1}


def test_labels_cover_exactly_what_was_sampled(renderer: ChatRenderer) -> None:
    (row,), _ = make_sft([trace("a", LOOK, GOOD)], renderer)
    trained = [token for token, label in zip(row["input_ids"], row["labels"], strict=True) if label != -100]
    assert trained == [label for label in row["labels"] if label != -100]
    assert renderer.tokenizer.decode(trained) == f"{LOOK}<|im_end|>{GOOD}<|im_end|>"
    assert row["labels"][-1] == renderer.end


def test_sampled_ids_are_kept_even_where_encoding_differs(renderer: ChatRenderer) -> None:
    spelled = [token for character in GOOD for token in renderer.encode(character)]
    prompt = renderer.prompt([{"role": "user", "content": QUESTION}])
    ids = [*prompt, *spelled, renderer.end]
    mask = [0] * len(prompt) + [1] * (len(spelled) + 1)
    assert spelled != renderer.encode(GOOD)
    item = trace("a", GOOD, tokens=Tokens(ids=ids, mask=mask, logprobs=[0.0] * len(ids), versions=mask))
    (row,), _ = make_sft([item], renderer)
    assert row["input_ids"] == ids
    assert row["exact"] is True


def test_ids_of_another_vocabulary_are_rendered_anew(renderer: ChatRenderer) -> None:
    other = Tokens(ids=[5, 6, 7, 8], mask=[0, 1, 1, 1], logprobs=[0.0] * 4, versions=[-1, 0, 0, 0])
    (row,), _ = make_sft([trace("a", GOOD, tokens=other)], renderer)
    assert row["exact"] is False
    assert row["input_ids"] == renderer.trace(trace("a", GOOD).messages)[0]


def test_refused_turns_carry_no_loss(renderer: ChatRenderer) -> None:
    (row,), _ = make_sft([trace("a", "nonsense", GOOD, problems=(0,))], renderer)
    assert renderer.decode([label for label in row["labels"] if label != -100]) == GOOD


def test_trailing_observations_are_cut(renderer: ChatRenderer) -> None:
    item = trace("a", LOOK, GOOD)
    item.messages.append({"role": "user", "content": "too late"})
    episode = tokenize(item, renderer)
    assert episode.mask[-1] == 1
    assert len(episode.starts) == 2


def test_duplicates_length_and_caps_are_counted(renderer: ChatRenderer) -> None:
    traces = [trace("a", GOOD), trace("b", GOOD), trace("c", LOOK, GOOD), trace("d", LOOK, LOOK, GOOD),
              trace("e", LOOK, GOOD, task="t2", question="Q?")]
    rows, skipped = make_sft(traces, renderer)
    assert (len(rows), skipped["duplicate"]) == (4, 1)
    rows, skipped = make_sft(traces, renderer, per_task=1)
    assert Counter(row["task_id"] for row in rows) == {"t1": 1, "t2": 1}
    shortest = min(len(row["input_ids"]) for row in make_sft(traces, renderer)[0])
    assert len(make_sft(traces, renderer, max_length=shortest)[0]) == 1


def test_choice_depends_on_the_seed_only(renderer: ChatRenderer) -> None:
    traces = [trace(f"x{i}", GOOD, question=f"Q{i}", task=f"t{i}") for i in range(20)]
    first, _ = make_sft(traces, renderer, limit=5, seed=1)
    assert make_sft(traces[::-1], renderer, limit=5, seed=1)[0] == first
    assert make_sft(traces, renderer, limit=5, seed=2)[0] != first


def test_datasets_take_turns_under_a_limit() -> None:
    rows = [{"dataset": "a", "n": i} for i in range(50)] + [{"dataset": "b", "n": i} for i in range(3)]
    assert Counter(row["dataset"] for row in round_robin(rows, 10)) == {"a": 7, "b": 3}
    assert round_robin(rows, None) == rows


def test_pairs_share_the_longest_opening_that_ends_at_a_turn(renderer: ChatRenderer) -> None:
    good, bad = trace("g", LOOK, GOOD), trace("b", LOOK, BAD, score=0.0)
    (row,), _ = make_pairs([good, bad], renderer)
    assert row["prompt_ids"] == renderer.trace(good.messages[:3])[0]
    assert renderer.decode(row["chosen_ids"]) == GOOD
    assert renderer.decode(row["rejected_ids"]) == BAD
    assert set(row["chosen_mask"]) == set(row["rejected_mask"]) == {1}
    assert (row["trace_id"], row["rejected_trace_id"]) == ("g", "b")


def test_observations_after_the_fork_are_masked(renderer: ChatRenderer) -> None:
    (row,), _ = make_pairs([trace("g", LOOK, GOOD), trace("b", BAD, score=0.0)], renderer)
    assert row["prompt_ids"] == renderer.prompt([{"role": "user", "content": QUESTION}])
    kept = [token for token, on in zip(row["chosen_ids"], row["chosen_mask"], strict=True) if on]
    assert renderer.tokenizer.decode(kept) == f"{LOOK}<|im_end|>{GOOD}<|im_end|>"
    assert "tables" in renderer.tokenizer.decode(row["chosen_ids"])


def test_ungraded_infrastructure_and_test_traces_make_no_pairs(renderer: ChatRenderer) -> None:
    traces = [trace("g", GOOD), trace("u", BAD, score=None), trace("i", BAD, score=None, stop="infrastructure"),
              trace("t", BAD, score=0.0, split="test")]
    rows, skipped = make_pairs(traces, renderer)
    assert rows == []
    assert skipped == {"ungraded": 1, "infrastructure": 1, "test_split": 1, "no_failure": 1}


def test_other_tasks_and_other_openings_make_no_pairs(renderer: ChatRenderer) -> None:
    assert make_pairs([trace("g", GOOD), trace("b", BAD, score=0.0, task="t2")], renderer)[0] == []
    assert make_pairs([trace("g", GOOD), trace("b", BAD, score=0.0, question="Another?")], renderer)[0] == []


def test_caps_per_task_and_uses(renderer: ChatRenderer) -> None:
    failures = [trace(f"b{i}", f'{{"action":"submit","params":{{"answer":{i}}}}}', score=0.0) for i in range(6)]
    rows, _ = make_pairs([trace("g", GOOD), *failures], renderer, per_task=5)
    assert len(rows) == 2  # one success serves two pairs
    rows, _ = make_pairs([trace("g", GOOD), trace("h", LOOK, GOOD), *failures], renderer, per_task=3)
    assert len(rows) == 3
    assert len({row["rejected_trace_id"] for row in rows}) == 3


def test_pair_choice_does_not_depend_on_the_order_of_traces(renderer: ChatRenderer) -> None:
    traces = [trace(f"{kind}{t}{i}", LOOK, f'{{"action":"submit","params":{{"answer":{i}}}}}', task=f"t{t}", question=f"Q{t}?",
                    score=float(kind == "g")) for t in range(4) for i, kind in enumerate("gbgb")]
    first, _ = make_pairs(traces, renderer, limit=3)
    assert make_pairs(traces[::-1], renderer, limit=3)[0] == first


def test_turn_spans() -> None:
    assert turn_spans([0, 1, 1, 0, 1]) == [(1, 3), (4, 5)]
    assert turn_spans([]) == turn_spans([0, 0]) == []


@pytest.fixture
def run_folder(tmp_path: Path, renderer: ChatRenderer) -> Path:
    traces = [with_tokens(trace("g", LOOK, GOOD), renderer), with_tokens(trace("b", LOOK, BAD, score=0.0), renderer),
              trace("r", LOOK, GOOD, task="t2", question="Q2?", dataset="medcalcbench", licence="CC-BY-SA-4.0")]
    shards = tmp_path / "run" / "traces"
    shards.mkdir(parents=True)
    (shards / "0.jsonl").write_text("".join(write_line(item) for item in traces[:2]))
    (shards / "1.jsonl").write_text(write_line(traces[2]) + '{"version": 1, "torn')
    return tmp_path / "run"


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_files_come_back_with_their_card(run_folder: Path, tmp_path: Path, tokenizer: Any, suffix: str,
                                         capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / f"sft{suffix}"
    card = export_rows([run_folder], out, tokenizer, SftOptions())
    rows = read_rows(out, ("input_ids", "labels"))
    assert read_card(out) == card
    assert card.digest == rows_digest(rows)
    assert (card.rows, card.tokens) == (2, sum(len(row["input_ids"]) for row in rows))
    assert card.trained_tokens == sum(label != -100 for row in rows for label in row["labels"])
    assert card.licences == {"synthetic": 1, "CC-BY-SA-4.0": 1}
    assert card.skipped == {"failed": 1}
    assert "torn last line" in capsys.readouterr().err


def test_pairs_have_a_card_too(run_folder: Path, tmp_path: Path, tokenizer: Any) -> None:
    card = export_rows([run_folder], tmp_path / "dpo.jsonl", tokenizer, PairOptions())
    assert (card.kind, card.rows, card.skipped) == ("dpo", 1, {"no_failure": 1})


def test_texts_for_the_tokenizer_come_from_successes(run_folder: Path) -> None:
    texts = texts_for_tokenizer(load_traces([run_folder]))
    assert GOOD in texts
    assert BAD not in texts


def test_bad_files_are_one_sentence(tmp_path: Path, tokenizer: Any, run_folder: Path) -> None:
    with pytest.raises(UserError, match="no traces"):
        load_traces([tmp_path / "nowhere"])
    with pytest.raises(UserError, match=r"\.jsonl or \.parquet"):
        export_rows([run_folder], tmp_path / "out.csv", tokenizer, SftOptions())
    with pytest.raises(UserError, match=r"nothing to export \(failed 1"):
        write_selection([trace("b", BAD, score=0.0)], tmp_path / "out.jsonl", tokenizer, SftOptions())
    broken = tmp_path / "broken.jsonl"
    broken.write_text('{"input_ids": [1]}\nnot json\n')
    with pytest.raises(UserError, match="line 2"):
        read_rows(broken, ())
    broken.write_text("\n")
    with pytest.raises(UserError, match="no rows"):
        read_rows(broken, ())
    parquet = tmp_path / "broken.parquet"
    parquet.write_bytes(b"not parquet")
    with pytest.raises(UserError, match="not a Parquet file"):
        read_rows(parquet, ())
    card_path(broken).write_text('{"kind": "sft"}')
    with pytest.raises(UserError, match="not a valid card"):
        read_card(broken)


def test_card_is_plain_json(run_folder: Path, tmp_path: Path, tokenizer: Any) -> None:
    out = tmp_path / "a.jsonl"
    card = export_rows([run_folder], out, tokenizer, SftOptions())
    assert Card(**json.loads(card_path(out).read_text())) == card
