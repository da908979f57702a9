"""Every stage writes down what its weights have seen, its parents' rows included."""

from __future__ import annotations

import json

import pytest

from medcopilot.data.rows import Card, rows_digest, tokenizer_digest, write_rows
from medcopilot.rl.dumps import read_tags, write_tags
from medcopilot.train.provenance import Provenance, Seen, own_record, seal, task_tags, trace_back
from medcopilot.train.settings import ModelConfig, SftConfig
from medcopilot.train.sft import run_sft


def tagged(rows, licence):
    return [{**row, "dataset": "mimic_iii", "licence": licence, "task_id": str(i)} for i, row in enumerate(rows)]


def write(path, rows, tokenizer):
    write_rows(path, rows, Card(kind="sft", digest=rows_digest(rows), rows=len(rows), tokens=0, trained_tokens=0,
                                tokenizer=tokenizer_digest(tokenizer)))
    return path


def test_a_second_stage_has_seen_what_the_first_saw(tmp_path, sft_rows, tokenizer, tokenizer_folder, tiny_shape):
    def stage(name, rows, **model):
        config = SftConfig(run=tmp_path / "run", name=name, seed=3, data=write(tmp_path / f"{name}.jsonl", rows, tokenizer),
                           model=ModelConfig(shape=tiny_shape, **model), max_steps=1, bf16=False)
        run_sft(config)
        return config.checkpoint

    first = stage("one", tagged(sft_rows[:8], "synthetic"), tokenizer=str(tokenizer_folder))
    second = stage("two", [*tagged(sft_rows[8:12], "PhysioNet-credentialed"), *sft_rows[12:14]], checkpoint=str(first))
    record = own_record(second)
    assert record is not None
    assert [(one.stage, one.licence, one.count) for one in record.seen] == \
        [("two", "", 2), ("two", "PhysioNet-credentialed", 4), ("one", "synthetic", 8)]
    assert record.bases == ("random weights, seed 3",)
    assert [(one.role, one.name) for one in record.parents] == [("policy", "one")]
    assert not record.unknown
    assert str(tmp_path) not in (second / "provenance.json").read_text()
    (first / "provenance.json").unlink()
    assert trace_back("three", 0, {}, [("policy", str(first))]).unknown


def test_a_parent_that_is_gone_is_not_taken_for_a_name_on_the_hub(tmp_path):
    record = trace_back("adapter", 0, {}, [("policy", str(tmp_path / "gone"))])
    assert not record.bases
    assert "is not there any more" in record.unknown[0]
    assert str(tmp_path) not in record.unknown[0]


@pytest.mark.parametrize("source", [None, "Qwen/Qwen2.5-7B-Instruct"])
def test_weights_begin_somewhere(source):
    record = trace_back("sft", 5, {("eicu", "synthetic"): 2}, [("policy", source)])
    assert record.bases == (source or "random weights, seed 5",)
    assert record.seen == (Seen(stage="sft", dataset="eicu", licence="synthetic", count=2),)


def test_a_critic_and_a_judge_count_too(tmp_path, tokenizer_folder):
    for name, licence in (("critic", "Stanford-EHRSHOT"), ("judge", "synthetic")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "tokenizer.json").write_text(name)
        seal(Provenance(bases=("a/b",), seen=(Seen(stage=name, dataset="ehrshot", licence=licence, count=1),)), tmp_path / name)
    critic, judge = str(tmp_path / "critic"), str(tmp_path / "judge")
    record = trace_back("ppo", 0, {}, [("policy", "a/b"), ("critic", critic), ("verifier", judge)])
    assert {one.licence for one in record.seen} == {"Stanford-EHRSHOT", "synthetic"}
    (tmp_path / "judge" / "tokenizer.json").write_text("other weights")
    assert "judge" in trace_back("ppo", 0, {}, [("verifier", judge)]).unknown[0]


def test_a_dump_says_which_tasks_it_is_drawn_from(tmp_path):
    from types import SimpleNamespace

    tags = task_tags([SimpleNamespace(dataset="eicu", licence="synthetic")] * 3)
    write_tags(tmp_path, tags)
    assert read_tags(tmp_path) == tags
    (tmp_path / "tags.json").write_text(json.dumps([["eicu"]]))
    assert list(read_tags(tmp_path)) == [("", "")]
    assert list(read_tags(tmp_path / "elsewhere")) == [("", "")]
