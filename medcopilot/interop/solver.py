"""Our episode loop as an Inspect solver, and our two graders as Inspect scorers.

Promises: the solver plays and never grades, so that nothing of a task's key is in the sample before it is scored; a failure of our
machinery is an error of the sample (Inspect's `--retry-on-error` plays it again), and an ungraded submission has no score: neither
counts, neither is 0. A limit of Inspect's own (`--token-limit`, `--time-limit`, ...) ends the episode, graded as it stands.
Does not cover: which tasks there are (`tasks`).
"""

from __future__ import annotations

import asyncio
from typing import Any

from inspect_ai.model import get_model
from inspect_ai.scorer import Score, Scorer, Target, accuracy, scorer, stderr
from inspect_ai.solver import Generate, Solver, TaskState, solver

from env.errors import InfrastructureError
from env.gym import Gym
from env.task import Submission, Task
from medcopilot.agent.loop import run_episode
from medcopilot.agent.profiles import view_for
from medcopilot.interop.arena import Arena, open_arena, read_settings
from medcopilot.interop.model import InspectPolicy
from medcopilot.interop.text import submission_text
from medcopilot.rollout.jobs import Job
from medcopilot.trace import Trace
from rewards.types import Grade, Variant

RECORD = "medcopilot"
"""Where a sample's store keeps what the episode came to."""
_METRICS = [accuracy(), stderr(cluster="cluster")]
_GRADED: dict[str, dict[Variant, Grade]] = {}
"""Sample -> verdicts of both graders, from the first scorer to the second: a submission is run once."""


@solver
def play_episode(dataset: str, **settings: Any) -> Solver:
    """Play one episode with Inspect's model. `settings`: see `medcopilot.interop.arena.Settings`."""
    arena = open_arena(read_settings(dataset, settings))

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        gym = await asyncio.to_thread(arena.gym)
        policy = InspectPolicy(get_model(), arena)
        trace = await run_episode(_job(arena, state), policy, gym)
        session = policy.opened
        if session is not None:
            state.messages = session.messages
            if session.output is not None:
                state.output = session.output
            if session.owed and trace.turns:
                session.note(trace.turns[-1].observation)
        state.store.set(RECORD, _record(trace, session.limit.type if session is not None and session.limit else ""))
        state.completed = True
        if trace.stop == "infrastructure":
            raise InfrastructureError(trace.error)
        if session is not None and session.limit is not None:
            raise session.limit
        return state

    return solve


@scorer(metrics=_METRICS)
def strict(dataset: str, **settings: Any) -> Scorer:
    """Correct by the original benchmark's own definition, hardened. The number to report."""
    return _scorer("strict", open_arena(read_settings(dataset, settings)))


@scorer(metrics=_METRICS)
def paper(dataset: str, **settings: Any) -> Scorer:
    """The released gym's grader, fault for fault: for comparison with published numbers."""
    return _scorer("paper", open_arena(read_settings(dataset, settings)))


def _job(arena: Arena, state: TaskState) -> Job:
    settings = arena.settings
    return Job(arena.task(str(state.sample_id)), sample=state.epoch - 1, seed=settings.seed, profile=settings.profile, grade=False,
               loop_guard=settings.loop_guard, without=settings.without, turns=settings.turns)


def _record(trace: Trace, limit: str) -> dict[str, Any]:
    """What grading and readers need of an episode. Nothing of the key: not even whether the task is an impossible one."""
    turns = [turn.model_dump(mode="json", include={"action", "problem", "guard", "execution", "generate_seconds", "env_seconds"})
             for turn in trace.turns]
    return {"trace": trace.id, "stop": f"{limit} limit" if limit else trace.stop, "submission": trace.submission,
            "state": trace.state, "turns": turns, "sandbox": trace.sandbox, "error": trace.error}


def _scorer(variant: Variant, arena: Arena) -> Scorer:
    async def score(state: TaskState, target: Target) -> Score:
        record = state.store.get(RECORD) or {}
        if record.get("stop") == "infrastructure":
            return Score.unscored(reason="scoring_failed", explanation=record["error"])
        submission = Submission(**record["submission"]) if record.get("submission") else None
        grades = _GRADED.pop(state.uuid, None)
        if grades is None:
            gym = await asyncio.to_thread(arena.gym)
            grades = await asyncio.to_thread(_grade, gym, _as_played(arena, state), submission, record.get("state"))
            _GRADED[state.uuid] = grades
        return _score(grades[variant], submission, record)

    return score


def _as_played(arena: Arena, state: TaskState) -> Task:
    """The task with the limits that its episode had."""
    settings, task = arena.settings, arena.task(str(state.sample_id))
    return task.model_copy(update={"view": view_for(task.view, settings.profile, settings.without, settings.turns)})


def _grade(gym: Gym, task: Task, submission: Submission | None, recorded: Any) -> dict[Variant, Grade]:
    return gym.grade(task, submission, state=recorded)


def _score(grade: Grade, submission: Submission | None, record: dict[str, Any]) -> Score:
    answer = submission_text(submission.model_dump(mode="json") if submission else None)
    about = {"label": grade.label, "stop": record.get("stop", ""), "turns": len(record.get("turns", ()))}
    if grade.score is None:
        return Score.unscored(reason="scoring_failed", answer=answer, explanation=f"{grade.error}: {grade.detail}", metadata=about)
    return Score(value=grade.score, answer=answer, explanation=": ".join(part for part in (grade.label, grade.detail) if part),
                 metadata=about)
