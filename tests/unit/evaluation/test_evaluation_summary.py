"""What a summary counts, and what it leaves out."""

from __future__ import annotations

import json
import time

import pytest
from trace_factory import make_run, make_trace

from medcopilot.evaluation.columns import columns
from medcopilot.evaluation.records import wholeness
from medcopilot.evaluation.summary import summarise
from medcopilot.report.terminal import print_summaries
from medcopilot.rollout.worker import Played
from medcopilot.trace import GradeRecord, Tokens, Turn


def test_ungraded_episodes_are_counted_by_label_and_left_out_of_every_rate():
    masked = make_trace(None, stop="infrastructure", error="BoxDied: gone")
    unsupported = make_trace(None)
    unsupported.grades["strict"].label = "unsupported"
    item = summarise([make_trace(True), make_trace(True), make_trace(False), masked, unsupported]).overall
    assert item.traces == 5
    assert (item.strict.successes, item.strict.n) == (2, 3)
    assert item.strict.value == pytest.approx(2 / 3)
    assert item.ungraded == {"infrastructure": 1, "unsupported": 1}
    assert item.floor == pytest.approx(2 / 5)


def test_a_masked_episode_is_ungraded_even_if_it_carries_a_score():
    assert summarise([make_trace(True, stop="infrastructure")]).overall.strict.n == 0


def test_inflation_compares_both_graders_on_the_same_episodes():
    only_strict = make_trace(True)
    only_strict.grades["paper"].score = None
    item = summarise([make_trace(True), make_trace(False, paper=True), make_trace(False), make_trace(False), only_strict]).overall
    assert item.strict.value == pytest.approx(2 / 5)
    assert (item.paper.value, item.paper.n) == (0.5, 4)
    assert item.inflation == pytest.approx(0.25)


def test_partial_scores_are_no_success_but_count_in_the_mean():
    partial = make_trace(False)
    partial.grades["strict"].score = 0.5
    item = summarise([partial, make_trace(True)]).overall
    assert (item.strict.value, item.mean_score) == (0.5, 0.75)


def test_abstention_precision_and_recall_stand_apart_from_answerable_success():
    abstain = {"submission": {"kind": "abstain"}}
    traces = [make_trace(True, impossible=True, **abstain), make_trace(True, impossible=True, **abstain),
              make_trace(False, impossible=True), make_trace(False, **abstain), make_trace(True), make_trace(True),
              make_trace(False, stop="turns", impossible=True)]  # silence is not abstention
    item = summarise(traces).overall
    assert (item.abstention.impossible, item.abstention.abstained, item.abstention.correct) == (4, 3, 2)
    assert item.abstention.precision.value == pytest.approx(2 / 3)
    assert item.abstention.recall.value == pytest.approx(1 / 2)
    assert item.answerable.value == pytest.approx(2 / 3)
    assert summarise([make_trace(True)]).overall.abstention is None


def test_groups_by_dataset_slice_category_and_temperature():
    summary = summarise([make_trace(True), make_trace(False, slice="unseen"),
                         make_trace(True, dataset="medcalcbench", category="score"),
                         make_trace(True, dataset="medcalcbench", category="dates", temperature=0.6)])
    assert {name: item.strict.value for name, item in summary.datasets.items()} == {"mimic_iii": 0.5, "medcalcbench": 1.0}
    assert summary.macro_strict == 0.75
    assert summary.dataset_slices["mimic_iii"]["unseen"].strict.value == 0.0
    assert set(summary.categories["medcalcbench"]) == {"score", "dates"}
    assert {name: item.strict.n for name, item in summary.temperatures.items()} == {"0": 3, "0.6": 1}


def test_an_interval_never_shrinks_to_a_point():
    item = summarise([make_trace(False, cluster=f"c{i}") for i in range(20)]).overall.strict
    assert item.value == 0.0
    assert item.ci_high == pytest.approx(0.1611, abs=1e-4)  # Wilson, 0 of 20 clusters
    one = summarise([make_trace(True, cluster="c"), make_trace(False, cluster="c")]).overall.strict
    assert one.ci_low < 0.1 < 0.9 < one.ci_high


def test_equal_cluster_names_of_two_datasets_are_two_clusters():
    traces = [make_trace(True, cluster="c"), make_trace(True, cluster="c", dataset="medcalcbench")]
    assert summarise(traces).overall.strict.clusters == 2


def test_a_retried_episode_counts_once_and_the_graded_version_wins():
    failed = make_trace(None, stop="infrastructure", id="same")
    item = summarise([failed, make_trace(True, id="same"), failed]).overall
    assert (item.traces, item.strict.n, item.strict.successes) == (1, 1, 1)


def test_actions_refusals_and_time_split():
    turns = [Turn(reply="hm", problem="format", generate_seconds=1.0),
             Turn(reply="{}", action="terminal", problem="not_allowed", generate_seconds=1.0),
             Turn(reply="{}", action="code_execution", generate_seconds=1.0, env_seconds=2.0),
             Turn(reply="{}", action="submit", generate_seconds=1.0)]
    acts = summarise([make_trace(True, turns=turns, seconds=8.0, grade_seconds=1.0, started=100.0)]).behaviour
    assert (acts.actions["code_execution"], acts.actions["submit"], acts.actions["terminal"]) == (0.5, 0.5, 0.0)
    assert acts.refused == {"format": 1, "schema": 0, "not_allowed": 1}
    split = acts.time
    assert (split.generation, split.environment, split.grading, split.rest, split.wall) == (4.0, 2.0, 1.0, 1.0, 8.0)
    assert acts.turns.mean == 4


def test_sampled_tokens_come_from_the_best_source_there_is():
    tokens = Tokens(ids=[1, 2, 3], mask=[0, 1, 1], logprobs=[0, -1, -1], versions=[-1, 0, 0])
    for fields, expected in (({"completion_tokens": 9, "tokens": tokens}, 9), ({"tokens": tokens}, 2),
                             ({"tokens": None}, 12), ({"tokens": None, "turns": []}, 0),
                             ({"tokens": None, "turns": [], "stop": "infrastructure"}, None)):
        assert summarise([make_trace(True, **fields)]).behaviour.completion_tokens.mean == expected


def test_usage_that_one_turn_lacks_is_unknown_everywhere():
    half = make_trace(True, tokens=None, turns=[Turn(reply="{}", sampled_tokens=100), Turn(reply="{}")])
    assert summarise([half]).behaviour.completion_tokens.n == 0
    assert columns([half]).total("completion_tokens") is None
    assert Played.of(half).completion_tokens is None


def test_masked_episodes_count_in_no_mean():
    ten = [make_trace(True, turns=[Turn(reply="{}")] * 10, seconds=9.0) for _ in range(4)]
    gone = [make_trace(None, turns=[], seconds=0.0, stop="infrastructure", submission=None, tokens=None) for _ in range(4)]
    acts = summarise([*ten, *gone]).behaviour
    assert (acts.turns.mean, acts.turns.n, acts.seconds.mean) == (10.0, 4, 9.0)


def test_no_traces_give_an_empty_summary():
    summary = summarise([])
    assert summary.overall.strict.value is None
    assert summary.behaviour.turns.mean is None


def test_a_summary_is_json_and_depends_on_its_seed_alone():
    run = make_run(0.5)
    first, again = summarise(run), summarise(run)
    assert first == again
    assert json.loads(first.model_dump_json())["overall"]["strict"]["n"] == 60
    assert summarise(run, seed=1).overall.strict.value == first.overall.strict.value
    assert "NaN" not in first.model_dump_json()


def test_forty_thousand_episodes_take_seconds():
    some = make_run(0.4, tasks=2000)
    cols = columns(trace.model_copy(update={"id": f"{trace.id}/{i}", "task_id": f"{trace.task_id}/{i}", "sample": i})
                   for i in range(20) for trace in some)
    begun = time.process_time()
    assert summarise(cols).overall.strict.n == 40_000
    assert time.process_time() - begun < 10


def test_what_the_papers_grader_did_not_score_is_counted_and_is_no_paper_failure(capsys):
    def episode(right):
        paper = GradeRecord(score=1.0, label="correct") if right else GradeRecord(score=None, label="unsupported")
        return make_trace(right, grades={"strict": GradeRecord(score=float(right), label="wrong"), "paper": paper})

    half = [episode(index < 10) for index in range(20)]
    found = summarise(half, resamples=100)
    row = found.overall
    assert (row.strict.value, row.strict.n) == (0.5, 20)
    assert (row.paper.value, row.paper.n, row.paper_ungraded) == (1.0, 10, {"unsupported": 10})
    assert row.inflation == 0.0, "over the ten that both scored"
    print_summaries({"half": found, "whole": summarise(half[:10], resamples=100)}, {})
    shown = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if "100.0" in line}
    assert "100.0\u00a0% (n 10)" in shown["half"]
    assert "(n" not in shown["whole"]
    assert wholeness("half", columns(half)) == ["half: the paper's grader scored 10 of 20 graded episodes (the others: "
                                               "unsupported): its rate and the inflation are over those."]
