"""What a Python error means for this program and this data, in one or two sentences.

Promises: reads a traceback's last error and the program's own line from it; names are compared with what the program defines,
what the data holds and what the box has installed. Nothing is run.
Does not cover: errors whose cause lies outside the program's text and the data.
"""

from __future__ import annotations

import ast
import builtins
import datetime
import json
import math
import re
import sqlite3
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from env.literals import python_nodes
from env.nearest import nearest, suggestion
from env.sandbox.base import Mount
from env.tables import Table

_INSTALLED = ("numpy", "pandas", "scipy", "sklearn", "statsmodels", "matplotlib")
_ALIASES = {"np": "import numpy as np", "pd": "import pandas as pd", "plt": "import matplotlib.pyplot as plt",
            "datetime": "from datetime import datetime", "timedelta": "from datetime import timedelta",
            "date": "from datetime import date", "sqrt": "from math import sqrt", "Counter": "from collections import Counter"}
_MODULES = {"math": math, "statistics": statistics, "datetime": datetime, "json": json, "sqlite3": sqlite3, "re": re}
_TYPES: dict[str, Any] = {kind.__name__: kind for kind in (str, int, float, list, dict, tuple, set, bytes)} | {
    "datetime.datetime": datetime.datetime, "datetime.date": datetime.date, "datetime.timedelta": datetime.timedelta,
    "sqlite3.Cursor": sqlite3.Cursor, "sqlite3.Connection": sqlite3.Connection}
_ERROR = re.compile(r"^(?:[A-Za-z_]\w*\.)*([A-Za-z_]\w*(?:Error|Exception|Interrupt|Exit|Iteration|Warning))(?:: ?(.*))?$")
_FRAME = re.compile(r'^\s*File "([^"]+)", line (\d+)')


@dataclass(frozen=True)
class Failure:
    """The last error of a traceback."""

    type: str
    message: str
    line: int
    """Line of the program, counted from 1; 0 when unknown."""
    offset: int = 0
    """Column of a syntax error, counted from 1; 0 when unknown."""


def read_failure(text: str, source: str) -> Failure | None:
    """The error that ended a program, from what it printed; None when there is no traceback."""
    lines = text.rstrip().split("\n")
    for start in range(len(lines) - 1, -1, -1):
        found = _ERROR.match(lines[start].strip("\r")) if not lines[start].startswith((" ", "\t")) else None
        if found:
            message = " ".join(part.strip() for part in [found.group(2) or "", *lines[start + 1:start + 12]]).strip()
            line, offset = _place(lines[:start], source)
            return Failure(found.group(1), message, line, offset)
    return None


def _place(lines: list[str], source: str) -> tuple[int, int]:
    """Line of the program in the last frame that is its own, and the column of a caret below it."""
    code = source.split("\n")
    for index in range(len(lines) - 1, -1, -1):
        found = _FRAME.match(lines[index])
        if not found or re.search(r"/(lib|lib64)/|site-packages|<frozen", found.group(1)):
            continue
        number = int(found.group(2))
        if not 1 <= number <= len(code):
            continue
        shown = lines[index + 1].strip() if index + 1 < len(lines) else ""
        if shown and not shown.startswith(("File ", "^")) and shown not in code[number - 1]:
            continue
        caret = lines[index + 2] if index + 2 < len(lines) else ""
        within = caret.find("^") - (len(lines[index + 1]) - len(lines[index + 1].lstrip())) if "^" in caret else -1
        indent = len(code[number - 1]) - len(code[number - 1].lstrip())
        return number, within + indent + 1 if within >= 0 else 0
    return 0, 0


def python_cause(failure: Failure, source: str, tables: list[Table], mounts: tuple[Mount, ...]) -> str:
    """The likely cause, or an empty string when the message says it all."""
    explain = _CAUSES.get(failure.type)
    return explain(failure, source, tables, mounts) if explain else ""


def files_of(mounts: tuple[Mount, ...], most: int = 20) -> list[str]:
    """Paths under `/data` that programs can open."""
    found = []
    for mount in mounts:
        if mount.host.is_dir():
            found += [f"/data/{mount.name}/{path.name}" for path in sorted(mount.host.iterdir())]
        else:
            found.append(f"/data/{mount.name}")
    return found[:most]


def _key(failure: Failure, source: str, tables: list[Table], mounts: tuple[Mount, ...]) -> str:
    quoted = re.findall(r"['\"]([^'\"]+)['\"]", failure.message)
    key = next((word for word in quoted if word not in ("object", "str", "int64")), "")
    if not key:
        return f"There is no key {failure.message}." if failure.message else ""
    columns = [f"{table.name}.{column.name}" for close in nearest(key, _columns(tables), 2)
               for table in tables if (column := table.column(close))]
    near = nearest(key, [word for word in _strings(source) if word != key], 1)
    if any(column.split(".")[-1] == key for column in columns):
        holders = [column.split(".")[0] for column in columns if column.split(".")[-1] == key]
        return f"{key} is a column of {', '.join(holders[:3])}, but not in this frame: was it selected or merged?"
    if columns:
        return f"Nearest column: {', '.join(columns[:3])}."
    return f"Nearest: {near[0]}." if near else "There is no such column or key."


def _file(failure: Failure, source: str, tables: list[Table], mounts: tuple[Mount, ...]) -> str:
    files = files_of(mounts)
    wanted = re.findall(r"['\"]([^'\"]+)['\"]", failure.message)
    if not files:
        return "There is no data file; /workspace holds only what the program wrote."
    base = wanted[-1].rsplit("/", 1)[-1] if wanted else ""
    close = nearest(base, [path.rsplit("/", 1)[-1] for path in files], 1)
    ranked = sorted(files, key=lambda path: not (close and path.endswith("/" + close[0])))
    return f"Data files: {', '.join(ranked[:8])}; your own are in /workspace."


def _name(failure: Failure, source: str, tables: list[Table], mounts: tuple[Mount, ...]) -> str:
    quoted = re.findall(r"'([^']+)'", failure.message)
    if not quoted:
        return ""
    name = quoted[0]
    if name in _ALIASES:
        return f"Add: {_ALIASES[name]}."
    if name in sys.stdlib_module_names or name in _INSTALLED:
        return f"Add: import {name}."
    if "local variable" in failure.message:
        return "It is used before it is assigned on this path."
    if name in ("true", "false", "null"):
        return f"Python writes {({'true': 'True', 'false': 'False', 'null': 'None'})[name]}."
    return suggestion(name, [*_names(source), *dir(builtins)]).strip() or "Define it first: every run starts afresh."


def _attribute(failure: Failure, source: str, tables: list[Table], mounts: tuple[Mount, ...]) -> str:
    found = re.search(r"(?:module )?'([^']+)'(?: object)? has no attribute '([^']+)'", failure.message)
    if not found or "Did you mean" in failure.message:
        return ""
    owner, attribute = found.groups()
    if owner == "NoneType":
        return "The value is None: a query or search found nothing."
    if owner in ("DataFrame", "Series"):
        import pandas as pd

        columns = nearest(attribute, _columns(tables), 2)
        methods = nearest(attribute, (name for name in dir(getattr(pd, owner)) if not name.startswith("_")), 2)
        if attribute in ("append", "iteritems", "ix"):
            return "It was removed from pandas; use pd.concat, items or loc."
        names = [f"column {name}" for name in columns] + [f"method {name}" for name in methods]
        return f"Nearest: {', '.join(names[:3])}." if names else ""
    known = _MODULES.get(owner) or _TYPES.get(owner)
    return suggestion(attribute, (name for name in dir(known) if not name.startswith("_"))).strip() if known else ""


def _module(failure: Failure, source: str, tables: list[Table], mounts: tuple[Mount, ...]) -> str:
    quoted = re.findall(r"'([^']+)'", failure.message)
    name = quoted[0].split(".")[0] if quoted else ""
    if name in _INSTALLED:
        return f"{name} is not installed in this box, and there is no network."
    return "It is not installed, and there is no network." + suggestion(name, [*_INSTALLED, *sorted(sys.stdlib_module_names)])


def _type(failure: Failure, source: str, tables: list[Table], mounts: tuple[Mount, ...]) -> str:
    message = failure.message
    if "'NoneType' object is not" in message or "NoneType" in message:
        return "A value is None: a query found no row, or a stored value is missing."
    if "unsupported operand" in message or "not supported between" in message or "can only concatenate" in message:
        return "The two sides have different types: convert text with float(), int() or datetime.fromisoformat()."
    if "object is not callable" in message:
        return "A name is called that holds a value, perhaps one that hides a function."
    if "object is not subscriptable" in message or "indices must be integers" in message:
        return "Indexing does not fit the type: check what the value is with print(type(x))."
    if "argument" in message:
        return "Check the call's arguments."
    return ""


def _value(failure: Failure, source: str, tables: list[Table], mounts: tuple[Mount, ...]) -> str:
    message = failure.message
    if "convert string to float" in message or "invalid literal for int" in message:
        return "The text is not a plain number: strip units, or use pd.to_numeric(x, errors='coerce')."
    if "does not match format" in message or "unconverted data" in message or "Invalid isoformat" in message:
        return "The format does not fit how dates are stored: look at some values first."
    if "unpack" in message:
        return "The number of names on the left differs from the number of values."
    if "truth value of a" in message:
        return "Use & and | with parentheses, or .any() / .all(), on a Series."
    if "math domain" in message:
        return "log or sqrt got a number that is not positive."
    return ""


def _index(failure: Failure, source: str, tables: list[Table], mounts: tuple[Mount, ...]) -> str:
    return "The list or result is shorter than expected, perhaps empty."


def _say(sentence: str) -> Callable[[Failure, str, list[Table], tuple[Mount, ...]], str]:
    return lambda failure, source, tables, mounts: sentence


def _columns(tables: list[Table]) -> list[str]:
    return list(dict.fromkeys(column.name for table in tables for column in table.columns))


def _strings(source: str) -> list[str]:
    return [node.value for node in python_nodes(source) if isinstance(node, ast.Constant) and isinstance(node.value, str)]


def _names(source: str) -> list[str]:
    """Names that the program binds."""
    found: list[str] = []
    for node in python_nodes(source):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.append(node.id)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.append(node.name)
        elif isinstance(node, ast.arg):
            found.append(node.arg)
        elif isinstance(node, ast.alias):
            found.append((node.asname or node.name).split(".")[0])
    return found


_CAUSES: dict[str, Callable[[Failure, str, list[Table], tuple[Mount, ...]], str]] = {
    "KeyError": _key, "FileNotFoundError": _file, "NameError": _name, "UnboundLocalError": _name,
    "AttributeError": _attribute, "ModuleNotFoundError": _module, "TypeError": _type, "ValueError": _value,
    "IndexError": _index,
    "ImportError": _say("The module has no such name."),
    "ZeroDivisionError": _say("The divisor is 0: a count or sum found nothing, or a value is missing."),
    "PermissionError": _say("Only /workspace and /tmp can be written to."),
    "RecursionError": _say("A function calls itself without end."),
    "MemoryError": _say("The program needs more memory than the box has: read fewer rows or columns."),
    "JSONDecodeError": _say("The text is not valid JSON."),
    "EOFError": _say("There is no keyboard input here: put the values in the program."),
    "StopIteration": _say("Nothing was found: give next() a default."),
    "ConnectionError": _say("There is no network in the box."),
    "URLError": _say("There is no network in the box."),
    "gaierror": _say("There is no network in the box."),
    "OverflowError": _say("A number grew too large."),
    "IndentationError": _say("Indent the lines of one block alike, with spaces."),
    "TabError": _say("Indent with spaces only."),
}
