"""A hub on a loopback port that speaks the upload protocol of the pinned huggingface_hub: create, preupload, LFS batch, PUT,
verify, commit. What the real one stores is kept in memory; faults are asked for one by one."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "hf_" + "x" * 34
_LARGE = (".safetensors", ".parquet", ".bin")


def git_oid(data: bytes) -> str:
    """Git's name of a blob."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


@dataclass
class Repo:
    """One repository."""

    private: bool
    files: dict[str, bytes] = field(default_factory=dict)
    large: set[str] = field(default_factory=set)
    """Paths that are stored as LFS objects."""
    commits: list[list[str]] = field(default_factory=list)
    """Paths that each commit added or changed; `-path`: removed."""


class Hub:
    """The server and what it holds."""

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.objects: dict[str, bytes] = {}
        """LFS: SHA-256 -> bytes."""
        self.faults: list[tuple[str, int]] = []
        """(part of method and path, status): the first request that matches gets the status, once."""
        self.requests: list[str] = []
        """`METHOD /path` in order."""
        self.arriving: threading.Event = threading.Event()
        """Set when an object for `stall` begins to arrive."""
        self.stall: str = ""
        """SHA-256 of an object whose upload is never answered."""
        self.lose_reply_of_commit = False
        hub = self

        class Handler(_Handler):
            owner = hub

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None  # a client that is killed
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def sent(self, what: str) -> list[str]:
        """Requests whose line holds `what`."""
        return [line for line in self.requests if what in line]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    owner: Hub

    def log_message(self, *_: Any) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        self._serve("GET")

    def do_POST(self) -> None:
        self._serve("POST")

    def do_PUT(self) -> None:
        self._serve("PUT")

    def _serve(self, method: str) -> None:
        hub, path = self.owner, self.path.partition("?")[0]
        hub.requests.append(f"{method} {path}")
        if hub.stall and path == f"/lfs/{hub.stall}":
            hub.arriving.set()
            threading.Event().wait(60)  # until the client is killed; this thread is a daemon
            return
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = next((item for item in hub.faults if item[0] in f"{method} {path}"), None)
        if fault is not None:
            hub.faults.remove(fault)
            return self._answer(fault[1], {"error": "as asked for by the test"})
        if not path.startswith("/lfs/") and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self._answer(401, {"error": "Invalid credentials in Authorization header"})
        for pattern, act in _ROUTES:
            if (match := re.fullmatch(pattern, f"{method} {path}")) is not None:
                return self._answer(*act(self, body, *match.groups()))
        return self._answer(404, {"error": f"the double has no {method} {path}"})

    def _answer(self, status: int, body: Any) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def create(self, body: bytes) -> tuple[int, Any]:
        asked = json.loads(body)
        name = f"{asked['organization']}/{asked['name']}"
        if name in self.owner.repos:
            return 409, {"error": "You already created this repo", "url": f"{self.owner.url}/{name}"}
        self.owner.repos[name] = Repo(private=asked.get("visibility") == "private" or asked.get("private") is True)
        return 200, {"url": f"{self.owner.url}/{name}", "name": name}

    def info(self, _: bytes, kind: str, name: str) -> tuple[int, Any]:
        repo = self.owner.repos.get(name)
        if repo is None:
            return 404, {"error": "Repository not found"}
        return 200, {"id": name, "_id": "0", "private": repo.private, "sha": f"{len(repo.commits):040x}", "tags": [],
                     "downloads": 0, "likes": 0, "siblings": [{"rfilename": path} for path in repo.files]}

    def valid(self, _: bytes) -> tuple[int, Any]:
        return 200, {"errors": [], "warnings": []}

    def preupload(self, body: bytes, kind: str, name: str) -> tuple[int, Any]:
        repo = self.owner.repos[name]
        files = []
        for file in json.loads(body)["files"]:
            path, entry = file["path"], {"path": file["path"], "shouldIgnore": False}
            entry["uploadMode"] = "lfs" if path.endswith(_LARGE) else "regular"
            if path in repo.files:
                data = repo.files[path]
                entry["oid"] = hashlib.sha256(data).hexdigest() if path in repo.large else git_oid(data)
            files.append(entry)
        return 200, {"files": files}

    def batch(self, body: bytes, name: str) -> tuple[int, Any]:
        objects = []
        for one in json.loads(body)["objects"]:
            entry = {"oid": one["oid"], "size": one["size"]}
            if one["oid"] not in self.owner.objects:
                entry["actions"] = {"upload": {"href": f"{self.owner.url}/lfs/{one['oid']}"},
                                    "verify": {"href": f"{self.owner.url}/api/verify"}}
            objects.append(entry)
        return 200, {"transfer": "basic", "objects": objects}

    def put(self, body: bytes, oid: str) -> tuple[int, Any]:
        if hashlib.sha256(body).hexdigest() != oid:
            return 400, {"error": "the bytes are not those that were announced"}
        self.owner.objects[oid] = body
        return 200, {}

    def verify(self, body: bytes) -> tuple[int, Any]:
        return (200, {}) if json.loads(body)["oid"] in self.owner.objects else (404, {"error": "no such object"})

    def commit(self, body: bytes, kind: str, name: str) -> tuple[int, Any]:
        repo, changed = self.owner.repos[name], []
        lines = [json.loads(line) for line in body.splitlines()]
        if lines[0]["key"] != "header" or not lines[0]["value"]["summary"]:
            return 400, {"error": "no header"}
        for line in lines[1:]:
            value = line["value"]
            if line["key"] == "file":
                repo.files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                if value["oid"] not in self.owner.objects:
                    return 400, {"error": f"{value['path']}: its object was never uploaded"}
                repo.files[value["path"]] = self.owner.objects[value["oid"]]
                repo.large.add(value["path"])
            elif line["key"] == "deletedFile":
                del repo.files[value["path"]]
            changed.append(("-" if line["key"] == "deletedFile" else "") + value["path"])
        repo.commits.append(changed)
        if self.owner.lose_reply_of_commit:
            self.owner.lose_reply_of_commit = False
            return 504, {"error": "the reply is lost"}
        sha = f"{len(repo.commits):040x}"
        return 200, {"success": True, "commitOid": sha, "commitUrl": f"{self.owner.url}/{name}/commit/{sha}"}


_NAME = r"([\w.-]+/[\w.-]+)"
_ROUTES: list[tuple[str, Any]] = [
    (r"POST /api/repos/create", _Handler.create),
    (rf"GET /api/(model|dataset)s/{_NAME}(?:/revision/main)?", _Handler.info),
    (r"POST /api/validate-yaml", _Handler.valid),
    (rf"POST /api/(model|dataset)s/{_NAME}/preupload/main", _Handler.preupload),
    (rf"POST /(?:datasets/)?{_NAME}\.git/info/lfs/objects/batch", _Handler.batch),
    (r"PUT /lfs/(\w+)", _Handler.put),
    (r"POST /api/verify", _Handler.verify),
    (rf"POST /api/(model|dataset)s/{_NAME}/commit/main", _Handler.commit),
]
