"""How long a report of many traces takes, and how soon the viewer shows a large run.

Promises: each is a process of its own, started as a user starts it, so that seconds are from the command to its end and memory is
the peak of everything; processor seconds stand beside, since wall-clock ones say little beside other work. The runs are made up
(`made_traces`), and thrown away. The viewer is asked over HTTP as its page asks, with an index and without one; where Chromium and
playwright are installed, the browser's own times of the first paint and of the first rows are added.
Does not cover: reading from a disk that does not have the run in its cache.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from env.errors import InfrastructureError
from medcopilot.bench.made_traces import join_runs, make_runs

_COMMAND = (sys.executable, "-m", "medcopilot.cli.main")
_PATIENCE = 600.0


def measure(traces: int = 10_000, megabytes: int = 1000, say: Callable[[str], None] = lambda _: None) -> dict[str, Any]:
    """Everything, as one document."""
    with tempfile.TemporaryDirectory(prefix="medcopilot-bench-") as name:
        folder = Path(name)
        say(f"making up {traces:,} traces, {megabytes:,} MB")
        runs = make_runs(folder, traces, megabytes * 1_000_000 // traces)
        whole = join_runs(runs, folder / "whole")
        size = sum(shard.stat().st_size for shard in (whole / "traces").iterdir()) / 1e6
        what = f"{traces:,} traces ({size:,.0f} MB)"
        document: dict[str, Any] = {"traces": traces, "megabytes": round(size)}
        for label, folders in ((f"{len(runs)} runs", runs), ("one run", [whole])):
            say(f"report of {label}")
            document[f"report of {what}, {label}"] = report(folders, folder / "report.html")
        for label in ("without an index", "with an index"):
            say(f"viewer {label}")
            document[f"viewer of {what}, {label}"] = viewer(whole)
        if browser() is not None:
            for label in ("without an index", "with an index"):
                if label.startswith("without"):
                    (whole / "index.sqlite").unlink()
                say(f"viewer in Chromium {label}")
                document[f"viewer in Chromium, {label}"] = painted(whole)
    return document


def report(folders: list[Path], out: Path) -> dict[str, float]:
    """`medcopilot report` of some runs.

    Raises:
        InfrastructureError: it failed.
    """
    started = time.perf_counter()
    process = subprocess.Popen([*_COMMAND, "report", *map(str, folders), "--out", str(out)], stdout=subprocess.DEVNULL)
    usage = _ended(process)
    if process.returncode:
        raise InfrastructureError(f"`medcopilot report` ended with status {process.returncode}: see its message above")
    return {"seconds": time.perf_counter() - started, **usage, "page_mb": out.stat().st_size / 1e6}


def viewer(run: Path) -> dict[str, float]:
    """`medcopilot view` asked as its page asks: from the command until it listens, and from then until each answer is there."""
    started = time.perf_counter()
    with _served(run) as (process, url):
        up = time.perf_counter()
        found = {"start_s": up - started}
        for path in ("/", "/report.css", "/view.css", "/view.js", "/api/state"):
            _get(url, path)
        found["page_ms"] = 1e3 * (time.perf_counter() - up)
        while not json.loads(_get(url, "/api/state"))["runs"][0]["ready"]:
            time.sleep(0.05)
        rows = json.loads(_get(url, "/api/rows?start=0"))["rows"]
        found["rows_ms"] = 1e3 * (time.perf_counter() - up)
        _get(url, f"/api/episode?id={rows[0]['id']}")
        found["episode_ms"] = 1e3 * (time.perf_counter() - up)
        asked = time.perf_counter()
        _get(url, "/api/rows?start=0&text=no%20such%20words%20anywhere")
        found["search_ms"] = 1e3 * (time.perf_counter() - asked)
        process.send_signal(signal.SIGINT)
        return {**found, **_ended(process)}


def browser() -> str | None:
    """Chromium's path, where it can be driven."""
    try:
        import playwright.sync_api  # noqa: F401
    except ImportError:
        return None
    return shutil.which("chromium") or shutil.which("chromium-browser")


def painted(run: Path) -> dict[str, float]:
    """Milliseconds after navigation began at which Chromium painted first, painted content first, and had the first rows."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as tool:
        chromium = tool.chromium.launch(executable_path=browser(), args=["--no-sandbox", "--disable-gpu"])
        page = chromium.new_page()
        page.set_default_timeout(_PATIENCE * 1e3)
        page.goto("about:blank")
        with _served(run) as (process, url):
            page.goto(url)
            page.wait_for_selector("#rows li")
            rows = page.evaluate("performance.now()")
            entries = page.evaluate("performance.getEntriesByType('paint').map((entry) => [entry.name, entry.startTime])")
            process.send_signal(signal.SIGINT)
            _ended(process)
        chromium.close()
    return {f"{name.replace('-', '_')}_ms": float(at) for name, at in entries} | {"rows_ms": float(rows)}


@contextmanager
def _served(run: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    process = subprocess.Popen([*_COMMAND, "view", str(run), "--no-browser"], stdout=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline() if process.stdout is not None else ""
        if not line.startswith("http"):
            raise InfrastructureError("`medcopilot view` did not start: see its message above")
        yield process, line.split()[0]
    finally:
        if process.returncode is None and process.poll() is None:
            process.kill()
        if process.stdout is not None:
            process.stdout.close()


def _ended(process: subprocess.Popen[Any]) -> dict[str, float]:
    """Wait for a process; what it used, its own children included."""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return {"cpu_s": usage.ru_utime + usage.ru_stime, "rss_mib": usage.ru_maxrss / 1024}


def _get(url: str, path: str) -> bytes:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=_PATIENCE)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
    finally:
        connection.close()
    if answer.status != 200:
        raise InfrastructureError(f"the viewer answered {answer.status} to {path}")
    return body
