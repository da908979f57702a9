"""The agent on the user's own data: one question, one answer, nothing graded.

Promises: programs run in the sandbox like everywhere else; a submitted program is run once more, in a fresh box, for its answer;
no answer is told apart from an abstention.
Does not cover: whether the answer is right, and the user's files (`medcopilot.own_data`).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from env.gym import Gym
from env.sandbox.base import BoxSpec, Execution, Program
from env.task import DataFile, Task, TaskKey, TaskView, make_task
from medcopilot.agent.loop import run_episode
from medcopilot.agent.profiles import limits_for
from medcopilot.own_data import OWN_DATA
from medcopilot.policies.base import Policy
from medcopilot.rollout.jobs import Job
from medcopilot.trace import Trace

DATASET = "ask"


@dataclass(frozen=True)
class Answer:
    """What the agent came up with."""

    question: str
    kind: str
    """`answer`, `program`, `abstain` or `none`."""
    value: Any
    """Plain JSON; for a program, its value or what it printed."""
    program: str
    """The submitted program, else the last one that ran; empty when there was none."""
    language: str
    output: str
    """What that program printed."""
    note: str
    """Why there is no answer, or what went wrong; empty otherwise."""
    trace: Trace


def build_task(question: str, files: tuple[DataFile, ...], licence: str = OWN_DATA) -> Task:
    """A task without a reference: it can be worked on, not graded."""
    copied = any(file.kind == "csv" for file in files)
    description = f"The tables of /data/{files[0].name} hold the same rows as the CSV files." if copied else ""
    view = TaskView(dataset=DATASET, family="sql", question=question, description=description, data=files)
    return make_task(view, TaskKey(grader="ehr_answer"), seed=0, category="ask", template="ask", split="test", slice="official",
                     cluster="ask", licence=licence, source="own data")


def ask(task: Task, policy: Policy, gym: Gym, *, profile: str = "full", seed: int = 0, temperature: float = 0.0) -> Answer:
    """Play one ungraded episode and read the answer off it. The gym must know the folder of dataset `ask`."""
    job = Job(task, seed=seed, temperature=temperature, profile=profile, grade=False, loop_guard=True)
    trace = asyncio.run(run_episode(job, policy, gym))
    program, language, output = _last_program(trace)
    submission = trace.submission or {}
    kind, value, note = submission.get("kind", "none"), None, ""
    if kind == "answer":
        value = submission["answer"]
    elif kind == "program":
        program, language = submission["program"], submission["language"]
        run = _run(task, gym, program, language, profile)
        output = run.text.strip()
        value = run.value if run.has_value and run.value is not None else output
        note = "" if run.status == "ok" else f"the submitted program ended with status {run.status}"
    elif kind == "abstain":
        note = "the agent says that this data cannot answer the question"
    else:
        note = _NO_ANSWER.get(trace.stop, f"the episode stopped: {trace.stop}") + (f" ({trace.error})" if trace.error else "")
    return Answer(task.view.question, kind, value, program, language, output, note, trace)


_NO_ANSWER = {"turns": "the agent used all its turns without an answer",
              "context": "the agent's context was full before it had an answer",
              "loop": "the agent repeated itself, without an answer",
              "infrastructure": "the machinery failed, so there is no answer"}


def _run(task: Task, gym: Gym, source: str, language: str, profile: str) -> Execution:
    limits = limits_for(task.view, profile)
    box = gym.backend.open(BoxSpec(mounts=gym.mounts(task.view), limits=limits))
    try:
        return box.run(Program.model_validate({"source": source, "language": language}), limits, want_value=True)
    finally:
        box.close()


def _last_program(trace: Trace) -> tuple[str, str, str]:
    """Text, language and output of the last program that ran, preferably without an error."""
    runs = [turn for turn in trace.turns if turn.execution is not None and turn.action == "code_execution"]
    good = [turn for turn in runs if turn.execution is not None and turn.execution["status"] == "ok"]
    if not runs:
        return "", "python", ""
    turn = (good or runs)[-1]
    return str(turn.params.get("code", "")), str(turn.params.get("language", "python")), turn.observation
