"""Failures of our own machinery: masked and owed, one episode at a time; and nothing that an agent can cause among them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from env.errors import InfrastructureError, UserError
from env.grading import GradingRoom
from env.gym import Gym
from env.sandbox.base import Execution
from env.task import Limits, Submission, Task, TaskKey, TaskView, make_task
from medcopilot.policies.base import ChatReply, Sampled
from medcopilot.rollout import engine as module
from medcopilot.rollout.engine import NothingWorks, RolloutEngine
from medcopilot.rollout.jobs import Job
from medcopilot.runs import RunFolder, ShardWriter
from medcopilot.trace import GradeRecord, Trace, read_traces, write_line

CODE = '{"action":"code_execution","params":{"code":"print(42)"}}'
SUBMIT = '{"action":"submit","params":{"answer":42}}'
PROGRAM = '{"action":"submit","params":{"program":"print(42)"}}'


class Chat:
    """Says its lines, or raises them."""

    name, needs_privileged, local, renderer, kind = "chat", False, True, None, "chat"

    def __init__(self, *lines: str | Exception) -> None:
        self.lines, self.opened, self.closed = lines, 0, 0

    def session(self, view: Any, privileged: Any = None) -> Any:
        self.opened += 1
        return Session(self)

    def describe(self) -> dict[str, Any]:
        return {}


class Session:
    kind = "chat"

    def __init__(self, policy: Chat) -> None:
        self.policy, self.said = policy, 0

    async def act(self, messages: Any, sampling: Any) -> ChatReply:
        line = self.policy.lines[min(self.said, len(self.policy.lines) - 1)]
        self.said += 1
        if isinstance(line, Exception):
            raise line
        return ChatReply(text=line)

    async def close(self) -> None:
        self.policy.closed += 1


class Backend:
    """Boxes that answer, or raise, what they are told."""

    name = tier = "fake"

    def __init__(self, *replies: Execution | Exception) -> None:
        self.replies, self.opened, self.closed = list(replies), 0, 0

    def open(self, spec: Any) -> Any:
        self.opened += 1
        return self

    def run(self, program: Any, limits: Any = None, *, want_value: bool = False) -> Execution:
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        if isinstance(reply, Exception):
            raise reply
        return reply

    def close(self) -> None:
        self.closed += 1

    def describe(self) -> dict[str, Any]:
        return {}


OK = Execution(status="ok", exit_code=0, stdout="42\n")


def a_task(number: int = 42, **view: Any) -> Task:
    key = TaskKey(reference=number, grader="medcalc", args={"output_type": "decimal", "lower": 39.9, "upper": 44.1})
    return make_task(TaskView(dataset="toy", family="calc", question=f"What is {number}?", **view), key, seed=0, category="c",
                     template="t", split="test", slice="seen", cluster="t/0", licence="synthetic")


def play(policy: Chat, backend: Backend, jobs: int = 1, **options: Any) -> list[Trace]:
    rollouts = RolloutEngine(policy, Gym(backend), **{"concurrency": 2, **options})
    traces: list[Trace] = []
    try:
        rollouts.run_sync([Job(a_task(), sample) for sample in range(jobs)], traces.append)
    finally:
        rollouts.close()
    return traces


@pytest.mark.parametrize("failure", [OSError("too many open files"), ValueError("bug"), KeyError("bug"), InfrastructureError("x")])
def test_any_failure_of_ours_masks_one_episode_and_not_the_run(failure: Exception) -> None:
    traces = play(Chat(CODE, SUBMIT), Backend(*[failure] * 3, OK), jobs=2, concurrency=1)
    assert [trace.stop for trace in traces] == ["infrastructure", "submit"]
    assert traces[0].grades["strict"].score is None
    assert type(failure).__name__ in traces[0].error
    assert traces[1].success


def test_a_policy_that_cannot_open_a_session_masks_too_and_boxes_and_sessions_are_closed() -> None:
    class NoSession(Chat):
        def session(self, view: Any, privileged: Any = None) -> Any:
            raise ConnectionError("no engine")

    assert play(NoSession(SUBMIT), Backend(OK))[0].error.startswith("ConnectionError")
    policy, backend = Chat(CODE, RuntimeError("cut")), Backend(OK)
    assert play(policy, backend)[0].stop == "infrastructure"
    assert policy.opened == policy.closed == 3
    assert backend.opened == backend.closed == 3


def test_a_user_mistake_still_ends_the_run() -> None:
    with pytest.raises(UserError, match="cure"):
        play(Chat(UserError("the cure")), Backend(OK))


def test_a_verdict_that_could_not_be_given_is_owed_again() -> None:
    masked = play(Chat(PROGRAM), Backend(InfrastructureError("gone")))[0]
    assert masked.stop == "infrastructure"
    assert (masked.grades["strict"].score, masked.submission is not None) == (None, True)
    assert play(Chat(PROGRAM), Backend(InfrastructureError("gone"), InfrastructureError("gone"), OK))[0].success


def test_an_episode_that_hangs_is_masked_at_its_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    class Hangs(Chat):
        def session(self, view: Any, privileged: Any = None) -> Any:
            session = super().session(view, privileged)

            async def act(messages: Any, sampling: Any) -> ChatReply:
                await asyncio.Event().wait()
                raise AssertionError

            session.act = act
            return session

    monkeypatch.setattr(RolloutEngine, "deadline", lambda self, job: 0.02)
    traces = play(Hangs(SUBMIT), Backend(OK), jobs=2, retries=1)
    assert [trace.stop for trace in traces] == ["infrastructure"] * 2
    assert "EpisodeDeadline" in traces[0].error
    assert len({trace.id for trace in traces}) == 2


def test_slow_programs_cannot_reach_the_deadline() -> None:
    """Every run of every episode takes its whole limit, and all of them wait for the same few threads."""
    rollouts = RolloutEngine(Chat(SUBMIT), Gym(Backend(OK)), concurrency=32, box_threads=4)
    limits = Limits(turns=15, exec_seconds=120.0)
    worst = (limits.turns + 2) * (32 / 4) * (limits.exec_seconds + 1.0)
    assert rollouts.deadline(Job(a_task(limits=limits))) > worst
    rollouts.close()


def test_a_run_in_which_nothing_works_ends_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GIVE_UP_AFTER", 5)
    with pytest.raises(NothingWorks, match="5 episodes in a row failed, the last with OSError: no server"):
        play(Chat(OSError("no server")), Backend(OK), jobs=50)


def test_an_engine_with_too_few_logprobs_is_masked() -> None:
    from medcopilot.agent.conversation import TokenTalk

    class Renderer:
        end = 0

        def prompt(self, messages: Any) -> list[int]:
            return [1]

        def decode(self, ids: list[int]) -> str:
            return ""

    class Tokens:
        kind = "token"
        context = 1_000_000

        async def act(self, ids: list[int], sampling: Any) -> Sampled:
            return Sampled(ids=[1, 2], logprobs=[-1.0], finish="stop")

    from medcopilot.policies.base import Sampling

    talk = TokenTalk(Tokens(), [], Renderer())  # type: ignore[arg-type]
    with pytest.raises(InfrastructureError, match="1 logprobs for 2 tokens"):
        asyncio.run(talk.say(Sampling(), Limits()))


# Grading


@pytest.mark.parametrize("failure", [OSError("fork"), ValueError("bug"), MemoryError()])
def test_grading_never_raises_for_a_failure_of_ours(failure: Exception) -> None:
    room = GradingRoom(Backend(failure), lambda view: ())
    grade = room.grade(a_task(), Submission(kind="program", program="print(42)"))["strict"]
    assert (grade.score, grade.label, grade.error != "") == (None, "infrastructure", True)
    room = GradingRoom(Backend(OSError("busy just now"), OK), lambda view: ())
    assert room.grade(a_task(), Submission(kind="program", program="print(42)"))["strict"].success


@pytest.mark.parametrize("execution", [
    Execution(status="ok", unsupported="generator"), Execution(status="ok", unsupported="size", stdout="42\n"),
    Execution(status="died"), Execution(status="oom"), Execution(status="ok", stdout="'\\x'"), Execution(status="ok", stdout="NaN"),
    Execution(status="ok", stdout="1" * 50_000 + "x"), Execution(status="ok", has_value=True, value=[[[]]] * 50)])
def test_no_program_can_have_itself_left_out_of_the_count(execution: Execution) -> None:
    room = GradingRoom(Backend(execution), lambda view: ())
    assert room.grade(a_task(), Submission(kind="program", program="p"), ("strict",))["strict"].score == 0.0


# Run folders


def make_trace(name: str) -> Trace:
    grade = GradeRecord(score=1.0, label="correct")
    return Trace(id=name, task_id="t", dataset="d", category="c", template="t", split="test", slice="seen", cluster="t/0",
                 licence="synthetic", policy="p", messages=[], turns=[], stop="submit", grades={"strict": grade, "paper": grade})


@pytest.mark.parametrize("missing", [0, 1, 2, 60])
def test_whatever_was_counted_as_done_is_kept(tmp_path: Path, missing: int) -> None:
    """The writer was stopped `missing` bytes before the end of a line; 1: only the newline is missing."""
    run = RunFolder.create(tmp_path / "r", {})
    shard = run.traces_dir / "main.jsonl"
    data = (write_line(make_trace("t1")) + write_line(make_trace("t2"))).encode()
    shard.write_bytes(data[: len(data) - missing])
    done = run.done()
    with run.writer() as writer:
        writer.write(make_trace("t3"))
    assert [trace.id for trace in read_traces(shard)] == [*sorted(done), "t3"]
    assert run.done() == done | {"t3"}


def test_a_shard_has_one_writer_at_a_time(tmp_path: Path) -> None:
    with ShardWriter(tmp_path / "main.jsonl") as writer:
        writer.write(make_trace("t1"))
        with pytest.raises(UserError, match="being written by another process"):
            ShardWriter(tmp_path / "main.jsonl")
    with ShardWriter(tmp_path / "main.jsonl") as writer:
        writer.write(make_trace("t2"))
    assert [trace.id for trace in read_traces(tmp_path / "main.jsonl")] == ["t1", "t2"]
