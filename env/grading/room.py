"""The grading room: the only place where a submission meets its task's key, and that on the host.

Promises: a submitted program runs once, in a box that the agent never touched, whatever number of graders look at it; the
key never enters a box; hidden inputs go in one at a time, each into a box of its own; assertions on a program's variables run
in a box where no submitted program has been; what comes out is plain data. A failure of our own machinery is *ungraded*, after
one retry in a new box; it is never 0 and never 1, and never an exception (only a user's mistake is). What the agent can cause
(a value that is no plain data, a box that its program destroys) is graded: it cannot choose to be left out.
Does not cover: how values compare (`rewards`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from env.errors import InfrastructureError, UserError
from env.fhir import PORT, FhirSession
from env.grading.text import parse_text
from env.grading.variables import assertion, collection
from env.sandbox.base import Backend, Box, BoxSpec, Execution, Mount, Program
from env.sandbox.plain import check_plain
from env.task import Submission, Task, TaskView
from rewards.registry import get_grader
from rewards.types import SUBMITTED, Checks, Evidence, EvidencePlan, Grade, Variant

ANSWER_BYTES = 1_000_000
ANSWER_DEPTH = 32
FILE_BYTES = 64 << 20
BOTH: tuple[Variant, ...] = ("strict", "paper")


class GradingRoom:
    """Grades submissions in boxes of its own."""

    def __init__(self, backend: Backend, mounts: Callable[[TaskView], tuple[Mount, ...]],
                 packages: Callable[[TaskView], tuple[str, ...]] = lambda _: (),
                 fhir: Callable[[TaskView], FhirSession | None] = lambda _: None) -> None:
        """`mounts` and `packages`: what the boxes of a view's programs see (`BoxSpec`). `fhir`: a fresh server for one of them."""
        self._backend = backend
        self._mounts = mounts
        self._packages = packages
        self._fhir = fhir

    def grade(self, task: Task, submission: Submission | None, variants: Iterable[Variant] = BOTH, *, trusted: bool = False,
              files: Mapping[str, bytes] | None = None, state: Any = None) -> dict[Variant, Grade]:
        """One grade per variant.

        Args:
            submission: None when the episode ended without one.
            trusted: the program is our own (gold, references), so its box may be reused.
            files: what was collected from the agent's workspace, for a `files` submission.
            state: what the environment recorded, for a `state` submission; without it such a one is ungraded.

        Raises:
            UserError: the task's data is not there.
        """
        plans = {variant: get_grader(task.key.grader, variant).plan(task.key) for variant in variants}
        refused = refusal(submission)
        if refused is not None:
            return dict.fromkeys(plans, refused)
        try:
            evidence = self._evidence(task, submission, plans.values(), trusted, files, state)
        except UserError:
            raise
        except Exception as error:  # whatever it is, it happened in our code
            return dict.fromkeys(plans, Grade(None, "infrastructure", detail=str(error), error=type(error).__name__))
        return {variant: judge(task, variant, evidence) for variant in plans}

    def evidence(self, task: Task, submission: Submission, *, files: tuple[str, ...] = ()) -> Evidence:
        """What both graders would be shown, and `files` of the workspace: for checks that judge one run against many tasks.

        Raises:
            InfrastructureError: our own machinery failed.
        """
        plans = [get_grader(task.key.grader, variant).plan(task.key) for variant in BOTH]
        return self._evidence(task, submission, [*plans, EvidencePlan(want_value=False, files=files)], False, None, None)

    def _evidence(self, task: Task, submission: Submission | None, plans: Iterable[EvidencePlan], trusted: bool,
                  files: Mapping[str, bytes] | None, state: Any) -> Evidence:
        if submission is None:
            return Evidence(kind="none")
        if submission.kind == "answer":
            answer = submission.answer
            text = answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)
            return Evidence(kind="answer", has_value=True, value=answer, text=text)
        if submission.kind == "program" and (plan := _merge(plans)).run_program:
            return self._run(task.view, submission, plan, trusted)
        if submission.kind == "files":
            return Evidence(kind="files", files=dict(files or {}))
        if submission.kind == "state":
            return _state_evidence(submission, state)
        return Evidence(kind=submission.kind)

    def _run(self, view: TaskView, submission: Submission, plan: EvidencePlan, trusted: bool) -> Evidence:
        program = Program(source=submission.program, language=submission.language)
        checked = bool(plan.checks) and program.language == "python"
        fhir = None if checked else self._fhir(view)
        spec = BoxSpec(mounts=self._mounts(view), limits=view.limits, trusted=trusted, listen=PORT if fhir else 0,
                       packages=self._packages(view))
        if checked:
            return self._run_checked(spec, program, plan)
        try:
            execution, collected = self._in_box(spec, program, plan.want_value, plan.files, fhir)
        finally:
            if fhir is not None:
                fhir.close()
        whole = all(isinstance(text, str) and SUBMITTED in text for text in plan.inputs)
        outputs = tuple(self._hidden(spec, program, text) for text in plan.inputs) if whole or execution.status == "ok" else ()
        has_value, value = execution.has_value, execution.value
        if plan.want_value and not has_value and not execution.unsupported and _complete(execution):
            has_value, value = parse_text(execution.stdout)
        return Evidence(kind="program", status=execution.status, has_value=has_value, value=value, text=execution.text,
                        unsupported=execution.unsupported, outputs=outputs, files=collected, state=fhir.state if fhir else None)

    def _hidden(self, spec: BoxSpec, program: Program, text: Any) -> dict[str, Any]:
        """One hidden input: Python text that runs after the program, or around it, in a box that has seen no other input."""
        if not isinstance(text, str):
            raise InfrastructureError("hidden inputs are Python text that follows a program")
        if program.language != "python":  # the agent's choice
            return {"status": "error", "has_value": False, "value": None, "unsupported": ""}
        around = SUBMITTED in text
        joined = Program(source=text.replace(SUBMITTED, repr(program.source)) if around else f"{program.source}\n{text}\n")
        execution, _ = self._in_box(spec, joined, True, ())
        return {"status": execution.status, "has_value": execution.has_value, "value": execution.value,
                "unsupported": execution.unsupported}

    def _run_checked(self, spec: BoxSpec, program: Program, plan: EvidencePlan) -> Evidence:
        """Run the program, take its variables out as plain records, and try the assertions elsewhere."""
        names = sorted({name for checks in plan.checks for name in checks.variables})
        followed = Program(source=f"{program.source}\n{collection(names)}")
        execution, collected = self._in_box(spec, followed, True, plan.files)
        outputs = tuple(self._hidden(spec, program, text) for text in plan.inputs) if execution.status == "ok" else ()
        records = execution.value if execution.status == "ok" and isinstance(execution.value, dict) else {}
        checks = tuple({**self._assert(spec, one, records), "unsupported": execution.unsupported}
                       for one in plan.checks) if execution.status == "ok" else ()
        alone = self._in_box(spec, program, True, ())[0] if plan.want_value else None  # the value of the first run is the records
        return Evidence(kind="program", status=execution.status, text=execution.text, outputs=outputs, files=collected,
                        checks=checks, has_value=alone.has_value if alone else False,
                        value=alone.value if alone else None, unsupported=alone.unsupported if alone else "")

    def _assert(self, spec: BoxSpec, checks: Checks, records: dict[str, Any]) -> dict[str, Any]:
        """What one set of assertions says about the records; in a box of ours, which sees the same data."""
        found = {name: records[name] for name in checks.variables if name in records}
        if not checks.program or len(found) < len(checks.variables):
            return {"variables": found, "status": "", "report": None}
        own = spec.model_copy(update={"trusted": True})
        execution, _ = self._in_box(own, Program(source=assertion(found, checks.program)), True, ())
        return {"variables": found, "status": execution.status, "report": execution.value if execution.has_value else None}

    def _in_box(self, spec: BoxSpec, program: Program, want_value: bool, names: tuple[str, ...],
                fhir: FhirSession | None = None) -> tuple[Execution, dict[str, bytes]]:
        """Run in a fresh box; once more in another one, with nothing written yet, when the failure was ours.

        Raises:
            InfrastructureError: it was ours both times.
        """
        failure: InfrastructureError = InfrastructureError("no attempt was made")
        for _ in range(2):
            try:
                box: Box = self._backend.open(spec)
                try:
                    if fhir is not None:
                        fhir.reset()
                        fhir.attach(box)
                    execution = box.run(program, spec.limits, want_value=want_value)
                    if execution.status == "infra":
                        raise InfrastructureError(execution.detail or "the box reported a failure of its own")
                    return execution, box.read_files(list(names), FILE_BYTES) if names else {}
                finally:
                    if fhir is not None:
                        fhir.detach()
                    box.close()
            except UserError:
                raise
            except InfrastructureError as error:
                failure = error
            except OSError as error:  # no process, descriptor or memory to be had just now
                failure = InfrastructureError(f"{type(error).__name__}: {error}")
        raise failure


def _merge(plans: Iterable[EvidencePlan]) -> EvidencePlan:
    """One plan that gathers what any of the graders wants."""
    plans = list(plans)
    return EvidencePlan(run_program=any(plan.run_program for plan in plans),
                        want_value=any(plan.want_value for plan in plans), want_text=any(plan.want_text for plan in plans),
                        inputs=tuple(item for inputs in dict.fromkeys(plan.inputs for plan in plans) for item in inputs),
                        files=tuple(dict.fromkeys(name for plan in plans for name in plan.files)),
                        checks=tuple(dict.fromkeys(checks for plan in plans for checks in plan.checks)))


def _state_evidence(submission: Submission, state: Any) -> Evidence:
    """What the environment recorded, and the answer beside it where there is one.

    Raises:
        InfrastructureError: the record is missing: whoever graded forgot to hand it over.
    """
    if state is None:
        raise InfrastructureError("the environment's record is missing: hand over Episode.state")
    answer = submission.answer
    text = answer if isinstance(answer, str) else "" if answer is None else json.dumps(answer, ensure_ascii=False)
    return Evidence(kind="state", state=state, has_value=answer is not None, value=answer, text=text)


def refusal(submission: Submission | None) -> Grade | None:
    """The grade of an answer that is not plain data of reasonable size."""
    if submission is None or submission.kind not in ("answer", "state"):
        return None
    try:
        check_plain(submission.answer, ANSWER_DEPTH)
        size = len(json.dumps(submission.answer))
    except (ValueError, RecursionError) as error:
        return Grade(0.0, "malformed", detail=f"the answer is not plain JSON: {error}")
    if size > ANSWER_BYTES:
        return Grade(0.0, "malformed", detail=f"the answer has {size} bytes; at most {ANSWER_BYTES} are read")
    return None


def _complete(execution: Execution) -> bool:
    """Text counts as a value only when the program ended well and nothing of the text is missing."""
    return execution.status == "ok" and not execution.truncated


def judge(task: Task, variant: Variant, evidence: Evidence) -> Grade:
    """Judge evidence by one grader. What a grader trips over is ungraded.

    A value that no encoder could turn into plain data scores 0 with a label of its own, where a grader wants the value: the
    program chose it, and if it were left out of the count, so could be every answer that its author doubts.
    """
    grader = get_grader(task.key.grader, variant)
    if evidence.unsupported:
        plan = grader.plan(task.key)
        if plan.want_value and not plan.want_text:
            return Grade(0.0, "unsupported", detail=f"the value is a {evidence.unsupported}, which is no plain data")
    try:
        return grader.judge(evidence, task.key)
    except Exception as error:  # a bug in a grader must not count against the agent
        return Grade(None, "infrastructure", detail=f"{type(error).__name__}: {error}", error="GraderError")
