"""Ablations: an agent without `debugging`, without `request_info`, or with one turn."""

from __future__ import annotations

import pytest
from test_agent_loop import CODE, SUBMIT, Scripted, a_task, play

from env.errors import UserError
from medcopilot.agent.profiles import opening_messages, view_for
from medcopilot.cli import sample
from medcopilot.policies.expert import ExpertPolicy
from medcopilot.rollout.jobs import Job

DEBUG = '{"action":"debugging"}'


@pytest.mark.parametrize("name", ["debugging", "request_info"])
def test_an_action_that_is_taken_away_is_neither_told_of_nor_carried_out(name):
    view = view_for(a_task().view, "full", without=[name])
    assert name not in opening_messages(view, "full")[0]["content"]
    trace = play(Scripted([f'{{"action":"{name}"}}', SUBMIT]), without=(name,))
    assert (trace.turns[0].problem, trace.success) == ("not_allowed", True)
    assert name in opening_messages(a_task().view, "full")[0]["content"]


def test_one_turn_ends_the_episode_with_the_first_reply():
    trace = play(Scripted([CODE, SUBMIT]), turns=1)
    assert (len(trace.turns), trace.stop, trace.success) == (1, "turns", False)
    assert play(Scripted([SUBMIT]), turns=1).success
    assert "You have 1 turn;" in trace.messages[0]["content"]


def test_turns_are_only_ever_tightened():
    assert view_for(a_task().view, "nano", turns=99).limits.turns == 8
    assert view_for(a_task().view, "nano").limits.turns == 8


def test_an_ablated_episode_is_another_one_and_a_plain_one_keeps_its_id():
    plain = Job(a_task())
    ids = {job.trace_id("p", "submit") for job in (plain, Job(a_task(), without=("debugging",)), Job(a_task(), turns=1),
                                                    Job(a_task(), without=("request_info",)))}
    assert len(ids) == 4
    assert plain.trace_id("p", "submit") == Job(a_task(), without=(), turns=None).trace_id("p", "submit")


def test_the_expert_gets_by_without():
    for job in ({"without": ("debugging", "request_info")}, {"turns": 1}):
        trace = play(ExpertPolicy(detours=1.0), **job)
        assert trace.success
        assert not {turn.action for turn in trace.turns} & {"debugging", "request_info"}


@pytest.mark.parametrize(("options", "words"), [({"without": ["submit"]}, "--without"), ({"turns": 0}, "--turns")])
def test_what_cannot_be_taken_away_is_refused(tmp_path, options, words):
    with pytest.raises(UserError, match=words):
        sample.run(policy="expert", out=tmp_path / "x", samples=1, temperature=0.6, greedy_first=True, profile="full",
                   protocol="submit", detours=0.3, concurrency=1, sandbox="auto", dataset=["mimic_iii"], split="test", seed=0,
                   **{"train": None, "test": None, "patients": 100, "build_seed": 0, "stateful": False, **options})
