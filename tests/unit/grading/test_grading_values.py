"""Values on their way out of a box: encoders, plain-data checks, text and literal reading."""

from __future__ import annotations

import collections
import datetime as dt
import decimal
import fractions
import json
import sqlite3
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from env.grading.literals import read_literal
from env.grading.text import parse_text
from env.sandbox.harness.encode import encode
from env.sandbox.plain import check_plain, load_plain

FRAME = pd.DataFrame({"a": [1, 2, 2], "b": [0.5, float("nan"), 2.0], "c": ["x", None, "z"]})
STAMP = dt.datetime(2100, 1, 2, 3, 4, 5)


def plain(value: Any) -> Any:
    payload = encode(value)
    assert payload[:1] == b"V", payload
    return load_plain(payload[1:])


@pytest.mark.parametrize(("value", "expected"), [
    (None, None), (True, True), (7, 7), (-2.5, -2.5), ("é\n", "é\n"), (float("nan"), None), (float("inf"), "inf"),
    (-float("inf"), "-inf"), (np.float32(0.5), 0.5), (np.int64(3), 3), (np.bool_(True), True), (np.str_("x"), "x"),
    (np.float64("nan"), None), (decimal.Decimal("1.50"), 1.5), (decimal.Decimal(3), 3), (decimal.Decimal("NaN"), None),
    (fractions.Fraction(1, 4), 0.25), (dt.date(2100, 1, 2), "2100-01-02"), (STAMP, "2100-01-02 03:04:05"),
    (dt.timedelta(days=3), "3 days, 0:00:00"), (dt.time(3, 4), "03:04:00"), (pd.Timestamp(STAMP), "2100-01-02 03:04:05"),
    (np.datetime64("2100-01-02"), "2100-01-02"), (np.datetime64(STAMP, "ns"), "2100-01-02 03:04:05"), (pd.NaT, None),
    (pd.NA, None), (np.datetime64("NaT"), None), ((1, (2,)), [1, [2]]), ({3, 1, 2}, [1, 2, 3]), (frozenset("a"), ["a"]),
    (range(3), [0, 1, 2]), ({"a": 1, 2: [3]}, {"a": 1, "2": [3]}), ({"a": 1}.values(), [1]),
    (collections.Counter("aab"), {"a": 2, "b": 1}), (collections.deque([1]), [1]),
    (collections.namedtuple("P", "x y")(1, 2), [1, 2]), (np.array(3), 3), (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
    (np.array(["2100-01-01", "NaT"], "M8[D]"), ["2100-01-01", None]), (np.array([1.0, np.nan]), [1.0, None])])
def test_encoders(value: Any, expected: Any) -> None:
    found = plain(value)
    assert found == expected
    assert type(found) is type(expected)


def test_pandas_becomes_rows() -> None:
    assert plain(FRAME) == [[1, 0.5, "x"], [2, None, None], [2, 2.0, "z"]]
    assert plain(FRAME["a"]) == [1, 2, 2]
    assert plain(FRAME[FRAME.a > 1]["a"]) == [2, 2]
    assert plain(FRAME.groupby("a").size()) == [[1, 1], [2, 2]]
    assert plain(FRAME.groupby("a")[["b"]].sum()) == [[1, 0.5], [2, 2.0]]
    assert plain(FRAME.iloc[0]) == [1, 0.5, "x"]
    assert plain(FRAME.groupby(["a", "c"]).size()) == [[1, "x", 1], [2, "z", 1]]
    assert plain(pd.Index([1, 2])) == [1, 2]
    assert plain(pd.to_datetime(pd.Series(["2100-01-01", None]))) == ["2100-01-01 00:00:00", None]
    assert plain(pd.Series(["x"], dtype="category")) == ["x"]
    assert plain(FRAME.iloc[:0]) == []


def test_sqlite_rows() -> None:
    connection = sqlite3.connect(":memory:")
    connection.row_factory = sqlite3.Row
    assert plain(connection.execute("select 1, 'a'").fetchall()) == [[1, "a"]]


@pytest.mark.parametrize(("value", "name"), [
    (b"x", "bytes"), (1j, "complex"), (object(), "object"), (print, "builtin_function_or_method"), ([1, {2: b""}], "bytes"),
    ({(1, 2): 3}, "dict with tuple keys"), (1 << 300, "int"), ("x" * (5 << 20), "size"), (range(1 << 40), "size"),
    ((i for i in ()), "generator"), (np.array([object()]), "object")])
def test_unsupported_values_are_named(value: Any, name: str) -> None:
    assert encode(value) == b"U" + name.encode()


def test_circular_values_end() -> None:
    loop: list[Any] = []
    loop.append(loop)
    assert encode(loop) == b"Unesting"


class Liar(int):
    """Says that it is a str, equal to everything, 42 whenever asked."""

    __class__ = str  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return True

    def __int__(self) -> int:
        return 42

    __index__ = __repr__ = __str__ = __float__ = __int__  # type: ignore[assignment]
    __hash__ = int.__hash__


class LyingList(list[int]):
    __class__ = dict  # type: ignore[assignment]

    def __iter__(self) -> Any:
        return iter([42])


class Everything:
    """Claims to be a number in every way but its type."""

    __class__ = int  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 0

    def __index__(self) -> int:
        return 42


def test_lies_do_not_matter() -> None:
    assert plain(Liar(7)) == 7
    assert plain(LyingList([1, 2])) == [1, 2]
    assert encode(Everything()) == b"UEverything"


JSON = st.recursive(st.none() | st.booleans() | st.integers(-2**200, 2**200) | st.floats(allow_nan=False, allow_infinity=False)
                    | st.text(st.characters(exclude_categories=["Cs"])), lambda inner: st.lists(inner, max_size=4)
                    | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4), max_leaves=20)


@given(JSON)
def test_plain_data_survives_the_encoder(value: Any) -> None:
    assert plain(value) == value


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
                    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=3), max_leaves=12))
def test_literals_are_read_as_python_prints_them(value: Any) -> None:
    assert read_literal(repr(value)) == value


@given(st.text(max_size=200))
def test_reading_text_never_fails(text: str) -> None:
    parse_text(text)


@pytest.mark.parametrize("text", ["[" * 100_000, "-" * 100_000 + "1", "1+" * 50_000 + "1", "(" * 40 + ")" * 40, "{[1]: 2}",
                                  "__import__('os')", "[1 2]", "[,]", "{1, 2: 3}", "1; 2", "x", "", "'a' 'b'", "9" * 2000_000])
def test_hostile_literals_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_literal(text)


@pytest.mark.parametrize(("text", "value"), [
    ("42", 42), ("37.0\n", 37.0), ("NULL", None), ("True", True), ("yes", "yes"), ('{"a": [1, null]}', {"a": [1, None]}),
    ("[(1, 'x'), (2, None)]", [[1, "x"], [2, None]]), ("(5,)", [5]), ("(5)", 5), ("{'a': nan}", {"a": None}), ("{3}", [3]),
    ("[np.float64(1.5), Decimal('2.5'), datetime.date(2100, 1, 2)]", [1.5, 2.5, "2100-01-02"]), ("set()", []), ("()", []),
    ("[Timestamp('2100-01-01 00:00:00')]", ["2100-01-01 00:00:00"]), ("1 | a | NULL\n2 | b | 0.5", [[1, "a", None], [2, "b", 0.5]]),
    ("1\ta\n2\tb", [[1, "a"], [2, "b"]]), ("1\n2\n", [1, 2]), ("a\nb | c", ["a", "b | c"]), ("(no rows)", []),
    ("The answer is 42", "The answer is 42"), ("2100-01-01", "2100-01-01"), ("007", 7), ("1e3", 1000.0), ("1e999", "1e999")])
def test_text_as_value(text: str, value: Any) -> None:
    found, parsed = parse_text(text)
    assert found
    assert parsed == value
    assert type(parsed) is type(value)


def test_nothing_printed_is_no_value() -> None:
    assert parse_text(" \n") == (False, None)
    assert parse_text("x" * 2_000_000) == (False, None)


@pytest.mark.parametrize("value", [float("nan"), 1 << 300, {1: 2}, (1,), b"x", "\ud800", {"\ud800": 1}, object(),
                                   json.loads("[" * 60 + "]" * 60)])
def test_what_is_not_plain(value: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        check_plain([value])
