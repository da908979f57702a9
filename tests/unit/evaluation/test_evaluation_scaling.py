"""Curves over K, what counts as one answer, suites, protocols and checkpoints."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trace_factory import make_run, make_trace

from env.errors import UserError
from medcopilot.evaluation.answers import NONE, canonical, read_submission
from medcopilot.evaluation.columns import columns
from medcopilot.evaluation.compare import compare
from medcopilot.evaluation.intervals import cluster_bootstrap, cluster_bootstrap_table, wilson
from medcopilot.evaluation.protocols import inflation, protocol_pairs
from medcopilot.evaluation.scaling import scaling, scaling_gain
from medcopilot.evaluation.suites import SUITES, suites
from medcopilot.evaluation.training import training_curve
from medcopilot.trace import Turn


def rollouts(task, outcomes, *, answers=None, **fields):
    """Rollouts of one task; ids are `task/0`, `task/1`, ..."""
    given = answers or [int(bool(outcome)) for outcome in outcomes]
    return [make_trace(outcome, id=f"{task}/{i}", task_id=task, cluster=task, sample=i,
                       **{"temperature": 0.6, "submission": {"kind": "answer", "answer": answer}, **fields})
            for i, (outcome, answer) in enumerate(zip(outcomes, given, strict=True))]


def vote(trace):
    return canonical(read_submission(trace))


def test_a_curve_by_hand():
    cols = columns([*rollouts("a", [True, False]), *rollouts("b", [False, False], answers=[4, 5])])
    found = scaling(cols, {"a/0": 0.2, "a/1": 0.9, "b/0": 0.1, "b/1": 0.3})
    (curve,) = found.overall
    one, two = curve.points
    assert (curve.scheme, curve.temperature, curve.tasks, curve.rollouts_min, curve.rollouts_max) == ("exchangeable", 0.6, 2, 2, 2)
    assert (one.k, one.pass_at_k.value, one.best_at_k.value, one.regret.value) == (1, 0.25, 0.25, 0.0)
    assert (two.pass_at_k.value, two.best_at_k.value, two.regret.value) == (0.5, 0.0, 0.5)  # the verifier likes the wrong one
    assert (two.majority_at_k.value, two.random.value) == (0.25, 0.25)  # a tie, shared
    json.dumps(found.model_dump(), allow_nan=False)


def test_a_curve_on_the_ceiling_keeps_the_interval_that_a_plain_rate_has():
    traces = [trace for task in range(12) for trace in rollouts(f"t{task}", [True, True])]
    found = scaling(columns(traces)).overall[0].points[1].pass_at_k
    low = wilson(12, 12).low
    assert (found.value, found.ci_low, found.ci_high) == (1.0, pytest.approx(low), 1.0)


def test_tasks_with_too_few_rollouts_are_left_out_and_counted():
    cols = columns([*rollouts("a", [True, False, True]), *rollouts("b", [False, None, False])])
    points = scaling(cols).overall[0].points
    assert [(point.k, point.tasks, point.too_few) for point in points] == [(1, 2, 0), (2, 2, 0), (3, 1, 1)]
    assert points[2].pass_at_k.value == 1.0  # task a alone


def test_a_greedy_rollout_is_in_every_subset_and_never_mixed_with_the_drawn_ones():
    greedy = [make_trace(True, id="a/g", task_id="a", cluster="a", temperature=0.0),
              make_trace(False, id="b/g", task_id="b", cluster="b", temperature=0.0)]
    drawn = [*rollouts("a", [False, False]), *rollouts("b", [True, False]), *rollouts("c", [True, True])]
    first, alone = scaling(columns([*drawn, *greedy])).overall
    assert (first.scheme, first.tasks, first.no_greedy) == ("greedy first", 2, 1)
    assert [point.pass_at_k.value for point in first.points] == [0.5, 0.75, 1.0]
    assert (alone.scheme, alone.tasks) == ("exchangeable", 3)
    assert alone.points[0].pass_at_k.value == pytest.approx((0 + 0.5 + 1) / 3)


@pytest.mark.parametrize("printed", ["[" * 4000, "[" * 900 + "]" * 900, '{"a":' * 3000 + "1" + "}" * 3000])
def test_what_a_program_prints_never_ends_the_evaluation(printed):
    ran = Turn(reply="", action="code_execution", params={"code": "x"}, observation=printed, execution={"status": "ok"})
    given = {"kind": "program", "program": "x", "language": "python"}
    one, two, other = (make_trace(False, turns=[turn], submission=given)
                       for turn in (ran, ran, ran.model_copy(update={"observation": printed + "\n2"})))
    assert vote(one) == vote(two) != vote(other)


def test_a_run_with_one_rollout_per_task_has_no_curve():
    assert scaling(columns(make_run(0.5))) is None
    assert scaling(columns([])) is None


def test_scores_that_lack_an_episode_are_refused():
    with pytest.raises(UserError, match="lack 1 of 2 graded"):
        scaling(columns(rollouts("a", [True, False])), {"a/0": 0.5})


def test_regret_and_random_choice_bound_the_verifier_on_a_larger_run():
    cols = columns(make_run(0.4, tasks=60, samples=5, temperature=0.6))
    oracle = dict(zip(cols.id.tolist(), cols.strict.tolist(), strict=True))
    blind = dict.fromkeys(cols.id.tolist(), 0.5)
    for knowing, guessing in zip(scaling(cols, oracle).overall[0].points, scaling(cols, blind).overall[0].points, strict=True):
        assert knowing.regret.value == pytest.approx(0)
        assert guessing.best_at_k.value == pytest.approx(guessing.random.value)
        assert knowing.pass_at_k.ci_low <= knowing.pass_at_k.value <= knowing.pass_at_k.ci_high
    found = scaling(cols, oracle)
    assert set(found.datasets) == {"mimic_iii", "medcalcbench"}
    assert set(found.slices) == {"seen", "unseen"}


def test_two_curves_are_compared_over_shared_tasks():
    a = columns([*rollouts("a", [False, False]), *rollouts("b", [True, False]), *rollouts("x", [True, True])])
    b = columns([*rollouts("a", [True, False]), *rollouts("b", [True, True])])
    one, two = scaling_gain(a, b)
    assert (one.k, one.tasks, one.pass_at_k.value, one.best_at_k) == (1, 2, 0.5, None)
    assert (two.k, two.tasks, two.pass_at_k.value) == (2, 2, 0.5)


def test_curves_of_other_temperatures_are_no_pair():
    def run(*temperatures):
        return columns([make_trace(sample > 0, task_id=task, sample=sample, temperature=value)
                        for task in "ab" for sample, value in enumerate((0.0, *temperatures))])

    assert scaling_gain(run(0.2), run(1.0)) == []
    found = scaling_gain(run(0.2, 0.2, 1.0, 1.0), run(1.0, 1.0, 1.0))
    assert {(item.scheme, item.temperature) for item in found} == {("greedy first", 1.0), ("exchangeable", 1.0)}


def test_the_table_of_bootstraps_is_the_single_one_and_skips_what_is_unknown():
    rng = np.random.default_rng(0)
    values, clusters = rng.random((90, 2)), rng.integers(0, 20, 90)
    values[:30, 1] = np.nan
    first, second = cluster_bootstrap_table(values, clusters, resamples=4000)
    assert first == pytest.approx(cluster_bootstrap(values[:, 0], clusters, resamples=4000), abs=0.01)
    assert second == pytest.approx(cluster_bootstrap(values[30:, 1], clusters[30:], resamples=4000), abs=0.01)
    nothing = cluster_bootstrap_table(np.full((3, 1), np.nan), [1, 2, 3])[0]
    assert all(np.isnan(nothing))
    with pytest.raises(ValueError, match=r"\(T, M\)"):
        cluster_bootstrap_table([1.0, 2.0], [1, 2])


def test_many_unlike_clusters_have_the_width_that_theory_gives():
    values = np.random.default_rng(3).random(3500)  # every cluster of another kind: drawn one by one
    interval = cluster_bootstrap(values, np.arange(3500), resamples=4000)
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * values.std() / 3500**0.5, rel=0.05)


@pytest.mark.parametrize(("one", "other"), [
    (3, 3.0), ("3", 3), (" Sepsis  shock", "sepsis shock"), ([5], 5), ([[5]], "5"), ([1, 2], [2, 1]), (0.33333333, 0.33333334),
    ([["a", 1], ["b", 2]], [["B", "2"], ["a", 1]])])
def test_answers_that_are_one(one, other):
    assert vote(make_trace(submission={"kind": "answer", "answer": one})) == vote(
        make_trace(submission={"kind": "answer", "answer": other}))


@pytest.mark.parametrize(("one", "other"), [
    (10038081, 10038082), ("007", 7), (True, 1), (None, "none"), ([["a", 1], ["b", 2]], [[1, "a"], [2, "b"]]), (0.1234, 0.1235),
    ([], None)])
def test_answers_that_are_two(one, other):
    assert vote(make_trace(submission={"kind": "answer", "answer": one})) != vote(
        make_trace(submission={"kind": "answer", "answer": other}))


def program(text, shown=None, *, status="ok", **fields):
    turns = [] if shown is None else [Turn(reply="{}", action="code_execution", params={"code": text}, observation=shown,
                                           execution={"status": status, "truncated": False})]
    return make_trace(turns=turns, submission={"kind": "program", "program": text, "language": "python"}, **fields)


def test_a_program_votes_for_what_it_printed():
    number = vote(make_trace(submission={"kind": "answer", "answer": 7}))
    assert vote(program("print(7)", "7\n")) == vote(program("print(3 + 4)", "7")) == number
    assert vote(program("print(7)", "7\n", status="error")) != number
    assert vote(program("x = 7")) == vote(program("x  =  7  # seven")) != number
    assert vote(program("print(7)", "7", dataset="biocoder")) != vote(program("print(3 + 4)", "7", dataset="biocoder"))


def test_silence_has_no_vote_abstention_has_one_and_files_stand_alone():
    assert vote(make_trace(submission=None)) == NONE
    assert vote(make_trace(submission={"kind": "abstain"})) == vote(make_trace(submission={"kind": "abstain"})) != NONE
    assert vote(make_trace(submission={"kind": "files", "files": ["a.csv"]})) != vote(
        make_trace(submission={"kind": "files", "files": ["a.csv"]}))
    written = {"kind": "state", "answer": None}
    assert vote(make_trace(submission=written, state=[{"a": 1}])) != vote(make_trace(submission=written, state=[{"a": 2}]))


@settings(max_examples=60, deadline=None)
@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8), max_leaves=8,
                    extend=lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)))
def test_any_answer_has_a_form_that_a_round_trip_through_json_keeps(answer):
    again = json.loads(json.dumps(answer))
    assert vote(make_trace(submission={"kind": "answer", "answer": answer})) == vote(
        make_trace(submission={"kind": "answer", "answer": again}))


def test_suites_partition_the_twelve_datasets_twice():
    from env.datasets import dataset_names

    for pair in (("in distribution", "out of distribution"), ("structured", "open-ended")):
        assert sorted([*SUITES[pair[0]], *SUITES[pair[1]]]) == sorted(dataset_names())


def test_a_suite_counts_each_dataset_once_and_names_what_is_missing():
    traces = [make_trace(True, dataset="mimic_iii"), make_trace(False, dataset="eicu"), make_trace(False, dataset="eicu"),
              make_trace(True, paper=True, dataset="npowerai"), make_trace(True, dataset="my_own")]
    found = suites(columns(traces))
    assert set(found) == {"in distribution", "out of distribution", "structured"}
    inside = found["in distribution"]
    assert (inside.group.strict.value, inside.macro_strict) == (pytest.approx(1 / 3), 0.5)
    assert inside.datasets == ["mimic_iii", "eicu"]
    assert "biocoder" in inside.missing
    assert inside.behaviour.actions["code_execution"] == 0.5


def test_comparison_has_rows_for_suites():
    found = compare(make_run(0.3, tasks=100), make_run(0.7, tasks=100))
    assert set(found.suites) == {"in distribution", "structured"}
    assert found.suites["structured"].tasks == found.overall.tasks


def test_where_all_clusters_agree_no_interval_of_the_inflation_is_without_width():
    submit = [make_trace(False, paper=True, task_id=f"k{i}", cluster=f"c{i}", policy="p") for i in range(6)]
    paper = [make_trace(True, task_id=f"k{i}", cluster=f"c{i}", policy="p", protocol="paper") for i in range(6)]
    found = inflation(columns(submit), columns(paper))
    rest = 1 - wilson(6, 6).low
    for name, value, low, high in (("submit_strict", 0, 0, rest), ("paper_paper", 1, 1 - rest, 1),
                                   ("by_grader", 1, 1 - 2 * rest, 1), ("both", 1, 1 - 2 * rest, 1)):
        part = getattr(found, name)
        assert (part.value, part.ci_low, part.ci_high) == pytest.approx((value, low, high)), name
    with pytest.raises(ValueError, match="zip"):
        cluster_bootstrap_table(np.zeros((4, 3)), np.arange(4), scale=[(0.0, 1.0)] * 2)


def test_inflation_by_hand():
    def episode(task, strict, paper, protocol):
        return make_trace(strict, paper=paper, task_id=task, cluster=task, protocol=protocol)

    submit = columns([episode("a", True, True, "submit"), episode("b", False, True, "submit"), episode("c", None, None, "submit")])
    paper = columns([episode("a", True, True, "paper"), episode("b", True, True, "paper"), episode("c", True, True, "paper")])
    found = inflation(submit, paper)
    assert (found.tasks, found.left_out) == (2, 1)
    cells = [getattr(found, name).value for name in ("submit_strict", "submit_paper", "paper_strict", "paper_paper")]
    assert cells == [0.5, 1.0, 1.0, 1.0]
    assert (found.by_grader.value, found.by_protocol.value, found.both.value) == (0.5, 0.5, 0.5)
    assert protocol_pairs({"x": paper, "y": submit}) == [("y", "x")]
    with pytest.raises(ValueError, match="one run of protocol"):
        inflation(submit, submit)


def test_checkpoints_come_in_order_with_paired_gains():
    runs = [(200, "late", columns(make_run(0.8, tasks=100))), (100, "early", columns(make_run(0.4, tasks=100)))]
    early, late = training_curve(runs)
    assert (early.run, early.gain, late.run) == ("early", None, "late")
    assert late.gain.difference == pytest.approx(late.strict.value - early.strict.value)
    assert set(late.slices) == {"seen", "unseen"}
    assert set(late.suites) == {"in distribution", "structured"}
