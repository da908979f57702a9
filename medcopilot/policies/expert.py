"""The scripted expert: whole, realistic trajectories from the gold program.

Promises: the expert acts only through the same actions as everyone and submits what its program printed, not the reference; it
is handed the task's key (`needs_privileged`), which no other policy is. A share `detours` of its episodes explores first, or
makes a plausible mistake, has it explained and repairs it. The choice is seeded by task and seed.
Does not cover: free-text reasoning; the expert says nothing but actions.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any, ClassVar

from env.task import TaskKey, TaskView
from medcopilot.policies.base import ChatReply, InstantPolicy, Sampling
from medcopilot.policies.mistakes import misspell


class ExpertPolicy(InstantPolicy):
    """Plays gold programs. `detours`: share of episodes that are not the straight path."""

    name = "expert"
    needs_privileged = True
    local = True
    renderer = None

    def __init__(self, seed: int = 0, detours: float = 0.3) -> None:
        self.seed = seed
        self.detours = detours

    def session(self, view: TaskView, privileged: TaskKey | None = None) -> ExpertSession:
        """A session for one episode; the key is required."""
        if privileged is None:
            raise ValueError("the scripted expert needs the task's key")
        return ExpertSession(view, privileged, random.Random(f"{self.seed}/{view.id}"), self.detours)

    def describe(self) -> dict[str, Any]:
        return {"name": self.name, "seed": self.seed, "detours": self.detours}


class ExpertSession:
    """One episode: a generator that yields actions and is sent observations."""

    kind: ClassVar[str] = "chat"

    def __init__(self, view: TaskView, key: TaskKey, rng: random.Random, detours: float) -> None:
        self._script = _script(view, key, rng, detours)
        self._started = False

    async def act(self, messages: list[dict[str, str]], sampling: Sampling) -> ChatReply:
        """The next action as text; what it saw last is the last message."""
        try:
            action = self._script.send(messages[-1]["content"] if self._started else None)
        except StopIteration:
            action = {"action": "submit", "params": {"abstain": True}}
        self._started = True
        return ChatReply(text=json.dumps(action, ensure_ascii=False, separators=(",", ":")))

    async def close(self) -> None:
        self._script.close()


Script = Iterator[dict[str, Any]]


def _script(view: TaskView, key: TaskKey, rng: random.Random, detours: float) -> Any:
    """The expert's plan for one task."""
    if key.args.get("impossible"):
        if view.data and rng.random() < detours and "request_info" in view.actions:
            yield _info()
        yield _submit(abstain=True)
        return
    if view.limits.turns == 1 and "program" in view.answer_kind:  # no turn to look at an answer first
        yield _submit_program(key)
        return
    if rng.random() < detours:
        yield from _detour(view, key, rng)
    seen = yield _code(key.gold, key.gold_language)
    if "state" in view.answer_kind:
        yield _submit_state(seen)
        return
    answer = read_answer(seen)
    if answer is None or "answer" not in view.answer_kind:
        yield _submit_program(key)
    else:
        yield _submit(answer=answer)


def _detour(view: TaskView, key: TaskKey, rng: random.Random) -> Any:
    """Look around first, or fail first."""
    tables = [str(table) for table in key.hints.get("tables", [])]
    values = key.hints.get("values", [])
    kinds = [] if key.args.get("due") else ["error"]  # a program that fails half-way may have written already
    if view.data and tables and "request_info" in view.actions:
        kinds += ["tables", "columns"] + (["values"] if isinstance(values, list) and values else [])
    kind = rng.choice(kinds) if kinds else ""
    if kind == "error":
        wrong = misspell(key.gold, key.gold_language, rng)
        if wrong is not None:
            yield _code(wrong, key.gold_language)
            if "debugging" in view.actions:
                yield {"action": "debugging"}
        return
    if kind == "tables":
        yield _info()
    if kind in ("tables", "columns"):
        yield _info(table=rng.choice(tables))
    if kind == "values":
        table, column, value = rng.choice(values)
        yield _info(table=str(table), column=str(column), contains=str(value))


def _info(**params: str) -> dict[str, Any]:
    return {"action": "request_info", "params": params} if params else {"action": "request_info"}


def _code(source: str, language: str) -> dict[str, Any]:
    return {"action": "code_execution", "params": {"code": source, **({"language": "sql"} if language == "sql" else {})}}


def _submit(**params: Any) -> dict[str, Any]:
    return {"action": "submit", "params": params}


def _submit_program(key: TaskKey) -> dict[str, Any]:
    return _submit(program=key.gold, **({"language": "sql"} if key.gold_language == "sql" else {}))


def _submit_state(seen: str) -> dict[str, Any]:
    """The state, with the answer that the program printed as JSON, where it printed one."""
    try:
        return _submit(state=True, answer=json.loads(seen))
    except ValueError:
        return _submit(state=True)


def read_answer(text: str) -> Any:
    """What a program printed, as plain JSON: a scalar, a list, or rows. None when the output was cut or nothing was printed."""
    lines = [line for line in text.split("\n") if line.strip()]
    if not lines or "characters cut" in text or "bytes cut" in text or lines[-1].startswith("[error"):
        return None
    if lines == ["(no rows)"]:
        return []
    rows = [[_cell(cell) for cell in line.split(" | ")] for line in lines]
    if all(len(row) == 1 for row in rows):
        return rows[0][0] if len(rows) == 1 else [row[0] for row in rows]
    return rows


def _cell(text: str) -> Any:
    if text == "NULL":
        return None
    try:
        number = json.loads(text)
    except ValueError:
        return text
    return number if isinstance(number, int | float) and not isinstance(number, bool) and json.dumps(number) == text else text
