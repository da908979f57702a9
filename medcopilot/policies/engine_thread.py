"""One thread that owns an engine, and the sessions through which coroutines reach it.

Promises: any number of coroutines may await `act` at once; the engine sees plain calls from one thread only; a request whose
coroutine was cancelled is dropped; weights change between requests, so every turn is sampled by exactly one policy version;
a failure of the engine reaches every waiting coroutine as `EngineError` and is never taken for an answer.
Does not cover: what an engine does in a step (`slot_engine`, `generate_engine`, `vllm_offline`).
"""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, ClassVar, Protocol

from env.errors import EngineError
from env.task import TaskKey, TaskView
from medcopilot.policies.base import Sampled, Sampling


class StepEngine(Protocol):
    """Something that serves many requests by steps. Only the engine's thread calls it."""

    def add(self, ticket: int, session: int, ids: list[int], sampling: Sampling) -> None:
        """Queue a request; ValueError refuses it."""

    def step(self) -> list[tuple[int, Sampled]]:
        """Advance everything a little; the requests that finished."""

    def pending(self) -> int:
        """Number of unfinished requests."""

    def cancel(self, ticket: int) -> None:
        """Drop a request."""

    def forget(self, session: int) -> None:
        """A conversation is over."""

    def refresh(self, version: int) -> None:
        """Serve the model's present weights under this version."""


class EngineThread:
    """Runs one engine until `close`. `build` is called in the thread, so that the engine never changes threads."""

    def __init__(self, build: Callable[[], StepEngine], name: str = "engine") -> None:
        self._build = build
        self._wake = threading.Condition()
        self._requests: list[tuple[int, int, list[int], Sampling]] = []
        self._cancelled: list[int] = []
        self._forgotten: list[int] = []
        self._orders: list[tuple[Callable[[StepEngine], Any], Future[Any]]] = []
        self._futures: dict[int, Future[Sampled]] = {}
        self._tickets = itertools.count()
        self._sessions = itertools.count()
        self._closing = False
        self._broken: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def new_session(self) -> int:
        """A number that no other session has."""
        return next(self._sessions)

    def submit(self, session: int, ids: list[int], sampling: Sampling) -> tuple[int, Future[Sampled]]:
        """Queue a request from any thread; its ticket (for `cancel`) and its result."""
        with self._wake:
            self._check()
            ticket = next(self._tickets)
            future: Future[Sampled] = Future()
            self._futures[ticket] = future
            self._requests.append((ticket, session, ids, sampling))
            self._wake.notify()
        return ticket, future

    def cancel(self, ticket: int) -> None:
        """Drop a request from any thread."""
        with self._wake:
            self._futures.pop(ticket, None)
            self._cancelled.append(ticket)
            self._wake.notify()

    def forget(self, session: int) -> None:
        """A conversation is over; from any thread."""
        with self._wake:
            self._forgotten.append(session)

    def order(self, command: Callable[[StepEngine], Any], timeout: float = 300.0) -> Any:
        """Run `command(engine)` in the thread once no request is in flight, and wait for its result.

        Raises:
            EngineError: the engine is broken, or busy for longer than `timeout` seconds.
        """
        with self._wake:
            self._check()
            future: Future[Any] = Future()
            self._orders.append((command, future))
            self._wake.notify()
        try:
            return future.result(timeout)
        except TimeoutError:
            raise EngineError(f"the engine stayed busy for {timeout:.0f} s") from None

    def close(self) -> None:
        """Stop the thread; what is in flight fails with `EngineError`. Idempotent."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout=30)

    def _check(self) -> None:
        if self._broken is not None:
            raise EngineError(f"the engine failed: {type(self._broken).__name__}: {self._broken}")
        if self._closing:
            raise EngineError("the engine is closed")

    def _run(self) -> None:
        try:
            engine = self._build()
            while self._turn(engine):
                pass
        except BaseException as error:
            self._broken = error
        with self._wake:
            waiting = [*self._futures.values(), *(future for _, future in self._orders)]
            self._futures.clear()
            self._orders.clear()
            self._closing = True
        reason = f"{type(self._broken).__name__}: {self._broken}" if self._broken else "it was closed"
        for future in waiting:
            if not future.done():
                future.set_exception(EngineError(f"the engine stopped: {reason}"))

    def _turn(self, engine: StepEngine) -> bool:
        """Take in what arrived, advance by one step. False when closing."""
        with self._wake:
            while not (self._closing or self._requests or self._orders or self._cancelled or engine.pending()):
                self._wake.wait()
            if self._closing:
                return False
            hold = bool(self._orders)  # drain before an order: no request straddles two sets of weights
            requests, self._requests = ([], self._requests) if hold else (self._requests, [])
            cancelled, self._cancelled = self._cancelled, []
            forgotten, self._forgotten = self._forgotten, []
        for request in requests:
            self._add(engine, request)
        for ticket in cancelled:
            engine.cancel(ticket)
        for session in forgotten:
            engine.forget(session)
        if engine.pending():
            for ticket, sampled in engine.step():
                self._finish(ticket, sampled)
        elif hold:
            self._obey(engine)
        return True

    def _add(self, engine: StepEngine, request: tuple[int, int, list[int], Sampling]) -> None:
        try:
            engine.add(*request)
        except ValueError as error:
            with self._wake:
                future = self._futures.pop(request[0], None)
            if future is not None:
                future.set_exception(EngineError(str(error)))

    def _finish(self, ticket: int, sampled: Sampled) -> None:
        with self._wake:
            future = self._futures.pop(ticket, None)
        if future is not None and not future.cancelled():
            future.set_result(sampled)

    def _obey(self, engine: StepEngine) -> None:
        with self._wake:
            orders, self._orders = self._orders, []
        for command, future in orders:
            try:
                future.set_result(command(engine))
            except Exception as error:
                future.set_exception(error)


class EngineSession:
    """One episode's line to the engine (a `TokenSession`)."""

    kind: ClassVar[str] = "token"

    def __init__(self, thread: EngineThread, context: int) -> None:
        self.context = context
        self._thread = thread
        self._number = thread.new_session()

    async def act(self, ids: list[int], sampling: Sampling) -> Sampled:
        """Sample one turn after `ids`.

        Raises:
            EngineError: the engine failed, or `ids` leave no room in the model's context.
        """
        ticket, future = self._thread.submit(self._number, ids, sampling)
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            self._thread.cancel(ticket)
            raise

    async def close(self) -> None:
        """Give the cache slot back."""
        self._thread.forget(self._number)


class EnginePolicy:
    """What all token policies with an engine thread share; see `medcopilot.policies.base.Policy`."""

    needs_privileged = False
    local = True

    def __init__(self, thread: EngineThread, version: int, context: int) -> None:
        self.thread = thread
        self.version = version
        self.context = context
        """Tokens of a whole conversation that the model can hold."""

    def session(self, view: TaskView, privileged: TaskKey | None = None) -> EngineSession:
        """A session for one episode."""
        return EngineSession(self.thread, self.context)

    def update(self, version: int | None = None) -> int:
        """Serve the followed model's present weights; waits until nothing is in flight. Returns the new version."""
        fresh = self.version + 1 if version is None else version
        self.thread.order(lambda engine: engine.refresh(fresh))
        self.version = fresh
        return fresh

    def metrics(self) -> dict[str, float]:
        """What a training step logs of its engine; nothing by default."""
        return {}

    def close(self) -> None:
        """Stop the engine thread."""
        self.thread.close()
