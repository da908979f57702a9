"""What became of one execution, read from the text that the agent was shown.

Promises: one name for a run that failed (`syntax`, `missing_table`, `missing_column`, `missing_file`, `budget`, `runtime`), one
for a run that found nothing (`empty_result`), none for a run with a result. Messages are those of SQLite, Python, pandas and bash
as the sandbox prints them; nothing is run. A KeyError is a missing column where pandas or `csv.DictReader` raised it; of a plain
dict it is a runtime error.
Does not cover: whether a result is right, and which run of an episode counts (`medcopilot.evaluation.errors`).
"""

from __future__ import annotations

import ast
import re
from typing import Any

from env.explain_python import Failure, read_failure
from medcopilot.trace import Turn

OUT_OF_BUDGET = frozenset({"timeout_soft", "timeout_hard", "oom", "killed", "output_limit"})
"""Statuses of a run that was stopped for its time, memory, processes or output."""
_NOTE = re.compile(r"\n?\[(?:error|died)[^\[\]\n]*\]\s*$")
_NO_TABLE = re.compile(r"no such table", re.IGNORECASE)
_NO_COLUMN = re.compile(r"no such column|has no column named|no item with that key|usecols do not match columns|"
                        r"missing column provided|not in index\b|are in the \[?columns|not found in axis|"
                        r"are not columns of the|label\(s\) .* do not exist", re.IGNORECASE)
_NO_FILE = re.compile(r"no such file or directory|unable to open database file|no database .* under /data|"
                      r"there is no sqlite database|is a directory", re.IGNORECASE)
_SQL_SYNTAX = re.compile(r"syntax error|incomplete input|unrecognized token|no SQL statement", re.IGNORECASE)
_PYTHON_SYNTAX = frozenset({"SyntaxError", "IndentationError", "TabError"})
_NO_FILE_TYPES = frozenset({"FileNotFoundError", "IsADirectoryError", "NotADirectoryError"})
_NO_COLUMNS = frozenset({"append", "applymap", "as_matrix", "columns", "contains", "iteritems", "ix", "lookup", "lower", "mad",
                         "ravel", "reshape", "split", "strftime", "strip", "tolist", "upper"})
"""Attributes that programs ask of frames and that are no columns: methods of other pandas versions and of other types."""
_FRAME_ATTRIBUTE = re.compile(r"'(?:DataFrame|Series)' object has no attribute '(\w+)'")
_NOTHING = re.compile(r"\(no rows\)|\(no output\)|(?:[\[\](){},|\s]|None|NULL|null|nan|NaN|NaT|set\(\))+|Series\(\[\].*\)|"
                      r"Index\(\[\].*\)|array\(\[\].*\)|\[0 rows x \d+ columns\]")
_EMPTY_FRAME = re.compile(r"Empty DataFrame\nColumns: .*\nIndex: \[\]$", re.DOTALL)
_EMPTY_BUNDLE = re.compile(r"['\"]resourceType['\"]: ?['\"]Bundle['\"].*['\"]total['\"]: ?0\b|"
                           r"['\"]total['\"]: ?0\b.*['\"]resourceType['\"]: ?['\"]Bundle['\"]", re.DOTALL)


def run_error(turn: Turn) -> str:
    """The name for a turn that ran something; empty for one that ended well with a result."""
    run: dict[str, Any] = turn.execution or {}
    if run.get("status") == "ok":
        return "empty_result" if is_nothing(turn.observation) else ""
    if run.get("status") in OUT_OF_BUDGET:
        return "budget"
    text = _NOTE.sub("", turn.observation).strip()
    if turn.action == "terminal":
        # grep, diff and test say by their exit code that they found nothing
        return "empty_result" if not text and run.get("exit_code") == 1 else _by_words(text.split("\n")[-2:])
    source = str(turn.params.get("code", ""))
    if turn.params.get("language") == "sql":
        return _by_words([text])
    failure = read_failure(text, source)
    return _python(failure, text, source) if failure is not None else program_error(source, "python")


def program_error(source: str, language: str) -> str:
    """The same for a program of which only the text is known, and that it failed: `syntax` where Python cannot parse it."""
    if language == "python":
        try:
            ast.parse(source)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return "syntax"
    return "runtime"


def is_nothing(text: str) -> bool:
    """The last thing that was printed is empty: no rows, an empty frame or list, only missing values, a bundle without entries."""
    text = text.strip()
    last = text.rpartition("\n")[2].strip()
    return not text or bool(_NOTHING.fullmatch(last[:200]) or _EMPTY_FRAME.search(text[-2000:]) or
                            (last.startswith("{") and _EMPTY_BUNDLE.search(last[:2000])))


def _by_words(lines: list[str]) -> str:
    text = "\n".join(lines)
    for name, words in (("missing_table", _NO_TABLE), ("missing_column", _NO_COLUMN), ("missing_file", _NO_FILE),
                        ("syntax", _SQL_SYNTAX)):
        if words.search(text):
            return name
    return "runtime"


def _python(failure: Failure, text: str, source: str) -> str:
    if failure.type in _PYTHON_SYNTAX:
        return "syntax"
    if failure.type in _NO_FILE_TYPES:
        return "missing_file"
    if failure.type == "MemoryError":
        return "budget"
    if failure.type in ("OperationalError", "DatabaseError", "ProgrammingError"):
        return _by_words([failure.message])
    if failure.type == "UndefinedVariableError":  # of DataFrame.query
        return "missing_column"
    if failure.type == "AttributeError" and (attribute := _FRAME_ATTRIBUTE.search(failure.message)):
        return "runtime" if attribute.group(1) in _NO_COLUMNS else "missing_column"
    if failure.type in ("KeyError", "IndexError", "ValueError") and _NO_COLUMN.search(failure.message):
        return "missing_column"
    named = failure.type == "KeyError" and failure.message.startswith(("'", '"'))
    if named and ("pandas/" in text or "DictReader" in source):
        return "missing_column"
    return "runtime"
