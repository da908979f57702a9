"""Any OpenAI-compatible endpoint as a policy (`/chat/completions`).

Promises: seed and temperature are sent with every turn, usage is recorded, and unknown where the endpoint says none; the agreement
gate is asked before the first message of an episode; no proxy and no redirect is used for a loopback address; the key is read from
the environment and appears in no record. What goes wrong has one of four ends (the table of docs/sampling.md):

- tried again with growing waits (`Retry-After` is honoured), then `EngineError`, which is masked, never an empty reply: 429, 5xx, a
  reply that is not whole after `timeout`, however slowly it drips, lost connections, bodies that are no chat completion;
- `EngineError` at once: other refusals;
- the agent's own, scored: a conversation that is too long (`ContextFull`), a turn that was cut at its token limit, an empty turn;
- the user's (`UserError`), which ends the run: a wrong key, address or model.

Does not cover: streaming, tool-call messages, token ids and log-probabilities (train from `vllm` or `transformers` policies).
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache as once
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

import httpx
import tenacity

from env.agreement import check, is_loopback
from env.errors import EngineError, UserError
from env.task import TaskKey, TaskView
from medcopilot.policies.base import ChatReply, ContextFull, Sampling
from medcopilot.policies.response_cache import ResponseCache

_AGAIN = (408, 409, 425, 429)
_DETAIL_CHARS = 200
_CONTEXT = re.compile(r"context[ _](length|window|size|limit)|maximum (context|prompt length|model length)|max_model_len"
                      r"|too many tokens|(prompt|input) is too long|input token count|maximum number of tokens"
                      r"|`inputs` (tokens \+|must have less)", re.IGNORECASE)
"""How servers say that the conversation is too long."""
_CONTEXT_STATUS = (400, 413, 422, 500)
"""With which status; 500 is llama.cpp's in some versions."""


class _Transient(Exception):
    """Worth another try."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait
        """Seconds that the server asked for."""


class OpenAIPolicy:
    """A model behind an OpenAI-compatible endpoint."""

    needs_privileged = False
    renderer = None

    def __init__(self, base_url: str, model: str, *, api_key_env: str = "OPENAI_API_KEY", timeout: float = 120.0,
                 max_retries: int = 5, backoff: float = 1.0, max_wait: float = 60.0,
                 licences: Mapping[str, str] | None = None, body: Mapping[str, Any] | None = None,
                 omit: tuple[str, ...] = (), cache: Path | None = None) -> None:
        """Describe the endpoint; nothing is sent yet.

        Args:
            base_url: up to and including the version, e.g. `http://127.0.0.1:8000/v1`.
            model: name that the endpoint knows.
            api_key_env: environment variable that holds the key. Needed unless the address is loopback.
            timeout: seconds for one whole reply.
            max_retries: tries after the first.
            backoff: seconds before the second try; doubles each time.
            max_wait: longest wait in seconds, whatever the server asks for.
            licences: dataset -> licence tag. An unknown dataset counts as restricted unless the address is loopback.
            body: further fields of every request, e.g. `{"chat_template_kwargs": {"enable_thinking": False}}`.
            omit: fields that this endpoint refuses, e.g. `("seed",)`.
            cache: SQLite file in which replies are kept and looked up.

        Raises:
            UserError: the address is malformed, or a remote one has no key.
        """
        if not _is_address(base_url):
            raise UserError(f"endpoint {base_url!r} is not an address: write it like http://127.0.0.1:8000/v1")
        self.base_url = base_url.rstrip("/")
        self.local = is_loopback(base_url)
        self.model = model
        self.name = f"openai:{model}"
        self.licences = dict(licences or {})
        self.timeout, self.max_retries, self.backoff, self.max_wait = timeout, max_retries, backoff, max_wait
        self.body, self.omit = dict(body or {}), frozenset(omit)
        self.cache = ResponseCache(cache) if cache else None
        self._api_key_env = api_key_env
        key = os.environ.get(api_key_env, "")
        if not key and not self.local:
            raise UserError(f"endpoint {self._shown_url()} needs a key: put it into the environment variable {api_key_env}")
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}

    def session(self, view: TaskView, privileged: TaskKey | None = None) -> OpenAISession:
        """A session for one episode.

        Raises:
            AgreementError: the dataset is under an agreement, and the endpoint is elsewhere.
        """
        check("endpoint", [(view.dataset, self.licences.get(view.dataset, ""))], url=self.base_url)
        return OpenAISession(self, view.id)

    def describe(self) -> dict[str, Any]:
        """What goes into the run's record; the key and any credentials in the address stay out."""
        return {"name": self.name, "base_url": self._shown_url(), "model": self.model, "local": self.local, "body": self.body,
                "omit": sorted(self.omit)}

    def client(self) -> httpx.AsyncClient:
        """A client for one session."""
        return httpx.AsyncClient(timeout=self.timeout, headers=self._headers, trust_env=not self.local, verify=_tls(),
                                 follow_redirects=False)

    def request(self, messages: list[dict[str, str]], sampling: Sampling) -> dict[str, Any]:
        """The body of one request."""
        fields = {"model": self.model, "messages": messages, "temperature": sampling.temperature, "top_p": sampling.top_p,
                  "max_tokens": sampling.max_tokens, "seed": sampling.seed % 2**31}
        return {name: value for name, value in {**fields, **self.body}.items() if name not in self.omit}

    def _shown_url(self) -> str:
        parts = urlsplit(self.base_url)
        return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="").geturl()


class OpenAISession:
    """One episode."""

    kind: ClassVar[str] = "chat"

    def __init__(self, policy: OpenAIPolicy, seed: str) -> None:
        self._policy = policy
        self._client = policy.client()
        self._jitter = random.Random(seed)

    async def act(self, messages: list[dict[str, str]], sampling: Sampling) -> ChatReply:
        """The next assistant message.

        Raises:
            EngineError: no usable reply after all tries.
            ContextFull: the endpoint says that the conversation is too long.
            UserError: the endpoint refuses the key, the model or the address: every other request would fail too.
        """
        policy = self._policy
        body = policy.request(messages, sampling)
        # the seed also where the endpoint is not sent it: the rollouts of a task are asked for one by one
        key = ResponseCache.key(policy.base_url, {"seed": sampling.seed % 2**31, **body})
        if policy.cache and (known := policy.cache.get(key)):
            return known
        tries = tenacity.AsyncRetrying(stop=tenacity.stop_after_attempt(policy.max_retries + 1), wait=self._wait,
                                       retry=tenacity.retry_if_exception_type(_Transient))
        try:
            reply: ChatReply = await tries(self._once, body)
        except tenacity.RetryError as error:
            reason = error.last_attempt.exception()
            raise EngineError(f"{policy.name}: gave up after {policy.max_retries + 1} tries: {reason}") from reason
        if policy.cache:
            policy.cache.put(key, reply)
        return reply

    async def close(self) -> None:
        await self._client.aclose()

    def _wait(self, state: tenacity.RetryCallState) -> float:
        """Seconds until the next try: what the server asked for, else exponential with seeded jitter."""
        failure = state.outcome.exception() if state.outcome else None
        asked = failure.wait if isinstance(failure, _Transient) else None
        growing = self._policy.backoff * 2 ** (state.attempt_number - 1) * self._jitter.uniform(0.5, 1.0)
        return min(self._policy.max_wait, growing if asked is None else asked)

    async def _once(self, body: dict[str, Any]) -> ChatReply:
        policy = self._policy
        try:
            async with asyncio.timeout(policy.timeout):  # httpx bounds the wait for the next byte, not for the last
                answer = await self._client.post(f"{policy.base_url}/chat/completions", json=body)
        except (TimeoutError, httpx.TimeoutException) as error:
            raise _Transient(f"no reply within {policy.timeout:g} s ({type(error).__name__})") from error
        except httpx.TransportError as error:
            raise _Transient(f"{type(error).__name__}: {error}") from error
        if answer.status_code in _CONTEXT_STATUS and _CONTEXT.search(answer.text):
            raise ContextFull
        if answer.status_code >= 500 or answer.status_code in _AGAIN:
            raise _Transient(f"HTTP {answer.status_code}", _retry_after(answer.headers.get("retry-after", "")))
        if answer.status_code in (401, 403, 404):
            cure = "check the address and the model's name" if answer.status_code == 404 else f"check {policy._api_key_env}"
            raise UserError(f"{policy.name}: HTTP {answer.status_code} from {policy._shown_url()}: {cure}")
        if answer.status_code != 200:
            raise EngineError(f"{policy.name}: HTTP {answer.status_code}: {answer.text[:_DETAIL_CHARS]}")
        return _read_reply(answer)


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets that do not close, a port beyond 65535
        return False


def _read_reply(answer: httpx.Response) -> ChatReply:
    try:
        data = answer.json()
        text = data["choices"][0]["message"].get("content")
        usage = data.get("usage") or {}
        # half of a surrogate pair, which JSON can hold and no file, is shown as a question mark
        return ChatReply(text=_plain(text).encode("utf-8", "replace").decode(), prompt_tokens=usage.get("prompt_tokens"),
                         completion_tokens=usage.get("completion_tokens"))
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise _Transient(f"unreadable reply ({type(error).__name__}): {answer.text[:_DETAIL_CHARS]!r}") from error


def _plain(content: Any) -> str:
    """Text of a message; some servers send a list of parts, and null for an empty turn."""
    if isinstance(content, list):
        return "".join(str(part.get("text") or "") for part in content)
    if content is None or isinstance(content, str):
        return content or ""
    raise TypeError(f"content is {type(content).__name__}")


def _retry_after(value: str) -> float | None:
    """Seconds asked for by a `Retry-After` header, given in seconds or as a date (RFC 9110, 10.2.3)."""
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


@once
def _tls() -> ssl.SSLContext:
    """One TLS context for all sessions: building one costs tens of milliseconds."""
    return httpx.create_ssl_context()
