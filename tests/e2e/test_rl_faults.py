"""What breaks around an online run: it goes on or ends with a sentence, and no reward is invented."""

import contextlib
import errno
import itertools
import json
import random
from collections import Counter

import pytest

from env.errors import BoxDied
from env.gym import Gym
from env.sandbox import open_backend
from medcopilot.agent.render import ChatRenderer
from medcopilot.policies.base import Sampled
from medcopilot.rl.grpo import GrpoConfig, run_grpo
from medcopilot.rl.settings import RolloutSettings
from medcopilot.rl.stream import TrajectoryStream
from medcopilot.rl.tasks import TaskSampler
from medcopilot.rollout.engine import RolloutEngine
from medcopilot.rollout.settings import build_all, choose_tasks
from medcopilot.trace import read_traces
from medcopilot.train.config import load_config
from medcopilot.train.recipe import run_recipe
from medcopilot.train.tokenizer import load_tokenizer


def settings(workshop, name, *overrides):
    words = workshop.command("grpo", name, "max_steps=3", "keep_traces=true", "dump=true", *overrides)
    return load_config(GrpoConfig, words[2], words[3:])


def traces_of(workshop, name):
    return read_traces(workshop.folder / name / "traces-grpo" / "rank0.jsonl", [])


def check_books(workshop, name) -> Counter:
    """Every episode once; a masked one is in no batch, a graded one at most once. Returns the stops."""
    traces = list(traces_of(workshop, name))
    assert len({(trace.task_id, trace.sample, trace.seed) for trace in traces}) == len(traces)
    for trace in traces:
        assert (trace.stop == "infrastructure") == (trace.grades["strict"].score is None)
    graded = Counter(tuple(trace.tokens.ids) for trace in traces if trace.graded and trace.tokens)
    trained: Counter = Counter()
    for path in sorted((workshop.folder / name / "rollouts" / "grpo").glob("*.jsonl")):
        for line in path.read_text().splitlines()[1:]:
            row = json.loads(line)
            assert row["reward"] in (0.0, 1.0)
            trained[tuple(row["ids"])] += 1
    for ids, count in trained.items():  # rows end with their last sampled token
        assert count <= sum(number for whole, number in graded.items() if whole[: len(ids)] == ids)
    return Counter(trace.stop for trace in traces)


@pytest.fixture
def at_home(workshop, monkeypatch):
    for name, value in workshop.environment.items():
        monkeypatch.setenv(name, value)
    return workshop


class HalfRight:
    """A token policy that runs a program, then submits the right answer in every second episode."""

    name, needs_privileged, local, version = "half-right", False, True, 0

    def __init__(self, renderer, answers) -> None:
        self.renderer, self.answers, self.episodes = renderer, answers, 0

    def session(self, view, privileged=None):
        self.episodes += 1
        answer = self.answers[view.id] if self.episodes % 2 else -1
        actions = [{"action": "code_execution", "params": {"code": "print(6 * 7)"}},
                   {"action": "submit", "params": {"answer": answer}}]
        return HalfRightSession([[*self.renderer.encode(json.dumps(action)), self.renderer.end] for action in actions])

    def describe(self):
        return {}


class HalfRightSession:
    kind, context = "token", 100_000

    def __init__(self, replies) -> None:
        self.replies = replies

    async def act(self, ids, sampling):
        reply = self.replies.pop(0)
        return Sampled(ids=reply, logprobs=[-0.1] * len(reply), finish="stop")

    async def close(self) -> None:
        pass


def test_one_box_in_ten_fails_at_its_start(at_home) -> None:
    """Nearly every episode is made good by another try; none is counted twice, and none that was given up is rewarded."""
    number, failed = itertools.count(), []

    class Flaky:
        def __init__(self, inner) -> None:
            self.inner = inner

        def __getattr__(self, name):
            return getattr(self.inner, name)

        def open(self, spec):
            if next(number) % 10 == 3:
                failed.append(spec)
                raise BoxDied("the box did not start")
            return self.inner.open(spec)

    config = settings(at_home, "flaky")
    builts = build_all(config.datasets, config.builds)
    tasks = choose_tasks(builts["medcalcbench"], "train", (), 4, 0)
    renderer = ChatRenderer(load_tokenizer(at_home.folder / "start"))
    with contextlib.closing(open_backend()) as backend:
        policy = HalfRight(renderer, {task.view.id: task.key.reference for task in tasks})
        engine = RolloutEngine(policy, Gym(Flaky(backend), builts.values()), concurrency=8, box_threads=2)
        seen = []
        rollouts = RolloutSettings(groups=4, group_size=8, max_groups=6, concurrency=8, rewards={"outcome": 1.0})
        stream = TrajectoryStream(engine, TaskSampler(tasks, seed=0), rollouts, profile="nano", on_trace=seen.append)
        harvest = stream.next()
        engine.close()
    assert len(failed) >= 3
    assert len({(trace.task_id, trace.sample, trace.seed) for trace in seen}) == len(seen) == len(harvest.played) * 8
    masked = [trace for trace in seen if trace.stop == "infrastructure"]
    assert len(masked) < len(failed) / 2
    for group in harvest.groups:
        for trace, reward in zip(group.traces, group.rewards, strict=True):
            right = trace.submission is not None and trace.submission["answer"] != -1
            assert reward == (None if trace.stop == "infrastructure" else float(right))


def test_a_grader_that_crashes_masks_its_episode(at_home, monkeypatch) -> None:
    grade, rng = Gym.grade, random.Random(1)

    def broken(self, *args, **kwargs):
        if rng.random() < 0.4:
            raise RuntimeError("the grader fell over")
        return grade(self, *args, **kwargs)

    monkeypatch.setattr(Gym, "grade", broken)
    run_grpo(settings(at_home, "crash", "rollouts.rewards={outcome: 1.0}"))
    stops = check_books(at_home, "crash")
    assert stops["infrastructure"] > 0
    rows = at_home.rows("grpo", "crash")
    assert len(rows) == 3
    assert any(row["rollouts/infrastructure"] > 0 for row in rows)
    alarms = (at_home.folder / "crash" / "alarms" / "grpo.jsonl").read_text()
    assert "the grader fell over" in alarms


def test_a_full_disk_ends_the_run_with_a_sentence_and_it_resumes(at_home, monkeypatch, capsys) -> None:
    from transformers import Trainer

    save, calls = Trainer._save_checkpoint, []

    def full(self, *args, **kwargs):
        calls.append(1)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "No space left on device", str(at_home.folder / "x"))
        return save(self, *args, **kwargs)

    words = at_home.command("grpo", "full", "max_steps=4", "save_steps=1")[2:]
    monkeypatch.setattr(Trainer, "_save_checkpoint", full)
    assert run_recipe(GrpoConfig, run_grpo, "", words) == 2
    assert "no space left" in capsys.readouterr().err
    monkeypatch.setattr(Trainer, "_save_checkpoint", save)
    assert run_recipe(GrpoConfig, run_grpo, "", words) == 0
    assert [row["step"] for row in at_home.rows("grpo", "full")] == [1, 2, 3, 4]
