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
from medcopilot.cli.report import _stages
from medcopilot.evaluation.errors import CLASSES
from medcopilot.prices import Price
from medcopilot.report.build import build_report, name_runs
from medcopilot.runs import RunFolder
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
        "chance": {"mimic_iii": 0.1}})
    page = Page(text)
    assert len(page.named("script")) == 1
    assert not page.named("img")
    assert "<script>document.title" not in text
    assert "49" not in re.findall(r"`(\d+)", text)  # template code in a trace is not run
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert page.problems == []


def test_a_line_of_chance_for_a_dataset_that_no_run_has_is_refused(page_of):
    with pytest.raises(UserError, match=r"--chance mimic_3: no run has this dataset: choose from mimic_iii, all"):
        page_of({"SFT": [make_trace(True)]}, extra={"chance": {"mimic_3": 0.1}})


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
                  "mimic_iii category", "Where rollout time goes", "Precision %", "How episodes end", "separated",
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


def test_runs_have_a_board_a_heat_map_and_folded_categories(page_of):
    runs = {f"run {i}": [make_trace(task % 4 < i, id=f"{i}-{task}-{sample}", task_id=f"task-{task}", sample=sample,
                                    dataset=f"set-{task % 12}", category=f"set-{task % 12} category {task // 12}",
                                    cluster=f"c/{task % 25}", temperature=0.6)
                         for task in range(150) for sample in range(2)] for i in range(3)}
    text = page_of(runs, trajectories=0)
    page = Page(text)
    assert page.problems == []
    assert all(caption.get("class") == "hide" for caption in page.named("caption"))
    assert len(page.named("caption")) == len(page.named("table")), "every table has a name"
    assert "150 categories of 12 datasets" in text
    folds = [item for item in page.named("details") if item.get("class") == "fold"]
    assert len(folds) == 13
    assert not any("open" in item for item in folds), "150 categories are folded"
    board = text[text.index('id="board"'):text.index('id="headline"')]
    assert re.findall(r'<th scope="row"><bdi>(run \d)</bdi>', board) == ["run 2", "run 1", "run 0"]
    assert "3 pairs were compared" in board
    assert 'aria-label="Pass@K of all runs, over K rollouts, drawn at T = 0.6: run 0 from 0.0' in text
    assert "Pass@K, exchangeable<" in text
    assert 'id="warnings"' not in text, "the same tasks, temperature and protocol: nothing to warn of"


def test_runs_that_are_not_comparable_are_told_apart(page_of):
    one = make_run(0.5, tasks=40)
    other = make_run(0.6, tasks=60, temperature=0.6, protocol="paper")
    text = page_of({"one": one, "other": other, "broken": [make_trace(None, stop="infrastructure", task_id="task-1")]})
    warned = text[text.index('id="warnings"'):text.index('id="board"')]
    for words in ("broken: none of its 1 episodes is graded", "Runs were not graded on the same tasks (one 40, other 60; 40 in all",
                  "Protocols differ (submit; paper)", "Temperatures differ (0; 0.6)"):
        assert words in warned
    protocol = re.search(r'<th scope="row">protocol</th>(.*?)</tr>', text).group(1)
    assert re.findall(r'"name">(.*?)</td>', protocol) == ["submit", "paper", "submit", "<b>≠ differs</b>"]


def test_costs_are_unknown_without_a_price_or_a_count(page_of):
    priced = [make_trace(True, prompt_tokens=1_000_000, completion_tokens=500_000, policy="openai:m") for _ in range(2)]
    uncounted = [make_trace(True, policy="openai:m")]
    prices = {"m": Price(input=1.0, output=2.0)}
    text = page_of({"paid": priced, "uncounted": uncounted}, extra={"prices": prices})
    rows = dict(re.findall(r'<tr><th scope="row">(\w+)</th>(.*?)</tr>', text[text.index('id="cost"'):text.index('id="time"')]))
    assert re.findall(r"<td>(.*?)</td>", rows["paid"])[:6] == ["2", "2", "2,000,000", "1,000,000", "4.00", "2.000"]
    assert re.findall(r"<td>(.*?)</td>", rows["uncounted"])[:6] == ["1", "1", "unknown", "3", "unknown", "–"]


def test_the_boards_dollars_are_of_all_rollouts(page_of):
    def rollouts(temperature, count):
        return [make_trace(True, prompt_tokens=1_000_000, completion_tokens=0, policy="openai:m", temperature=temperature)
                for _ in range(count)]

    text = page_of({"a": rollouts(0.0, 1) + rollouts(0.6, 4), "b": rollouts(0.0, 2)},
                   extra={"prices": {"m": Price(input=1.0, output=2.0)}})
    board = text[text.index('id="board"'):].partition("</table>")[0].partition("<tbody>")[2]
    assert sorted(re.findall(r"<td>([^<]*)</td></tr>", board)) == ["2.00", "5.00"]


def folder_run(folder: Path, record: dict, traces) -> Path:
    run = RunFolder.create(folder, record)
    with run.writer() as writer:
        for trace in traces:
            writer.write(trace)
    return run.path


def test_conditions_come_from_the_runs_records(tmp_path):
    a = folder_run(tmp_path / "a" / "run", {"profile": "nano", "policy_record": {"torch": "2.1"}}, make_run(0.3, tasks=8))
    b = folder_run(tmp_path / "b" / "run", {"profile": "full", "without": ["debugging"]}, make_run(0.6, tasks=8))
    gym = {"grader": "strict", "sandbox": {"tier": "zygote", "python": "3.11.7"}}
    RunFolder(a).write_summary({"version": "0.1.0", "code": {"commit": "abc123"}, "gym": gym,
                                "builds": {"mimic_iii": {"source": None, "seed": 0, "options": {"templates": "core"}}}})
    RunFolder(b).write_summary({"version": "0.2.0", "gym": gym, "builds": {"mimic_iii": {"source": "/x", "seed": 0}}})
    text = build_report([a, b], tmp_path / "r.html").read_text()
    assert Page(text).problems == []
    for words in ("Versions differ (0.1.0; 0.2.0)", "Profiles differ (nano; full)", "mimic_iii was not built alike",
                  "(taken away: none; [&#34;debugging&#34;])"):
        assert words in text
    cells = re.search(r'<th scope="row">commit</th>(.*?)</tr>', text).group(1)
    assert re.findall(r'"name">(.*?)</td>', cells) == ["abc123", "not recorded", "= same"]
    assert re.search(r'<th scope="row">sandbox tier</th><td class="name">zygote</td><td class="name">zygote</td>', text)
    assert '<th scope="col">a/run</th>' in text, "two runs of one name go by their parents' too"


def test_runs_given_twice_or_missing_are_one_sentence(tmp_path):
    run = folder_run(tmp_path / "run", {}, [make_trace(True)])
    other = folder_run(tmp_path / "deep" / "x" / "run", {}, [make_trace(True)])
    third = folder_run(tmp_path / "wide" / "x" / "run", {}, [make_trace(True)])
    assert list(name_runs([run, other])) == [f"{tmp_path.name}/run", "x/run"]
    assert list(name_runs([other, third])) == [str(other), str(third)]
    with pytest.raises(UserError, match="given twice"):
        build_report([run, run], tmp_path / "r.html")
    with pytest.raises(UserError, match="the same run, given twice"):
        build_report({"a": run, "b": tmp_path / "deep" / ".." / "run"}, tmp_path / "r.html")
    with pytest.raises(UserError, match="the same run, given twice"):
        build_report({"a": run, "b": run}, tmp_path / "r.html")
    with pytest.raises(UserError, match="it does not exist"):
        build_report([run, tmp_path / "gone"], tmp_path / "r.html")
    with pytest.raises(UserError, match="not a run folder"):
        build_report([tmp_path], tmp_path / "r.html")
    assert _stages([f"base={run}", f"base={other}", str(third)]) == {"base": [run, other], "run": [third]}
    with pytest.raises(UserError, match="two runs are called run"):
        _stages([f"run={other}", str(run)])


def test_shown_episodes_of_folders_are_read_again_whole(tmp_path):
    traces = [make_trace(index % 2 == 0, id=f"id-{index}") for index in range(6)]
    text = build_report([folder_run(tmp_path / "run", {}, traces)], tmp_path / "r.html", trajectories=6).read_text()
    assert text.count('class="episode"') == 6
    assert "2 turns, 4 tokens" in text, "token lists are counted although nobody reads them"
