"""Actions: one strict JSON object `{"action": ..., "params": {...}}`, read tolerantly and refused precisely.

Promises: `parse_action` accepts the object alone, in a code fence, with prose around it, or with triple-quoted program
text inside; anything else, whatever it is, raises `ActionError` whose message says what to change. Aliases of the released gym
(`validate_code`, `debug`) parse. An answer is plain data: finite numbers, valid text, at most 32 levels deep. Parsing never
evaluates anything and takes linear time, up to a fixed number of objects that are tried.
Does not cover: whether the task allows the action (`env.episode`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import chain
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError, model_validator

from env.errors import ActionError
from env.sandbox.plain import check_plain
from env.task import Record, Submission

ALIASES = {"validate_code": "code_execution", "debug": "debugging"}
NAMES = ("request_info", "terminal", "code_execution", "debugging", "submit")
ANSWER_DEPTH = 32
_TRIES = 500
"""Braces of one text at which an object may begin; prose and code before the action may hold some."""


class InfoParams(Record):
    """Look at the data: nothing = list tables; a table = its columns; a column = some of its values."""

    table: str = ""
    column: str = ""
    contains: str = ""
    """Only values that contain this text, case-insensitively."""


class CommandParams(Record):
    command: str = Field(min_length=1)


class CodeParams(Record):
    code: str = Field(min_length=1)
    language: Literal["python", "sql"] = "python"


class DebugParams(Record):
    """Explain the last failed execution (or of `code`, when given)."""

    code: str = ""
    language: Literal["python", "sql"] = "python"
    error: str = ""


class SubmitParams(Record):
    """Exactly one of the five; `answer` may stand beside `state`."""

    program: str | None = None
    language: Literal["python", "sql"] = "python"
    answer: Any = None
    files: tuple[str, ...] | None = None
    state: Literal[True] | None = None
    abstain: Literal[True] | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> SubmitParams:
        given = [name for name in ("program", "answer", "files", "state", "abstain") if name in self.model_fields_set]
        if given == ["answer", "state"]:
            given = ["state"]
        if len(given) != 1:
            raise ValueError("give exactly one of program, answer, files, state, abstain (answer may go with state)"
                             + (f", not {' and '.join(given)}" if given else ""))
        if given != ["answer"] and getattr(self, given[0]) is None:
            raise ValueError(f"{given[0]} must not be null")
        try:
            check_plain(self.answer, ANSWER_DEPTH)
        except ValueError as error:
            raise ValueError(f"the answer is not plain JSON: {error}") from None
        return self

    def submission(self) -> Submission:
        """The submission that grading understands."""
        if self.program is not None:
            return Submission(kind="program", program=self.program, language=self.language)
        if self.files is not None:
            return Submission(kind="files", files=self.files)
        if self.state:
            return Submission(kind="state", answer=self.answer)
        if self.abstain:
            return Submission(kind="abstain")
        return Submission(kind="answer", answer=self.answer)


class RequestInfo(Record):
    action: Literal["request_info"]
    params: InfoParams = InfoParams()


class Terminal(Record):
    action: Literal["terminal"]
    params: CommandParams


class CodeExecution(Record):
    action: Literal["code_execution"]
    params: CodeParams


class Debugging(Record):
    action: Literal["debugging"]
    params: DebugParams = DebugParams()


class Submit(Record):
    action: Literal["submit"]
    params: SubmitParams


Action = Annotated[RequestInfo | Terminal | CodeExecution | Debugging | Submit, Field(discriminator="action")]
_ADAPTER: TypeAdapter[Action] = TypeAdapter(Action)
_TRIPLE = re.compile(r'"""(.*?)"""|\'\'\'(.*?)\'\'\'', re.DOTALL)
_DECODER = json.JSONDecoder(strict=False)
_FENCE = re.compile(r"```(.*?)```", re.DOTALL)


def dump_action(action: Action) -> str:
    """The canonical text of an action: one line of JSON, defaults left out."""
    return json.dumps(action.model_dump(mode="json", exclude_unset=True), ensure_ascii=False, separators=(",", ":"))


def parse_action(text: str) -> Action:
    """The first action object in `text`.

    Raises:
        ActionError: `kind="format"` when there is no JSON object with an `action`, `kind="schema"` when its fields are off.
    """
    found = _find_object(text)
    name = found.get("action")
    if not isinstance(name, str):
        raise ActionError('"action" must be a string, one of ' + ", ".join(NAMES) + ".", "schema")
    name = ALIASES.get(name, name)
    if name not in NAMES:
        shown = name[:60].encode("utf-8", "replace").decode()
        raise ActionError(f'Unknown action "{shown}". Use one of: {", ".join(NAMES)}.', "schema")
    if not _plain(text) and not _valid_text(found):
        raise ActionError(f'Action "{name}": a string holds half of a surrogate pair (\\ud800 to \\udfff): write the whole '
                          "character.", "schema")
    try:
        return _ADAPTER.validate_python({**found, "action": name})
    except ValidationError as error:
        raise ActionError(_explain(name, error), "schema") from None


def _plain(text: str) -> bool:
    """Whether no string of a JSON text can hold half of a surrogate pair, seen without looking at each: as most replies are."""
    return text.isascii() and "\\u" not in text


def _valid_text(found: dict[str, Any]) -> bool:
    """Whether every string can be encoded: a trace with one that cannot could not be written."""
    pending: list[Any] = [found]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            pending += [*item, *item.values()]
        elif isinstance(item, list):
            pending += item
        elif isinstance(item, str):
            try:
                item.encode()
            except UnicodeEncodeError:
                return False
    return True


def _explain(name: str, error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"] if part != name) or "the object"
    message = first["msg"].removeprefix("Value error, ")
    return f'Action "{name}": {where}: {message}.'


def _find_object(text: str) -> dict[str, Any]:
    """The first JSON object that has an `action`; fences, prose and triple quotes are read through."""
    for attempt in _readings(text):
        found = _scan(attempt)
        if found is not None:
            return found
    if "{" not in text:
        raise ActionError('No JSON object found. Reply with one object: {"action": ..., "params": {...}}.')
    if '"action"' not in text:
        raise ActionError('The JSON object has no "action". Reply with {"action": ..., "params": {...}}.')
    raise ActionError(f"The JSON could not be read: {_json_error(text)}. Reply with one valid JSON object.")


def _readings(text: str) -> Iterator[str]:
    """The text and what its fences hold, each as it stands and with triple quotes made JSON."""
    for candidate in chain((text,), (match.group(1) for match in _FENCE.finditer(text))):
        yield candidate
        yield _TRIPLE.sub(lambda found: json.dumps(found.group(1) or found.group(2) or ""), candidate)


def _scan(text: str) -> dict[str, Any] | None:
    if '"action"' not in text:
        return None
    start = text.find("{")
    for _ in range(_TRIES):
        if start == -1:
            break
        try:
            value, end = _DECODER.raw_decode(text, start)
        except (ValueError, RecursionError):  # ValueError: not JSON, or an integer of more than 4,300 digits
            start = text.find("{", start + 1)
            continue
        if isinstance(value, dict) and "action" in value:
            return value
        start = text.find("{", max(end, start + 1))
    return None


def _json_error(text: str) -> str:
    try:
        _DECODER.raw_decode(text, text.find("{"))
    except json.JSONDecodeError as error:
        return f"{error.msg} at line {error.lineno} column {error.colno}"
    except ValueError:
        return "a number has too many digits"
    except RecursionError:
        return "it is nested too deeply"
    return "the object with the action is not complete"
