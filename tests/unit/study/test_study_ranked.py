"""What nano-scaling says of a verifier."""

import pytest

from medcopilot.studies.scaling_results import ranked


def test_pairs_and_areas_by_hand():
    """Right: 0.9 and 0.4; wrong: 0.6 and 0.1. Four of the six pairs are in order, one of the two within a task."""
    found = ranked([0.9, 0.6, 0.4, 0.1, 0.6], [True, False, True, False, False], ["a", "a", "b", "c", "b"])
    assert found["n"] == 5
    assert found["auroc"] == pytest.approx((3 + 1) / 6)
    assert (found["within_tasks"], found["pairs"]) == (0.5, 2)
    assert found["ci_low"] <= found["auroc"] <= found["ci_high"]


def test_nothing_to_tell_apart():
    assert ranked([0.9, 0.6], [True, True], ["a", "b"]) == {"n": 2, "auroc": None}
    assert ranked([0.9, 0.6], [True, False], ["a", "b"])["within_tasks"] is None
