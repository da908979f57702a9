"""The page: complete, self-contained, and safe whatever the traces say."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from error_traces import cases, trace_of
from hypothesis import given, settings
from hypothesis import strategies as st
from trace_factory import make_run, make_trace

from env.errors import UserError
from medcopilot.evaluation.errors import CLASSES
from medcopilot.report.build import build_report
from medcopilot.trace import GradeRecord, Turn

EVIL = "</script><script>document.title='taken'</script><img src=x onerror=alert(1)>\"'`{{7*7}}{%raw%}"
VOID = {"meta", "input", "img", "br", "hr", "link", "use"}


class Page(HTMLParser):
    """Tags in order, and whether they nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.problems: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if not self.open or self.open[-1] != tag:
            self.problems.append(f"</{tag}> at line {self.getpos()[0]} closes {self.open[-3:]}")
        else:
            self.open.pop()

    def named(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def page_of(tmp_path_factory):
    def build(runs, **options) -> str:
        return build_report(runs, tmp_path_factory.mktemp("report") / "report.html", **options).read_text(encoding="utf-8")
    return build


@pytest.fixture(scope="module")
def full_page(page_of):
    curve = [{"step": i, "loss": 4 / (i + 1), "success": i / 50} for i in range(40)]
    stages = {"base": make_run(0.02, tasks=80), "SFT": [*make_run(0.5, tasks=80), *make_run(0.4, tasks=80, temperature=1.0)],
              "GRPO": make_run(0.7, tasks=80)}
    return page_of(stages, title="A title", extra={
        "metrics": {"SFT": curve}, "chance": {"mimic_iii": 0.04}, "notes": ["A note."], "provenance": {"command": "make demo"}})


def evil_trace(**fields):
    grade = GradeRecord(score=0.0, label=EVIL, detail=EVIL)
    turns = [Turn(reply=EVIL, observation=EVIL),
             Turn(reply="x", action="code_execution", params={"code": f"print(1)  # {EVIL}", "language": "python"},
                  observation=EVIL),
             Turn(reply="x", action="code_execution", params={"code": EVIL, "language": EVIL}),
             Turn(reply="x", action="terminal", params={"command": EVIL}),
             Turn(reply="x", action="request_info", params={"table": EVIL}),
             Turn(reply="x", action="submit", params={"program": f"select '{EVIL}'", "language": "sql"})]
    return make_trace(False, turns=turns, category=EVIL, template=EVIL, task_id=EVIL, policy=EVIL, sandbox=EVIL,
                      messages=[{"role": EVIL, "content": EVIL}, {"role": "user", "content": EVIL}],
                      grades={"strict": grade, "paper": grade}, **fields)


def test_nothing_from_a_trace_becomes_markup(page_of):
    text = page_of({EVIL: [evil_trace(), make_trace(True)]}, title=EVIL, extra={
        "notes": [EVIL], "provenance": {EVIL: EVIL}, "metrics": {EVIL: [{"step": i, EVIL: i} for i in range(4)]},
        "chance": {EVIL: 0.1}})
    page = Page(text)
    assert len(page.named("script")) == 1
    assert not page.named("img")
    assert "<script>document.title" not in text
    assert "49" not in re.findall(r"`(\d+)", text)  # template code in a trace is not run
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert page.problems == []


def test_the_page_asks_nobody_for_anything(full_page):
    page = Page(full_page)
    policy = next(item["content"] for item in page.named("meta") if item.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy
    assert "script-src 'sha256-" in policy
    for _, attributes in page.tags:
        for name in ("src", "href", "xlink:href", "action", "poster", "data"):
            assert (attributes.get(name) or "#").startswith("#"), attributes
    assert "@import" not in full_page
    assert not re.search(r"url\((?!#)", full_page)


def test_the_page_is_well_formed_and_can_be_read_aloud(full_page):
    page = Page(full_page)
    assert page.problems == []
    assert page.open == []
    ids = [attributes["id"] for _, attributes in page.tags if attributes.get("id")]
    assert len(ids) == len(set(ids))
    assert all(item.get("aria-label") for item in page.named("svg"))
    targets = {item["href"][1:] for item in page.named("a")}
    assert targets <= set(ids)
    assert page.named("html")[0]["lang"] == "en"


def test_every_section_is_there_with_its_numbers(full_page):
    for words in ("A title", "A note.", "make demo", "Success on seen templates", "SFT − base", "GRPO − SFT", "GRPO − base",
                  "mimic_iii category", "Where rollout time goes", "Precision %", "How episodes end", "excludes 0",
                  "largest share of one fixed answer", "trl", "resamples, seed 0"):
        assert words in full_page
    assert 'aria-label="SFT: loss from 4 at step 0' in full_page


def test_loops_are_a_table_where_there_are_some(full_page, page_of):
    again = [Turn(reply="{}", action="code_execution", params={"code": "print(1)"}, observation="1", sampled_tokens=7)] * 5
    text = page_of({"run": [make_trace(False, turns=again, stop="turns"), make_trace(True)]})
    assert 'aria-label="Loops per stage"' in text
    assert Page(text).problems == []
    assert "Loops per stage" not in full_page


def test_every_failure_stands_in_the_breakdown_of_errors(page_of):
    failed = [trace_of(line) for _, line in cases()]
    text = page_of({"base": [make_trace(True)], "SFT": [*failed, make_trace(True)]}, trajectories=12)
    page = Page(text)
    assert page.problems == []
    assert "Errors of biocoder" in text
    label = next(item["aria-label"] for item in page.named("svg") if "classes of" in (item.get("aria-label") or ""))
    assert label.startswith(f"SFT, classes of {sum(name != 'infrastructure' for name, _ in cases())} failed episodes: runtime ")
    for name, meaning in CLASSES.items():
        assert f'<th scope="row">{name.replace("_", " ")}</th>' in text
        assert meaning in text.replace("&#39;", "'")
    assert "50.4" in text  # published, for the paper's first class
    shown = {item["data-error"] for item in page.named("details") if item.get("class") == "episode"}
    assert {"", "infrastructure"} <= shown <= {"", *CLASSES}


def test_without_a_failure_there_is_no_breakdown(page_of):
    text = page_of({"run": [make_trace(True)]})
    assert 'href="#errors"' not in text
    assert 'id="errors"' not in text


def test_single_run_without_extras_still_makes_a_page(page_of):
    text = page_of({"only": [make_trace(True, slice="official")]})
    assert 'id="comparisons"' not in text
    assert 'id="training"' not in text
    assert Page(text).problems == []


def test_a_run_without_any_graded_episode_still_makes_a_page(page_of):
    text = page_of({"broken": [make_trace(None, stop="infrastructure", error="BoxDied: gone", turns=[], messages=[])]})
    assert "BoxDied: gone" in text
    assert "not graded" in text


@pytest.mark.parametrize(("fields", "words"), [
    ({"stop": "turns"}, "The turns ran out"),
    ({"stop": "context"}, "outgrew the context"),
    ({"stop": "loop"}, "repeated itself after it had been told"),
    ({"impossible": True}, "abstaining would have been right"),
    ({"paper": True}, "paper&#39;s grader accepts it"),
    ({}, "differs from the reference"),
])
def test_a_failure_says_why(page_of, fields, words):
    assert words in page_of({"run": [make_trace(False, **fields)]})


def test_episodes_are_shared_out_over_stages_and_outcomes(full_page, page_of):
    cards = [item for item in Page(full_page).named("details") if item.get("class") == "episode"]
    assert 30 <= len(cards) <= 40
    assert {item["data-stage"] for item in cards} == {"base", "SFT", "GRPO"}
    assert {"success", "failure", "paper only"} <= {item["data-outcome"] for item in cards}
    assert 'class="episode"' not in page_of({"run": make_run(0.5)}, trajectories=0)


def test_rows_under_an_agreement_are_left_out_unless_permitted(page_of, monkeypatch, tmp_path):
    secret = make_trace(True, licence="PhysioNet-credentialed", messages=[{"role": "user", "content": "Note of one real person"}])
    open_row = make_trace(True, dataset="medcalcbench", messages=[{"role": "user", "content": "A synthetic note"}])
    permissions = tmp_path / "agreements.yaml"
    monkeypatch.setenv("MEDCOPILOT_AGREEMENTS", str(permissions))
    told = []
    text = page_of({"run": [secret, open_row]}, tell=told.append)
    assert "Note of one real person" not in text
    assert "1 episodes of mimic_iii are not shown" in text
    assert str(permissions) in told[0]
    assert str(permissions) not in text
    assert "A synthetic note" in text
    permissions.write_text("- {dataset: mimic_iii, exit: report, allowed: true, who: A, date: 2026-01-01}")
    assert "Note of one real person" in page_of({"run": [secret, open_row]})


def test_bad_calls_are_one_sentence():
    with pytest.raises(UserError, match="no runs given"):
        build_report([], Path("x.html"))
    with pytest.raises(UserError, match="unknown extra"):
        build_report({"a": [make_trace()]}, Path("x.html"), extra={"metric": {}})
    with pytest.raises(UserError, match="no traces"):
        build_report({"a": []}, Path("x.html"))


@settings(max_examples=15, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_any_text_gives_a_page_without_hidden_characters(page_of, text):
    page = page_of({"run": [make_trace(False, messages=[{"role": "user", "content": text}],
                                       turns=[Turn(reply=text, observation=text)])]})
    assert Page(page).problems == []
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]", page)
