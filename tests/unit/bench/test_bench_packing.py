"""The packing benchmark: arithmetic by hand, lengths, and that every arm trains on whole rows within the limit."""

from __future__ import annotations

import pytest

from medcopilot.bench.packing import LIMIT, LONGEST, Turn, demo_lengths, make_arm, rows_of, summarise, take_turn


def test_ratios_by_hand() -> None:
    taken = {
        "packed": [Turn(2000, 1, 0.2, 0.1)] * 3,  # 0.1 ms a token, 0.05 ms of update a token
        "length-grouped": [Turn(2000, 4, 0.2, 0.4), Turn(2000, 4, 0.9, 0.4), Turn(2000, 4, 0.1, 0.4)],  # median 0.1 and 0.2 ms
        "token budget": [Turn(1000, 1, 0.2, 0.1)] * 3,  # 0.2 and 0.1 ms
    }
    found = summarise(taken)
    assert found["SFT, packed batches"]["tokens_per_second"] == pytest.approx(1 / 0.15e-3)
    assert found["SFT, length-grouped batches"]["tokens_per_batch"] == 500
    assert found["packing_speedup"] == pytest.approx(0.3 / 0.15)
    assert found["packing_speedup_same_step"] == pytest.approx(1)
    assert found["packing_over_token_budget"] == pytest.approx(0.3 / 0.15)


def test_lengths_are_those_of_the_demo() -> None:
    lengths = demo_lengths(8000)
    assert max(lengths) <= LONGEST
    assert 128 < sum(lengths) / len(lengths) < 140
    assert sorted(lengths)[len(lengths) // 2] in range(120, 129)


@pytest.mark.parametrize("kind", ["packed", "length-grouped", "token budget"])
def test_every_arm_takes_its_turn(kind: str) -> None:
    lengths = demo_lengths(200)
    turn = take_turn(make_arm(kind, lengths), rows_of(lengths), lengths, 300)
    assert 300 <= turn.tokens <= LIMIT
    assert turn.passes > 0
    assert turn.updates > 0
