"""Many vLLM servers as one: who answers the next turn.

Promises: a session stays with its server (its prefix cache) until that server fails; a new one goes where the fewest are; at most
`in_flight` requests are open per server; a server that fails takes no request until it is healthy and is known to hold the
weights of the pool's version; every turn is sampled under exactly one version, whose number it carries; no turn waits for ever.
Does not cover: how weights get there (`weight_sync`). Everything here runs in one event loop.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from env.errors import EngineError
from medcopilot.policies.base import Sampled, Sampling
from medcopilot.policies.server_settings import ServerSettings
from medcopilot.policies.vllm_protocol import Refused, TryElsewhere, VllmClient, completion_body, read_completion

LOOK_SECONDS = 10.0
"""Longest wait between two looks at a server that failed; also the deadline of a look."""


@dataclass(eq=False)
class Server:
    """One server, and what is known of it."""

    client: VllmClient
    model: str = ""
    """Name that requests ask for; the adapter's where weights are synced as adapters."""
    version: int | None = None
    """Of the weights that it holds; None: not known."""
    tag: str | None = None
    """What `/weight_info` must say for that; None: the server's weights never change, or are named by `model`."""
    max_length: int = 0
    dtype: str = ""
    """In which it computes; empty: it does not say."""
    epoch: int = 0
    """Grows when its weights are replaced, or found to have been."""
    serving: bool = False
    seats: int = 0
    """Sessions that stay here."""
    in_flight: int = 0
    failures: int = 0
    """In a row."""
    lost: str = "not looked at yet"
    """Why it is not serving."""
    busy: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while weights are loaded or looked at."""

    @property
    def url(self) -> str:
        """Its address."""
        return self.client.url


@dataclass(eq=False)
class Seat:
    """Where a session sits."""

    server: Server | None = None


class ServerPool:
    """Routes turns to servers.

    Args:
        restore: is called for a healthy server that failed before; says whether it holds the weights of the pool's version now.
    """

    def __init__(self, servers: list[Server], settings: ServerSettings, restore: Callable[[Server], Awaitable[bool]]) -> None:
        self.servers = servers
        self.settings = settings
        self.counts: Counter[str] = Counter()
        self._restore = restore
        self._open = True
        self._changed = asyncio.Condition()
        self._watches: dict[Server, asyncio.Task[None]] = {}

    async def complete(self, seat: Seat, ids: list[int], sampling: Sampling, stops: list[int]) -> Sampled:
        """One turn.

        Raises:
            EngineError: no usable answer after all attempts, no server for `wait_seconds`, or `ids` leave no room.
        """
        tried: set[Server] = set()
        settings = self.settings
        for attempt in range(settings.attempts):
            server = await self._enter(seat, tried)
            try:
                sampled = await self._ask(server, ids, sampling, stops)
                server.failures = 0
                return sampled
            except TryElsewhere as failure:
                reason = failure
                self.counts["retries"] += 1
                self.leave(seat)
                tried.add(server)
                server.failures += 1
                if failure.down or failure.forgot:
                    self.take_out(server, str(failure), forgot=failure.forgot)
            finally:
                server.in_flight -= 1
                await self._wake()
            if attempt + 1 < settings.attempts:
                await asyncio.sleep(settings.backoff_seconds * 2**attempt)
        raise EngineError(f"no usable answer after {settings.attempts} attempts: {reason}")

    def leave(self, seat: Seat) -> None:
        """The session gives up its server."""
        if seat.server is not None:
            seat.server.seats -= 1
            seat.server = None

    def take_out(self, server: Server, reason: str, *, forgot: bool = False) -> None:
        """Send nothing more there until it has been looked at."""
        if forgot:
            server.version = None
            server.epoch += 1
        self.counts["outages"] += server.serving
        server.serving, server.lost = False, reason
        self.watch(server)

    def watch(self, server: Server) -> None:
        """Look at a server until it serves again."""
        if server not in self._watches:
            task = self._watches[server] = asyncio.ensure_future(self._bring_back(server))
            task.add_done_callback(lambda _: self._watches.pop(server))

    @asynccontextmanager
    async def closed(self, *, drain: bool) -> AsyncIterator[None]:
        """No request starts inside. `drain`: wait first until none is in flight (each has its own deadline)."""
        self._open = not drain
        try:
            async with self._changed:
                await self._changed.wait_for(lambda: not drain or not any(server.in_flight for server in self.servers))
            yield
        finally:
            self._open = True
            await self._wake()

    async def readmit(self, server: Server) -> None:
        """The server is healthy and holds the weights of its version."""
        server.serving, server.lost, server.failures = True, "", 0
        await self._wake()

    async def close(self) -> None:
        """Stop looking at servers, close all connections."""
        watches = list(self._watches.values())
        for task in watches:
            task.cancel()
        await asyncio.gather(*watches, return_exceptions=True)
        for server in self.servers:
            await server.client.close()

    def reasons(self) -> str:
        """Why servers are not serving, for an error message."""
        return "; ".join(f"{server.url}: {server.lost}" for server in self.servers if not server.serving)

    async def _enter(self, seat: Seat, tried: set[Server]) -> Server:
        """Wait for a place at the session's server, or at another when that one fails."""
        patience = time.monotonic() + self.settings.wait_seconds
        async with self._changed:
            while True:
                server = self._seat(seat, tried)
                if server is not None and self._open and server.in_flight < self.settings.in_flight:
                    server.in_flight += 1
                    return server
                if server is not None or not self._open:
                    await self._changed.wait()
                    patience = time.monotonic() + self.settings.wait_seconds
                    continue
                try:
                    async with asyncio.timeout_at(asyncio.get_running_loop().time() + patience - time.monotonic()):
                        await self._changed.wait()
                except TimeoutError:
                    raise EngineError(f"no server for {self.settings.wait_seconds:g} s ({self.reasons()})") from None

    def _seat(self, seat: Seat, tried: set[Server]) -> Server | None:
        """The session's server, chosen anew when it has none that serves."""
        if seat.server is not None and seat.server.serving:
            return seat.server
        self.leave(seat)
        able = [server for server in self.servers if server.serving]
        able = [server for server in able if server not in tried] or able
        if able:
            seat.server = min(able, key=lambda server: (server.failures > 0, server.seats, server.in_flight))
            seat.server.seats += 1
        return seat.server

    async def _ask(self, server: Server, ids: list[int], sampling: Sampling, stops: list[int]) -> Sampled:
        body = completion_body(server.model, ids, sampling, stops, server.max_length)
        version, epoch, seconds = server.version, server.epoch, self.settings.turn_seconds
        fresh: list[bool] = []
        if version is None:
            raise TryElsewhere(f"{server.url} holds unknown weights", forgot=True)
        try:
            answer = await server.client.call("POST", "/v1/completions", body, seconds, fresh)
        except Refused as refusal:
            if refusal.status == 404:  # the adapter is gone, and with it the server's memory
                raise TryElsewhere(str(refusal), forgot=True) from refusal
            raise
        if fresh and server.tag is not None:
            await self.check_tag(server)
        if server.epoch != epoch:
            raise TryElsewhere(f"{server.url} got other weights while it answered")
        sampled, logprobs, cut = read_completion(answer, ids, stops, body["max_tokens"])
        self.counts["turns"] += 1
        self.counts["tokens_after_stop"] += cut
        finish = "stop" if sampled[-1] in stops else "length"
        return Sampled(ids=sampled, logprobs=logprobs, finish=finish, policy_version=version)

    async def check_tag(self, server: Server) -> None:
        """Ask a server which weights it holds.

        Raises:
            TryElsewhere: others than those that it was given, or it does not say.
        """
        told = await server.client.get("/weight_info", min(LOOK_SECONDS, self.settings.turn_seconds))
        held = told.get("weight_version") if isinstance(told, dict) else None
        if held != server.tag:
            raise TryElsewhere(f"{server.url} holds weights {held!r} instead of {server.tag!r}: it was restarted", forgot=True)

    async def _bring_back(self, server: Server) -> None:
        wait = min(0.2, LOOK_SECONDS)
        while not server.serving:
            try:
                if self._open:
                    await server.client.get("/health", min(LOOK_SECONDS, self.settings.turn_seconds))
                    if await self._restore(server):
                        await self.readmit(server)
                        return
            except (TryElsewhere, EngineError) as failure:
                server.lost = str(failure)
            await asyncio.sleep(wait)
            wait = min(wait * 2, LOOK_SECONDS)

    async def _wake(self) -> None:
        async with self._changed:
            self._changed.notify_all()


def describe(servers: list[Server]) -> list[dict[str, Any]]:
    """Plain data about each server."""
    return [{"url": server.url, "version": server.version, "serving": server.serving, "max_length": server.max_length,
             **({"lost": server.lost} if server.lost else {})} for server in servers]
