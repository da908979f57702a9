"""Continuous batching over the slots of a `KvDecoder`.

Promises: a request joins the batch at the next step and leaves it when it ends; only tokens beyond the longest prefix that
is already cached are computed (the conversation's own slot, or a copy from another slot: the rollouts of one task share their
prompt); a conversation keeps its slot while slots suffice, and one that lost it is computed again, never refused.
Does not cover: threads and futures (`engine_thread`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container
from dataclasses import dataclass, field

import numpy as np
import torch

from medcopilot.policies.base import Sampled, Sampling
from medcopilot.policies.kv_decoder import KvDecoder, Piece
from medcopilot.policies.sampler import choose, uniforms

WORTH_COPYING = 8
"""Tokens that a copy from another slot must save."""


@dataclass
class Slot:
    """One row of the cache."""

    session: int | None = None
    held: bytes = b""
    """The ids whose keys and values are cached, 4 bytes each."""
    busy: bool = False
    used: int = 0


@dataclass
class Work:
    """One request being served."""

    ticket: int
    session: int
    ids: list[int]
    key: bytes
    sampling: Sampling
    slot: int = -1
    out: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)


def as_key(ids: list[int]) -> bytes:
    """Ids as bytes, 4 each: prefixes compare at memory speed."""
    return np.array(ids, dtype=np.int32).tobytes()


def shared_prefix(one: bytes, other: bytes) -> int:
    """Number of ids that both begin with."""
    low, high = 0, min(len(one), len(other)) // 4
    if one[: 4 * high] == other[: 4 * high]:
        return high
    while low < high - 1:  # the first `low` agree, the first `high` do not
        middle = (low + high) // 2
        if one[4 * low: 4 * middle] == other[4 * low: 4 * middle]:
            low = middle
        else:
            high = middle
    return low


class SlotEngine:
    """Scheduler and sampler. One thread calls it."""

    def __init__(self, decoder: KvDecoder, stops: Container[int], max_length: int) -> None:
        self.decoder = decoder
        self.stops = stops
        self.max_length = max_length
        self.version = 0
        self._slots = [Slot() for _ in range(decoder.slots)]
        self._waiting: deque[Work] = deque()
        self._active: list[Work] = []
        self._clock = 0
        self.computed_tokens = 0
        self.reused_tokens = 0

    def add(self, ticket: int, session: int, ids: list[int], sampling: Sampling) -> None:
        """Queue one request.

        Raises:
            ValueError: nothing to continue, or no room left in the model's context.
        """
        if not 0 < len(ids) < self.max_length:
            raise ValueError(f"{len(ids)} tokens given; the model continues between 1 and {self.max_length - 1}")
        self._waiting.append(Work(ticket, session, list(ids), as_key(ids), sampling))

    def pending(self) -> int:
        """Requests that are not finished."""
        return len(self._waiting) + len(self._active)

    def cancel(self, ticket: int) -> None:
        """Drop a request, if it is still there."""
        self._waiting = deque(work for work in self._waiting if work.ticket != ticket)
        for work in [work for work in self._active if work.ticket == ticket]:
            self._release(work)

    def forget(self, session: int) -> None:
        """The conversation is over: its slot may be taken (what it holds may still be copied)."""
        for slot in self._slots:
            if slot.session == session:
                slot.session = None

    def refresh(self, version: int) -> None:
        """Serve the model's present weights; cached keys and values of the old ones are dropped."""
        if self.pending():
            raise RuntimeError("weights change between requests only")
        self.decoder.refresh()
        self.version = version
        for slot in self._slots:
            slot.held = b""

    def step(self) -> list[tuple[int, Sampled]]:
        """Admit what waits, then one token for everything active. Returns what finished."""
        admitted, pieces = self._admit()
        active = self._active
        self.computed_tokens += len(active) + sum(len(piece.ids) for piece in pieces)
        if not admitted and not active:
            return []
        next_ones = [Piece(work.slot, len(work.ids) + len(work.out) - 1, work.out[-1:]) for work in active]
        logits = self.decoder.extend(pieces + next_ones)
        for work in admitted:
            self._slots[work.slot].held = work.key
        self._active = active + admitted
        return self._append(admitted + active, logits)

    def _admit(self) -> tuple[list[Work], list[Piece]]:
        """What joins the batch, and the tokens of each that are not cached yet."""
        admitted: list[Work] = []
        pieces: list[Piece] = []
        later: list[Work] = []
        while self._waiting:
            work = self._waiting.popleft()
            own = self._own_slot(work)
            cached = shared_prefix(self._slots[own].held, work.key) if own >= 0 else 0
            brother = max((shared_prefix(other.key, work.key) for other in admitted), default=0)
            donor, donated = self._donor(work)
            if brother >= max(cached, donated) + WORTH_COPYING:
                later.append(work)  # the prefix is being computed in this very step: copy it in the next
                continue
            work.slot = own if own >= 0 else self._free_slot(avoid=donor if donated > cached else -1)
            if work.slot < 0:
                later.append(work)
                break
            slot = self._slots[work.slot]
            cached = shared_prefix(slot.held, work.key)
            if donated >= cached + WORTH_COPYING:
                self.decoder.copy(donor, work.slot, donated)
                cached = donated
            cached = min(cached, len(work.ids) - 1)  # the last token is always fed: its logits are wanted
            slot.session, slot.busy, slot.held = work.session, True, work.key[: 4 * cached]
            admitted.append(work)
            pieces.append(Piece(work.slot, cached, work.ids[cached:]))
            self.reused_tokens += cached
        self._waiting.extendleft(reversed(later))
        return admitted, pieces

    def _append(self, works: list[Work], logits: torch.Tensor) -> list[tuple[int, Sampled]]:
        draws = uniforms([work.sampling.seed for work in works], [len(work.ids) + len(work.out) for work in works])
        ids, logprobs = choose(logits, [work.sampling.temperature for work in works],
                               [work.sampling.top_p for work in works], draws)
        finished = []
        for work, token, logprob in zip(works, ids, logprobs, strict=True):
            work.out.append(token)
            work.logprobs.append(logprob)
            length = len(work.out) >= work.sampling.max_tokens or len(work.ids) + len(work.out) >= self.max_length
            if token in self.stops or length:
                reason = "stop" if token in self.stops else "length"
                finished.append((work.ticket, Sampled(ids=work.out, logprobs=work.logprobs, finish=reason,
                                                      policy_version=self.version)))
                self._release(work)
        return finished

    def _release(self, work: Work) -> None:
        slot = self._slots[work.slot]
        slot.held = work.key + as_key(work.out[:-1])  # the last sampled token was never fed
        slot.busy = False
        self._clock += 1
        slot.used = self._clock
        self._active = [other for other in self._active if other is not work]

    def _own_slot(self, work: Work) -> int:
        return next((n for n, slot in enumerate(self._slots) if slot.session == work.session and not slot.busy), -1)

    def _free_slot(self, avoid: int) -> int:
        """A slot without an owner, else the one idle for longest; -1 when all are busy."""
        idle = [n for n, slot in enumerate(self._slots) if not slot.busy]
        return min(idle, key=lambda n: (self._slots[n].session is not None, n == avoid, self._slots[n].used, n), default=-1)

    def _donor(self, work: Work) -> tuple[int, int]:
        """The slot that shares the longest prefix, and that length."""
        best, length = -1, 0
        for number, slot in enumerate(self._slots):
            if len(slot.held) > 4 * length:
                shared = shared_prefix(slot.held, work.key)
                if shared > length:
                    best, length = number, shared
        return best, length
