"""A sampling run of toy tasks in boxes that are none, for tests of what surrounds the episodes."""

from pathlib import Path
from typing import Any, ClassVar

from env.errors import BoxDied
from env.sandbox.base import Execution
from env.task import TaskKey, TaskView, make_task
from medcopilot.policies.base import ChatReply, InstantPolicy
from medcopilot.rollout.settings import SampleConfig

RIGHT = '{"action":"submit","params":{"answer":42}}'
CODE = '{"action":"code_execution","params":{"code":"print(42)"}}'


class Backend:
    """Prints 42 from every box; the first `failures` of them die."""

    name = tier = "fake"

    def __init__(self, failures=0):
        self.failures = failures

    def open(self, spec):
        self.failures -= 1
        return Box(dies=self.failures >= 0)

    def describe(self):
        return {"backend": "fake"}

    def close(self):
        pass


class Box:
    tier = "fake"

    def __init__(self, dies):
        self.dies = dies

    def run(self, program, limits=None, *, want_value=False):
        if self.dies:
            raise BoxDied("gone")
        return Execution(status="ok", exit_code=0, stdout="42\n")

    def close(self):
        pass


class Says(InstantPolicy):
    """Says the same in every episode, and how many tokens that took."""

    name, needs_privileged, local, renderer = "says", False, True, None

    def __init__(self, *replies, tokens=10):
        self.replies, self.tokens = replies or (RIGHT,), tokens

    def session(self, view, privileged=None):
        return _Session(self)

    def describe(self):
        return {"name": self.name}


class _Session:
    kind: ClassVar[str] = "chat"

    def __init__(self, policy):
        self.policy, self.turn = policy, -1

    async def act(self, messages, sampling):
        self.turn += 1
        text = self.policy.replies[min(self.turn, len(self.policy.replies) - 1)]
        return ChatReply(text=text, prompt_tokens=5 if self.policy.tokens else None, completion_tokens=self.policy.tokens)

    async def close(self):
        pass


class Built:
    """A dataset `toy` of so many test tasks of the slice `seen`."""

    def __init__(self, folder: Path, tasks: int):
        self.folder = folder
        self.manifest: dict[str, Any] = {"dataset": "toy", "request": {}}
        self.tasks = [make_task(
            TaskView(dataset="toy", family="calc", question=f"What is six times seven, said the {number}th time?"),
            TaskKey(reference=42, grader="medcalc", args={"output_type": "decimal", "lower": 39.9, "upper": 44.1},
                    gold="print(6*7)"),
            seed=0, category="c", template="t", split="test", slice="seen", cluster="t/0", licence="synthetic")
            for number in range(tasks)]

    def iter_tasks(self, split):
        return iter(self.tasks if split == "test" else [])

    def licence(self):
        return "synthetic"


def toy_run(monkeypatch, tmp_path: Path, tasks: int = 6, failures: int = 0) -> SampleConfig:
    """The config of a run of `tasks` toy tasks, one at a time; nothing is built and no sandbox is opened for it from now on."""
    backend = Backend(failures)
    for module in ("sample", "worker"):
        monkeypatch.setattr(f"medcopilot.rollout.{module}.open_backend", lambda _: backend)
    monkeypatch.setattr("medcopilot.rollout.sample.build_all", lambda *_: {"toy": Built(tmp_path, tasks)})
    return SampleConfig(out=tmp_path / "run", policy="expert", datasets=(), concurrency=1, box_threads=1)
