"""What an endpoint can do wrong, over a real socket, and which of the four ends it has: tried again and masked, refused, scored, or
the user's."""

from __future__ import annotations

import json
import os
import socket
import struct
import threading
from http.server import BaseHTTPRequestHandler

import pytest
from endpoint_double import GOOD, Misbehave, quick, say, serve

from env.errors import AgreementError, EngineError, SandboxUnavailable, UserError
from env.gym import Gym
from env.task import Limits, Task, TaskKey, TaskView, make_task
from medcopilot.policies.base import ChatReply, ContextFull
from medcopilot.rollout.engine import RolloutEngine
from medcopilot.rollout.jobs import Job
from medcopilot.trace import Trace


def half_a_reply(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(GOOD)))
    handler.end_headers()
    handler.wfile.write(GOOD[: len(GOOD) // 2].encode())


def reset(handler: BaseHTTPRequestHandler) -> None:
    half_a_reply(handler)
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    os.close(handler.connection.detach())


def hang_up(handler: BaseHTTPRequestHandler) -> None:
    """Without a word."""
    handler.close_connection = True


def no_http(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"220 mail.example.com ESMTP\r\n")


def dripping(release: threading.Event) -> Misbehave:
    """Bytes that never end, each well within any wait for the next one."""
    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000000")
        handler.end_headers()
        while not release.wait(0.01):
            handler.wfile.write(b" ")

    return Misbehave(drip)


def stuck(release: threading.Event) -> Misbehave:
    """Half a reply, and then nothing."""
    def stick(handler: BaseHTTPRequestHandler) -> None:
        half_a_reply(handler)
        release.wait(10)

    return Misbehave(stick)


@pytest.mark.parametrize("act", [half_a_reply, reset, hang_up, no_http])
def test_a_broken_reply_is_asked_for_again_and_never_taken_for_one(act):
    with serve(Misbehave(act), (200, {}, GOOD)) as server:
        assert say(quick(server.url)).text == "3"
        assert len(server.seen) == 2
    with serve(Misbehave(act)) as server, pytest.raises(EngineError, match="gave up after 2 tries"):
        say(quick(server.url, max_retries=1))


@pytest.mark.parametrize("kind", [dripping, stuck])
def test_a_reply_is_whole_in_time_or_asked_for_again(kind):
    release = threading.Event()
    with serve(kind(release), (200, {}, GOOD)) as server:
        # many tries: on a busy machine a good reply may need more than one, too
        assert say(quick(server.url, timeout=0.3, max_retries=50)).text == "3"
        release.set()
    release.clear()
    with serve(kind(release)) as server:
        with pytest.raises(EngineError, match=r"no reply within 0\.1 s"):
            say(quick(server.url, timeout=0.1, max_retries=0))
        release.set()


def test_nothing_is_streamed_and_a_stream_is_no_reply():
    events = 'data: {"choices": [{"delta": {"content": "3"}}]}\n\ndata: [DONE]\n\n'
    with serve((200, {"Content-Type": "text/event-stream"}, events)) as server:
        with pytest.raises(EngineError, match="unreadable reply"):
            say(quick(server.url, max_retries=0))
        assert not server.seen[0].get("stream")


def reply(message: dict, finish: str = "stop", **rest) -> tuple[int, dict[str, str], str]:
    return 200, {}, json.dumps({"choices": [{"message": message, "finish_reason": finish}], **rest})


@pytest.mark.parametrize(("answer", "expected"), [
    (reply({"content": "3"}), ChatReply(text="3")),
    (reply({"content": "3"}, usage=None), ChatReply(text="3")),
    (reply({"content": "3"}, usage={"prompt_tokens": 5}), ChatReply(text="3", prompt_tokens=5)),
    (reply({"content": "half an act"}, "length"), ChatReply(text="half an act")),
    (reply({"content": None, "reasoning_content": "I think"}, "length"), ChatReply(text="")),
    (reply({"content": None, "reasoning": "I think"}, "length"), ChatReply(text="")),
    (reply({"content": "3", "reasoning_content": "I think"}), ChatReply(text="3")),
    (reply({"content": "", "tool_calls": []}), ChatReply(text="")),
    (reply({"role": "assistant"}, "content_filter"), ChatReply(text=""))])
def test_what_a_model_said_is_taken_as_it_is_and_missing_usage_is_unknown(answer, expected):
    with serve(answer) as server:
        assert say(quick(server.url)) == expected
        assert len(server.seen) == 1


TOO_LONG = [
    (400, "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens."),  # OpenAI, vLLM
    (400, '{"error": {"code": "context_length_exceeded", "message": "Please reduce the length of the messages."}}'),  # Groq
    (400, "The decoder prompt (length 9000) is longer than the maximum model length of 8192."),  # vLLM
    (400, "The input (9000 tokens) is longer than the model's context length (8192 tokens)."),  # SGLang
    (400, "prompt is too long: 210000 tokens > 200000 maximum"),  # Anthropic
    (400, "input length and `max_tokens` exceed context limit: 190000 + 21333 > 200000"),  # Anthropic
    (400, '[{"error": {"message": "The input token count (1200293) exceeds the maximum number of tokens allowed (1048576)."}}]'),
    (400, "This model's maximum prompt length is 131072 but the request contains 150000 tokens."),  # xAI
    (400, "Input is too long for requested model."),  # Bedrock
    (400, "request (4390 tokens) exceeds the available context size (4096 tokens), try increasing it"),  # llama.cpp
    (500, '{"error": {"code": 500, "message": "Context size has been exceeded.", "type": "server_error"}}'),  # llama.cpp
    (422, "Input validation error: `inputs` must have less than 4096 tokens. Given: 4545"),  # TGI
    (422, "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 2048. Given: 1244 `inputs` tokens"),  # TGI
    (413, "Prompt contains 40000 tokens, too large for model with 32768 maximum context length"),  # Mistral
]


@pytest.mark.parametrize(("status", "body"), TOO_LONG)
def test_a_conversation_that_is_too_long_is_known_by_many_wordings(status, body):
    with serve((status, {}, body)) as server:
        with pytest.raises(ContextFull):
            say(quick(server.url))
        assert len(server.seen) == 1


@pytest.mark.parametrize(("status", "body", "tries"), [
    (400, "Input validation error: `max_new_tokens` must be <= 192", 1), (429, "too many tokens per minute", 3),
    (500, "internal error", 3), (400, "seed is not supported", 1), (402, "no credit is left", 1)])
def test_other_refusals_are_not_taken_for_a_long_conversation(status, body, tries):
    with serve((status, {}, body)) as server:
        with pytest.raises(EngineError):
            say(quick(server.url))
        assert len(server.seen) == tries


def test_the_agreement_gate_stands_before_the_socket(monkeypatch, tmp_path):
    record = tmp_path / "agreements.yaml"
    for name, value in {"MEDCOPILOT_AGREEMENTS": str(record), "OPENAI_API_KEY": "k", "NO_PROXY": "*"}.items():
        monkeypatch.setenv(name, value)
    with serve((200, {}, GOOD)) as server:
        elsewhere = server.url.replace("127.0.0.1", "0.0.0.0")  # no loopback address, and yet answered by this server
        policy = quick(elsewhere, licences={"d": "PhysioNet-credentialed"})
        with pytest.raises(AgreementError, match="must not leave this machine through 'endpoint'"):
            say(policy)
        assert server.seen == []
        record.write_text("- {dataset: d, exit: endpoint, allowed: true, who: Jane Doe, date: 2026-11-03}\n")
        assert say(policy).text == "3"


class NoBoxes:
    name = tier = "none"

    def open(self, spec):
        raise SandboxUnavailable("no program is run here")

    def describe(self):
        return {}

    def close(self):
        pass


def a_task() -> Task:
    view = TaskView(dataset="d", family="calc", question="How many?", limits=Limits(turns=2, context_tokens=100))
    return make_task(view, TaskKey(reference=42, grader="medcalc"), seed=0, category="c", template="t", split="test", slice="seen",
                     cluster="t/0", licence="synthetic")


def play(url: str) -> Trace:
    traces: list[Trace] = []
    engine = RolloutEngine(quick(url, max_retries=1), Gym(NoBoxes()), concurrency=1, box_threads=1, retries=1)
    try:
        engine.run_sync([Job(a_task())], traces.append)
    finally:
        engine.close()
    return traces[0]


SUBMIT = '{"action": "submit", "params": {"answer": 42}}'


def test_an_endpoint_that_recovers_costs_nothing():
    with serve((503, {"Retry-After": "0"}, ""), Misbehave(reset), (429, {}, ""), reply({"content": SUBMIT})) as server:
        trace = play(server.url)
        assert len(server.seen) == 4  # two tries, and the whole episode again
    assert (trace.stop, trace.success, trace.error) == ("submit", True, "")
    assert (trace.prompt_tokens, trace.completion_tokens) == (None, None)


def test_usage_that_is_missing_once_leaves_the_sum_unknown():
    look = '{"action": "request_info"}'
    whole, cut = {"prompt_tokens": 10, "completion_tokens": 2}, {"prompt_tokens": 20}
    with serve(reply({"content": look}, usage=whole), reply({"content": SUBMIT}, usage=cut)) as server:
        trace = play(server.url)
    assert (trace.success, trace.prompt_tokens, trace.completion_tokens) == (True, 30, None)
    with serve(reply({"content": look}), reply({"content": SUBMIT}, usage=whole)) as server:
        trace = play(server.url)
    assert (trace.success, trace.prompt_tokens, trace.completion_tokens) == (True, None, None)


def test_trouble_that_lasts_is_masked():
    with serve((500, {}, "oops")) as server:
        trace = play(server.url)
        assert len(server.seen) == 4
    assert (trace.stop, trace.graded) == ("infrastructure", False)
    assert trace.error.startswith("EngineError: openai:m: gave up after 2 tries: HTTP 500")


def test_the_agents_own_limits_are_scored():
    with serve((400, {}, TOO_LONG[0][1])) as server:
        trace = play(server.url)
    assert (trace.stop, trace.graded, trace.success) == ("context", True, False)
    thinking = {"content": None, "reasoning_content": SUBMIT}
    with serve(reply({"content": SUBMIT[:20]}, "length"), reply(thinking, "length")) as server:
        trace = play(server.url)
    assert (trace.stop, trace.graded, trace.success) == ("turns", True, False)
    assert [turn.problem for turn in trace.turns] == ["format", "format"]
    with serve(reply({"content": SUBMIT}, usage={"prompt_tokens": 90, "completion_tokens": 10})) as server:
        assert play(server.url).success  # said in time, though nothing more would fit


def test_a_wrong_key_ends_the_run():
    with serve((401, {}, "no")) as server, pytest.raises(UserError, match="check OPENAI_API_KEY"):
        play(server.url)
