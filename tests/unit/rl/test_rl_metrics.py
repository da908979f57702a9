"""What is measured of a step of online training, alarms on our own failures, and samples that a person can read."""

from collections import defaultdict

import pytest

from medcopilot.jsonl import read_rows
from medcopilot.rl.metrics import measure
from medcopilot.rl.rounds import Round
from medcopilot.rl.samples import fenced, pick, sample_rows, sample_text
from medcopilot.rl.settings import RolloutSettings
from medcopilot.rl.step_log import StepLog
from medcopilot.rl.stream import judge
from medcopilot.train import loop
from medcopilot.train.config import StageConfig
from medcopilot.train.tracking import Tracker

SETTINGS = RolloutSettings(groups=1, group_size=8)


@pytest.fixture
def group_of(task_of, trace_of):
    def build(scores, number=0, **rest):
        task = task_of(number)
        return judge(task, [trace_of(task, score, sample=sample, **rest) for sample, score in enumerate(scores)], SETTINGS, 8)

    return build


def test_a_failure_of_ours_and_a_verdict_that_is_owed_are_two_things(group_of) -> None:
    group = group_of([1.0, 0.0, None, None, 0.0, 0.0, 0.0, 0.0])
    group.traces[3].stop = "submit"  # played to its end, and what it left cannot be graded
    found = measure([group], 4.0)
    assert found["rollouts/infrastructure"] == 1 / 8
    assert found["rollouts/masked"] == 2 / 8
    assert found["success"] == 1 / 6


def test_seconds_of_an_episode_by_hand(group_of) -> None:
    group = group_of([1.0] + [0.0] * 7)
    group.traces[0].seconds = 2.5
    found = measure([group], 4.0)  # two turns of 0.2 s + 0.1 s each, 0.1 s of grading
    assert found["rollouts/generate_seconds"] == pytest.approx(0.4)
    assert found["rollouts/env_seconds"] == pytest.approx(0.2)
    assert found["rollouts/grade_seconds"] == pytest.approx(0.1)
    assert found["rollouts/seconds"] == pytest.approx((7 * 0.5 + 2.5) / 8)
    assert found["rollouts/seconds_max"] == 2.5
    assert found["rollouts/tokens_per_second"] == 8 * 3 / 4.0


def test_loops_are_measured_where_a_detector_is_given(group_of) -> None:
    group = group_of([1.0] + [0.0] * 7)
    assert "rollouts/loops" not in measure([group], 1.0)
    assert measure([group], 1.0, looping=lambda trace: trace.sample < 2)["rollouts/loops"] == 0.25


class Given:
    """A source of one round, over and over."""

    def __init__(self, groups, **metrics) -> None:
        self.round = Round([], 8, {**measure(groups, 1.0), **metrics}, groups)

    def next(self, step):
        return self.round


def test_the_parts_of_a_step_add_up(monkeypatch, group_of) -> None:
    times = {"start": 0, "train": 10, "begin": 11, "round": 12, "played": 20, "evaluate": 20, "evaluated": 21, "ready": 22,
             "end": 25, "begin again": 26, "end again": 40}
    now = iter(map(float, times.values()))
    monkeypatch.setattr("medcopilot.rl.step_log.time.perf_counter", lambda: next(now))
    found = defaultdict(list)
    log = StepLog(found)
    log.on_train_begin(None, None, None)
    log.on_step_begin(None, None, None)
    log.next_round(Given([group_of([1.0] + [0.0] * 7)], **{"time/wait": 6.0, "time/sync": 1.0}), 0)
    with log.phase("evaluate"):
        pass
    log.ready()
    log.on_step_end(None, None, None)
    log.on_step_begin(None, None, None)  # a second step on the same round
    log.on_step_end(None, None, None)
    assert {name.removeprefix("time/"): values for name, values in found.items() if name.startswith("time/")} == {
        "step": [15, 15], "wait": [6, 0], "sync": [1, 0], "evaluate": [1, 0], "update": [3, 14], "other": [4, 1], "rollout": [1]}
    assert found["success"] == [1 / 8]


@pytest.fixture
def log(tmp_path):
    config = StageConfig(run=tmp_path, name="grpo", tracking={"tensorboard": False, "samples": 2, "samples_every": 5})
    progress = loop.Progress(config, loop.Horizon(3, None))
    progress.tracker = Tracker(config)
    step_log = StepLog(defaultdict(list))
    step_log.progress = progress
    return step_log


def test_many_failures_of_ours_raise_an_alarm_that_names_the_commonest(log, group_of, capsys) -> None:
    group = group_of([1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, None])
    group.traces[7].error = "EngineError: server 2\nanswered 503"
    log.next_round(Given([group]), 2)
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1
    assert said[0].startswith("ALARM grpo step 3: 1 of 8 episodes (12%, limit 5%)")
    assert "EngineError: server 2 answered 503" in said[0]
    [row] = read_rows(log.progress.tracker.config.alarms)
    assert (row["step"], row["value"], row["limit"]) == (3, 0.125, 0.05)


def test_samples_are_kept_of_the_first_round_and_now_and_then(log, group_of) -> None:
    group = group_of([1.0] + [0.0] * 7)
    for step in range(0, 12, 2):  # a round every two steps
        log.next_round(Given([group]), step)
    folder = log.progress.tracker.config.samples
    assert sorted(path.name for path in folder.iterdir()) == ["step-1.md", "step-7.md"]
    text = (folder / "step-7.md").read_text()
    assert sample_rows(text) == [("toy", "synthetic")]
    assert "toy · success" in text
    assert "toy · failure" in text


def test_a_replay_has_no_samples_and_no_alarms(log) -> None:
    log.next_round(Given([], **{"rollouts/infrastructure": 0.5}), 0)
    assert not log.progress.tracker.config.samples.exists()
    assert not log.progress.tracker.config.alarms.exists()


def test_a_sample_shows_question_turns_and_outcome_and_no_control_characters(group_of) -> None:
    group = group_of([1.0] + [0.0] * 7)
    trace = group.traces[0]
    trace.messages = [{"role": "system", "content": "rules"}, {"role": "user", "content": "Chart.\nHow old is she?"}]
    trace.turns[0].action, trace.turns[0].params = "code_execution", {"code": "print('```')\n\x1b[31mred", "language": "python"}
    trace.turns[0].observation = "71\u202e"
    [sample] = pick([group], 1)
    assert sample.trace is trace  # successes come first
    text = sample_text(*sample)
    assert "How old is she?" in text.splitlines()[0]
    assert "rules" not in text
    assert "````\nprint('```')\n\\u001b[31mred\n````" in text
    assert "71\\u202e" in text
    assert "reward 1.10" in text
    assert "strict 1.00 (correct)" in text
    assert "\x1b" not in text


def test_a_file_that_does_not_say_whose_rows_it_holds_counts_as_restricted() -> None:
    assert sample_rows("# samples\n") == [("unknown", "")]
    assert sample_rows("") == [("unknown", "")]
    assert fenced("a````b").startswith("`````\n")
