"""One problem being worked on: actions in, observations out.

Promises: at most `limits.turns` actions; the box opens on first use and is gone after `close`; an episode ends by `submit`, by
its limit, or (protocol `paper`, where a `referee` is given) with the first correct execution. Invalid actions are told back
precisely and cost a turn. The verdict on a submission is never shown.
Does not cover: token budgets (the agent loop knows tokens) and grading (`env.grading`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from env.actions import (
    Action,
    CodeExecution,
    Debugging,
    RequestInfo,
    Submit,
    Terminal,
    parse_action,
)
from env.errors import ActionError
from env.explain import Explainer
from env.fhir import FhirSession
from env.fhir.info import describe_fhir
from env.info import describe_data
from env.sandbox.base import Box, Execution, Mount, Program
from env.task import Record, Submission, TaskView

Ended = Literal["", "submit", "turns", "success"]


class Observation(Record):
    """What the agent sees next."""

    text: str
    ended: Ended = ""
    problem: str = ""
    """`format`, `schema` or `not_allowed` when the action was refused."""
    execution: Execution | None = None
    action: Action | None = None
    """What the text was parsed as; None when it was no action."""


class Episode:
    """`reset()` once, `step(action)` until `ended`, `close()` always."""

    def __init__(self, view: TaskView, open_box: Callable[[], Box], mounts: tuple[Mount, ...], *, explainer: Explainer,
                 referee: Callable[[Submission], bool] | None = None, fhir: FhirSession | None = None) -> None:
        """`fhir`: the server that answers in the box; closed with the episode."""
        self.view = view
        self.mounts = mounts
        self.turns = 0
        self.ended: Ended = ""
        self.submission: Submission | None = None
        self.tier = ""
        self._open_box = open_box
        self._box: Box | None = None
        self._explainer = explainer
        self._referee = referee
        self._fhir = fhir
        self._last: tuple[Program, Execution] | None = None

    def reset(self) -> Observation:
        """The problem in the dataset's words; the agent renders it into its own prompt."""
        parts = [self.view.description, self.view.context, self.view.question]
        return Observation(text="\n\n".join(part for part in parts if part))

    def step(self, action: Action | str) -> Observation:
        """Carry out one action, given as text or parsed.

        Raises:
            InfrastructureError: our machinery failed; the episode is to be masked, not scored.
        """
        if self.ended:
            raise RuntimeError("the episode has ended: make a new one")
        self.turns += 1
        parsed: Action | None = None
        try:
            parsed = parse_action(action) if isinstance(action, str) else action
            self._check_allowed(parsed)
            observation = self._act(parsed)
        except ActionError as error:
            observation = Observation(text=str(error)[: self.view.limits.observation_chars], problem=error.kind)
        self.ended = observation.ended or ("turns" if self.turns >= self.view.limits.turns else "")
        return observation.model_copy(update={"action": parsed, "ended": self.ended})

    @property
    def state(self) -> list[dict[str, Any]] | None:
        """What the environment recorded, also after `close`: the FHIR server's write log. None where nothing records."""
        return self._fhir.state if self._fhir is not None else None

    def close(self) -> None:
        """Remove the box, and end its server. Idempotent."""
        if self._fhir is not None:
            self._fhir.close()
        if self._box is not None:
            self._box.close()
            self._box = None

    def _check_allowed(self, action: Action) -> None:
        if action.action not in self.view.actions:
            raise ActionError(f'Action "{action.action}" is not available here. Use one of: {", ".join(self.view.actions)}.',
                              "not_allowed")
        if isinstance(action, Submit):
            kind = action.params.submission().kind
            if kind not in self.view.answer_kind:
                beside = ' Write {"state": true, "answer": ...}.' if kind == "answer" and "state" in self.view.answer_kind else ""
                raise ActionError(f'This task takes {" or ".join(self.view.answer_kind)}, not {kind}.{beside}', "not_allowed")

    def _act(self, action: Action) -> Observation:
        if isinstance(action, Submit):
            self.submission = action.params.submission()
            return Observation(text="Submitted.", ended="submit")
        if isinstance(action, RequestInfo):
            limit = self.view.limits.observation_chars
            if self._fhir is not None:
                return Observation(text=describe_fhir(self._fhir.overlay, action.params, limit))
            return Observation(text=describe_data(self.mounts, action.params, limit))
        if isinstance(action, Terminal):
            return self._run(Program(source=action.params.command, language="shell"))
        if isinstance(action, CodeExecution):
            return self._run(Program(source=action.params.code, language=action.params.language))
        assert isinstance(action, Debugging)
        return self._debug(action)

    def _run(self, program: Program) -> Observation:
        execution = self._execute(program)
        if program.language != "shell":
            self._last = (program, execution)
            if self._referee is not None:
                submission = Submission(kind="program", program=program.source, language=program.language)
                if self._fhir is not None:  # to run it again would write twice
                    submission = Submission(kind="state", answer=execution.stdout)
                if self._referee(submission):
                    self.submission = submission
                    return Observation(text=self._show(execution), ended="success", execution=execution)
        return Observation(text=self._show(execution), execution=execution)

    def _execute(self, program: Program) -> Execution:
        if self._box is None:
            self._box = self._open_box()
            self.tier = self._box.tier
        if self._fhir is not None:
            self._fhir.attach(self._box)
        return self._box.run(program, self.view.limits)

    def _debug(self, action: Debugging) -> Observation:
        if action.params.code:
            program = Program(source=action.params.code, language=action.params.language)
            self._last = (program, self._execute(program))
        if self._last is None:
            return Observation(text="Nothing to explain yet: run a program first, or give its code.")
        program, execution = self._last
        try:
            text = self._explainer.explain(program, execution, self.mounts)
        except Exception:  # a courtesy: no program text may end an episode as a failure of ours by what it does to the explainer
            text = "No explanation was found: look at what the run printed."
        return Observation(text=text[: self.view.limits.observation_chars])

    def _show(self, execution: Execution) -> str:
        text = execution.text.rstrip("\n")
        limit = self.view.limits.observation_chars
        if len(text) > limit:
            half = limit // 2
            text = f"{text[:half]}\n[... {len(text) - 2 * half} characters cut ...]\n{text[-half:]}"
        if execution.status == "ok":
            return text or "(no output)"
        note = f"[{execution.status}" + (f", exit code {execution.exit_code}" if execution.exit_code else "")
        note += f": {execution.detail}]" if execution.detail else "]"
        return f"{text}\n{note}" if text else note
