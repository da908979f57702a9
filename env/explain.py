"""`debugging`: why a program failed or found nothing, in plain words, grounded in what the data really holds.

Promises: deterministic, without a model; one to three short sentences; names the error, the line and the nearest real column,
table, value, file or name. Never shows a reference or a verdict, and never fails because the data cannot be read.
Does not cover: whether a result that is not empty is right. `medcopilot` may inject a model-backed explainer in its place.
"""

from __future__ import annotations

import ast
import re
from typing import Protocol

from env.errors import InfrastructureError
from env.explain_python import Failure, files_of, python_cause, read_failure
from env.explain_sql import sql_cause, unconnected
from env.literals import conditions_of, embedded_sql, why_empty
from env.nearest import suggestion
from env.sandbox.base import Execution, Mount, Program
from env.tables import Table, open_tables

_LINE_CHARS = 60
_MESSAGE_CHARS = 160
_NOTHING = re.compile(r"empty dataframe|series\(\[\]|^\(no rows\)$", re.IGNORECASE | re.MULTILINE)
_EMPTY_LINE = re.compile(r"[\s\[\](){},|]*(?:(?:none|nan|null|nat|0|0\.0)[\s\[\](){},|]*)*", re.IGNORECASE)


class Explainer(Protocol):
    """Turns an execution into an explanation."""

    def explain(self, program: Program, execution: Execution, mounts: tuple[Mount, ...]) -> str:
        """Plain language for the agent."""


class GroundedExplainer:
    """Explains from the program's text, its output and the data files; no model."""

    def explain(self, program: Program, execution: Execution, mounts: tuple[Mount, ...]) -> str:
        """One to three sentences about an execution."""
        try:
            tables = open_tables(mounts)
        except InfrastructureError:
            tables = []
        try:
            return self._explain(program, execution, mounts, tables)
        except InfrastructureError:
            return self._explain(program, execution, mounts, [])

    def _explain(self, program: Program, execution: Execution, mounts: tuple[Mount, ...], tables: list[Table]) -> str:
        if execution.status == "ok":
            return _explain_result(program, execution, tables)
        if execution.status == "error":
            return _explain_error(program, execution, mounts, tables)
        return _explain_limit(program, execution)


def _explain_error(program: Program, execution: Execution, mounts: tuple[Mount, ...], tables: list[Table]) -> str:
    text = execution.stderr or execution.stdout
    if program.language == "shell":
        return _explain_shell(text, mounts)
    failure = read_failure(text, program.source)
    message, token, cause = sql_cause(text, lambda: "\n;\n".join(_queries(program)), tables)
    if message:
        name = "SQL error" if program.language == "sql" else failure.type if failure else "SQL error"
        return _sentence(f"{name}{_at_token(program, failure, token)}: {message}", cause)
    if program.language == "python" and (failure is None or failure.type in ("SyntaxError", "IndentationError", "TabError")):
        syntax = _explain_syntax(program.source)
        if syntax:
            return syntax
    if failure is None:
        last = text.strip().split("\n")[-1] if text.strip() else f"exit code {execution.exit_code}"
        return _sentence(f"The program failed: {last[:_MESSAGE_CHARS]}", "")
    if failure.type == "OperationalError" and "unable to open database file" in failure.message:
        failure = Failure("FileNotFoundError", failure.message, failure.line)
    cause = python_cause(failure, program.source, tables, mounts)
    if failure.type in ("IndexError", "TypeError", "ZeroDivisionError", "StopIteration", "AttributeError"):
        empty = why_empty(conditions_of(program.source, program.language, tables))
        cause = f"{cause} {empty}" if empty and not empty.startswith("Each condition") else cause
    message = failure.message[:_MESSAGE_CHARS]
    return _sentence(f"{failure.type}{_at_line(program, failure)}" + (f": {message}" if message else ""), cause)


def _queries(program: Program) -> list[str]:
    return [program.source] if program.language == "sql" else embedded_sql(program.source)


def _explain_result(program: Program, execution: Execution, tables: list[Table]) -> str:
    text = execution.stdout.strip()
    rows = [line for line in text.split("\n") if line.strip()]
    if program.language == "python" and not rows:
        return "It ran without an error but printed nothing: print the result."
    if not _NOTHING.search(text) and not all(_EMPTY_LINE.fullmatch(row[:_LINE_CHARS]) for row in rows[-2:]):
        return f"It ran without an error and printed {len(rows)} line(s): check the logic, not the syntax."
    reason = why_empty(conditions_of(program.source, program.language, tables))
    return f"It ran without an error but found nothing. {reason}".rstrip()


def _explain_limit(program: Program, execution: Execution) -> str:
    seconds = f" after {execution.seconds:.0f} s" if execution.seconds >= 1 else ""
    if execution.status in ("timeout_soft", "timeout_hard"):
        cause = "Filter earlier and loop less."
        for query in _queries(program):
            joined = unconnected(query)
            if joined:
                cause = f"{' and '.join(joined)} are joined without a condition, so every row meets every row: add ON."
        if program.language == "python" and _endless(program.source):
            cause = "A `while` loop never ends."
        return f"Time limit: stopped{seconds}. {cause}"
    known = {"oom": "Out of memory: read only the rows and columns that are needed.",
             "output_limit": "It printed too much: print only the result, or its first rows.",
             "killed": "It was killed: it used too much memory or too many processes.",
             "died": "Its process ended without a trace (crash or os._exit)."}
    return known.get(execution.status, f"The run did not finish ({execution.status}): try again.")


def _explain_shell(text: str, mounts: tuple[Mount, ...]) -> str:
    last = text.strip().split("\n")[-1][:_MESSAGE_CHARS] if text.strip() else "the command failed"
    missing = re.search(r"([\w.-]+): (?:command )?not found", last)
    if missing:
        commands = ("ls", "cat", "head", "tail", "grep", "python3", "wc", "sort", "cut", "awk", "sed", "find", "sqlite3")
        return _sentence(last, "That command is not here." + suggestion(missing.group(1), commands))
    if "No such file" in last:
        return _sentence(last, f"Data files: {', '.join(files_of(mounts))}." if mounts else "There is no data file.")
    return _sentence(last, "")


def _explain_syntax(source: str) -> str:
    """The syntax error with its line and a caret, found by parsing the program again (nothing is run)."""
    try:
        ast.parse(source)
    except SyntaxError as error:
        line = (error.text or "").rstrip("\n")
        where = f"{type(error).__name__} at line {error.lineno}: {error.msg}."
        if not line.strip():
            return where
        start = max(0, min((error.offset or 1) - 1 - _LINE_CHARS // 2, len(line) - _LINE_CHARS))
        return f"{where}\n{line[start:start + _LINE_CHARS]}\n{' ' * max((error.offset or 1) - 1 - start, 0)}^"
    except (ValueError, RecursionError, MemoryError) as error:
        return f"The program cannot be parsed: {error or type(error).__name__}."
    return ""


def _endless(source: str) -> bool:
    try:
        loops = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.While)]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return any(isinstance(loop.test, ast.Constant) and not any(isinstance(part, ast.Break | ast.Return) for part in ast.walk(loop))
               for loop in loops)


def _at_line(program: Program, failure: Failure) -> str:
    if not failure.line:
        return ""
    line = program.source.split("\n")[failure.line - 1].strip()
    return f" at line {failure.line} (`{_short(line)}`)"


def _at_token(program: Program, failure: Failure | None, token: str) -> str:
    """For SQL, the line that holds the token at fault; for Python, the line of the traceback."""
    if program.language == "python":
        return _at_line(program, failure) if failure else ""
    lines = program.source.strip().split("\n")
    holders = [index for index, line in enumerate(lines) if token and token.lower() in line.lower()]
    return f" at line {holders[0] + 1} (`{_short(lines[holders[0]].strip())}`)" if holders and len(lines) > 1 else ""


def _short(line: str) -> str:
    return line if len(line) <= _LINE_CHARS else line[: _LINE_CHARS - 3] + "..."


def _sentence(what: str, cause: str) -> str:
    return f"{what.rstrip('.')}. {cause}".rstrip()
