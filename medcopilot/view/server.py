"""`medcopilot view`: a local page to search and read trajectories, and to put two runs side by side.

Promises: listens on this machine's loopback only, and answers no other host name (a web page elsewhere cannot reach it by a name of
its own); nothing is requested from outside and the content policy forbids it; everything from a trace is escaped. The page is there
at once; runs that have no index yet are read meanwhile.
Does not cover: several users, and changing anything.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from env.errors import UserError
from medcopilot.report.pages import environment
from medcopilot.view.runs import ViewedRun, open_runs, shown

PAGE = 200
"""Rows per request."""
_MOST = 2**62
"""Beyond SQLite's integers there is no row."""
_POLICY = ("default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; "
           "form-action 'none'")
_FILES = {"/": ("page/view.html", "text/html"), "/view.css": ("page/view.css", "text/css"),
          "/view.js": ("page/view.js", "text/javascript"), "/report.css": ("../report/templates/report.css", "text/css")}


class Viewer(ThreadingHTTPServer):
    """The server; `serve_forever()` it, and close it."""

    daemon_threads = True

    def __init__(self, folders: Sequence[Path], port: int = 0) -> None:
        """Open the runs and start reading them.

        Raises:
            UserError: a folder is no run, or the port is taken.
        """
        self.runs: list[ViewedRun] = open_runs(list(folders))
        self.body = environment().get_template("episode.html.jinja")
        try:
            super().__init__(("127.0.0.1", port), _Handler)
        except OSError as error:
            raise UserError(f"port {port} cannot be used ({error.strerror}): choose another with --port, or leave it out") from None
        for run in self.runs:
            threading.Thread(target=run.prepare, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/"

    def answer(self, path: str, query: dict[str, str]) -> dict[str, Any] | None:
        """What the page asks for; None where there is no such thing."""
        if path == "/api/state":
            return {"runs": [run.state() for run in self.runs]}
        try:
            run = self.runs[int(query.get("run", "0"))]
            start, sample = (max(0, min(int(query.get(name, "0")), _MOST)) for name in ("start", "sample"))
        except (ValueError, IndexError):
            return None
        if not run.ready or run.trouble:
            return None
        if path == "/api/rows":
            return run.rows(query, start, PAGE)
        if path == "/api/same":
            return {"id": run.same_task(query.get("task", ""), sample)}
        try:
            trace = run.episode(query.get("id", "")) if path == "/api/episode" else None
        except UserError:  # the run was written anew since it was opened
            trace = None
        if trace is None:
            return None
        return {"id": trace.id, "task": trace.task_id, "sample": trace.sample, "html": self.body.render(c=shown(run, trace))}


class _Handler(BaseHTTPRequestHandler):
    server: Viewer
    protocol_version = "HTTP/1.1"
    server_version = "medcopilot"

    def do_GET(self) -> None:
        if self.headers.get("Host", "") not in (f"127.0.0.1:{self.server.server_port}", f"localhost:{self.server.server_port}"):
            self._send(HTTPStatus.FORBIDDEN, b"this page answers to 127.0.0.1 only", "text/plain")
            return
        parts = urlsplit(self.path)
        if parts.path in _FILES:
            name, kind = _FILES[parts.path]
            folder = files("medcopilot.view") if not name.startswith("../report/") else files("medcopilot.report")
            self._send(HTTPStatus.OK, (folder / name.removeprefix("../report/")).read_bytes(), kind)
            return
        answer = self.server.answer(parts.path, dict(parse_qsl(parts.query)))
        if answer is None:
            self._send(HTTPStatus.NOT_FOUND, b"{}", "application/json")
        else:
            self._send(HTTPStatus.OK, json.dumps(answer).encode(), "application/json")

    def _send(self, status: HTTPStatus, body: bytes, kind: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": f"{kind}; charset=utf-8", "Content-Length": str(len(body)), "Cache-Control": "no-store",
                            "Content-Security-Policy": _POLICY, "X-Content-Type-Options": "nosniff",
                            "Referrer-Policy": "no-referrer"}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Quiet."""
