"""Turns a program's value into plain JSON, by what the value really is.

Promises: `encode(value)` returns `b"V" + JSON`, or `b"U" + type name` when the value has no plain form. Types are read with
`type()` and its true base classes, contents with the base classes' own methods, so overridden `__class__`, `__iter__`,
`__eq__` or `__float__` change nothing.

| value | JSON |
|---|---|
| None, bool, int, str, numpy scalars | as they are (an int beyond 256 bits is unsupported) |
| float | number; NaN and NaT null; infinities the strings "inf", "-inf" |
| Decimal, Fraction | number |
| date, datetime, time, Timestamp, datetime64 | ISO text, a blank between date and time |
| timedelta, Timedelta, timedelta64 | Python's text, e.g. "3 days, 0:00:00" |
| list, tuple, range, numpy array, Index, Series, DataFrame | list (of rows); a named index becomes leading cells |
| set, frozenset | list, sorted by its JSON |
| dict | object; keys become text |

Does not cover: bytes, complex numbers, generators, open handles, objects of the program's own classes: unsupported.
"""

from __future__ import annotations

import sys
from _json import encode_basestring_ascii

TYPE_CHECKING = False  # `typing` itself costs milliseconds
if TYPE_CHECKING:
    from typing import Any

BYTE_CAP = 4 << 20
DEPTH_CAP = 32


class Unsupported(Exception):
    """Carries the name of the type."""


def encode(value: Any) -> bytes:
    """The tagged payload for the worker."""
    try:
        writer = Writer()
        text = writer.text(value, 0)
    except Unsupported as error:
        return b"U" + str(error).encode("ascii", "replace")[:200]
    except RecursionError:
        return b"Unesting"
    return b"V" + text.encode("ascii")


class Writer:
    """Counts what it writes, so that a huge value stops early."""

    def __init__(self) -> None:
        self.size = 0
        self.numpy = sys.modules.get("numpy")
        self.pandas = sys.modules.get("pandas")
        self.more = _library_types()

    def text(self, value: Any, depth: int) -> str:
        """JSON of one value."""
        kind = type(value)
        if value is None or value is True or value is False:
            return self._count({None: "null", True: "true", False: "false"}[value])
        if depth > DEPTH_CAP:
            raise Unsupported("nesting")
        for base in type.__dict__["__mro__"].__get__(kind):
            method = METHODS.get(base) or self.more.get(base)
            if method is not None:
                return str(method(self, value, depth))
        raise Unsupported(_name(kind))

    def _count(self, text: str) -> str:
        self.size += len(text) + 1
        if self.size > BYTE_CAP:
            raise Unsupported("size")
        return text

    def integer(self, value: Any, depth: int) -> str:
        plain = int.__int__(value)
        if plain.bit_length() > 256:
            raise Unsupported("int")
        return self._count(int.__repr__(plain))

    def float(self, value: Any, depth: int) -> str:
        plain = float.__float__(value)
        if plain != plain:
            return self._count("null")
        if plain in (INFINITY, -INFINITY):
            return self._count('"inf"' if plain > 0 else '"-inf"')
        return self._count(float.__repr__(plain))

    def string(self, value: Any, depth: int) -> str:
        plain = str.__str__(value)
        if len(plain) > BYTE_CAP:
            raise Unsupported("size")
        return self._count(encode_basestring_ascii(plain.encode("utf-8", "replace").decode()))

    def items(self, values: list[Any], depth: int) -> str:
        return "[" + ",".join([self.text(item, depth + 1) for item in values]) + "]"

    def list(self, value: Any, depth: int) -> str:
        return self.items([*list.__iter__(value)], depth)

    def tuple(self, value: Any, depth: int) -> str:
        return self.items([*tuple.__iter__(value)], depth)

    def range(self, value: Any, depth: int) -> str:
        if range.__len__(value) > BYTE_CAP:
            raise Unsupported("size")
        return self.items([*range.__iter__(value)], depth)

    def set(self, value: Any, depth: int) -> str:
        return "[" + ",".join(sorted([self.text(item, depth + 1) for item in set.__iter__(value)])) + "]"

    def frozenset(self, value: Any, depth: int) -> str:
        return "[" + ",".join(sorted([self.text(item, depth + 1) for item in frozenset.__iter__(value)])) + "]"

    def view(self, value: Any, depth: int) -> str:
        return self.items([*value], depth)

    def dict(self, value: Any, depth: int) -> str:
        parts = {}
        for key, item in dict.items(value):
            text = self.text(key, depth + 1)
            if text[:1] in ("[", "{"):
                raise Unsupported(f"dict with {_name(type(key))} keys")
            parts[text if text[:1] == '"' else f'"{text}"'] = self.text(item, depth + 1)
        return "{" + ",".join([f"{key}:{item}" for key, item in parts.items()]) + "}"


def _name(kind: type) -> str:
    name = type.__dict__["__name__"].__get__(kind)
    return name if type(name) is str else "object"


def _number(writer: Writer, value: Any, depth: int) -> str:
    """Decimal and Fraction: exact when whole, else the nearest float."""
    try:
        whole = int(value)
    except (ValueError, OverflowError):  # NaN, infinities
        return writer.float(float(value), depth)
    return writer.integer(whole, depth) if whole == value else writer.float(float(value), depth)


def _iso(writer: Writer, value: Any, depth: int) -> str:
    return writer.string(type(value).isoformat(value, " ") if hasattr(value, "hour") else type(value).isoformat(value), depth)


def _text(writer: Writer, value: Any, depth: int) -> str:
    return writer.string(str(value), depth)


def _stamp(writer: Writer, value: Any, depth: int) -> str:
    """A pandas Timestamp or a numpy datetime64; zeros after the seconds say nothing."""
    text = str(value)
    return "null" if text == "NaT" else writer.string(_trimmed(text), depth)


def _trimmed(stamp: str) -> str:
    return (stamp.rstrip("0").rstrip(".") if "." in stamp and "+" not in stamp else stamp).replace("T", " ")


def _time(writer: Writer, value: Any, depth: int) -> str:
    return writer.string(value.isoformat(), depth)


def _null(writer: Writer, value: Any, depth: int) -> str:
    return "null"


def _array(writer: Writer, value: Any, depth: int) -> str:
    numpy: Any = writer.numpy
    if value.size > BYTE_CAP:
        raise Unsupported("size")
    if value.dtype.kind == "V":
        raise Unsupported("ndarray")
    if value.dtype.kind in "mM":  # tolist would give integers for nanoseconds
        return writer.items(list(value), depth) if value.ndim else writer.text(value[()], depth)
    return writer.text(numpy.ndarray.tolist(value), depth)


def _frame(writer: Writer, value: Any, depth: int) -> str:
    """Rows; the index leads when it has a name (a group key), and is left out when it only counts."""
    pandas: Any = writer.pandas
    if value.size > BYTE_CAP:
        raise Unsupported("size")
    columns = [value.iloc[:, number].tolist() for number in range(value.shape[1])]
    return writer.items([list(row) for row in zip(*_keys(pandas, value.index), *columns, strict=True)], depth)


def _series(writer: Writer, value: Any, depth: int) -> str:
    keys = _keys(writer.pandas, value.index)
    cells = value.tolist()
    return writer.items([list(row) for row in zip(*keys, cells, strict=True)] if keys else cells, depth)


def _index(writer: Writer, value: Any, depth: int) -> str:
    return writer.items([list(item) if type(item) is tuple else item for item in value.tolist()], depth)


def _keys(pandas: Any, index: Any) -> list[list[Any]]:
    if all(name is None for name in index.names):
        return []
    return [index.get_level_values(level).tolist() for level in range(index.nlevels)]


def _scalar(writer: Writer, value: Any, depth: int) -> str:
    """A numpy scalar: its Python counterpart."""
    plain = value.item()
    if type(plain) is type(value):  # longdouble
        plain = float(value)
    return writer.text(plain, depth)


def _library_types() -> dict[type, Any]:
    """Encoders of the types whose modules the program has imported."""
    table: dict[type, Any] = {}
    loaded = sys.modules
    found = [("datetime", "datetime", _iso), ("datetime", "date", _iso), ("datetime", "time", _time),
             ("datetime", "timedelta", _text), ("decimal", "Decimal", _number), ("fractions", "Fraction", _number),
             ("numpy", "datetime64", _stamp), ("numpy", "timedelta64", _text), ("numpy", "bool", _scalar),
             ("numpy", "number", _scalar), ("numpy", "ndarray", _array), ("pandas", "Timestamp", _stamp),
             ("pandas", "Timedelta", _text), ("pandas", "DataFrame", _frame), ("pandas", "Series", _series),
             ("pandas", "Index", _index), ("sqlite3", "Row", _row), ("collections", "deque", Writer.view)]
    for module, name, method in found:
        kind = getattr(loaded.get(module), name, None)
        if isinstance(kind, type):
            table[kind] = method
    pandas = loaded.get("pandas")
    for odd in (getattr(pandas, "NaT", None), getattr(pandas, "NA", None)):
        if odd is not None:
            table[type(odd)] = _null
    return table


def _row(writer: Writer, value: Any, depth: int) -> str:
    return writer.items([*value], depth)


INFINITY = float("inf")
METHODS: dict[type, Any] = {
    int: Writer.integer, float: Writer.float, str: Writer.string, list: Writer.list, tuple: Writer.tuple, dict: Writer.dict,
    set: Writer.set, frozenset: Writer.frozenset, range: Writer.range, type({}.keys()): Writer.view,
    type({}.values()): Writer.view, type({}.items()): Writer.view,
}
