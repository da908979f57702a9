"""A policy over one or many vLLM servers: token ids in, token ids and logprobs out, over HTTP.

Promises: same sessions, same meaning of logprobs, seeds and versions as the other token policies (temperature applied;
temperature 1 when greedy); a lost, late or wrong answer is asked for again, elsewhere if possible, and then is an `EngineError`;
`update()` gives every server the present weights of the model that it follows and checks that they compute with them.
Does not cover: starting servers (`medcopilot serve`), the parts: `vllm_protocol`, `vllm_pool`, `weight_sync`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Coroutine, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from env.agreement import check, is_loopback
from env.errors import EngineError, UserError
from env.task import TaskKey, TaskView
from medcopilot.policies.base import Sampled, Sampling
from medcopilot.policies.server_settings import ServerSettings
from medcopilot.policies.vllm_pool import Seat, Server, ServerPool, describe
from medcopilot.policies.vllm_protocol import VllmClient
from medcopilot.policies.weight_sync import Scores, Weights, WeightSync

Result = TypeVar("Result")


class LoopThread:
    """An event loop in a thread of its own: connections outlive the callers' loops, and one thread owns all state."""

    def __init__(self, name: str) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name=name, daemon=True)
        self._thread.start()

    def submit(self, work: Coroutine[Any, Any, Result]) -> Future[Result]:
        """Start a coroutine there.

        Raises:
            EngineError: the loop was closed.
        """
        if self.loop.is_closed() or not self._thread.is_alive():
            work.close()
            raise EngineError("the engine is closed")
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run a coroutine there and wait for it."""
        return self.submit(work).result()

    def close(self) -> None:
        """Cancel what runs, stop. Idempotent."""
        if self.loop.is_closed():
            return

        async def stop() -> None:
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        self.run(stop())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(timeout=30)
        self.loop.close()


class ServerSession:
    """One episode (a `TokenSession`); stays at its server."""

    kind: ClassVar[str] = "token"

    def __init__(self, thread: LoopThread, pool: ServerPool, stops: list[int]) -> None:
        self._thread, self._pool, self._stops = thread, pool, stops
        self._seat = Seat()

    @property
    def context(self) -> int:
        """Tokens of a whole conversation that every server can hold; without a bound until one has said so."""
        return min((server.max_length for server in self._pool.servers if server.max_length), default=2**31 - 1)

    async def act(self, ids: list[int], sampling: Sampling) -> Sampled:
        """Sample one turn after `ids`.

        Raises:
            EngineError: no server gave a usable answer, or `ids` leave no room in the model's context.
        """
        work = self._thread.submit(self._pool.complete(self._seat, list(ids), sampling, self._stops))
        try:
            return await asyncio.wrap_future(work)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and not task.cancelling():  # not ours: the policy was closed under the request
                raise EngineError("the engine was closed") from None
            raise

    async def close(self) -> None:
        """Leave the server."""
        with contextlib.suppress(RuntimeError):  # the policy is closed
            self._thread.loop.call_soon_threadsafe(self._pool.leave, self._seat)


class VllmServerPolicy:
    """Token policy; see `medcopilot.policies.base.Policy`.

    Args:
        settings: servers and how they are used.
        stops: ids that end a turn.
        version: of the weights that the servers hold already (`sync` none).
        licences: dataset -> licence tag, for the agreement gate of servers elsewhere.

    Raises:
        UserError: a server was not started for this kind of sync, or the key is missing.
        EngineError: no server can be reached.
    """

    needs_privileged = False

    def __init__(self, settings: ServerSettings, stops: list[int], tokenizer: Any, renderer: Any, name: str = "vllm_server",
                 version: int = 0, *, digest: str = "", licences: Mapping[str, str] | None = None) -> None:
        self.settings, self.stops, self.tokenizer, self.renderer = settings, stops, tokenizer, renderer
        self.name, self.version = name, version
        self.local = all(is_loopback(url) for url in settings.urls)
        self._about = {"digest": digest}
        self._licences = dict(licences or {})
        self._sync_metrics: dict[str, float] = {}
        self._one_update = threading.Lock()
        self._model: Any = None
        self._weights: Weights | None = None
        self._scores: Scores | None = None
        key = os.environ.get(settings.api_key_env, "") if settings.api_key_env else ""
        if settings.api_key_env and not key:
            raise UserError(f"engine.servers.api_key_env: the environment variable {settings.api_key_env} is not set")
        clients = [VllmClient(url, connect_seconds=settings.connect_seconds, in_flight=settings.in_flight, key=key)
                   for url in settings.urls]
        known = version if settings.sync == "none" else None
        self.weight_sync = WeightSync(settings, renderer)
        self.pool = ServerPool([Server(client, version=known) for client in clients], settings, self.weight_sync.restore)
        self.weight_sync.pool = self.pool
        self.thread = LoopThread(f"servers-{name}")
        try:
            self.thread.run(self.weight_sync.connect())
        except BaseException:
            self.close()
            raise

    @classmethod
    def from_checkpoint(cls, folder: Path | str, settings: ServerSettings, **options: Any) -> VllmServerPolicy:
        """The policy of servers that serve a checkpoint folder already, whose tokenizer is read here.

        Raises:
            UserError: no such folder, or no tokenizer in it.
        """
        from medcopilot.agent.render import ChatRenderer
        from medcopilot.policies.vllm_offline import declared_stops
        from medcopilot.train.model import checkpoint_digest, read_meta
        from medcopilot.train.tokenizer import load_tokenizer

        folder = Path(folder)
        tokenizer = load_tokenizer(folder)
        about = {"name": folder.name, "version": read_meta(folder).policy_version, "digest": checkpoint_digest(folder)}
        return cls(settings, declared_stops(folder, tokenizer), tokenizer, ChatRenderer(tokenizer), **about | options)

    @classmethod
    def from_model(cls, model: Any, tokenizer: Any, renderer: Any, settings: ServerSettings, *, weights: Weights | None = None,
                   scores: Scores | None = None, **options: Any) -> VllmServerPolicy:
        """The policy of a model under training; its present weights are given to the servers at once.

        Args:
            weights, scores: see `follow`.
        """
        from medcopilot.policies.transformers_engine import stop_ids

        policy = cls(settings, stop_ids(model, tokenizer), tokenizer, renderer, **options)
        try:
            policy.follow(model, weights, scores)
            policy.update(policy.version)
        except BaseException:
            policy.close()
            raise
        return policy

    def follow(self, model: Any, weights: Weights | None = None, scores: Scores | None = None) -> None:
        """From now on `update()` sends this model's weights.

        Args:
            model: scores the probe batch; its parameters are sent, or its LoRA adapter.
            weights: yields `(name, tensor)` of all weights as in a checkpoint, where `model` does not hold them whole; with `sync`
                lora the adapter's.
            scores: scores rows of ids under the trained weights, where `model` cannot.
        """
        self._model, self._weights, self._scores = model, weights, scores

    def session(self, view: TaskView | None, privileged: TaskKey | None = None) -> ServerSession:
        """A session for one episode.

        Raises:
            AgreementError: the dataset is under an agreement, and a server is elsewhere.
        """
        if view is not None and not self.local:
            for url in self.settings.urls:
                check("endpoint", [(view.dataset, self._licences.get(view.dataset, ""))], url=url)
        return ServerSession(self.thread, self.pool, self.stops)

    def update(self, version: int | None = None) -> int:
        """Give the servers the followed model's present weights. Returns their version.

        Raises:
            UserError: nothing is followed, or `sync` is none.
            EngineError: not one server could be given them.
        """
        if self._model is None or self.settings.sync == "none":
            raise UserError("engine.servers.sync is none: these servers' weights cannot change; choose gloo, nccl, file, reload or "
                            "lora, and follow a model")
        with self._one_update:
            fresh = self.version + 1 if version is None else version
            package = self.weight_sync.prepare(self._model, fresh, self._weights, self._scores)
            self._sync_metrics = self.thread.run(self.weight_sync.spread(package))
            self.version = fresh
        return fresh

    def close(self) -> None:
        """Close all connections. Idempotent."""
        if not self.thread.loop.is_closed():
            self.thread.run(self.pool.close())
            self.thread.close()
        self.weight_sync.close()

    def statistics(self) -> dict[str, int]:
        """Counts since the start: turns, retries, outages, failed syncs, ids cut off after a stop token; servers in use."""
        counts = self.pool.counts
        names = ("turns", "retries", "outages", "failed_syncs", "tokens_after_stop")
        return {**{name: counts[name] for name in names}, "serving": sum(server.serving for server in self.pool.servers)}

    def metrics(self) -> dict[str, float]:
        """What a training step logs: the last sync's figures, and the counts."""
        return {**self._sync_metrics, **{f"engine/{name}": float(value) for name, value in self.statistics().items()}}

    def describe(self) -> dict[str, Any]:
        """What goes into the run's record."""
        return {"kind": "vllm_server", "name": self.name, "version": self.version, "sync": self.settings.sync,
                "servers": describe(self.pool.servers), **self._about}
