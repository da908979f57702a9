"""What is said to a vLLM server, and what its answers are worth.

Promises: token ids in, token ids out; every sampling parameter is sent, so a server's `generation_config.json` changes nothing;
an answer is used only if it continues the prompt that was sent and has one finite logprob per id; whatever else comes back, or
does not come back in time, is `TryElsewhere`.
Does not cover: which server is asked (`vllm_pool`), streaming.
Source: routes of vLLM 0.31 (`vllm/entrypoints/openai/completion`, `vllm/entrypoints/serve/dev`).
"""

from __future__ import annotations

import asyncio
import math
from typing import Any
from urllib.parse import urlsplit

import httpx

from env.agreement import is_loopback
from env.errors import EngineError
from medcopilot.policies.base import Sampling

KEEP_SECONDS = 3.0
"""Idle connections are closed here before the server does it (vLLM: after 5 s), so that no request meets a closing one."""
_TRANSIENT = (408, 409, 425, 429)
_DETAIL_CHARS = 200
_CLAMPED = -9999.0
"""vLLM writes this for minus infinity: JSON has none."""


class TryElsewhere(Exception):
    """No usable answer; another server, or a later try, may give one."""

    def __init__(self, reason: str, *, down: bool = False, forgot: bool = False) -> None:
        super().__init__(reason)
        self.down = down
        """The server itself is in doubt: it takes no request until it has been looked at."""
        self.forgot = forgot
        """The server does not hold the weights that it was given: it was restarted."""


class VllmClient:
    """HTTP connection to one server. Belongs to one event loop."""

    def __init__(self, url: str, *, connect_seconds: float, in_flight: int, key: str = "") -> None:
        self.url = url
        self.address = (urlsplit(url).hostname or "", urlsplit(url).port or (443 if url.startswith("https:") else 80))
        self._connect_seconds = connect_seconds
        limits = httpx.Limits(max_connections=in_flight + 8, max_keepalive_connections=in_flight + 8, keepalive_expiry=KEEP_SECONDS)
        self._http = httpx.AsyncClient(base_url=url, trust_env=not is_loopback(url), follow_redirects=False, limits=limits,
                                       headers={"Authorization": f"Bearer {key}"} if key else {})

    async def call(self, method: str, path: str, body: dict[str, Any] | None, seconds: float,
                   fresh: list[bool] | None = None) -> Any:
        """One request, and its body: read as JSON where it says so, else the text.

        Args:
            seconds: deadline of the whole exchange.
            fresh: gets an entry when a new connection was opened, so the process at the other end may be a new one.

        Raises:
            TryElsewhere: lost, late, 5xx, or unreadable.
            EngineError: refused (4xx): it would be refused again.
        """
        async def traced(event: str, _: dict[str, Any]) -> None:
            if fresh is not None and event == "connection.connect_tcp.complete":
                fresh.append(True)

        timeout = httpx.Timeout(seconds, connect=self._connect_seconds)
        try:
            async with asyncio.timeout(seconds):
                answer = await self._http.request(method, path, json=body, timeout=timeout, extensions={"trace": traced})
        except (TimeoutError, httpx.TimeoutException) as error:
            raise TryElsewhere(f"{self.url}{path}: no answer within {seconds:g} s ({type(error).__name__})", down=True) from error
        except httpx.TransportError as error:
            raise TryElsewhere(f"{self.url}{path}: {type(error).__name__}: {error}", down=True) from error
        detail = answer.text[:_DETAIL_CHARS]
        if answer.status_code >= 500:
            raise TryElsewhere(f"{self.url}{path}: HTTP {answer.status_code}: {detail}", down=True)
        if answer.status_code in _TRANSIENT:
            raise TryElsewhere(f"{self.url}{path}: HTTP {answer.status_code}: {detail}")
        if answer.status_code != 200:
            raise Refused(f"{self.url}{path}: HTTP {answer.status_code}: {detail}", answer.status_code)
        if "json" not in answer.headers.get("content-type", ""):
            return answer.text
        try:
            return answer.json()
        except ValueError as error:
            raise TryElsewhere(f"{self.url}{path}: not JSON: {detail!r}") from error

    async def get(self, path: str, seconds: float) -> Any:
        """GET; see `call`."""
        return await self.call("GET", path, None, seconds)

    async def post(self, path: str, body: dict[str, Any] | None, seconds: float) -> Any:
        """POST; see `call`."""
        return await self.call("POST", path, body, seconds)

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()


class Refused(EngineError):
    """A 4xx answer."""

    def __init__(self, reason: str, status: int) -> None:
        super().__init__(reason)
        self.status = status


def completion_body(model: str, ids: list[int], sampling: Sampling, stops: list[int], max_length: int) -> dict[str, Any]:
    """The body of POST /v1/completions for one turn. Without `stops` nothing ends it but `max_tokens`.

    Raises:
        EngineError: `ids` leave no room in the model's context.
    """
    if not 0 < len(ids) < max_length:
        raise EngineError(f"{len(ids)} tokens given; the model continues between 1 and {max_length - 1}")
    return {"model": model, "prompt": ids, "max_tokens": min(sampling.max_tokens, max_length - len(ids)), "n": 1,
            "temperature": sampling.temperature, "top_p": sampling.top_p, "seed": sampling.seed % 2**63, "stop_token_ids": stops,
            "ignore_eos": not stops, "logprobs": 0, "return_token_ids": True, "return_tokens_as_token_ids": True,
            "skip_special_tokens": False, "top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0, "presence_penalty": 0.0,
            "frequency_penalty": 0.0}


def read_completion(answer: Any, ids: list[int], stops: list[int], most: int) -> tuple[list[int], list[float], int]:
    """Sampled ids, their logprobs, and how many ids after a stop token were cut off.

    Args:
        answer: body of the reply.
        ids: the prompt that was sent.
        most: `max_tokens` that was sent.

    Raises:
        TryElsewhere: not an answer to this prompt.
    """
    try:
        choice = answer["choices"][0]
        sampled, logprobs = choice["token_ids"], choice["logprobs"]["token_logprobs"]
        prompt, reason = choice.get("prompt_token_ids"), choice["finish_reason"]
        if not (all(type(token) is int for token in sampled) and all(isinstance(value, float | int) for value in logprobs)):
            raise TypeError("ids and logprobs must be numbers")
    except (KeyError, IndexError, TypeError) as error:
        raise TryElsewhere(f"unreadable answer ({type(error).__name__}: {error}): {str(answer)[:_DETAIL_CHARS]}") from error
    if reason not in ("stop", "length"):
        raise TryElsewhere(f"the server gave up a request (finish_reason {reason!r})")
    if not 0 < len(sampled) <= most or len(sampled) != len(logprobs):
        raise TryElsewhere(f"{len(sampled)} ids with {len(logprobs)} logprobs, of at most {most}")
    if prompt is not None and prompt != ids:
        raise TryElsewhere(f"the server continued another prompt ({len(prompt)} ids instead of {len(ids)})")
    if not all(math.isfinite(value) and value > _CLAMPED for value in logprobs):
        raise TryElsewhere("a sampled id has probability 0")
    end = next((position for position, token in enumerate(sampled, start=1) if token in stops), len(sampled))
    return sampled[:end], [float(value) for value in logprobs[:end]], len(sampled) - end


def scoring_body(model: str, ids: list[int]) -> dict[str, Any]:
    """The body of POST /v1/completions that asks for the logprobs of `ids` themselves."""
    return {"model": model, "prompt": ids, "max_tokens": 1, "temperature": 0.0, "prompt_logprobs": 0, "return_token_ids": True}


def read_scores(answer: Any, ids: list[int]) -> list[float]:
    """Logprob of each of `ids` but the first.

    Raises:
        TryElsewhere: not an answer to this prompt.
    """
    try:
        entries = answer["choices"][0]["prompt_logprobs"]
        return [float(entry[str(token)]["logprob"]) for token, entry in zip(ids[1:], entries[1:], strict=True)]
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise TryElsewhere(f"no prompt logprobs in {str(answer)[:_DETAIL_CHARS]}") from error
