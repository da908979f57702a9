"""The strict grader of database questions: correct variants earn 1, everything else 0, nothing raises."""

import math
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rewards.ehr_answer import judge, plan
from rewards.types import Evidence
from rewards.values import Match, as_moment, as_number, same_rows, same_value

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4), max_leaves=12)


def key(reference=None, **args):
    return SimpleNamespace(reference=reference, args=args)


def grade(value, reference, **args):
    return judge(Evidence(kind="answer", has_value=True, value=value), key(reference, **args))


@pytest.mark.parametrize("value", [37, 37.0, "37", "37.0", [37], [[37]], [[37.0]], {"count": 37}, [{"count(*)": 37}], " 37 ",
                                   "[(37,)]", "[[37]]", {"columns": ["n"], "data": [[37]]}, {"n": {"0": 37}}])
def test_one_number_in_every_dress(value):
    assert grade(value, [[37]]).score == 1.0


@pytest.mark.parametrize("value", [36, 37.5, "37 or 38", [37, 38], [[37, 38]], [[37], [37]], None, "", True, [], {}, [[]],
                                   {"a": 37, "b": 38}, math.nan, math.inf, 10**400, "37" * 9000, list(range(30000))])
def test_wrong_numbers_and_guesses(value):
    result = grade(value, [[37]])
    assert result.score == 0.0
    assert result.label in {"wrong", "near_miss", "wrong_type", "malformed"}


@pytest.mark.parametrize("value", [1, True, "yes", "Yes", "true", 1.0, [[1]], "1"])
def test_yes_in_every_dress(value):
    assert grade(value, [[1]], yes_no=True).score == 1.0
    assert grade(value, [[0]], yes_no=True).score == 0.0


def test_truth_is_not_a_count():
    assert grade(True, [[1]]).score == 0.0


@pytest.mark.parametrize("value", ["2105-03-04", "2105-03-04 00:00:00", "2105-03-04T00:00:00", "03/04/2105", "3/4/2105",
                                   "2105/03/04", "Mar 4, 2105", "4 March 2105", "2105-03-04T00:00:00Z"])
def test_dates_in_every_dress(value):
    assert grade(value, [["2105-03-04 00:00:00"]]).score == 1.0


def test_time_of_day_counts_unless_a_day_was_asked_for():
    assert grade("2105-03-04", [["2105-03-04 13:45:00"]]).score == 0.0
    assert grade("2105-03-04 13:45", [["2105-03-04 13:45:00"]]).score == 1.0
    assert grade("2105-03-04 13:45:00", [["2105-03-04"]], date_only=True).score == 1.0


def test_decimals_asked_for():
    assert grade(4.12345, [[4.12]], decimals=2).score == 1.0
    assert grade(4.13, [[4.12]], decimals=2).score == 0.0
    assert grade(4.123, [[4.12]]).score == 0.0


def test_rows_are_a_multiset_with_columns_in_any_order():
    want = [["sepsis", 3], ["gout nos", 2]]
    assert grade([[2, "gout nos"], [3, "Sepsis"]], want).score == 1.0
    assert grade([{"d": "gout nos", "n": 2}, {"d": "sepsis", "n": 3}], want).score == 1.0
    assert grade({"d": ["gout nos", "sepsis"], "n": [2, 3]}, want).score == 1.0
    assert grade({"sepsis": 3, "gout nos": 2}, want).score == 1.0
    assert grade([[2, "gout nos"], ["sepsis", 3]], want).score == 0.0
    assert grade(["gout nos", "sepsis", "sepsis"], [["sepsis"], ["gout nos"]]).label == "near_miss"


def test_order_counts_when_asked():
    assert grade(["b", "a"], [["a"], ["b"]]).score == 1.0
    assert grade(["b", "a"], [["a"], ["b"]], ordered=True).label == "near_miss"


def test_an_extra_key_column_only_when_it_is_the_key():
    args = {"extra_keys": [10023, [5, 4]]}
    assert grade([["x", 10023], ["y", 10023]], [["x"], ["y"]], **args).score == 1.0
    assert grade({"x": 5, "y": 4}, [["x"], ["y"]], **args).score == 1.0
    assert grade([["x", 10023], ["y", 10024]], [["x"], ["y"]], **args).score == 0.0
    assert grade([["x", "z"], ["y", "w"]], [["x"], ["y"]], **args).score == 0.0


def test_null_is_neither_zero_nor_empty():
    assert grade(None, [[None]]).score == 1.0
    for value in (0, "", [], "None"):
        assert grade(value, [[None]]).score == 0.0
    assert grade([], []).score == 1.0
    assert grade(None, [[0]]).score == 0.0


def test_alternatives_under_another_tie_order():
    assert grade("b", [["a"]], alternatives=[[["b"]]]).score == 1.0
    assert grade(["a", "b"], [["a"]], alternatives=[[["b"]]]).score == 0.0


def test_codes_keep_their_leading_zero():
    assert grade("0389", [["389"]]).score == 0.0
    assert grade("1,250.5", [[1250.5]]).score == 1.0


def test_abstention_and_silence():
    assert judge(Evidence(kind="abstain"), key(None, impossible=True)).label == "correct_abstention"
    assert judge(Evidence(kind="abstain"), key([[1]])).label == "abstained"
    assert judge(Evidence(kind="none"), key(None, impossible=True)).label == "no_submission"
    assert grade(None, None, impossible=True).score == 0.0


def test_programs_that_fail_earn_nothing():
    for status in ("error", "timeout_soft", "oom", "killed", "output_limit", "died"):
        result = judge(Evidence(kind="program", status=status, has_value=True, value=37, text="37"), key([[37]]))
        assert (result.score, result.label) == (0.0, "error")
    assert judge(Evidence(kind="program", text="37"), key([[37]])).label == "malformed"
    unsupported = judge(Evidence(kind="program", unsupported="Figure"), key([[37]]))
    assert (unsupported.score, unsupported.label) == (0.0, "unsupported")
    assert plan(key([[37]])).want_value


@settings(max_examples=300, deadline=None)
@given(JSON, JSON, st.dictionaries(st.sampled_from(["ordered", "yes_no", "date_only"]), st.booleans()))
def test_never_raises(value, reference, args):
    result = grade(value, [[reference]] if not isinstance(reference, list) else reference, **args)
    assert result.score in (0.0, 1.0)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(-999, 999), st.text("abc", max_size=3)), min_size=1, max_size=6), st.randoms())
def test_row_order_never_matters_and_a_changed_cell_always_does(rows, random):
    shuffled = [list(row) for row in rows]
    random.shuffle(shuffled)
    assert same_rows([tuple(row) for row in shuffled], rows)
    changed = [(rows[0][0] + 2000, rows[0][1]), *rows[1:]]
    assert not same_rows(changed, rows)


@settings(max_examples=200, deadline=None)
@given(st.floats(-1e9, 1e9), st.floats(-1e9, 1e9))
def test_numbers_agree_within_a_millionth_and_no_more(a, b):
    close = abs(a - b) <= max(1e-9, 1e-6 * abs(b))
    assert same_value(a, b) is close


@given(st.text(max_size=30))
def test_reading_text_never_raises(text):
    as_number(text)
    as_moment(text)
    assert same_value(text, text, Match())
