"""The versioned record of an episode: what happened, token-exact, and what it was worth.

Promises: one JSON object per line; `version` says how to read it; token ids are those that were sampled, never re-encoded;
`mask` is 1 exactly on sampled tokens; a torn last line is reported and owed again, never a crash.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from env.errors import UserError
from env.task import Slice, Split
from rewards.types import Variant

TRACE_VERSION = 1
Stop = Literal["submit", "turns", "context", "loop", "success", "no_reply", "infrastructure"]
"""`loop`: the online loop guard ended it, graded as it stands. `success`: protocol `paper`, first correct execution.
`infrastructure`: masked, never scored."""


Outcome = Literal["success", "failure", "paper only", "ungraded"]
"""`paper only`: wrong, but the paper's grader accepts it."""
_Read = TypeVar("_Read")


def outcome_of(stop: str, strict: float | None, paper: float | None) -> Outcome:
    """What an episode came to, from how it ended and its two scores (None: not graded). The only place of this rule."""
    if stop == "infrastructure" or strict is None:
        return "ungraded"
    if strict == 1.0:
        return "success"
    return "paper only" if paper == 1.0 else "failure"


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Tokens(_Model):
    """The conversation as the policy saw it. All lists have one entry per token."""

    ids: list[int]
    mask: list[int]
    """1 = sampled by the policy, 0 = prompt or observation."""
    logprobs: list[float]
    """Sampling logprob where mask is 1, else 0."""
    versions: list[int]
    """Policy version of each sampled token, -1 elsewhere."""

    @model_validator(mode="after")
    def _same_length(self) -> Tokens:
        if len({len(self.ids), len(self.mask), len(self.logprobs), len(self.versions)}) != 1:
            raise ValueError("ids, mask, logprobs and versions must have the same length")
        return self


class GradeRecord(_Model):
    """A `rewards.Grade`, stored."""

    score: float | None
    label: str
    detail: str = ""
    error: str = ""


class Turn(_Model):
    """One exchange."""

    reply: str
    """Text of the policy's turn."""
    action: str | None = None
    """Name of the action, None when it could not be parsed."""
    params: dict[str, Any] = Field(default_factory=dict)
    problem: str = ""
    """Why the reply was refused: `format`, `schema` or `not_allowed`; empty when it was a valid action."""
    observation: str = ""
    """What the environment answered."""
    guard: str = ""
    """The line that the loop guard put under the observation; empty where it said nothing."""
    execution: dict[str, Any] | None = None
    """Summary of the run: status, exit_code, seconds, cpu_seconds, truncated."""
    generate_seconds: float = 0.0
    env_seconds: float = 0.0
    sampled_tokens: int | None = None


class Trace(_Model):
    """One episode."""

    version: int = TRACE_VERSION
    id: str
    """Content hash of run, task, policy, sample index and seed: what resuming goes by."""
    task_id: str
    dataset: str
    category: str
    template: str
    split: Split
    slice: Slice
    cluster: str
    licence: str
    policy: str
    policy_version: int = 0
    protocol: Literal["submit", "paper"] = "submit"
    sample: int = 0
    """Index among the rollouts of one task."""
    seed: int = 0
    temperature: float = 0.0
    loop_guard: bool = False
    """The online loop guard watched: `guard` of a turn says where it spoke, the stop `loop` that it ended the episode."""
    turn_limit: int | None = None
    """Turns that were allowed; None in older records."""
    impossible: bool = False
    """Abstaining is the right answer."""
    messages: list[dict[str, str]]
    turns: list[Turn]
    tokens: Tokens | None = None
    stop: Stop
    submission: dict[str, Any] | None = None
    state: list[dict[str, Any]] | None = None
    """What the environment recorded (a FHIR server's write log), so that the episode can be graded again."""
    grades: dict[Variant, GradeRecord]
    seconds: float = 0.0
    grade_seconds: float = 0.0
    started: float = 0.0
    """Unix time."""
    sandbox: str = ""
    """Tier in use."""
    error: str = ""
    """Typed error of an infrastructure failure."""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None

    @property
    def success(self) -> bool:
        """The raw binary outcome under the strict grader."""
        return self.grades["strict"].score == 1.0

    @property
    def graded(self) -> bool:
        return self.grades["strict"].score is not None

    @property
    def outcome(self) -> Outcome:
        """See `outcome_of`."""
        strict, paper = self.grades.get("strict"), self.grades.get("paper")
        return outcome_of(self.stop, strict.score if strict else None, paper.score if paper else None)

    @property
    def context_tokens(self) -> int | None:
        """Length of the whole conversation; None for endpoints that do not hand out ids."""
        return len(self.tokens.ids) if self.tokens is not None else None

    @property
    def sampled_tokens(self) -> int | None:
        """What the policy sampled, by the mask."""
        return sum(self.tokens.mask) if self.tokens is not None else None


def used_tokens(sampled: Sequence[int | None], prompt: int | None, completion: int | None, masked: bool
                ) -> tuple[int | None, int | None]:
    """Prompt and completion tokens of an episode; None where what any turn used is unknown: a part of the sum would pass for it.

    Args:
        sampled: each turn's tokens. An episode that is not masked and has no turn was refused before its first reply: it used none.
        prompt, completion: the record's own totals, which count where they are given.
    """
    if not sampled and not masked:
        return prompt or 0, completion or 0
    known = [count for count in sampled if count is not None]
    return prompt, sum(known) if completion is None and known and len(known) == len(sampled) else completion


def write_line(trace: Trace) -> str:
    """The trace as one line of JSON, newline included."""
    return trace.model_dump_json() + "\n"


def read_traces(path: Path, torn: list[str] | None = None) -> Iterator[Trace]:
    """Traces of one shard. A torn last line is left out and reported through `torn`.

    Raises:
        UserError: any other malformed line, with its number and the cure.
    """
    return read_lines(path, torn, lambda line, _: parse_line(line))


def read_lines(path: Path, torn: list[str] | None, parse: Callable[[bytes, int], _Read]) -> Iterator[_Read]:
    """`parse(line, byte offset)` of every line of a shard, which is never in memory as a whole; errors as of `read_traces`."""
    try:
        handle = path.open("rb")
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): check the path of the trace file") from None
    offset = 0
    with handle:
        for number, line in enumerate(handle, start=1):
            try:
                if line.strip():
                    yield parse(line, offset)
            except _OtherVersion as error:
                raise UserError(f"{path} line {number}: trace version {error.version!r} is not {TRACE_VERSION}: sample again with "
                                "this version of medcopilot") from None
            except ValueError as error:
                if not line.endswith(b"\n"):  # the writer was stopped in mid-line
                    if torn is not None:
                        torn.append(f"{path} line {number}")
                    return
                reason = f"{error.error_count()} fields are wrong" if isinstance(error, ValidationError) else str(error)
                raise UserError(f"{path} line {number}: not a trace ({reason}): delete that line and run the command "
                                "again") from None
            offset += len(line)


def parse_line(line: bytes) -> Trace:
    """One trace.

    Raises:
        ValueError: not a trace of this version.
    """
    row = json.loads(line)
    if not isinstance(row, dict) or row.get("version") != TRACE_VERSION:
        raise _OtherVersion(row.get("version") if isinstance(row, dict) else None)
    return Trace(**row)


class _OtherVersion(Exception):
    def __init__(self, version: Any) -> None:
        self.version = version
