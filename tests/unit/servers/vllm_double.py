"""A server that speaks vLLM's routes over a real socket, and can be told to misbehave."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h11
from safetensors.torch import load_file

HANG, RESET, CUT = "hang", "reset", "cut"
"""Misbehaviours instead of an answer: never answer; close at once; close in mid-body."""
Behaviour = str | tuple[int, Any] | None
VOCABULARY, CONTEXT = 64, 32


def logprob(weights: float, ids: list[int], token: int) -> float:
    """The double's model: one number is all its weights, and only the last token matters."""
    logits = [math.sin(weights * other + ids[-1]) for other in range(VOCABULARY)]
    return logits[token] - math.log(sum(map(math.exp, logits)))


class VllmDouble:
    """State of one server.

    Args:
        behave: asked for each request (method, path, body): None answers as vLLM would.
    """

    def __init__(self, behave: Callable[[str, str, Any], Behaviour] = lambda method, path, body: None) -> None:
        self.behave = behave
        self.seen: list[tuple[str, Any]] = []
        self.open = self.most_open = 0
        self.weights = 0.0
        self.version = "default"
        self.adapters: dict[str, float] = {}
        self.paused = False
        self.dtype = "torch.float32"
        self.gate: asyncio.Event | None = None
        self.url = ""
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self, port: int = 0) -> VllmDouble:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def stop(self) -> None:
        """As when a process is killed: its connections are reset."""
        if self._server is not None:
            self._server.close()
            for writer in list(self._writers):
                writer.transport.abort()
            await self._server.wait_closed()

    async def restart(self) -> None:
        """The same address, the weights that it was started with."""
        await self.stop()
        self.weights, self.version, self.adapters, self.paused = 0.0, "default", {}, False
        await self.start(int(self.url.rpartition(":")[2]))

    def paths(self) -> list[str]:
        return [path for path, _ in self.seen]

    def prompts(self) -> list[list[int]]:
        """Prompts of the turns that were asked for."""
        return [body["prompt"] for path, body in self.seen if path == "/v1/completions" and "prompt_logprobs" not in body]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        connection = h11.Connection(h11.SERVER)
        try:
            while await self._one(connection, reader, writer):
                connection.start_next_cycle()
        except (OSError, h11.ProtocolError, asyncio.IncompleteReadError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _one(self, connection: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        request, body = None, b""
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(await reader.read(65536))
            elif isinstance(event, h11.Request):
                request = event
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                break
            else:
                return False
        assert request is not None
        method, target = request.method.decode(), request.target.decode()
        path, data = target.partition("?")[0], json.loads(body) if body else None
        self.seen.append((target if "?" in target else path, data))
        scored = path != "/v1/completions" or "prompt_logprobs" in data
        if not scored:
            self.open += 1
            self.most_open = max(self.most_open, self.open)
        try:
            behaviour = self.behave(method, path, data)
            if behaviour is None and not scored and self.gate is not None:
                await self.gate.wait()
            status, answer = behaviour if isinstance(behaviour, tuple) else (200, None)
            if behaviour == HANG:
                await asyncio.Event().wait()
            if behaviour == RESET:
                writer.transport.abort()
                return False
            if answer is None:
                status, answer = self._answer(path, data)
        finally:
            if not scored:
                self.open -= 1
        text = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        head = h11.Response(status_code=status, headers=[("content-type", "application/json"), ("content-length", str(len(text)))])
        writer.write(connection.send(head) or b"")
        if behaviour == CUT:
            writer.write(connection.send(h11.Data(data=text[: len(text) // 2])) or b"")
            await writer.drain()
            writer.transport.abort()
            return False
        writer.write(connection.send(h11.Data(data=text)) or b"")
        writer.write(connection.send(h11.EndOfMessage()) or b"")
        await writer.drain()
        return True

    def _answer(self, path: str, body: Any) -> tuple[int, Any]:
        if path == "/v1/completions":
            return self._complete(body)
        if path == "/v1/models":
            cards = [{"id": "base", "max_model_len": CONTEXT, "parent": None}]
            return 200, {"data": cards + [{"id": name, "max_model_len": None, "parent": "base"} for name in self.adapters]}
        if path == "/server_info":
            return 200, {"vllm_config": {"model_config": {"dtype": self.dtype}, "weight_transfer_config": {"backend": "file"}}}
        if path == "/v1/load_lora_adapter":
            if body["lora_name"] in self.adapters:
                return 400, {"error": "already loaded"}
            self.adapters[body["lora_name"]] = self._read(body["lora_path"])
        elif path == "/v1/unload_lora_adapter":
            if self.adapters.pop(body["lora_name"], None) is None:
                return 404, {"error": "unknown adapter"}
        elif path == "/collective_rpc":
            self.weights = self._read(body["kwargs"]["weights_path"])
        elif path == "/update_weights":
            self.weights = self._read(body["update_info"]["path"])
        elif path in ("/finish_weight_update", "/update_weight_version"):
            self.version = (body or {}).get("weight_version") or (body or {}).get("new_version") or self.version
        elif path in ("/pause", "/resume"):
            self.paused = path == "/pause"
        elif path == "/weight_info":
            return 200, {"weight_version": self.version}
        return 200, {"success": True}

    def _complete(self, body: Any) -> tuple[int, Any]:
        ids, model = body["prompt"], body["model"]
        if model not in ("base", *self.adapters):
            return 404, {"error": f"The model {model} does not exist"}
        weights = self.adapters.get(model, self.weights)
        choice: dict[str, Any] = {"index": 0, "text": "", "finish_reason": "length", "prompt_token_ids": ids}
        if "prompt_logprobs" in body:
            scores = [{str(token): {"logprob": logprob(weights, ids[:place], token)}} for place, token in enumerate(ids) if place]
            return 200, {"choices": [{**choice, "token_ids": [1], "prompt_logprobs": [None, *scores]}]}
        count = min(body["max_tokens"], 3)
        token = (body["seed"] + sum(ids)) % 50 + 10
        scores = [logprob(weights, ids, token)] * count
        return 200, {"choices": [{**choice, "token_ids": [token] * count, "logprobs": {"token_logprobs": scores}}]}

    def _read(self, folder: str) -> float:
        """The one number that the double's weights are."""
        [file] = Path(folder).glob("*.safetensors")
        [value] = load_file(file).values()
        return float(value)
