"""Starting a server: what it is told, where its weights may be replaced, and what becomes of its process."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from env.errors import EngineError, UserError
from medcopilot.cli.main import app
from medcopilot.policies import vllm_launch
from medcopilot.policies.vllm_launch import VllmProcess, free_port, server_command, server_environment
from medcopilot.policies.vllm_plugin import PARENT

HEALTHY = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/health" else 404)
        self.send_header("content-length", "0")
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def program(code, tmp_path, *arguments, url="http://127.0.0.1:9"):
    return VllmProcess([sys.executable, "-c", code, *arguments], os.environ, url, tmp_path / "log")


def test_weights_can_be_replaced_on_this_machine_only():
    assert "VLLM_SERVER_DEV_MODE" not in server_environment("127.0.0.1", base={})
    assert server_environment("127.0.0.1", "gloo", {})["VLLM_SERVER_DEV_MODE"] == "1"
    assert server_environment("::1", "file", {})["VLLM_SERVER_DEV_MODE"] == "1"
    assert server_environment("localhost", "lora", {})["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] == "1"
    for host in ("0.0.0.0", "10.0.0.1", "::"):
        assert "VLLM_SERVER_DEV_MODE" not in server_environment(host, base={})
        with pytest.raises(UserError, match="whoever reaches that address could replace the weights"):
            server_environment(host, "gloo", {})
    assert server_environment("10.0.0.1", "nccl", {"VLLM_SERVER_DEV_MODE": "1"})["VLLM_SERVER_DEV_MODE"] == "1"


def test_nothing_is_fetched_or_sent_and_the_callers_variables_win():
    told = server_environment("127.0.0.1", base={"VLLM_CPU_KVCACHE_SPACE": "4"})
    assert (told["HF_HUB_OFFLINE"], told["VLLM_NO_USAGE_STATS"], told["DO_NOT_TRACK"]) == ("1", "1", "1")
    assert told["VLLM_CPU_KVCACHE_SPACE"] == "4"


def test_the_command_line(tmp_path, monkeypatch):
    monkeypatch.setattr(vllm_launch, "require_vllm", lambda: None)
    monkeypatch.setattr(vllm_launch, "distribution", lambda: "vllm")
    with pytest.raises(UserError, match="holds no config"):
        server_command(tmp_path, "127.0.0.1", 1)
    (tmp_path / "config.json").write_text("{}")
    plain = server_command(tmp_path, "127.0.0.1", 8000)
    assert plain[plain.index("--logprobs-mode") + 1] == "processed_logprobs"
    assert plain[plain.index("--generation-config") + 1] == "vllm"
    assert "--weight-transfer-config" not in plain
    nccl = server_command(tmp_path, "127.0.0.1", 8000, "nccl", extra=["--tensor-parallel-size", "2"])
    assert nccl[nccl.index("--weight-transfer-config") + 1] == '{"backend": "nccl"}'
    assert nccl[-2:] == ["--tensor-parallel-size", "2"]
    lora = server_command(tmp_path, "127.0.0.1", 8000, "lora", lora_rank=8)
    assert lora[lora.index("--max-lora-rank") + 1] == "8"
    monkeypatch.setattr(vllm_launch, "entry_points", lambda **_: ())
    with pytest.raises(UserError, match="does not register medcopilot's vLLM plugin"):
        server_command(tmp_path, "127.0.0.1", 8000, "gloo")


def test_a_port_in_use_is_said_before_anything_starts():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"--port {port} of 127.0.0.1 cannot be used"):
            free_port("127.0.0.1", port)
    assert free_port("127.0.0.1", 0) > 0


def test_a_server_is_waited_for_and_stopped(tmp_path):
    port = free_port("127.0.0.1", 0)
    server = program(HEALTHY, tmp_path, str(port), url=f"http://127.0.0.1:{port}")
    assert server.wait(30) == server.url
    server.stop()
    server.stop()
    assert server.run() != 0


def test_a_server_that_ends_or_never_answers_is_an_error_with_its_last_words(tmp_path):
    with pytest.raises(EngineError, match=r"ended with exit code 3 before it was healthy; its last line .*no such model"):
        program("import sys; print('starting'); print('no such model'); sys.exit(3)", tmp_path).wait(30)
    silent = program("import time; time.sleep(60)", tmp_path)
    with pytest.raises(EngineError, match=r"not healthy after 0 s .*is empty"):
        silent.wait(0.1)
    silent.kill()


def test_a_server_ends_with_the_process_that_started_it():
    """Two processes: the inner one watches the outer one, and that one ends."""
    inner = ("import os; from medcopilot.policies.vllm_plugin.serve import end_with; print('up', flush=True); "
             f"end_with(int(os.environ['{PARENT}'])); print('not killed')")
    outer = ("import os, subprocess, sys; "
             f"subprocess.Popen([sys.executable, '-c', {inner!r}], env={{**os.environ, '{PARENT}': str(os.getpid())}})")
    done = subprocess.run([sys.executable, "-c", outer], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["up"]  # all of the output: the inner one has closed it too


def test_the_command_refuses_in_one_sentence():
    result = CliRunner().invoke(app, ["serve", "here", "--weight-sync", "pigeon"])
    assert isinstance(result.exception, UserError)
    assert "choose none, gloo, nccl, file or lora" in str(result.exception)
