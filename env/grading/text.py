"""What a program's printed text means, when it set no variable `answer`.

Promises: the text is read as a whole, in this order: JSON; the text of a Python value; a table (lines whose cells are
separated by " | " or tabs, the same number in each); one line, a scalar; several lines, a list of scalars. Numbers, NULL and
booleans are recognised, everything else stays text. Guessing a value out of prose is not attempted.
"""

from __future__ import annotations

import re
from typing import Any

from env.grading.literals import read_literal
from env.sandbox.plain import load_plain

TEXT_CAP = 1_000_000
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
_WORDS: dict[str, Any] = {"NULL": None, "None": None, "null": None, "nan": None, "NaN": None, "NaT": None, "True": True,
                          "False": False, "true": True, "false": False}


def parse_text(text: str) -> tuple[bool, Any]:
    """Whether the text holds a value, and the value as plain JSON."""
    text = text.strip()
    if not text or len(text) > TEXT_CAP:
        return False, None
    if text == "(no rows)":
        return True, []
    for reader in (load_plain, read_literal):
        try:
            return True, reader(text)
        except ValueError:
            continue
    lines = [line.strip("\r") for line in text.split("\n") if line.strip()]
    for separator in (" | ", "\t"):
        rows = [line.split(separator) for line in lines]
        if len(rows[0]) > 1 and all(len(row) == len(rows[0]) for row in rows):
            return True, [[scalar(cell) for cell in row] for row in rows]
    cells = [scalar(line) for line in lines]
    return True, cells[0] if len(cells) == 1 else cells


def scalar(cell: str) -> Any:
    """A number, NULL, a boolean, or the text itself."""
    cell = cell.strip()
    if cell in _WORDS:
        return _WORDS[cell]
    if len(cell) < 80 and _NUMBER.fullmatch(cell):
        number = float(cell)
        whole = re.fullmatch(r"[-+]?\d+", cell)
        if whole:
            return int(cell)
        return number if abs(number) != float("inf") else cell
    return cell
