"""What was found by trying to cheat the strict graders, or to be cheated by them."""

from __future__ import annotations

import random
import time
from types import SimpleNamespace
from typing import Any

import pytest

from env.grading.text import parse_text
from rewards import ehr_answer, ehr_answer_paper, medcalc
from rewards.types import Evidence, Grade


def table(value: Any, reference: Any, **args: Any) -> Grade:
    return ehr_answer.judge(Evidence(kind="answer", has_value=True, value=value), SimpleNamespace(reference=reference, args=args))


def calc(value: Any, reference: Any, **args: Any) -> Grade:
    return medcalc.judge(Evidence(kind="answer", has_value=True, value=value), SimpleNamespace(reference=reference, args=args))


def seconds(call: Any) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


@pytest.mark.parametrize("want", [10_000_032, "10000032"])
@pytest.mark.parametrize("off", [-5, -1, 1, 9])
def test_the_neighbours_of_an_identifier_are_other_patients(want: Any, off: int) -> None:
    assert table(int(want) + off, [[want]]).score == 0.0
    assert table(str(int(want) + off), [[want]]).score == 0.0
    assert table(float(want), [[want]]).score == 1.0


def test_large_whole_numbers_are_told_apart() -> None:
    assert table(2**60 + 1, [[2**60]]).score == 0.0
    assert table(2**60, [[2**60]]).score == 1.0


def test_a_sum_of_floats_keeps_its_tolerance() -> None:
    assert table(12_345_678.000_001, [[12_345_678.0]]).score == 1.0
    assert table(3.0000000004, [[3]]).score == 1.0


def test_the_edge_between_two_roundings_is_no_answer_to_either() -> None:
    assert [table(14.525, [[want]], decimals=2).score for want in (14.52, 14.53)] == [0.0, 0.0]
    assert [table(5.45, [[want]], decimals=1).score for want in (5.4, 5.5)] == [0.0, 0.0]
    assert [table(value, [[14.53]], decimals=2).score for value in (14.5251, 14.53, 14.5349)] == [1.0, 1.0, 1.0]


def test_a_yes_with_more_behind_it_is_not_yes() -> None:
    assert table("yes" + " " * 17 + "or no", [[1]], yes_no=True).score == 0.0
    assert table(" Yes. ", [[1]], yes_no=True).score == 1.0


def test_one_row_as_a_tuple_may_show_the_key_too() -> None:
    assert table([15, 50766], [[15]], extra_keys=[50766]).score == 1.0
    assert table([50766, 15], [[15]], extra_keys=[50766]).score == 1.0
    assert table([15, 50767], [[15]], extra_keys=[50766]).score == 0.0
    assert table([14, 15], [[15]], extra_keys=[50766]).score == 0.0


def test_hundreds_of_long_identifiers_in_another_order() -> None:
    rows = [[10_000_000 + n] for n in range(400)]
    other = list(reversed(rows))
    assert table(other, rows).score == 1.0
    assert table([*other[:-1], [9_999_999]], rows).score == 0.0


@pytest.mark.parametrize("width", [1, 3, 5])
@pytest.mark.parametrize("kind", ["number", "time", "same"])
def test_wrong_answers_to_long_references_are_judged_quickly(width: int, kind: str) -> None:
    rng = random.Random(width)

    def cell() -> Any:
        if kind == "time":
            return f"21{rng.randrange(10, 99)}-03-1{rng.randrange(10)} 10:11:{rng.randrange(10, 59)}"
        return rng.randrange(10**6) if kind == "number" else rng.randrange(2)

    rows = [[cell() for _ in range(width)] for _ in range(300)]
    wrong = [list(row) for row in rows]
    rng.shuffle(wrong)
    wrong[0][0] = "2100-01-01" if kind == "time" else -1
    assert table(wrong, rows).score == 0.0
    assert seconds(lambda: table(wrong, rows)) < 1.5
    assert seconds(lambda: table([["x"] * width] * 600, rows)) < 1.5


@pytest.mark.parametrize("text", ["30" + " " * 60 + "1" + " " * 100 + "x", "30" + " " * 190 + "x", "a" + " " * 190 + "!"])
def test_blanks_in_an_answer_cost_no_time(text: str) -> None:
    assert seconds(lambda: calc(text, [30, 1], output_type="weeks_days")) < 0.5
    assert seconds(lambda: calc(text, 30.0, output_type="decimal")) < 0.5


def test_dates_in_words_need_no_comma() -> None:
    assert calc("June 21 2009", "06/21/2009", output_type="date").score == 1.0
    assert calc("June 22 2009", "06/21/2009", output_type="date").score == 0.0


@pytest.mark.parametrize("text", ["'\\x'", "'\\N{none}'", '"\\U99999999"', "'a\rb'", "['\\u12']", "Decimal('NaN')"])
def test_printed_text_of_any_kind_is_read(text: str) -> None:
    found, value = parse_text(text)
    assert found
    assert value == value  # no NaN


def test_long_digits_are_read_in_linear_time() -> None:
    assert seconds(lambda: parse_text("1" * 60_000 + "x")) < 1.0


def test_a_value_that_is_no_data_is_a_failure_of_its_author() -> None:
    odd = Evidence(kind="program", unsupported="generator", text="37")
    key = SimpleNamespace(reference=[[37]], args={})
    for grade in (ehr_answer.judge(odd, key), medcalc.judge(odd, key)):
        assert (grade.score, grade.label) == (0.0, "unsupported")
    assert ehr_answer_paper.judge(odd, key).graded
