"""Instant episodes on threads of their own."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from medcopilot.rollout.instant import AllHang, play_instant


@pytest.fixture
def pool():
    with ThreadPoolExecutor(3) as made:
        yield made


def run(jobs, play, pool, got, threads=3, seconds=60.0):
    play_instant(jobs, play, lambda *pair: got.append(pair), pool, threads, lambda _: seconds, look=0.01)
    return got


def test_every_job_comes_once_with_its_own_trace(pool):
    assert sorted(run(range(500), lambda job: f"trace {job}", pool, [])) == sorted((job, f"trace {job}") for job in range(500))


@pytest.mark.parametrize("threads", [1, 3])
def test_jobs_end_when_the_traces_so_far_are_enough(pool, threads):
    """Every thread may still bring the episode that it was playing."""
    got = []

    def jobs():
        while len(got) < 5:
            yield "job"

    run(jobs(), str, pool, got, threads)
    assert 5 <= len(got) < 5 + threads


def test_no_more_at_once_than_threads(pool):
    inside, most, lock = [0], [0], threading.Lock()

    def play(job):
        with lock:
            inside[0] += 1
            most[0] = max(most[0], inside[0])
        with lock:
            inside[0] -= 1
        return "trace"

    assert len(run(range(200), play, pool, [], threads=2)) == 200
    assert most[0] <= 2


def test_a_failure_is_raised_after_what_was_under_way(pool):
    started, go = threading.Event(), threading.Event()

    def play(job):
        if job == 0:
            started.set()
            go.wait(30)
            return "late"
        started.wait(30)
        go.set()
        raise ValueError("broken")

    got = []
    with pytest.raises(ValueError, match="broken"):
        run(range(10_000), play, pool, got, threads=2)
    assert got == [(0, "late")]


def test_a_failure_of_the_jobs_themselves_is_raised(pool):
    def jobs():
        yield 1
        raise KeyError("list")

    with pytest.raises(KeyError, match="list"):
        run(jobs(), str, pool, [])


def test_an_episode_that_hangs_is_given_up_and_what_it_brings_later_counts_no_more(pool):
    stuck, got = threading.Event(), []

    def play(job):
        if job == 0:
            stuck.wait(30)
        return "trace"

    def keep(*pair):
        got.append(pair)
        if pair == (0, None):
            stuck.set()

    play_instant(range(6), play, keep, pool, 2, lambda job: 0.05 if job == 0 else 60.0, look=0.01)
    assert sorted(got, key=lambda pair: pair[0]) == [(0, None), *((job, "trace") for job in range(1, 6))]


def test_where_all_hang_nothing_goes_on(pool):
    stuck, got = threading.Event(), []
    try:
        with pytest.raises(AllHang):
            run(range(6), lambda _: stuck.wait(30), pool, got, threads=2, seconds=0.05)
        assert sorted(got) == [(0, None), (1, None)]
    finally:
        stuck.set()


def test_what_cannot_be_kept_ends_the_run(pool):
    def keep(job, trace):
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        play_instant(iter(int, 1), str, keep, pool, 3, lambda _: 60.0)


def test_nothing_is_kept_after_an_interruption(pool, monkeypatch):
    """As by Ctrl-C while the caller waits."""
    inside, go, got = threading.Event(), threading.Event(), []

    def play(job):
        inside.set()
        go.wait(30)
        return "trace"

    def interrupted(*_):
        inside.wait(30)
        raise KeyboardInterrupt

    monkeypatch.setattr("medcopilot.rollout.instant.wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(range(10), play, pool, got)
    go.set()
    pool.shutdown(wait=True)
    assert got == []
