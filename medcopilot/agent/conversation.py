"""The growing conversation, in the two forms that policies take.

Promises: `TokenTalk` keeps exact ids, mask, logprobs and policy versions (prompt and observation tokens: mask 0) and never
re-encodes sampled text; `ChatTalk` keeps messages. Both keep the messages for people to read.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from env.errors import EngineError
from env.task import Limits
from medcopilot.agent.render import ChatRenderer
from medcopilot.policies.base import ChatSession, ContextFull, Sampling, TokenSession
from medcopilot.trace import Tokens


@dataclass
class Said:
    """One turn of the policy."""

    text: str
    tokens: int | None = None
    overflow: bool = False
    """The turn was cut because the context ended."""


@dataclass
class ChatTalk:
    """Conversation with an endpoint or the scripted expert."""

    session: ChatSession
    messages: list[dict[str, str]]
    prompt_tokens: int | None = None
    """Of all turns; None where the usage of any is unknown."""
    completion_tokens: int | None = None
    tokens: Tokens | None = None
    _said: bool = False

    async def say(self, sampling: Sampling, limits: Limits) -> Said | None:
        if sampling.max_tokens != limits.turn_tokens:
            sampling = sampling.model_copy(update={"max_tokens": limits.turn_tokens})
        try:
            reply = await self.session.act(self.messages, sampling)
        except ContextFull:
            return None
        self.prompt_tokens = self._total(self.prompt_tokens, reply.prompt_tokens)
        self.completion_tokens = self._total(self.completion_tokens, reply.completion_tokens)
        self._said = True
        self.messages.append({"role": "assistant", "content": reply.text})
        used = (reply.prompt_tokens or 0) + (reply.completion_tokens or 0)  # of this turn, so: the whole conversation
        return Said(reply.text, reply.completion_tokens, overflow=used >= limits.context_tokens)

    def hear(self, text: str, limits: Limits) -> bool:
        self.messages.append({"role": "user", "content": text})
        return True

    def _total(self, before: int | None, more: int | None) -> int | None:
        """What is unknown once stays unknown: a part of the sum would pass for the whole."""
        return None if more is None or (before is None and self._said) else (before or 0) + more


@dataclass
class TokenTalk:
    """Conversation with a policy that works on token ids."""

    session: TokenSession
    messages: list[dict[str, str]]
    renderer: ChatRenderer
    tokens: Tokens = field(init=False)
    prompt_tokens: int | None = field(init=False)
    completion_tokens: int | None = 0

    def __post_init__(self) -> None:
        ids = self.renderer.prompt(self.messages)
        self.tokens = Tokens(ids=[], mask=[], logprobs=[], versions=[])
        self.prompt_tokens = len(ids)
        self._extend(ids)

    def _extend(self, ids: list[int], logprobs: list[float] | None = None, version: int = -1) -> None:
        self.tokens.ids += ids
        self.tokens.mask += [0 if logprobs is None else 1] * len(ids)
        self.tokens.logprobs += [0.0] * len(ids) if logprobs is None else logprobs
        self.tokens.versions += [version] * len(ids)

    def _context(self, limits: Limits) -> int:
        """The task's limit, or the model's own where it ends earlier: an agent that cannot go on has failed, not our machinery."""
        return min(limits.context_tokens, self.session.context)

    async def say(self, sampling: Sampling, limits: Limits) -> Said | None:
        """One sampled turn; None when the context has no room left."""
        room = self._context(limits) - len(self.tokens.ids)
        if room < 1:
            return None
        budget = min(limits.turn_tokens, room)
        sampled = await self.session.act(list(self.tokens.ids), sampling.model_copy(update={"max_tokens": budget}))
        if len(sampled.logprobs) != len(sampled.ids):
            raise EngineError(f"the engine gave {len(sampled.logprobs)} logprobs for {len(sampled.ids)} tokens")
        self._extend(sampled.ids, sampled.logprobs, sampled.policy_version)
        self.completion_tokens = (self.completion_tokens or 0) + len(sampled.ids)
        text = self.renderer.decode(sampled.ids)
        self.messages.append({"role": "assistant", "content": text})
        return Said(text, len(sampled.ids), overflow=sampled.finish == "length" and budget == room)

    def hear(self, text: str, limits: Limits) -> bool:
        """Append an observation; False when it does not fit into the context."""
        self.messages.append({"role": "user", "content": text})
        closed = bool(self.tokens.ids) and self.tokens.ids[-1] == self.renderer.end
        ids = self.renderer.observation(text, closed=closed)
        if len(self.tokens.ids) + len(ids) >= self._context(limits):
            return False
        self._extend(ids)
        return True


def open_talk(session: Any, messages: list[dict[str, str]], renderer: ChatRenderer | None) -> ChatTalk | TokenTalk:
    """The conversation that fits the session's kind."""
    if session.kind == "token":
        assert renderer is not None
        return TokenTalk(session, messages, renderer)
    return ChatTalk(session, messages)
