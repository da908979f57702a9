"""The server on real sockets: it serves, it bounds what a client can do, and it leaves nothing behind."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
import urllib.error
import urllib.request

import pytest

from env.fhir import http
from env.fhir.api import Api
from env.fhir.http import HttpServer


@pytest.fixture
def served(overlay):
    server = HttpServer(Api(overlay).answer)
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    server.attach(listener)
    yield port
    server.detach()


def talk(port: int, data: bytes, seconds: float = 5.0) -> bytes:
    """Send bytes, and all that comes back until the server hangs up."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as client:
        with contextlib.suppress(OSError):
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
        received = b""
        with contextlib.suppress(OSError):
            while part := client.recv(65536):
                received += part
        return received


def get(port: int, where: str) -> dict:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/fhir/{where}", timeout=30) as reply:
        assert reply.headers["Content-Type"].startswith("application/fhir+json")
        return json.load(reply)


def test_links_lead_back_to_the_server(served):
    body = get(served, "Observation?_count=2")
    following = next(link["url"] for link in body["link"] if link["relation"] == "next")
    assert following.startswith(f"http://127.0.0.1:{served}/fhir/Observation?")
    with urllib.request.urlopen(following, timeout=30) as reply:
        assert len(json.load(reply)["entry"]) == 2


def test_a_refusal_is_an_outcome(served):
    with pytest.raises(urllib.error.HTTPError) as refused:
        get(served, "Nothing/1")
    assert json.load(refused.value)["resourceType"] == "OperationOutcome"


def test_one_connection_serves_many_requests_and_head_has_no_body(served):
    line = b"GET /fhir/Patient/p1 HTTP/1.1\r\nHost: x\r\n\r\n"
    received = talk(served, line * 3 + b"HEAD /fhir/Patient/p1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert received.count(b"HTTP/1.1 200") == 4
    assert received.count(b'"birthDate"') == 3


@pytest.mark.parametrize("data", [
    b"", b"\0" * 100, b"hello\r\n\r\n", b"GET /fhir/Patient\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"A" * 100_000,
    b"GET /fhir/Patient HTTP/1.1\r\n\r\n", b"GET /fhir/Patient HTTP/1.1\r\nHost: x\r\n" + b"X: " + b"y" * 50_000 + b"\r\n\r\n",
    b"POST /fhir/Observation HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999999\r\n\r\n" + b"x" * 400_000,
    b"POST /fhir/Observation HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"POST /fhir/Observation HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
    b"GET /fhir/Patient?name=%00%ff&_sort=' HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /fhir/%2e%2e/etc HTTP/1.1\r\nHost: \xff\r\n\r\n",
])
def test_malformed_http_ends_a_connection_and_nothing_else(served, data):
    received = talk(served, data)
    assert received == b"" or received.startswith(b"HTTP/1.1 4")
    assert get(served, "Patient/p1")["id"] == "p1"


def test_a_huge_body_is_refused(served):
    with pytest.raises((urllib.error.HTTPError, urllib.error.URLError, ConnectionError)) as refused:
        urllib.request.urlopen(f"http://127.0.0.1:{served}/fhir/Observation", data=b"x" * (http.BODY_BYTES + 1), timeout=30)
    if isinstance(refused.value, urllib.error.HTTPError):
        assert refused.value.code == 413
    assert get(served, "Patient/p1")["id"] == "p1"


def test_too_many_connections_are_turned_away_and_room_is_made_again(served):
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(socket.create_connection(("127.0.0.1", served))) for _ in range(http.CONNECTIONS)]
        deadline = time.monotonic() + 30
        while b"503" not in (received := talk(served, b"GET /fhir/Patient/p1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")):
            assert time.monotonic() < deadline, received
        assert len(clients) == http.CONNECTIONS
    deadline = time.monotonic() + 30
    while True:
        with contextlib.suppress(OSError):
            assert get(served, "Patient/p1")["id"] == "p1"
            break
        assert time.monotonic() < deadline


def test_a_client_that_dribbles_is_dropped(served, monkeypatch):
    monkeypatch.setattr(http, "REQUEST_SECONDS", 0.3)
    with socket.create_connection(("127.0.0.1", served), timeout=30) as client:
        started = time.monotonic()
        with contextlib.suppress(OSError):
            for sign in b"GET /fhir/Patient/p1 HTTP/1.1\r\nHost: x\r\nX: ":
                client.sendall(bytes([sign]))
                time.sleep(0.05)
            while client.recv(4096):
                pass
        assert time.monotonic() - started < 20


def test_nothing_is_left_after_detach(overlay):
    def open_files() -> int:
        return len(os.listdir("/proc/self/fd"))

    overlay.read("Patient", "p1")
    files, threads = open_files(), threading.active_count()
    server = HttpServer(Api(overlay).answer)
    for _ in range(5):
        listener = socket.create_server(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        server.attach(listener)
        with socket.create_connection(("127.0.0.1", port)):  # one that stays idle
            assert get(port, "Patient/p1")["id"] == "p1"
            server.detach()
        with pytest.raises(OSError):  # noqa: PT011
            get(port, "Patient/p1")
    server.detach()
    assert open_files() == files
    assert threading.active_count() == threads


def test_attaching_the_same_socket_again_changes_nothing(overlay):
    server = HttpServer(Api(overlay).answer)
    listener = socket.create_server(("127.0.0.1", 0))
    server.attach(listener.dup())
    before = threading.active_count()
    server.attach(listener.dup())
    assert threading.active_count() == before
    assert get(listener.getsockname()[1], "Patient/p1")["id"] == "p1"
    server.detach()
    # the socket lives on in other hands, and serves whoever comes next
    again = HttpServer(Api(overlay).answer)
    again.attach(listener.dup())
    assert get(listener.getsockname()[1], "Patient/p1")["id"] == "p1"
    again.detach()
    listener.close()
