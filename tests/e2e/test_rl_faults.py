"""What breaks around an online run: it goes on or ends with a sentence, and no reward is invented."""

import errno
import json
import random
from collections import Counter

import pytest

from env.errors import BoxDied
from env.gym import Gym
from env.sandbox import open_backend
from medcopilot.rl import source
from medcopilot.rl.grpo import GrpoConfig, run_grpo
from medcopilot.trace import read_traces
from medcopilot.train.config import load_config
from medcopilot.train.recipe import run_recipe


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


def test_one_box_in_ten_fails_at_its_start(at_home, monkeypatch) -> None:
    """Most are made good by a second try."""
    rng, failed = random.Random(0), []

    class Flaky:
        def __init__(self, inner) -> None:
            self.inner = inner

        def __getattr__(self, name):
            return getattr(self.inner, name)

        def open(self, spec):
            if rng.random() < 0.1:
                failed.append(spec)
                raise BoxDied("the box did not start")
            return self.inner.open(spec)

    monkeypatch.setattr(source, "open_backend", lambda name: Flaky(open_backend(name)))
    run_grpo(settings(at_home, "flaky", "rollouts.rewards={outcome: 1.0}"))
    stops = check_books(at_home, "flaky")
    assert failed
    assert stops["infrastructure"] < len(failed)
    assert len(at_home.rows("grpo", "flaky")) == 3


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
