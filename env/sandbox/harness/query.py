"""Runs SQL on one read-only SQLite file in a freshly forked process and prints the last statement's rows.

Promises: one line per row, cells joined by " | ", NULL as NULL, floats with at most 12 significant digits, "(no rows)" for
none, at most `ROW_CAP` rows. An SQL error is one line `Error: ...` on stderr and exit code 1.
Does not cover: writing. The file is opened read-only and immutable.
"""

from __future__ import annotations

import _sqlite3
import posix

TYPE_CHECKING = False  # `typing` itself costs milliseconds
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

ROW_CAP = 10_000


def main(request: dict[str, Any], encode: Callable[[Any], bytes] | None) -> None:
    """Run the statements and leave the process with an exit code."""
    try:
        name = _database(request)
        connection = _sqlite3.connect(f"file:{_quoted(request['data'] + '/' + name)}?mode=ro&immutable=1", uri=True)
        connection.set_progress_handler(lambda: 0, 20_000)  # lets SIGINT through while a statement runs
        rows, more = _execute(connection, request["source"])
    except (_sqlite3.Error, _sqlite3.Warning, ValueError, OverflowError) as error:
        _write(2, f"Error: {error}\n")
        posix._exit(1)
    except KeyboardInterrupt:
        _write(2, "Error: interrupted\n")
        posix._exit(130)
    except MemoryError:
        _write(3, "M")
        _write(2, "Error: out of memory\n")
        posix._exit(1)
    lines = [" | ".join(map(_cell, row)) for row in rows]
    if more:
        lines.append(f"[... more rows: only the first {ROW_CAP} are shown ...]")
    _write(1, "\n".join(lines or ["(no rows)"]) + "\n")
    if encode is not None:
        _write(3, b"Urow count" if more else encode(rows))
    posix._exit(0)


def _database(request: dict[str, Any]) -> str:
    names = request["databases"]
    wanted = request["database"]
    if wanted:
        if wanted not in names:
            raise ValueError(f"no database {wanted!r} under /data; there is {', '.join(names) or 'none'}")
        return str(wanted)
    if len(names) != 1:
        raise ValueError(f"name the database: {', '.join(names)}" if names else "there is no SQLite database under /data")
    return str(names[0])


def _quoted(path: str) -> str:
    return path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")


def _execute(connection: Any, source: str) -> tuple[list[tuple[Any, ...]], bool]:
    """Rows of the last statement, and whether there were more than the cap."""
    rows: list[tuple[Any, ...]] = []
    statements = _split(source)
    if not statements:
        raise ValueError("no SQL statement")
    for number, statement in enumerate(statements):
        cursor = connection.execute(statement)
        if number == len(statements) - 1:
            rows = cursor.fetchmany(ROW_CAP + 1)
    return rows[:ROW_CAP], len(rows) > ROW_CAP


def _split(source: str) -> list[str]:
    """Complete statements; SQLite itself says where one ends (strings, comments and triggers may hold semicolons)."""
    statements, start, position = [], 0, source.find(";")
    while position != -1:
        candidate = source[start:position + 1]
        if _sqlite3.complete_statement(candidate):
            statements.append(candidate)
            start = position + 1
        position = source.find(";", position + 1)
    statements.append(source[start:])
    return [text for text in statements if _has_sql(text)]


def _has_sql(text: str) -> bool:
    """False for nothing but blanks, comments and semicolons."""
    while True:
        text = text.lstrip(" \t\r\n\f;\ufeff")
        if text.startswith("--"):
            text = text.partition("\n")[2]
        elif text.startswith("/*"):
            text = text.partition("*/")[2]
        else:
            return bool(text)


def _cell(value: Any) -> str:
    if value is None:
        return "NULL"
    if type(value) is float:
        text = repr(value)
        return text if len(text) <= 12 else repr(float(f"{value:.12g}"))
    if type(value) is bytes:
        return "x'" + value.hex() + "'"
    return str(value).replace("\r", "\\r").replace("\n", "\\n")


def _write(fd: int, text: str | bytes) -> None:
    view = memoryview(text.encode("utf-8", "replace") if isinstance(text, str) else text)
    while view:
        view = view[posix.write(fd, view[: 1 << 20]):]
