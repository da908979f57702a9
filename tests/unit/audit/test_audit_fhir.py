"""A hostile program at the FHIR server: what it may cost its host."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from env.errors import InfrastructureError
from env.fhir import FhirSession, api, http
from env.fhir.api import Api, Request
from env.fhir.http import HttpServer
from env.fhir.index import fold
from env.fhir.overlay import Overlay
from env.fhir.store import write_base

NOTE = {"resourceType": "Observation", "status": "final", "subject": {"reference": "Patient/p"}, "code": {"text": "BP"},
        "valueString": "118/77 mmHg"}


@pytest.fixture
def overlay(tmp_path: Path) -> Iterator[Overlay]:
    write_base([{"resourceType": "Patient", "id": "p"}], tmp_path / "base.sqlite")
    made = Overlay(tmp_path / "base.sqlite")
    yield made
    made.close()


def ask(served: Api, method: str, where: str, body: Any = b"") -> api.Response:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return served.answer(Request(method, f"/fhir/{where}", {"host": "x"}, data))


def test_a_search_in_a_long_system_takes_no_time(overlay):
    served = Api(overlay)
    long = {**NOTE, "code": {"coding": [{"system": "a" * 200_000, "code": "x"}]}}
    assert ask(served, "POST", "Observation", long).status == 201
    started = time.thread_time()
    assert ask(served, "POST", "Observation/_search", b"code:text=" + b"a" * 40_000 + b"b").body["total"] == 0
    assert time.thread_time() - started < 2.0


def test_many_combining_marks_take_no_time():
    started = time.thread_time()
    assert fold("A" + "\u0301\u0316" * 60_000) == "a"
    assert time.thread_time() - started < 5.0


@pytest.mark.parametrize("more", [{"extension": [{}] * 80_000}, {"component": [{"code": {}}] * 5_000}])
def test_a_resource_of_very_many_elements_is_refused_before_it_is_validated(overlay, more):
    started = time.thread_time()
    assert ask(Api(overlay), "POST", "Observation", {**NOTE, **more}).status == 413
    assert time.thread_time() - started < 5.0
    assert overlay.log == []


def test_one_request_of_a_box_is_worked_on_at_a_time(overlay, monkeypatch):
    served, together, most = Api(overlay), [], []

    def slow(*_: object) -> None:
        together.append(1)
        most.append(len(together))
        time.sleep(0.02)
        together.pop()

    monkeypatch.setattr(overlay, "read", slow)
    threads = [threading.Thread(target=ask, args=(served, "GET", "Patient/p")) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 6


def test_the_host_does_not_wait_for_each_stuck_connection(monkeypatch):
    stuck = threading.Event()

    def handler(_: Request) -> api.Response:
        stuck.wait(20)
        return api.Response(200, {})

    monkeypatch.setattr(http, "DETACH_SECONDS", 1.0)
    server, listener = HttpServer(handler), socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    server.attach(listener)
    clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(5)]
    for client in clients:
        client.sendall(b"GET /fhir HTTP/1.1\r\nHost: x\r\n\r\n")
    time.sleep(0.3)
    started = time.monotonic()
    server.detach()
    assert time.monotonic() - started < 4.0  # one after the other would take 5
    stuck.set()
    for client in clients:
        client.close()


@pytest.mark.parametrize("rest", [b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", b"Content-Length: 300000\r\n\r\n" + b"x" * 300_000])
def test_a_broken_head_request_is_no_exception_of_a_thread(overlay, monkeypatch, rest):
    raised: list[object] = []
    monkeypatch.setattr(threading, "excepthook", raised.append)
    server, listener = HttpServer(Api(overlay).answer), socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    server.attach(listener)
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        client.sendall(b"HEAD /fhir/Patient/p HTTP/1.1\r\nHost: x\r\n" + rest)
        with contextlib.suppress(OSError):
            client.recv(100)
    server.detach()
    assert raised == []


@pytest.mark.parametrize("data", [None, b"", b"no database" * 1000])
def test_a_base_that_cannot_be_read_is_not_the_agents_fault(tmp_path, data):
    if data is not None:
        (tmp_path / "bad.sqlite").write_bytes(data)
    session = FhirSession(tmp_path / "bad.sqlite")
    unused: Any = None
    with pytest.raises(InfrastructureError, match=r"bad\.sqlite"):
        session.attach(unused)
    session.close()


@pytest.mark.parametrize("more", [
    {"subject": '{"reference": "Patient/p"}'}, {"code": ' {\n"text": "BP"}'}, {"extension": ["{}"]},
    {"extension": ['{"extension": [' + ",".join(["{}"] * 60_000) + "]}"]},
    {"referenceRange": [{"low": '{"value": 1}'}]},
])
def test_an_object_written_as_text_is_refused(overlay, more):
    started = time.thread_time()
    refused = ask(Api(overlay), "POST", "Observation", {**NOTE, **more})
    assert (refused.status, overlay.log) == (400, [])
    assert time.thread_time() - started < 5.0


def test_text_in_braces_is_text(overlay):
    assert ask(Api(overlay), "POST", "Observation", {**NOTE, "valueString": "{score} 5"}).status == 201


@pytest.mark.parametrize(("reference", "status"), [
    ("Patient/p", 201), ("http://127.0.0.1:8080/fhir/Patient/p", 201), ("http://localhost:8080/fhir/Patient/p", 201),
    ("http://elsewhere.example/fhir/Patient/p", 400), ("urn:x:/Patient/p", 400), ("http://127.0.0.1.evil/fhir/Patient/p", 400),
])
def test_a_patient_of_another_server_is_not_ours(overlay, reference, status):
    assert ask(Api(overlay), "POST", "Observation", {**NOTE, "subject": {"reference": reference}}).status == status
