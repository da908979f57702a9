"""Turns over vLLM servers: what is sent, who answers, and what becomes of bad answers. Real sockets, a double of the server."""

from __future__ import annotations

import asyncio
import math
import threading

import pytest
from server_field import STOP, act, until
from vllm_double import CUT, HANG, RESET, logprob

from env.errors import AgreementError, EngineError, UserError
from env.task import TaskView
from medcopilot.policies.base import Sampling
from medcopilot.policies.server_settings import ServerSettings

IDS = [3, 4, 5]


def once(answer, path="/v1/completions"):
    """Misbehave at the first request to a path."""
    left = [answer]
    return lambda method, asked, body: left.pop() if left and asked == path else None


def always(answer, path="/v1/completions"):
    return lambda method, asked, body: answer if asked == path else None


def choice(**changes):
    """An answer to IDS with something wrong."""
    entry = {"token_ids": [9, 9], "logprobs": {"token_logprobs": [-1.0, -2.0]}, "finish_reason": "length",
             "prompt_token_ids": IDS}
    return 200, {"choices": [{**entry, **changes}]}


def test_a_turn_sends_ids_and_every_sampling_parameter(field):
    double, policy = field.double(), field.policy()
    [sampled] = act(policy, [IDS], temperature=0.7, seed=2**63 + 11)
    [body] = [body for path, body in double.seen if path == "/v1/completions"]
    assert body["prompt"] == IDS
    assert (body["seed"], body["temperature"], body["top_p"], body["max_tokens"]) == (11, 0.7, 1.0, 4)
    assert body["stop_token_ids"] == [STOP]
    assert (body["top_k"], body["min_p"], body["repetition_penalty"], body["logprobs"]) == (0, 0.0, 1.0, 0)
    assert len(sampled.ids) == 3
    assert sampled.logprobs == pytest.approx([logprob(0.0, IDS, sampled.ids[0])] * 3)
    assert (sampled.policy_version, sampled.finish) == (7, "length")
    assert policy.statistics()["turns"] == 1


def test_max_tokens_ends_with_the_context_and_a_full_context_is_not_sent(field):
    double, policy = field.double(), field.policy()
    act(policy, [[5] * 30])
    assert double.seen[-1][1]["max_tokens"] == 2
    asked = len(double.seen)
    with pytest.raises(EngineError, match="32 tokens given; the model continues between 1 and 31"):
        act(policy, [[5] * 32])
    assert len(double.seen) == asked


def test_sessions_stay_where_they_are_and_spread_evenly(field):
    one, other = field.double(), field.double()
    act(field.policy(), [[10 + n] for n in range(8)], turns=4)
    first = {prompt[0] for prompt in one.prompts()}
    second = {prompt[0] for prompt in other.prompts()}
    assert not first & second
    assert len(first) == len(second) == 4
    assert len(one.prompts()) == len(other.prompts()) == 16


def test_no_server_gets_more_requests_than_it_may_have(field):
    double = field.double()
    double.gate = asyncio.Event()
    policy = field.policy(in_flight=2)

    def release():
        until(lambda: double.open == 2)
        field.thread.loop.call_soon_threadsafe(double.gate.set)

    watcher = threading.Thread(target=release)
    watcher.start()
    act(policy, [[10 + n] for n in range(12)], turns=2)
    watcher.join()
    assert double.most_open == 2
    assert len(double.prompts()) == 24


@pytest.mark.parametrize("behaviour", [
    RESET, CUT, (500, {"error": "out of memory"}), (429, {}), (200, b'{"choices": [{"token_i'), (200, []), (200, {"choices": []}),
    choice(token_ids=[9, 9, 9]), choice(token_ids=[]), choice(token_ids=["9", "9"]), choice(token_ids=[9] * 5),
    choice(logprobs={"token_logprobs": [-1.0, None]}), choice(logprobs={"token_logprobs": [-1.0, math.nan]}),
    choice(logprobs={"token_logprobs": [-1.0, -9999.0]}), choice(logprobs=None), choice(prompt_token_ids=[3, 4]),
    choice(finish_reason="abort"), choice(finish_reason="error")], ids=str)
def test_a_bad_answer_is_asked_for_again_elsewhere(field, behaviour):
    [good] = act(_single(field), [IDS], seed=3)
    one, other = field.double(once(behaviour)), field.double(once(behaviour))
    policy = field.policy(urls=(one.url, other.url))
    [sampled] = act(policy, [IDS], seed=3)
    assert sampled == good
    assert policy.statistics()["retries"] == 2  # both misbehave once
    assert {len(one.prompts()), len(other.prompts())} == {1, 2}


def _single(field):
    double = field.double()
    return field.policy(urls=(double.url,))


def test_a_hung_answer_is_given_up_and_asked_for_elsewhere(field):
    one, other = field.double(once(HANG)), field.double(once(HANG))
    policy = field.policy(turn_seconds=1.0)
    assert len(act(policy, [IDS])) == 1
    assert policy.statistics()["retries"] == 2
    assert len(one.prompts()) + len(other.prompts()) == 3


def test_servers_that_only_hang_end_in_an_engine_error(field):
    field.double(always(HANG))
    field.double(always(HANG))
    with pytest.raises(EngineError, match=r"no usable answer after 3 attempts: .*no answer within 0.1 s"):
        act(field.policy(turn_seconds=0.1), [IDS])


def test_an_answer_that_drips_has_a_deadline_too(field):
    """A read timeout alone starts again with every byte."""
    async def drip(reader, writer):
        await reader.read(1)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
        while not writer.is_closing():
            writer.write(b" ")
            await asyncio.sleep(0.02)

    policy = _single(field)
    server = field.thread.run(asyncio.start_server(drip, "127.0.0.1", 0))
    client = policy.pool.servers[0].client
    dripping = type(client)(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", connect_seconds=1, in_flight=1)
    with pytest.raises(Exception, match=r"no answer within 0.3 s"):
        policy.thread.run(dripping.get("/health", 0.3))
    policy.thread.run(dripping.close())
    server.close()


def test_tokens_after_a_stop_token_are_cut_and_counted(field):
    late = choice(token_ids=[9, STOP, 9, 8], logprobs={"token_logprobs": [-1.0, -2.0, -3.0, -4.0]}, finish_reason="stop")
    field.double(once(late))
    policy = field.policy()
    [sampled] = act(policy, [IDS])
    assert (sampled.ids, sampled.logprobs, sampled.finish) == ([9, STOP], [-1.0, -2.0], "stop")
    assert policy.statistics()["tokens_after_stop"] == 2


def test_a_refusal_is_not_asked_for_again(field):
    double = field.double(always((400, {"error": "bad field"})))
    with pytest.raises(EngineError, match=r"HTTP 400.*bad field"):
        act(field.policy(), [IDS])
    assert len(double.prompts()) == 1


def test_a_server_that_died_is_left_and_comes_back(field):
    one, other = field.double(), field.double()
    policy = field.policy()
    field.thread.run(one.stop())
    assert len(act(policy, [[10 + n] for n in range(6)])) == 6
    assert len(other.prompts()) == 6
    assert policy.statistics()["serving"] == 1
    field.thread.run(one.restart())
    until(lambda: policy.statistics()["serving"] == 2)
    act(policy, [[20 + n] for n in range(6)])
    assert len(one.prompts()) == 3


def test_a_turn_waits_for_a_server_that_restarts(field):
    double = field.double()
    policy = field.policy(attempts=2)
    field.thread.run(double.stop())

    async def main():
        session = policy.session(None)
        turn = asyncio.ensure_future(session.act(IDS, Sampling(max_tokens=4)))
        while policy.statistics()["outages"] == 0:
            await asyncio.sleep(0.005)
        await asyncio.to_thread(field.thread.run, double.restart())
        return await turn

    assert asyncio.run(main()).policy_version == 7


def test_no_server_at_all_is_an_engine_error_that_names_the_reason(field):
    double = field.double()
    policy = field.policy(wait_seconds=0.1)
    field.thread.run(double.stop())
    with pytest.raises(EngineError, match=r"no server for 0\.1 s .*Connect"):
        act(policy, [IDS])
    with pytest.raises(EngineError, match="no server can be reached"):
        field.policy(wait_seconds=0.0)


def test_a_cancelled_turn_frees_its_place(field):
    double = field.double()
    policy = field.policy(in_flight=1)
    double.gate = asyncio.Event()

    async def main():
        session = policy.session(None)
        turn = asyncio.ensure_future(session.act(IDS, Sampling(max_tokens=4)))
        while not double.open:
            await asyncio.sleep(0.005)
        turn.cancel()
        await asyncio.gather(turn, return_exceptions=True)
        await session.close()
        return turn.cancelled()

    assert asyncio.run(main())
    until(lambda: policy.pool.servers[0].in_flight == 0)
    double.gate = None
    assert len(act(policy, [IDS])) == 1


def test_closing_the_policy_fails_what_waits(field):
    double = field.double()
    policy = field.policy()
    double.gate = asyncio.Event()

    async def main():
        turn = asyncio.ensure_future(policy.session(None).act(IDS, Sampling(max_tokens=4)))
        while not double.open:
            await asyncio.sleep(0.005)
        await asyncio.to_thread(policy.close)
        return await turn

    with pytest.raises(EngineError, match="closed"):
        asyncio.run(main())
    with pytest.raises(EngineError, match="closed"):
        act(policy, [IDS])


def test_servers_elsewhere_are_an_exit_for_data_under_an_agreement(field, monkeypatch, tmp_path):
    monkeypatch.setenv("MEDCOPILOT_AGREEMENTS", str(tmp_path / "none.yaml"))
    field.double()
    policy = field.policy()
    view = TaskView(id="t", dataset="mimic_iii", family="sql", question="?")
    policy.session(view)
    policy.local, policy.settings = False, policy.settings.model_copy(update={"urls": ("http://10.0.0.1:8000",)})
    with pytest.raises(AgreementError):
        policy.session(view)


def test_settings_refuse_what_is_no_server(monkeypatch):
    for urls, reason in ((("localhost:8000",), "not a server's address"), (("http://a/v1",), "without /v1"), ((), "at least 1"),
                         (("http://a", "http://a"), "twice")):
        with pytest.raises(ValueError, match=reason):
            ServerSettings(urls=urls)
    four = ServerSettings(urls=tuple(f"http://h{n}:1" for n in range(4)))
    assert four.share(1, 3).urls == ("http://h1:1",)
    assert four.share(0, 3).urls == ("http://h0:1", "http://h3:1")
    assert four.share() == four
    monkeypatch.setenv("WORLD_SIZE", "5")
    with pytest.raises(UserError, match="4 servers for 5 ranks"):
        four.share()


def test_a_served_checkpoint_is_a_policy_by_name(field, tmp_path):
    from medcopilot.policies import load_policy
    from medcopilot.train.model import CheckpointMeta, NanoShape, new_nano, save_checkpoint
    from medcopilot.train.tokenizer import train_tokenizer

    tokenizer = train_tokenizer(["how many patients"] * 9, 300)
    save_checkpoint(new_nano(tokenizer, NanoShape(hidden=16, layers=1, heads=2, feed_forward=16, positions=32), seed=0), tokenizer,
                    tmp_path / "sft", CheckpointMeta(profile="nano", policy_version=5))
    double = field.double()
    policy = field._keep(load_policy(f"served:{tmp_path / 'sft'}@{double.url}"))
    [sampled] = act(policy, [IDS])
    assert (sampled.policy_version, policy.name, policy.local) == (5, "sft", True)
    for spec in ("served:here", f"served:{tmp_path}/none@http://a", f"served:{tmp_path}@http://a/v1", f"served:{tmp_path}@http://a,b"):
        with pytest.raises(UserError, match=r"write served:FOLDER@URL|write it like http"):
            load_policy(spec)
