"""`inspect eval medcopilot/NAME` as a person types it: entry point, endpoint on a real socket, real sandbox, readable log."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

pytest.importorskip("inspect_ai", reason="inspect-ai is not installed (`make check` installs it on its own, .venv-inspect)")

from inspect_ai.log import list_eval_logs, read_eval_log

from env.errors import SandboxUnavailable
from env.sandbox import open_backend

CODE = '{"action":"code_execution","params":{"code":"print(6 * 7)"}}'
SUBMIT = '{"action":"submit","params":{"program":"answer = -1"}}'


class Handler(BaseHTTPRequestHandler):
    """An OpenAI-compatible endpoint that runs a program and then submits a wrong one."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        said = sum(message["role"] == "assistant" for message in body["messages"])
        choice = {"index": 0, "message": {"role": "assistant", "content": SUBMIT if said else CODE}, "finish_reason": "stop"}
        text = json.dumps({"id": "1", "object": "chat.completion", "created": 1, "model": body["model"], "choices": [choice],
                           "usage": {"prompt_tokens": 20, "completion_tokens": 4, "total_tokens": 24}}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *args) -> None:
        """Quiet."""


@pytest.fixture
def endpoint():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.slow
def test_the_command_plays_in_the_sandbox_and_leaves_a_log(endpoint, data_folder, tmp_path, repository):
    try:
        open_backend("auto").close()
    except SandboxUnavailable as error:
        pytest.skip(str(error))
    words = ["eval", "medcopilot/medcalcbench", "--model", "openai-api/local/nano", "--log-dir", str(tmp_path), "--display", "none"]
    for setting in ("limit=2", "train=4", "test=6", "patients=50", f"root={data_folder}"):
        words += ["-T", setting]
    environment = {**os.environ, "LOCAL_API_KEY": "none", "LOCAL_BASE_URL": endpoint, "PYTHONPATH": str(repository)}
    done = subprocess.run([sys.executable, "-m", "inspect_ai", *words], capture_output=True, text=True, cwd=repository,
                          env=environment, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (info,) = list_eval_logs(str(tmp_path))
    log = read_eval_log(info)
    assert (log.status, log.eval.task, log.eval.model) == ("success", "medcopilot/medcalcbench", "openai-api/local/nano")
    assert log.eval.task_args["limit"] == 2
    assert len(log.samples) == 2
    for sample in log.samples:
        assert sample.error is None
        assert [message.text for message in sample.messages[2:]] == [CODE, "42", SUBMIT]
        assert sample.scores["strict"].value == 0.0
        assert sample.model_usage["openai-api/local/nano"].total_tokens == 48
        assert sample.store["medcopilot"]["sandbox"]
    # the released grader takes any number that a calculator's program leaves
    assert {score.name: score.metrics["accuracy"].value for score in log.results.scores} == {"strict": 0.0, "paper": 1.0}


@pytest.mark.slow
def test_the_command_says_in_one_sentence_what_does_not_fit(tmp_path, repository):
    words = ["eval", "medcopilot/medcalcbench", "--model", "mockllm/model", "--log-dir", str(tmp_path), "--display", "plain",
             "-T", "split=dev"]
    done = subprocess.run([sys.executable, "-m", "inspect_ai", *words], capture_output=True, text=True, cwd=repository, check=False,
                          env={**os.environ, "PYTHONPATH": str(repository)})
    assert done.returncode != 0
    assert "medcopilot: -T split=dev" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
