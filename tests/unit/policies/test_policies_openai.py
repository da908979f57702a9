"""The endpoint policy against a real server on a real socket: success, retries, refusals, and the agreement gate."""

from __future__ import annotations

import asyncio
import json
import threading

import pytest
from endpoint_double import GOOD, MESSAGES, VIEW, Reply, quick, say, serve

from env.errors import AgreementError, EngineError, UserError
from env.task import Limits
from medcopilot.agent.conversation import Said, open_talk
from medcopilot.policies.base import ChatReply, ContextFull, Sampling
from medcopilot.policies.openai_api import OpenAIPolicy


def test_one_turn_sends_seed_and_temperature_and_records_usage():
    with serve((200, {}, GOOD)) as server:
        reply = say(quick(server.url + "/", body={"chat_template_kwargs": {"x": 1}}), Sampling(temperature=0.7, seed=2**40 + 5))
    assert reply == ChatReply(text="3", prompt_tokens=11, completion_tokens=2)
    assert server.paths == ["/v1/chat/completions"]
    sent = server.seen[0]
    assert sent["messages"] == MESSAGES
    assert (sent["model"], sent["temperature"], sent["seed"], sent["top_p"], sent["max_tokens"]) == ("m", 0.7, 5, 1.0, 8192)
    assert sent["chat_template_kwargs"] == {"x": 1}


def test_fields_that_an_endpoint_refuses_can_be_left_out():
    with serve((200, {}, GOOD)) as server:
        say(quick(server.url, omit=("seed",)))
    assert "seed" not in server.seen[0]


def test_rollouts_are_told_apart_in_the_cache_by_a_seed_that_is_not_sent(tmp_path):
    """They ask the same otherwise: sixteen rollouts would be one reply sixteen times."""
    with serve((200, {}, GOOD)) as server:
        policy = quick(server.url, omit=("seed",), cache=tmp_path / "cache.sqlite")
        for seed in (1, 2, 2):
            say(policy, Sampling(temperature=0.6, seed=seed))
    assert len(server.seen) == 2
    assert server.seen[0] == server.seen[1]


def test_429_then_success():
    with serve((429, {"Retry-After": "0"}, "{}"), (200, {}, GOOD)) as server:
        assert say(quick(server.url)).text == "3"
    assert len(server.seen) == 2
    assert server.seen[0] == server.seen[1]


@pytest.mark.parametrize("status", [500, 502, 503, 429, 408])
def test_trouble_that_lasts_becomes_a_typed_error(status):
    with serve((status, {}, "oops")) as server, pytest.raises(EngineError, match=f"gave up after 3 tries: HTTP {status}"):
        say(quick(server.url))
    assert len(server.seen) == 3


@pytest.mark.parametrize("body", ["<html>", "{}", '{"choices": []}', '{"choices": [{"message": null}]}', "[1]", "",
                                  '{"choices": [{"message": {"content": 3}}]}', '{"choices": "x"}'])
def test_unreadable_bodies_are_never_taken_for_a_reply(body):
    with serve((200, {}, body)) as server, pytest.raises(EngineError, match="unreadable reply"):
        say(quick(server.url, max_retries=1))
    assert len(server.seen) == 2
    with serve((200, {}, body), (200, {}, GOOD)) as server:
        assert say(quick(server.url)).text == "3"


def test_a_slow_server_times_out_and_is_tried_again():
    release = threading.Event()

    def slow() -> Reply:
        release.wait(5)
        return 200, {}, GOOD

    with serve(slow, (200, {}, GOOD)) as server:
        assert say(quick(server.url, timeout=0.2, max_retries=50)).text == "3"
        release.set()
    release.clear()
    with serve(slow) as server:
        with pytest.raises(EngineError, match=r"no reply within 0\.1 s"):
            say(quick(server.url, timeout=0.1, max_retries=1))
        release.set()


def test_a_server_that_is_not_there():
    with serve((200, {}, GOOD)) as server:
        url = server.url
    with pytest.raises(EngineError, match="ConnectError"):
        say(quick(url))


@pytest.mark.parametrize("status", [401, 403, 404])
def test_wrong_key_or_model_stops_the_run_at_once(status):
    with serve((status, {}, "no")) as server, pytest.raises(UserError, match=f"HTTP {status}"):
        say(quick(server.url))
    assert len(server.seen) == 1


def test_other_refusals_are_not_tried_again():
    with serve((400, {}, '{"error": "bad field"}')) as server, pytest.raises(EngineError, match="bad field"):
        say(quick(server.url))
    assert len(server.seen) == 1


def test_a_full_context_is_the_agents_stop_not_a_failure():
    body = '{"error": {"code": "context_length_exceeded", "message": "This model\'s maximum context length is 4096 tokens."}}'
    with serve((400, {}, body)) as server, pytest.raises(ContextFull):
        say(quick(server.url))
    assert len(server.seen) == 1


def test_the_conversation_ends_when_the_context_budget_is_used():
    limits = Limits(context_tokens=16)
    full = json.dumps({"choices": [{"message": {"content": "x"}}], "usage": {"prompt_tokens": 14, "completion_tokens": 2}})

    async def talk(url: str) -> tuple[Said | None, Said | None]:
        session = quick(url).session(VIEW)
        conversation = open_talk(session, list(MESSAGES), None)
        try:
            return await conversation.say(Sampling(), limits), await conversation.say(Sampling(), limits)
        finally:
            await session.close()

    with serve((200, {}, full), (400, {}, "maximum context length")) as server:
        first, second = asyncio.run(talk(server.url))
    assert first is not None
    assert first.overflow
    assert second is None


def test_redirects_are_not_followed():
    elsewhere = {"Location": "https://example.com/v1/chat/completions"}
    with serve((307, elsewhere, "")) as server, pytest.raises(EngineError, match="307"):
        say(quick(server.url))


def test_a_proxy_of_the_environment_does_not_see_loopback_traffic(monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with serve((200, {}, GOOD)) as server:
        assert say(quick(server.url)).text == "3"


def test_waits_grow_and_honour_the_server(monkeypatch):
    waits: list[float] = []

    async def record(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr("asyncio.sleep", record)
    with serve((503, {}, ""), (503, {}, ""), (429, {"Retry-After": "7"}, ""), (429, {"Retry-After": "9999"}, ""),
               (429, {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, ""), (429, {"Retry-After": "soon"}, ""),
               (200, {}, GOOD)) as server:
        assert say(quick(server.url, backoff=1.0, max_retries=8, max_wait=60.0)).text == "3"
    waits = [wait for wait in waits if wait or len(waits) == 6]
    assert 0.5 <= waits[0] <= 1.0 <= waits[1] <= 2.0
    assert waits[2:5] == [7.0, 60.0, 0.0]
    assert waits[5] > 2


def test_null_and_parts_are_text():
    null = json.dumps({"choices": [{"message": {"content": None}}]})
    parts = json.dumps({"choices": [{"message": {"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}}]})
    with serve((200, {}, null), (200, {}, parts)) as server:
        assert say(quick(server.url)) == ChatReply(text="")
        assert say(quick(server.url)).text == "ab"


def test_half_a_character_of_an_endpoint_does_not_break_the_record():
    half = json.dumps({"choices": [{"message": {"content": "a \ud83d b"}}]})
    with serve((200, {}, half)) as server:
        assert say(quick(server.url)).text == "a ? b"


def test_the_key_comes_from_the_environment_and_stays_out_of_records(monkeypatch):
    monkeypatch.setenv("MY_KEY", "sk-secret")
    with serve((200, {}, GOOD)) as server:
        policy = quick(server.url, api_key_env="MY_KEY")
        say(policy)
    assert server.headers[0]["Authorization"] == "Bearer sk-secret"
    assert "sk-secret" not in json.dumps(policy.describe())
    shown = OpenAIPolicy("https://user:hidden@example.com/v1?token=hidden", "m", api_key_env="MY_KEY").describe()
    assert "hidden" not in json.dumps(shown)


def test_bad_addresses_and_missing_keys(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(UserError, match="write it like"):
        OpenAIPolicy("127.0.0.1:8000", "m")
    with pytest.raises(UserError, match="OPENAI_API_KEY"):
        OpenAIPolicy("https://api.example.com/v1", "m")


def test_the_agreement_gate_stands_before_the_first_message(monkeypatch, tmp_path):
    record = tmp_path / "agreements.yaml"
    monkeypatch.setenv("MEDCOPILOT_AGREEMENTS", str(record))
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    remote = OpenAIPolicy("https://api.example.com/v1", "m", licences={"d": "PhysioNet-credentialed"})
    assert not remote.local
    with pytest.raises(AgreementError, match="endpoint"):
        remote.session(VIEW)
    with pytest.raises(AgreementError, match="no licence tag"):
        OpenAIPolicy("https://api.example.com/v1", "m").session(VIEW)
    OpenAIPolicy("https://api.example.com/v1", "m", licences={"d": "synthetic"}).session(VIEW)
    record.write_text("- {dataset: d, exit: endpoint, allowed: true, who: Jane Doe, date: 2026-11-03}\n")
    remote.session(VIEW)
    record.unlink()
    here = OpenAIPolicy("http://localhost:8000/v1", "m", licences={"d": "PhysioNet-credentialed"})
    assert here.local
    here.session(VIEW)


def test_many_sessions_at_once():
    async def all_of_them(policy: OpenAIPolicy) -> list[str]:
        async def one() -> str:
            session = policy.session(VIEW)
            try:
                return (await session.act(MESSAGES, Sampling())).text
            finally:
                await session.close()

        return await asyncio.gather(*(one() for _ in range(20)))

    with serve((200, {}, GOOD)) as server:
        assert asyncio.run(all_of_them(quick(server.url))) == ["3"] * 20


def test_a_request_that_was_answered_before_is_not_sent_again(tmp_path):
    with serve((200, {}, GOOD)) as server:
        for _ in range(2):  # the second policy is a later run
            reply = say(quick(server.url, cache=tmp_path / "replies.sqlite"), Sampling(seed=1), turns=2)
            assert (reply.text, reply.prompt_tokens) == ("3", 11)
        assert len(server.seen) == 1
        say(quick(server.url, cache=tmp_path / "replies.sqlite"), Sampling(seed=2))
        assert len(server.seen) == 2
    with serve((400, {}, "no")) as server:
        policy = quick(server.url, cache=tmp_path / "replies.sqlite")
        for _ in range(2):  # what failed is not kept
            with pytest.raises(EngineError):
                say(policy)
        assert len(server.seen) == 2
