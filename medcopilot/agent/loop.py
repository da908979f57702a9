"""The agent: think in code, look at what came back, submit.

Promises: one page, one episode, one trace. Turns and submissions are the episode's business, tokens the conversation's. An
failure of our machinery, of whatever type, ends in a trace that is masked (`stop="infrastructure"`, grades None), never in a
reward; only a user's mistake (`UserError`) is raised.
Does not cover: many episodes at once, retries and deadlines (`medcopilot.rollout.engine`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from functools import partial
from typing import Any

from env.episode import Observation
from env.errors import InfrastructureError, UserError
from env.gym import Gym
from env.task import TaskView
from medcopilot.agent.conversation import open_talk
from medcopilot.agent.loop_guard import LINE, LoopGuard, with_line
from medcopilot.agent.profiles import opening_messages, view_for
from medcopilot.policies.base import Policy, Sampling
from medcopilot.rollout.jobs import Job
from medcopilot.trace import GradeRecord, Trace, Turn
from rewards.types import Grade

_UNGRADED = GradeRecord(score=None, label="infrastructure")
Blocking = Callable[..., Awaitable[Any]]
"""`await blocking(work, *arguments)`: carries out work that may block the thread, wherever that is done."""


async def run_episode(job: Job, policy: Policy, gym: Gym, pool: Executor | None = None) -> Trace:
    """Play one episode and grade it. `pool` runs the blocking work of boxes (default: asyncio's own threads).

    Raises:
        UserError: nothing can be played at all, e.g. a dataset is not built.
    """
    return await _play(job, policy, gym, partial(asyncio.get_running_loop().run_in_executor, pool))


def run_instant(job: Job, policy: Policy, gym: Gym) -> Trace:
    """The same episode in this thread, from end to end and without an event loop: for an `InstantPolicy`.

    Raises:
        UserError: as above.
        RuntimeError: a session of the policy waited for something.
    """
    episode = _play(job, policy, gym, _here)
    try:
        episode.send(None)
    except StopIteration as ended:
        trace: Trace = ended.value
        return trace
    finally:
        episode.close()
    raise RuntimeError(f"{policy.name} calls itself instant, but its session waits")


async def _here(work: Callable[..., Any], *arguments: Any) -> Any:
    return work(*arguments)


async def _play(job: Job, policy: Policy, gym: Gym, blocking: Blocking) -> Trace:
    started, clock = time.time(), time.perf_counter()
    view = view_for(job.task.view, job.profile, job.without, job.turns)
    task = job.task if view is job.task.view else job.task.model_copy(update={"view": view})
    messages = opening_messages(view, job.profile)
    episode = gym.episode(task, trusted=policy.needs_privileged)
    session = talk = None
    turns: list[Turn] = []
    stop, error, grades, grade_seconds = "no_reply", "", {"strict": _UNGRADED, "paper": _UNGRADED}, 0.0
    try:
        session = policy.session(view, task.key if policy.needs_privileged else None)
        talk = open_talk(session, messages, policy.renderer)
        stop = await _converse(job, view, talk, episode, turns, blocking)
        if job.grade:
            before = time.perf_counter()
            given = await blocking(lambda: gym.grade(task, episode.submission, trusted=policy.needs_privileged,
                                                     state=episode.state))
            grade_seconds = time.perf_counter() - before
            grades = {name: _record(grade) for name, grade in given.items()}
            if grades["strict"].label == "infrastructure":  # the episode is fine, its verdict is owed
                stop, error = "infrastructure", f"{grades['strict'].error}: {grades['strict'].detail}"
    except Exception as failure:
        if isinstance(failure, UserError) and not isinstance(failure, InfrastructureError):
            raise
        stop, error, grades = "infrastructure", f"{type(failure).__name__}: {failure}", {"strict": _UNGRADED, "paper": _UNGRADED}
    finally:
        try:
            await blocking(episode.close)
        finally:
            if session is not None:
                await session.close()
    used = ("tokens", "prompt_tokens", "completion_tokens")
    counts = {name: getattr(talk, name) for name in used} if talk is not None else {}
    return Trace(
        **_identity(job, policy, gym), policy_version=_version(talk), messages=talk.messages if talk else messages, turns=turns,
        turn_limit=view.limits.turns, stop=stop, state=episode.state,
        submission=episode.submission.model_dump(mode="json") if episode.submission else None, grades=grades,
        seconds=time.perf_counter() - clock, grade_seconds=grade_seconds, started=started, sandbox=episode.tier, error=error,
        **counts)


def masked_trace(job: Job, policy: Policy, gym: Gym, error: str) -> Trace:
    """The record of an episode that was given up from outside, e.g. at its deadline."""
    return Trace(**_identity(job, policy, gym), messages=[], turns=[], stop="infrastructure", error=error, started=time.time(),
                 grades={"strict": _UNGRADED, "paper": _UNGRADED})


def _identity(job: Job, policy: Policy, gym: Gym) -> dict[str, Any]:
    """Which episode a trace is of."""
    task = job.task
    return {"id": job.trace_id(policy.name, gym.protocol), "task_id": task.id, "dataset": task.dataset, "category": task.category,
            "template": task.template, "split": task.split, "slice": task.slice, "cluster": task.cluster, "licence": task.licence,
            "policy": policy.name, "protocol": gym.protocol, "sample": job.sample, "seed": job.seed,
            "temperature": job.temperature, "loop_guard": job.loop_guard,
            "impossible": bool(task.key.args.get("impossible"))}


async def _converse(job: Job, view: TaskView, talk: Any, episode: Any, turns: list[Turn], blocking: Blocking) -> str:
    """Turns until the episode ends. Returns why it stopped."""
    guard = LoopGuard() if job.loop_guard else None
    while True:
        clock = time.perf_counter()
        sampling = Sampling(temperature=job.temperature, top_p=job.top_p, seed=job.turn_seed(len(turns)),
                            max_tokens=view.limits.turn_tokens)
        said = await talk.say(sampling, view.limits)
        if said is None:
            return "context"
        turn = Turn(reply=said.text, generate_seconds=time.perf_counter() - clock, sampled_tokens=said.tokens)
        turns.append(turn)
        clock = time.perf_counter()
        observation: Observation = await blocking(episode.step, said.text)
        turn.env_seconds = time.perf_counter() - clock
        _note(turn, observation)
        if observation.ended:
            return observation.ended
        text, verdict = observation.text, guard.watch(turn) if guard is not None else ""
        if verdict == "stop":
            return "loop"
        if verdict == "tell":
            turn.guard, text = LINE, with_line(text, view.limits.observation_chars)
        if said.overflow or not talk.hear(text, view.limits):
            return "context"


def _note(turn: Turn, observation: Observation) -> None:
    """Write into the turn what the action was and what came of it."""
    if (action := observation.action) is not None:
        turn.action, turn.params = action.action, action.params.model_dump(mode="json", exclude_unset=True)
    turn.problem, turn.observation = observation.problem, observation.text
    if observation.execution is not None:
        run = observation.execution
        turn.execution = {"status": run.status, "exit_code": run.exit_code, "seconds": round(run.seconds, 4),
                          "cpu_seconds": round(run.cpu_seconds, 4), "truncated": run.truncated}


def _record(grade: Grade) -> GradeRecord:
    return GradeRecord(score=grade.score, label=grade.label, detail=grade.detail, error=grade.error)


def _version(talk: Any) -> int:
    """The newest policy version that sampled a token of this episode."""
    return max([0, *talk.tokens.versions]) if talk is not None and talk.tokens is not None else 0
