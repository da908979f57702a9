"""The viewer in a real browser: rows, filters, keys, two runs side by side; no trace runs, nothing outside is asked."""

from __future__ import annotations

import http.client
import shutil
import sys
import threading
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "evaluation"))

from trace_factory import make_run, make_trace

from env.errors import UserError
from medcopilot.runs import RunFolder
from medcopilot.trace import Turn
from medcopilot.view.server import Viewer

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
EVIL = "</pre><script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">"
playwright = pytest.importorskip("playwright.sync_api")

pytestmark = [pytest.mark.slow]
expect = playwright.expect
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install --no-install-recommends chromium")


def write(folder: Path, name: str, traces) -> Path:
    run = RunFolder.create(folder / name, {"name": name})
    with run.writer() as writer:
        for trace in traces:
            writer.write(trace)
    return run.path


@pytest.fixture(scope="module")
def viewer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    evil = make_trace(False, id="evil", task_id="evil", category=EVIL, template=EVIL, messages=[{"role": "user", "content": EVIL}],
                      turns=[Turn(reply=EVIL, observation=f"{EVIL} needle in a haystack, größer als \"zwei\"")])
    runs = [write(folder, "sft", [evil, *make_run(0.3, tasks=300)]), write(folder, "grpo", make_run(0.7, tasks=300))]
    with Viewer(runs) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as tool:
        started = tool.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield started
        started.close()


@pytest.fixture
def page(browser, viewer):
    opened = browser.new_page(viewport={"width": 1400, "height": 900})
    opened.asked, opened.said = [], []
    opened.on("request", lambda request: opened.asked.append(request.url))
    opened.on("console", lambda message: opened.said.append(message.text))
    opened.goto(viewer.url)
    opened.get_by_text("301 of 301 episodes").wait_for()
    yield opened
    assert [url for url in opened.asked if not url.startswith(viewer.url)] == []
    assert opened.title() == "Med-Copilot viewer", "text of a trace has run"
    assert opened.said == []
    opened.close()


@needs_browser
def test_rows_filters_and_text_search(page, viewer):
    rows = page.get_by_role("listbox", name="Episodes").get_by_role("option")
    expect(rows).to_have_count(200)
    page.get_by_role("button", name="More").click()
    expect(rows).to_have_count(301)
    page.get_by_role("combobox", name="Outcome").select_option("success")
    expect(page.locator("#count")).not_to_have_text("301 of 301 episodes")
    assert all("✓ success" in text for text in page.locator("#rows .what").all_inner_texts())
    page.get_by_role("combobox", name="Outcome").select_option("")
    page.get_by_role("searchbox", name="Text").fill('größer ALS "Zwei"')
    page.get_by_text("1 of 301 episodes").wait_for()
    assert "evil" not in page.title()
    page.locator("#one").get_by_text("needle in a haystack").wait_for()
    expect(page.locator("#places")).to_contain_text("found in 1 place")  # the observation
    assert page.evaluate("[...CSS.highlights.get('found')].map(String)") == ['größer als "zwei"']
    page.get_by_role("searchbox", name="Text").fill("no such words anywhere")
    page.get_by_text("No episode matches the filter.").wait_for()
    expect(rows).to_have_count(0)
    page.get_by_role("searchbox", name="Text").fill("")
    page.get_by_role("searchbox", name="Task").fill("task-17")
    page.get_by_text("1 of 301 episodes").wait_for()


@needs_browser
def test_the_verdict_filters_and_the_episode_says_why_it_failed(page):
    page.get_by_role("combobox", name="Verdict").select_option("wrong")
    expect(page.locator("#count")).not_to_have_text("301 of 301 episodes")
    labels = page.get_by_role("combobox", name="Outcome").locator("option").all_inner_texts()
    assert labels[0] == "all"
    assert {label.rpartition(" (")[0] for label in labels[1:]} == {"success", "failure", "paper only"}
    page.get_by_role("combobox", name="Outcome").select_option("failure")
    expect(page.locator("#rows .what").first).to_contain_text("✗ failure")
    pane = page.locator("#one")
    expect(pane.locator(".why")).to_contain_text("The submitted value differs from the reference.")
    expect(pane.locator(".facts")).to_contain_text("Error class")
    page.locator("#row-1").click()  # the first is the one without counts
    expect(pane.locator(".turns")).to_contain_text("7 tokens")


@needs_browser
def test_the_page_is_there_while_a_run_is_still_read(browser, tmp_path):
    runs = [write(tmp_path, "r", make_run(0.5, tasks=40))]
    with Viewer(runs) as server:
        run = server.runs[0]
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        while not run.ready:  # its own thread ends first: then it is made to look as it did before
            pass
        run.ready, run.done = False, run.size // 2
        opened = browser.new_page()
        opened.goto(server.url)
        opened.get_by_role("progressbar", name="Reading the run").wait_for()
        share = opened.evaluate("document.getElementById('progress').position")
        assert 0.4 < share < 0.6
        expect(opened.locator("#count")).to_contain_text("reading: ")
        run.ready = True
        opened.get_by_text("40 of 40 episodes").wait_for()
        expect(opened.locator("#progress")).to_be_hidden()
        opened.close()
        server.shutdown()


@needs_browser
def test_a_slow_answer_never_stands_beside_another_task(page):
    held: list = []
    page.route("**/api/episode?*", lambda route: held.append(route), times=1)
    page.locator("#row-9").click()
    page.get_by_role("combobox", name="Beside").select_option("grpo")
    held[0].continue_()
    page.locator("#other h2").get_by_text("grpo").wait_for()
    tasks = page.locator(".facts code").all_inner_texts()
    assert tasks == ["task-8", "task-8"], "the same task in both, though the first came late"


@needs_browser
def test_keys_walk_through_the_list_and_two_runs_stand_side_by_side(page, viewer, tmp_path):
    chosen = page.locator("#rows li[aria-selected=true]")
    first = chosen.get_attribute("id")
    page.keyboard.press("j")
    page.keyboard.press("j")
    expect(chosen).to_have_id("row-2")
    page.keyboard.press("k")
    expect(chosen).to_have_id("row-1")
    assert first == "row-0"
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.name") == "text"
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.id") == "rows"
    page.keyboard.press("ArrowDown")
    expect(chosen).to_have_id("row-2")
    page.get_by_role("combobox", name="Beside").select_option("grpo")
    page.locator("#other h2").get_by_text("grpo").wait_for()
    tasks = page.locator(".facts code").all_inner_texts()
    assert len(tasks) == 2
    assert tasks[0] == tasks[1], "the same task in both"
    page.keyboard.press("?")
    assert page.locator("#help").is_visible()
    page.screenshot(path=str(tmp_path / "viewer.png"))
    assert (tmp_path / "viewer.png").stat().st_size > 10_000
    for role, name in (("listbox", "Episodes"), ("combobox", "Run"), ("combobox", "Beside"), ("searchbox", "Text"),
                       ("button", "Keys"), ("region", "Episode")):
        assert page.get_by_role(role, name=name, exact=True).count() == 1, f"{role} {name} has no accessible name of its own"
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390, "it fits a phone"


def ask(viewer: Viewer, path: str, host: str | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", viewer.server_port, timeout=20)
    connection.request("GET", path, headers={"Host": host} if host else {})
    answer = connection.getresponse()
    return answer.status, answer.read()


def test_other_host_names_other_paths_and_wrong_numbers_get_nothing(viewer):
    assert ask(viewer, "/")[0] == 200
    assert ask(viewer, "/api/state", "evil.example")[0] == 403  # a name that was made to point here
    for path in ("/../runs.py", "/view.py", "/api/episode?run=7&id=evil", "/api/rows?run=x", "/api/rows?start=x",
                 "/api/episode?id=no", "/api/rows?run=-9"):
        assert ask(viewer, path)[0] == 404


def test_words_of_a_query_are_values_never_sql(viewer):
    status, body = ask(viewer, "/api/rows?dataset=%27%20or%201%3D1%20--%20&task=%27%29%3B%20drop%20table%20trace%3B")
    assert (status, b'"total": 0' in body) == (200, True)
    assert b'"total": 301' in ask(viewer, "/api/rows")[1]


def test_what_is_no_run_and_a_damaged_one_are_named(tmp_path):
    with pytest.raises(UserError, match="not a run folder"):
        Viewer([tmp_path])
    run = write(tmp_path, "r", [make_trace(True)])
    (run / "traces" / "main.jsonl").write_text("rubbish\n")
    with Viewer([run]) as server:
        server.runs[0].prepare()  # beside the server's own thread
        state = server.answer("/api/state", {})
        assert "not a trace: delete that line" in state["runs"][0]["trouble"]
        assert server.answer("/api/rows", {}) is None
