"""The policy seam: something that acts, one session per episode.

Promises: `TokenSession` works on token ids and never re-encodes what was sampled; `ChatSession` works on messages. Only a
policy with `needs_privileged = True` (the scripted expert) is ever handed the task's key.
"""

from __future__ import annotations

from typing import Any, ClassVar, Protocol

from pydantic import BaseModel, ConfigDict, Field

from env.task import Limits, TaskKey, TaskView


class ContextFull(Exception):
    """A chat endpoint says that the conversation no longer fits its context: the recorded stop `context`, scored."""


class Sampling(BaseModel):
    """How one turn is sampled."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    temperature: float = Field(0.0, ge=0)
    top_p: float = Field(1.0, gt=0, le=1)
    max_tokens: int = Field(8192, ge=1)
    seed: int = 0


class Sampled(BaseModel):
    """What a token policy sampled in one turn."""

    ids: list[int]
    """Sampled ids, the end-of-turn token included when it was sampled."""
    logprobs: list[float]
    """Natural log of the probability of each id under the sampling distribution (temperature applied)."""
    finish: str
    """`stop` or `length`."""
    policy_version: int = 0


class ChatReply(BaseModel):
    """What a chat policy said in one turn."""

    text: str
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class TokenSession(Protocol):
    """One episode of a token policy."""

    kind: ClassVar[str]  # "token"
    context: int
    """Tokens of a whole conversation that the model can hold."""

    async def act(self, ids: list[int], sampling: Sampling) -> Sampled:
        """Sample one turn after `ids`, the whole conversation so far."""

    async def close(self) -> None:
        """Release what the session holds (its cache slot)."""


class ChatSession(Protocol):
    """One episode of a chat policy."""

    kind: ClassVar[str]  # "chat"

    async def act(self, messages: list[dict[str, str]], sampling: Sampling) -> ChatReply:
        """The next assistant message.

        Raises:
            ContextFull: the conversation does not fit any more.
        """

    async def close(self) -> None:
        """Release what the session holds."""


class Policy(Protocol):
    """Something that acts."""

    name: str
    needs_privileged: bool
    local: bool
    """True when nothing that it is shown leaves the machine."""
    renderer: Any
    """`medcopilot.agent.render.ChatRenderer` for token policies, None for chat policies."""

    def session(self, view: TaskView, privileged: TaskKey | None = None) -> TokenSession | ChatSession:
        """A session for one episode."""

    def describe(self) -> dict[str, Any]:
        """What goes into the run's record: name, checkpoint digest, versions, dtype."""


class InstantPolicy:
    """Base of policies whose sessions answer without waiting for anything, e.g. from a script: there is nothing to overlap, so one
    thread plays an episode of theirs from end to end."""


__all__ = ["ChatReply", "ChatSession", "ContextFull", "InstantPolicy", "Limits", "Policy", "Sampled", "Sampling", "TokenSession"]
