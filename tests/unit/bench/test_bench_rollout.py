"""The rollout benchmarks at a tiny size: sizes are forced, the arms get the same work, ratios are the hand-computed ones."""

from __future__ import annotations

import itertools
import os
import statistics
from typing import Any

import pytest

from medcopilot.agent.render import ChatRenderer
from medcopilot.bench import rollout_ahead, rollout_trl, rollout_utilisation
from medcopilot.bench.plan import Plan
from medcopilot.bench.rollout import AIMS
from medcopilot.bench.rollout_ahead import Cores, Turn
from medcopilot.bench.rollout_utilisation import EPISODES, REQUESTS, SLOW, Arm, feed, known_requests, play
from medcopilot.bench.show import show, show_aims
from medcopilot.bench.workload import (
    CONTEXT,
    TimedGym,
    Workload,
    check,
    make_jobs,
    make_policy_parts,
    make_tasks,
    open_engine,
    turn_prompts,
)
from medcopilot.policies.base import Sampling
from medcopilot.policies.transformers_engine import TransformersPolicy
from medcopilot.policies.vllm_protocol import completion_body
from medcopilot.trace import Tokens
from medcopilot.train.model import CheckpointMeta, NanoShape, save_checkpoint

TINY = Workload(turns=3, turn_tokens=4, shape=NanoShape(hidden=16, layers=1, heads=1, feed_forward=16))


@pytest.fixture(scope="module")
def parts() -> tuple[Any, Any]:
    return make_policy_parts(TINY)


class Recorder:
    """A policy that notes what its engine is asked for, session by session."""

    def __init__(self, policy: Any) -> None:
        self.policy = policy
        self.asked: list[list[tuple[list[int], Sampling]]] = []
        self.name, self.renderer, self.needs_privileged = policy.name, policy.renderer, False

    def session(self, view: Any, privileged: Any = None) -> Any:
        session, asked = self.policy.session(view), []
        self.asked.append(asked)
        act = session.act

        async def noted(ids: list[int], sampling: Sampling) -> Any:
            asked.append((ids, sampling))
            return await act(ids, sampling)

        session.act = noted
        return session


def test_the_base_gets_exactly_the_requests_of_the_episodes(parts) -> None:
    jobs = make_jobs(make_tasks(5, TINY))
    with open_engine("transformers", *parts, slots=4) as policy:
        recorder = Recorder(policy)
        arm, traces = play(recorder, jobs, 3, 0.0)
        requests = known_requests(jobs, traces, TINY)
        fed = feed(policy, requests, 3)
    check(traces, TINY, 5)
    assert arm.tokens == fed.tokens == 5 * TINY.tokens
    assert sorted(recorder.asked, key=str) == sorted(requests, key=str)
    for trace, conversation in zip(sorted(traces, key=lambda t: t.task_id), sorted(requests, key=str), strict=True):
        assert len(conversation) == TINY.turns, trace.task_id


def test_real_episodes_fit_the_context_of_the_nano_profile(parts) -> None:
    whole = Workload()
    task = make_tasks(1, whole)[0]
    renderer = ChatRenderer(parts[1])
    opening = len(renderer.prompt([{"role": "user", "content": task.view.question}]))
    between = len(renderer.observation(TimedGym().episode(task).step("words, not an action").text, closed=False))
    assert opening + (whole.turns - 1) * between + whole.tokens < CONTEXT


def test_turn_prompts_by_hand() -> None:
    mask = [0, 0, 1, 1, 0, 1]
    tokens = Tokens(ids=[5, 6, 7, 8, 9, 10], mask=mask, logprobs=[0.0] * 6, versions=[-1 if not m else 0 for m in mask])
    assert turn_prompts(tokens) == [[5, 6], [5, 6, 7, 8, 9]]


def test_other_episodes_than_the_forced_ones_are_refused(parts) -> None:
    jobs = make_jobs(make_tasks(2, TINY))
    with open_engine("transformers", *parts, slots=2) as policy:
        _, traces = play(policy, jobs, 2, 0.0)
    with pytest.raises(RuntimeError, match="played, some twice or never"):
        check([traces[0], traces[0]], TINY, 2)
    with pytest.raises(RuntimeError, match="ended with 'turns' after turns of"):
        check(traces, Workload(turns=3, turn_tokens=5), 2)
    with pytest.raises(RuntimeError, match="OutOfBoxes"):
        check([trace.model_copy(update={"stop": "infrastructure", "error": "OutOfBoxes"}) for trace in traces], TINY, 2)


def test_utilisation_by_hand() -> None:
    rounds = [{REQUESTS: Arm(100, 1.0, 1.0), EPISODES: Arm(100, 1.25, 1.1), SLOW: Arm(100, 2.0, 1.2)},
              {REQUESTS: Arm(100, 2.0, 1.0), EPISODES: Arm(100, 2.0, 1.0), SLOW: Arm(100, 2.5, 1.0)},
              {REQUESTS: Arm(100, 0.9, 1.0), EPISODES: Arm(100, 1.0, 1.0), SLOW: Arm(100, 1.0, 1.0)}]
    found = rollout_utilisation.summarise(rounds)
    assert found["engine_utilisation"] == pytest.approx(0.9)
    assert found["engine_utilisation_200ms"] == pytest.approx(0.8)
    assert found["rollout: known requests, 64 in flight"]["tokens_per_s"] == pytest.approx(100)
    rounds[1][SLOW] = Arm(99, 2.5, 1.0)
    with pytest.raises(RuntimeError, match="differ in sampled tokens"):
        rollout_utilisation.summarise(rounds)


def test_utilisation_runs(parts, monkeypatch) -> None:
    monkeypatch.setattr(rollout_utilisation, "STEP_SECONDS", 0.001)
    said: list[str] = []
    plan = Plan(rollout_utilisation.expected(4, 2), said.append)
    found = rollout_utilisation.measure(TINY, *parts, episodes=4, rounds=2, plan=plan)
    assert found["engine_utilisation"] > 0
    assert found["engine_utilisation_200ms"] > 0
    assert [arm["tokens"] for turn in found["utilisation_rounds"] for arm in turn.values()] == [4 * TINY.tokens] * 6
    assert said[-1] == "rollout benchmark: utilisation, round 2 done, about 0:00 left"


def test_step_times_are_the_same_for_everyone_and_long_tailed() -> None:
    drawn = [rollout_trl.step_seconds(number, turn, 0.1, 4) for number in range(2000) for turn in range(3)]
    assert drawn == [rollout_trl.step_seconds(number, turn, 0.1, 4) for number in range(2000) for turn in range(3)]
    assert statistics.mean(drawn) == pytest.approx(0.1, rel=0.05)
    assert statistics.median(drawn) == pytest.approx(0.1 * 2.718281828**-0.5, rel=0.05)
    assert 0.7 < max(drawn) <= 1.0
    assert rollout_trl.step_seconds(0, 3, 0.1, 4) == 0.0


def test_both_loops_play_the_same_conversations(parts) -> None:
    """Same prompts, and what was sampled and heard in between has the same number of tokens."""
    model, tokenizer = parts
    tasks = make_tasks(4, TINY)
    with open_engine("transformers", model, tokenizer, slots=4) as policy:
        _, traces = rollout_trl.ours(policy, tasks, TINY, 0.001)
        said = traces[0].turns[0].observation
        recorder = Recorder(policy)
        row = rollout_trl.trl(model, tokenizer, tasks, TINY, 0.001, said, recorder)
    prompts = {trace.task_id: turn_prompts(trace.tokens)[0] for trace in traces}
    assert [asked[0][0] for asked in recorder.asked] == [prompts[task.id] for task in tasks]
    assert [[sampling.max_tokens for _, sampling in asked] for asked in recorder.asked] == [[TINY.turn_tokens] * TINY.turns] * 4
    renderer = ChatRenderer(tokenizer)
    for asked in recorder.asked:
        for (before, _), (after, _) in itertools.pairwise(asked):
            heard = after[len(before) + TINY.turn_tokens:]
            assert after[: len(before)] == before
            assert heard == renderer.observation(said)
    assert row["step_seconds"] == pytest.approx(sum(rollout_trl.step_seconds(n, t, 0.001, 3) for n in range(4) for t in range(3)))


def test_the_tool_loop_benchmark_runs(parts) -> None:
    found = rollout_trl.measure(TINY, *parts, episodes=2, means=(0.002, 0.001, 0.0))
    assert {name for name in found if "speedup" in name} == {
        "speedup_vs_trl_tool_loop", "speedup_vs_trl_tool_loop_1ms", "speedup_vs_trl_tool_loop_instant",
        "speedup_vs_trl_stock_engine"}
    assert all(row["episodes_per_s"] > 0 for row in found.values() if isinstance(row, dict))


def test_ratios_over_the_tool_loop_by_hand() -> None:
    rates = {(rollout_trl.OURS, 0.1): 8.0, (rollout_trl.SAME, 0.1): 2.0, (rollout_trl.STOCK, 0.1): 1.0,
             (rollout_trl.OURS, 0.0): 3.0, (rollout_trl.SAME, 0.0): 2.0}
    document = {f"rollout: {rollout_trl.part(*arm)}": {"episodes_per_s": rate} for arm, rate in rates.items()}
    assert rollout_trl.ratios(document, (0.1, 0.0)) == {
        "speedup_vs_trl_tool_loop": 4.0, "speedup_vs_trl_tool_loop_instant": 1.5, "speedup_vs_trl_stock_engine": 8.0}


def test_steps_in_both_modes(parts, tmp_path) -> None:
    before = os.sched_getaffinity(0)
    save_checkpoint(*parts, tmp_path / "policy", CheckpointMeta(profile="nano"))
    for staleness in (0, 1):
        turn = rollout_ahead.take_turn(tmp_path, TINY, staleness, 1, 2, rollout_ahead.cores())
        assert (turn.steps, turn.episodes) == (2, 8)
        assert 0 < turn.update < turn.seconds
    assert os.sched_getaffinity(0) == before


def test_steps_per_second_by_hand() -> None:
    taken = {0: [Turn(2, 8.0, 3.0, 4.0, 8), Turn(2, 12.0, 3.0, 6.0, 8)], 1: [Turn(4, 10.0, 1.0, 8.0, 8)]}
    found = rollout_ahead.summarise(taken)
    assert found["GRPO, synchronous"] == {"steps_per_s": 0.2, "seconds": 5.0, "wait_seconds": 1.5, "update_seconds": 2.5}
    assert found["speedup_one_step_ahead"] == pytest.approx(2.0)
    assert found["speedup_one_step_ahead_attainable"] == pytest.approx(5.0 / 3.5)


def test_cores_are_two_where_there_are_two() -> None:
    free = os.sched_getaffinity(0)
    found = rollout_ahead.cores()
    assert set(found) <= free
    assert len(set(found)) == min(2, len(free))
    assert found == Cores(*found)


def test_the_plan_scales_what_is_left_by_what_was_slow() -> None:
    now = [0.0]
    said: list[str] = []
    plan = Plan({"one": 10.0, "two": 30.0}, said.append, every=5.0, clock=lambda: now[0])
    assert plan.left() == 40.0
    now[0] = 10.0
    assert plan.left("one", 0.5) == pytest.approx(70.0)  # twice as slow as expected
    plan.at("one", 0.5)
    now[0] = 12.0
    plan.at("one", 0.6)  # too soon after the last line
    now[0] = 20.0
    plan.done("one")
    assert said == ["rollout benchmark: one 50%, about 1:10 left", "rollout benchmark: one done, about 1:00 left"]


def test_ratios_are_shown_beside_their_aims(capsys) -> None:
    document = {"engine_utilisation": 0.934, "speedup_vs_trl_tool_loop": 7.125, "machine": {"processor": "x"},
                "GRPO, synchronous": {"steps_per_s": 0.154}}
    show(document)
    show_aims(document)
    printed = capsys.readouterr().out
    assert "93.4%" in printed
    assert "at least 90.0%" in printed
    assert "7.12 x" in printed
    assert "0.15 steps per s" in printed
    assert set(AIMS) >= {"engine_utilisation", "engine_utilisation_200ms", "speedup_vs_trl_tool_loop", "speedup_one_step_ahead"}


def test_a_turn_without_stop_ids_is_as_long_as_it_may_be(parts) -> None:
    sampling = Sampling(max_tokens=8)
    assert completion_body("m", [1], sampling, [], 32)["ignore_eos"] is True
    assert completion_body("m", [1], sampling, [2], 32)["ignore_eos"] is False
    with pytest.raises(ValueError, match="generate goes by the model's stop ids"):
        TransformersPolicy(*parts, ChatRenderer(parts[1]), engine="generate", stops=())
