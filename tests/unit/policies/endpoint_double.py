"""An OpenAI-compatible endpoint on a real socket that answers, refuses and misbehaves as it is told."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from env.task import TaskView
from medcopilot.policies.base import ChatReply, Sampling
from medcopilot.policies.openai_api import OpenAIPolicy

VIEW = TaskView(id="t", dataset="d", family="sql", question="How many?")
MESSAGES = [{"role": "user", "content": "How many?"}]
GOOD = json.dumps({"choices": [{"message": {"role": "assistant", "content": "3"}, "finish_reason": "stop"}],
                   "usage": {"prompt_tokens": 11, "completion_tokens": 2}})
Reply = tuple[int, dict[str, str], str]


class Misbehave:
    """A reply of its own making."""

    def __init__(self, act: Callable[[BaseHTTPRequestHandler], object]) -> None:
        self.act = act


class Server:
    """Answers each request with the next reply (the last one forever) and keeps what it was sent."""

    def __init__(self, replies: list[Any]) -> None:
        self.replies, self.seen, self.headers, self.paths = replies, [], [], []
        self.url = ""

    def next(self) -> Any:
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        return reply() if callable(reply) else reply


@contextmanager
def serve(*replies: Reply | Misbehave | Callable[[], Reply]) -> Iterator[Server]:
    server = Server(list(replies))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            server.seen.append(json.loads(body))
            server.headers.append(dict(self.headers))
            server.paths.append(self.path)
            reply = server.next()
            try:
                if isinstance(reply, Misbehave):
                    reply.act(self)
                    return
                status, headers, text = reply
                self.send_response(status)
                length = str(len(text.encode()))
                for name, value in {"Content-Type": "application/json", "Content-Length": length, **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(text.encode())
            except OSError:
                pass  # the client gave up waiting

        def log_message(self, *args: Any) -> None:
            """Quiet."""

    class Listener(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 64

    listener = Listener(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    server.url = f"http://127.0.0.1:{listener.server_port}/v1"
    try:
        yield server
    finally:
        listener.shutdown()
        listener.server_close()
        thread.join()


def say(policy: OpenAIPolicy, sampling: Sampling | None = None, turns: int = 1) -> ChatReply:
    async def talk() -> ChatReply:
        session = policy.session(VIEW)
        try:
            for _ in range(turns):
                reply = await session.act(MESSAGES, sampling or Sampling())
            return reply
        finally:
            await session.close()

    return asyncio.run(talk())


def quick(url: str, **options: Any) -> OpenAIPolicy:
    return OpenAIPolicy(url, "m", **{"backoff": 0.0, "max_retries": 2, "timeout": 5.0, **options})
