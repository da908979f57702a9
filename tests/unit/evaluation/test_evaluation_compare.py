"""Two runs over the same tasks, and the table of stages."""

from __future__ import annotations

import json

import pytest
from trace_factory import make_run, make_trace

from medcopilot.evaluation.compare import compare
from medcopilot.evaluation.stages import comparison, stage_summary


def run_of(outcomes: dict[str, bool | None], **fields):
    return [make_trace(success, task_id=task, cluster=task, **fields) for task, success in outcomes.items()]


def test_only_tasks_that_both_runs_graded_are_compared():
    found = compare(run_of({"a": False, "b": True, "c": None, "d": True}), run_of({"a": True, "b": True, "c": True})).overall
    assert (found.tasks, found.left_out) == (2, 2)
    assert (found.a, found.b, found.difference) == (0.5, 1.0, 0.5)
    assert (found.only_a, found.only_b, found.mcnemar_p) == (0, 1, 1.0)


def test_several_samples_of_a_task_count_as_their_mean():
    a = [make_trace(success, task_id="x", sample=i, cluster="c1") for i, success in enumerate([True, False, False, False])]
    b = [make_trace(success, task_id="x", sample=i, cluster="c1") for i, success in enumerate([False, True])]
    found = compare([*a, *run_of({"y": False})], [*b, *run_of({"y": False})]).overall
    assert found.difference == pytest.approx((0.25 + 0.0) / 2)
    assert (found.only_a, found.only_b) == (1, 0)  # first samples


@pytest.mark.parametrize(("tasks", "separated"), [(2, False), (3, False), (40, True)])
def test_a_handful_of_tasks_that_all_change_alike_is_no_proof(tasks, separated):
    """Drawing two clusters that are alike again and again has no width, and proves nothing."""
    names = [f"task {i}" for i in range(tasks)]
    found = compare(run_of(dict.fromkeys(names, False)), run_of(dict.fromkeys(names, True))).overall
    assert (found.difference, found.ci_high, found.separated) == (1.0, 1.0, separated)
    same = compare(run_of(dict.fromkeys(names, True)), run_of(dict.fromkeys(names, True))).overall
    assert same.ci_low == pytest.approx(-same.ci_high)
    assert 0 < same.ci_high < 0.7


def test_few_clusters_that_are_not_alike_prove_no_more_than_alike_ones():
    found = compare([*run_of({"x": False, "y": False}), make_trace(True, task_id="z", cluster="y")],
                    [*run_of({"x": True, "y": True}), make_trace(True, task_id="z", cluster="y")]).overall
    assert found.ci_low > 0
    assert (found.cluster_p, found.separated) == (0.5, False)


def test_a_real_gain_is_separated_and_no_gain_is_not():
    weak, strong = make_run(0.3, tasks=300), make_run(0.6, tasks=300)
    found = compare(weak, strong)
    assert found.overall.separated
    assert found.overall.ci_low > 0
    assert set(found.datasets) == {"mimic_iii", "medcalcbench"}
    assert set(found.slices) == {"seen", "unseen"}
    same = compare(weak, weak).overall
    assert (same.difference, same.separated, same.mcnemar_p) == (0.0, False, 1.0)


def test_runs_without_a_shared_task_have_no_difference():
    found = compare(run_of({"a": True}), run_of({"b": True})).overall
    assert (found.tasks, found.difference, found.ci_low, found.separated) == (0, None, None, False)
    assert compare([], run_of({"b": True})).overall.tasks == 0


def test_one_shared_cluster_gives_a_difference_without_an_interval():
    found = compare(run_of({"a": False}), run_of({"a": True})).overall
    assert (found.difference, found.ci_low, found.separated) == (1.0, None, False)


def test_stage_row_is_the_seen_slice_with_everything_else_beside_it():
    row = stage_summary(make_run(0.5, tasks=120), make_run(0.4, tasks=120, temperature=1.0))
    assert {"strict", "paper", "n", "ci_low", "ci_high"} <= set(row)
    assert row["n"] == 80
    assert row["ci_low"] <= row["strict"] <= row["ci_high"]
    assert row["paper"] >= row["strict"]
    assert row["unseen"]["n"] == row["t1"]["unseen"]["n"] == 40
    assert set(row["datasets"]) == {"mimic_iii", "medcalcbench"}
    assert sum(item["n"] for item in row["datasets"].values()) == 80
    assert row["time"]["generation"] > 0
    json.dumps(row, allow_nan=False)


def test_stage_row_without_the_headline_slice_is_empty_not_wrong():
    row = stage_summary([make_trace(True, slice="official")], beside=("official",))
    assert (row["strict"], row["n"]) == (None, 0)
    assert row["official"]["strict"] == 1.0


def test_comparison_of_stages_looks_at_one_slice():
    a, b = make_run(0.2, tasks=120), make_run(0.8, tasks=120)
    row = comparison(a, b)
    assert (row["tasks"], row["slice"]) == (80, "seen")
    assert row["separated"]
    assert row["datasets"]["mimic_iii"]["tasks"] == 40
    assert comparison(a, b, slice_name="unseen")["tasks"] == 40
    json.dumps(row, allow_nan=False)
