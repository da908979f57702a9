"""Inspect's model as a policy of our agent loop.

Promises: every turn is one `Model.generate`, so that Inspect counts, caches, retries and logs it; the assistant's message goes back
as it came (reasoning included); a conversation that no longer fits is the recorded stop `context`; a limit of Inspect's own ends
the episode in good order, and is handed on.
Does not cover: temperature, top-p and seed, which are Inspect's to set (`--temperature`); tokens and log-probabilities.
"""

from __future__ import annotations

from typing import Any, ClassVar

from inspect_ai.log import transcript
from inspect_ai.model import (
    ChatMessage,
    ChatMessageAssistant,
    ChatMessageSystem,
    ChatMessageUser,
    GenerateConfig,
    Model,
    ModelOutput,
)
from inspect_ai.util import LimitExceededError

from env.actions import parse_action
from env.errors import ActionError
from env.task import TaskKey, TaskView
from medcopilot.interop.arena import Arena
from medcopilot.interop.text import action_text, observation_text
from medcopilot.policies.base import ChatReply, ContextFull, Sampling

_KINDS = {"system": ChatMessageSystem, "user": ChatMessageUser, "assistant": ChatMessageAssistant}


def chat_messages(messages: list[dict[str, str]], prefix: str | None = None, start: int = 0) -> list[ChatMessage]:
    """Our messages as Inspect's. `prefix`: makes their ids `PREFIX-0`, `PREFIX-1`, ... from `start`; None: random ones."""
    return [_KINDS[message["role"]](content=message["content"], id=f"{prefix}-{number}" if prefix else None)
            for number, message in enumerate(messages, start=start)]


class InspectPolicy:
    """The model under evaluation, for one episode."""

    needs_privileged = False
    renderer = None

    def __init__(self, model: Model, arena: Arena) -> None:
        self.name = str(model)
        self.local = False
        self.opened: InspectSession | None = None
        """The session of the episode that is played."""
        self._model, self._arena = model, arena

    def session(self, view: TaskView, privileged: TaskKey | None = None) -> InspectSession:
        """The session of the episode.

        Raises:
            AgreementError: the rows are under an agreement, and the model may be elsewhere.
        """
        check_model(self._model, self._arena)
        self.opened = InspectSession(self._model)
        return self.opened

    def describe(self) -> dict[str, Any]:
        return {"name": self.name, "model": self._model.name}


def check_model(model: Model, arena: Arena) -> None:
    """Ask the data-use gate about this model, see `Arena.check_model`."""
    arena.check_model(str(model).partition("/")[0], model.api.base_url)


class InspectSession:
    """One episode."""

    kind: ClassVar[str] = "chat"

    def __init__(self, model: Model) -> None:
        self.messages: list[ChatMessage] = []
        """The conversation as Inspect knows it."""
        self.output: ModelOutput | None = None
        """The last reply."""
        self.limit: LimitExceededError | None = None
        """Inspect's limit that ended the episode."""
        self.owed = False
        """The last reply is not in the transcript yet."""
        self._model = model

    async def act(self, messages: list[dict[str, str]], sampling: Sampling) -> ChatReply:
        """The next assistant message.

        Raises:
            ContextFull: the conversation does not fit, or a limit of Inspect's was reached (`limit` says which).
        """
        news = chat_messages(messages[len(self.messages):])
        if self.owed:
            self.note("\n".join(message.text for message in news))
        self.messages += news
        try:
            output = await self._model.generate(list(self.messages), config=GenerateConfig(max_tokens=sampling.max_tokens))
        except LimitExceededError as limit:
            self.limit = limit
            raise ContextFull from limit
        if output.stop_reason == "model_length":
            raise ContextFull
        self.output, self.owed = output, True
        self.messages.append(output.message)
        usage = output.usage
        if usage is None:
            return ChatReply(text=output.completion)
        read = usage.input_tokens + (usage.input_tokens_cache_read or 0) + (usage.input_tokens_cache_write or 0)
        return ChatReply(text=output.completion, prompt_tokens=read, completion_tokens=usage.output_tokens)

    def note(self, observation: str) -> None:
        """Put the last action and what came of it into Inspect's transcript, to be read by people."""
        assert self.output is not None
        self.owed = False
        try:
            action = parse_action(self.output.completion)
        except ActionError:
            name, params = None, {}
        else:
            name, params = action.action, action.params.model_dump(mode="json", exclude_unset=True)
        transcript().info(f"{action_text(name, params)}\n\n{observation_text(observation)}", source="medcopilot")

    async def close(self) -> None:
        """Nothing is held."""
