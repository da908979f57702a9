"""Reads the text of a Python value, such as a program's `print(rows)`, without evaluating anything.

Promises: None, booleans, numbers, strings, lists, tuples, sets and dicts, nested to a depth; and the reprs that data libraries
print for scalars (`np.float64(1.5)`, `Decimal('1.5')`, `Timestamp('2100-01-01 00:00:00')`, `datetime.date(2100, 1, 1)`), read
as the value they hold. Input beyond the size cap, or anything else, is a `ValueError`. No parser of the interpreter sees
the text, so no text can exhaust its stack.
"""

from __future__ import annotations

import ast
import math
import re
from datetime import date, datetime
from typing import Any

TEXT_CAP = 1_000_000
DEPTH = 32
_TOKEN = re.compile(r"""\s*(?:
    (?P<string>'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*")
  | (?P<number>[-+]?(?:\d[\d_]*+\.?\d*+|\.\d++)(?:[eE][-+]?\d++)?(?![\w.]))
  | (?P<name>[A-Za-z_][\w.]*)
  | (?P<mark>[\[\](){},:])
)""", re.VERBOSE)
_WORDS: dict[str, Any] = {"None": None, "True": True, "False": False, "nan": None, "NaN": None, "NaT": None,
                          "inf": "inf", "<NA>": None}
_CLOSING = {"[": "]", "(": ")", "{": "}"}


def read_literal(text: str) -> Any:
    """The value of the text as plain JSON (sets and tuples become lists, dict keys text).

    Raises:
        ValueError: the text is not the text of such a value.
    """
    if len(text) > TEXT_CAP:
        raise ValueError("too long")
    reader = _Reader(text)
    value = reader.value(0)
    if text[reader.position:].strip():
        raise ValueError("more text after the value")
    return value


class _Reader:
    """Recursive descent, one token of look-ahead."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0

    def value(self, depth: int) -> Any:
        kind, token = self._next()
        if depth > DEPTH:
            raise ValueError("nested too deeply")
        if kind == "string":
            return _string(token)
        if kind == "number":
            return _number(token)
        if kind == "name":
            return self._name(token, depth)
        if token in _CLOSING:
            return self._items(token, depth)
        raise ValueError(f"unexpected {token!r}")

    def _next(self) -> tuple[str, str]:
        match = _TOKEN.match(self.text, self.position)
        if match is None or match.lastgroup is None:
            raise ValueError("not a value")
        self.position = match.end()
        return match.lastgroup, match.group(match.lastgroup)

    def _peek(self) -> str:
        match = _TOKEN.match(self.text, self.position)
        return match.group(match.lastgroup) if match is not None and match.lastgroup else ""

    def _name(self, token: str, depth: int) -> Any:
        if self._peek() != "(":
            if token not in _WORDS:
                raise ValueError(f"unknown name {token!r}")
            return _WORDS[token]
        self._next()
        return _call(token.rpartition(".")[2], self._items("(", depth, always_list=True))

    def _items(self, opening: str, depth: int, always_list: bool = False) -> Any:
        closing, items, pairs = _CLOSING[opening], [], {}
        trailing = False
        while self._peek() != closing:
            item = self.value(depth + 1)
            if opening == "{" and self._peek() == ":":
                self._next()
                if isinstance(item, list | dict):
                    raise ValueError("a key that is not a scalar")
                pairs[item if isinstance(item, str) else str(item)] = self.value(depth + 1)
            else:
                items.append(item)
            trailing = self._peek() == ","
            if trailing:
                self._next()
            elif self._peek() != closing:
                raise ValueError("a comma is missing")
        self._next()
        if items and pairs:
            raise ValueError("a set and a dict at once")
        if opening == "(" and len(items) == 1 and not trailing and not always_list:
            return items[0]
        return pairs if opening == "{" and not items else items


def _string(token: str) -> str:
    try:
        return str(ast.literal_eval(token))  # one string token: no nesting in it
    except SyntaxError as error:  # an escape that means nothing, such as '\x'
        raise ValueError(str(error)) from None


def _number(token: str) -> int | float:
    token = token.replace("_", "")
    if len(token) > 400:
        raise ValueError("a number that is too long")
    if re.fullmatch(r"[-+]?\d+", token):
        return int(token)
    value = float(token)
    if not math.isfinite(value):
        raise ValueError("a number that is not finite")
    return value


def _call(name: str, items: list[Any]) -> Any:
    """The value inside the repr of a library scalar."""
    try:
        if name == "date":
            return date(*items).isoformat()
        if name == "datetime":
            return datetime(*items).isoformat(" ")
        if name == "Decimal" and len(items) == 1:
            return _number(str(items[0]))
        if name in ("set", "frozenset") and not items:
            return []
    except (TypeError, OverflowError) as error:
        raise ValueError(str(error)) from None
    scalars = ("float64", "float32", "int64", "int32", "bool", "bool_", "str_", "Timestamp", "Timedelta", "set", "frozenset",
               "array", "deque")
    if name in scalars and len(items) == 1:
        return items[0]
    raise ValueError(f"unknown call {name!r}")
