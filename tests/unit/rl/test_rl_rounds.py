"""Rounds: live, one ahead, dumped and replayed."""

import threading

import pytest

from env.errors import UserError
from medcopilot.rl.dumps import DumpEnded, ReplaySource, round_file, write_round
from medcopilot.rl.rounds import Round, Row, rows_of
from medcopilot.rl.settings import RolloutSettings
from medcopilot.rl.source import LiveSource
from medcopilot.rl.stream import NothingToLearn, TrajectoryStream, judge
from medcopilot.rl.tasks import TaskSampler
from medcopilot.train import parallel

SETTINGS = RolloutSettings(groups=2, group_size=8, max_groups=4, rewards={"outcome": 1.0})


def row(number: int, group: int) -> Row:
    return Row([1, 2, 3 + number], [0, 1, 1], [0.0, -0.125 * number, -1 / 3], 0.5 - number, number % 2, group, f"t{group}", 4)


def some_round(groups: int, first: int = 0) -> Round:
    return Round([row(number, number // 3) for number in range(first, first + 3 * groups)], 99, {"reward": 0.5})


def test_a_dumped_round_comes_back_exactly(tmp_path) -> None:
    rounds = [some_round(2), some_round(1)]
    for number, played in enumerate(rounds):
        write_round(tmp_path, number, 0, 1, played)
    replay = ReplaySource(tmp_path)
    assert [replay.next(0) for _ in rounds] == rounds
    with pytest.raises(DumpEnded, match="all 2 rounds"):
        replay.next(2)


@pytest.mark.parametrize("dumped_by", [1, 2, 3])
@pytest.mark.parametrize("read_by", [1, 2, 5])
def test_every_rollout_is_replayed_once_whatever_the_number_of_processes(tmp_path, dumped_by, read_by) -> None:
    for rank in range(dumped_by):
        write_round(tmp_path, 0, rank, dumped_by, some_round(2, first=100 * rank))
    parts = [ReplaySource(tmp_path, rank=rank, world=read_by).next(0) for rank in range(read_by)]
    tokens = [one.ids for part in parts for one in part.rows if any(one.mask)]
    assert sorted(tokens) == sorted(one.ids for rank in range(dumped_by) for one in some_round(2, first=100 * rank).rows)
    assert all(part.rows for part in parts)  # every process has something to run forward on
    assert {part.wanted for part in parts} == {99}


def test_a_replay_resumes_where_it_stood(tmp_path) -> None:
    for number in range(3):
        write_round(tmp_path, number, 0, 1, some_round(number + 1))
    first, second = ReplaySource(tmp_path), ReplaySource(tmp_path)
    first.next(0)
    second.restore(first.state())
    assert second.next(1) == first.next(1)


def test_torn_and_missing_rounds_are_one_sentence(tmp_path) -> None:
    with pytest.raises(UserError, match=r"no rounds of rollouts.*dump: true"):
        ReplaySource(tmp_path)
    path = write_round(tmp_path, 0, 0, 2, some_round(2))
    with pytest.raises(UserError, match=r"rank1.jsonl: not a whole round"):
        ReplaySource(tmp_path).next(0)
    write_round(tmp_path, 0, 1, 2, some_round(1))
    path.write_text("\n".join(path.read_text().splitlines()[:-1]))
    with pytest.raises(UserError, match="rows are missing"):
        ReplaySource(tmp_path).next(0)
    path.write_text(path.read_text()[:-20])
    with pytest.raises(UserError, match="not a whole round"):
        ReplaySource(tmp_path).next(0)


def mixed(job):
    return float(job.sample % 2)


def test_rows_know_reward_group_task_and_version(task_of, trace_of) -> None:
    first, second = task_of(1), task_of(2)
    groups = [judge(task, [trace_of(task, score, sample=n, version=7) for n, score in enumerate([1.0, None, 0.0] * 3)], SETTINGS, 8)
              for task in (first, second)]
    rows = rows_of(groups)
    assert [one.reward for one in rows] == [1.0, 0.0] * 6
    assert [one.group for one in rows] == [0] * 6 + [1] * 6
    assert {one.task for one in rows} == {first.id, second.id}
    assert {one.version for one in rows} == {7}


class Events:
    """A player and a sync that write down in which order they were used, and with which weights."""

    def __init__(self, player_of) -> None:
        self.version = 0
        self.trained = 0
        self.player = player_of(mixed, version=lambda job: self.version)

    def sync(self) -> int:
        self.version = self.trained
        return self.version


def test_one_round_ahead_is_exactly_one_round_old(player_of, tasks) -> None:
    events = Events(player_of)
    source = LiveSource(TrajectoryStream(events.player, TaskSampler(tasks, seed=1), SETTINGS), events.sync, ahead=1)
    seen = []
    for step in range(4):
        events.trained = step
        played = source.next(step)
        seen.append(({one.version for one in played.rows}, played.metrics["staleness"]))
    source.close()
    assert seen == [({0}, 0.0), ({0}, 1.0), ({1}, 1.0), ({2}, 1.0)]


def test_synchronous_rounds_are_never_old(player_of, tasks) -> None:
    events = Events(player_of)
    source = LiveSource(TrajectoryStream(events.player, TaskSampler(tasks, seed=1), SETTINGS), events.sync)
    for step in range(3):
        events.trained = step
        played = source.next(step)
        assert {one.version for one in played.rows} == {step}
        assert played.metrics["staleness"] == 0.0


@pytest.mark.parametrize("ahead", [0, 1])
def test_an_interrupted_source_plays_what_was_in_flight_again(player_of, tasks, ahead) -> None:
    def source_of():
        return LiveSource(TrajectoryStream(player_of(mixed), TaskSampler(tasks, seed=1), SETTINGS), lambda: 0, ahead=ahead)

    whole, first, second = source_of(), source_of(), source_of()
    expected = [[one.task for one in whole.next(step).rows] for step in range(3)]
    for step in range(2):
        first.next(step)
    second.restore(first.state())
    assert sorted(one.task for one in second.next(2).rows) == sorted(expected[2])
    for source in (whole, first, second):
        source.close()


def test_closing_does_not_wait_for_a_round_in_flight(player_of, tasks) -> None:
    hold = threading.Event()
    started = threading.Event()

    class Slow:
        concurrency = 4

        async def play(self, job):
            import asyncio

            if hold.is_set():
                started.set()
                await asyncio.sleep(3600)
            return await player.play(job)

    player = player_of(mixed)
    source = LiveSource(TrajectoryStream(Slow(), TaskSampler(tasks, seed=1), SETTINGS), lambda: 0, ahead=1)
    hold.clear()
    stream_next = source.stream.next
    first = threading.Event()

    def after_the_first():
        if first.is_set():
            hold.set()
        first.set()
        return stream_next()

    source.stream.next = after_the_first
    source.next(0)
    assert started.wait(10)
    source.close()


def test_dumping_and_replaying_a_live_source(player_of, tasks, tmp_path) -> None:
    source = LiveSource(TrajectoryStream(player_of(mixed), TaskSampler(tasks, seed=1), SETTINGS), lambda: 0, dump=tmp_path)
    rounds = [source.next(step) for step in range(2)]
    assert round_file(tmp_path, 1, 0).is_file()
    replay = ReplaySource(tmp_path)
    assert [replay.next(step).rows for step in range(2)] == [played.rows for played in rounds]


def test_episodes_are_counted_kept_or_not(player_of, tasks, tmp_path) -> None:
    hard = player_of(lambda job: 0.0 if job.seed % 2 else mixed(job))  # every second group is dropped
    source = LiveSource(TrajectoryStream(hard, TaskSampler(tasks, seed=1), SETTINGS), lambda: 0, dump=tmp_path)
    for step in range(2):
        source.next(step)
    assert source.episodes == len(hard.jobs)
    assert source.episodes > sum(len(ReplaySource(tmp_path).next(0).rows) for _ in range(2))
    fresh = LiveSource(TrajectoryStream(hard, TaskSampler(tasks, seed=1), SETTINGS), lambda: 0)
    fresh.restore(source.state())
    assert fresh.episodes == source.episodes
    parts = [ReplaySource(tmp_path, rank=rank, world=2) for rank in (0, 1)]
    for part in parts:
        part.next(0)
        part.next(1)
    assert sum(part.episodes for part in parts) == source.episodes


def test_what_one_rank_cannot_learn_from_ends_the_run_on_all(player_of, tasks, monkeypatch) -> None:
    """Else the others would wait for it until their time is up."""
    source = LiveSource(TrajectoryStream(player_of(mixed), TaskSampler(tasks, seed=1), SETTINGS), lambda: 0)
    assert source.next(0).rows
    told = []
    monkeypatch.setattr(parallel, "from_all", lambda reason: told.append(reason) or [reason, "none of 6 groups"])
    with pytest.raises(NothingToLearn, match="none of 6 groups"):
        source.next(1)
    hopeless = LiveSource(TrajectoryStream(player_of(lambda job: 0.0), TaskSampler(tasks, seed=1), SETTINGS), lambda: 0)
    with pytest.raises(NothingToLearn, match="the policy solves all or none"):
        hopeless.next(0)
    assert told[0] == ""
    assert "the policy solves all or none" in told[1]
