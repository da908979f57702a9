"""The leaderboard: ranks that the data bear out, nothing compared that cannot be, a sweep that goes on."""

import io
import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "evaluation"))

from trace_factory import make_run, make_trace

from env.errors import EngineError, UserError
from medcopilot.cli import leaderboard as command
from medcopilot.evaluation.columns import columns
from medcopilot.leaderboard import sweep as module
from medcopilot.leaderboard.board import make_board
from medcopilot.leaderboard.show import markdown, page, print_board, write
from medcopilot.leaderboard.sweep import SweepConfig, sweep
from medcopilot.policies.expert import ExpertPolicy
from medcopilot.prices import Price
from medcopilot.report.format import percent
from medcopilot.rollout.sample import run_record
from medcopilot.rollout.settings import SampleConfig, check_config
from medcopilot.runs import RunFolder
from medcopilot.train.config import load_config


def some_runs(**rates: float):
    return {name: columns(make_run(rate, tasks=240, seed=1, policy=f"openai:{name}")) for name, rate in rates.items()}


def test_rows_that_cannot_be_told_apart_share_a_rank():
    board = make_board(some_runs(weak=0.2, good=0.8, alike=0.8), resamples=400)
    ranks = {row.name: row.rank for row in board.rows}
    assert ranks == {"good": 1, "alike": 1, "weak": 3}
    assert [row.rank for row in board.rows] == [1, 1, 3]
    assert len(board.differences) == 3
    assert any("3 pairs were compared" in note for note in board.notes)


def test_only_the_greedy_rollouts_count():
    mixed = [*make_run(0.9, tasks=40), *make_run(0.0, tasks=40, temperature=0.6, seed=5)]
    board = make_board({"a": columns(mixed)}, resamples=200)
    assert board.rows[0].rate.traces == 40
    assert board.rows[0].rate.strict.value > 0.7


def test_a_run_without_greedy_rollouts_is_not_called_greedy():
    runs = {"a": columns(make_run(0.5, tasks=20)), "b": columns(make_run(0.5, tasks=20, temperature=0.6))}
    board = make_board(runs, resamples=200)
    assert [note for note in board.notes if "Not greedy" in note] == [
        "Not greedy, but at the lowest temperature that was sampled: b T = 0.6."]
    assert "greedy" not in page(make_board({"b": runs["b"]}, resamples=200)).replace("Not greedy", "")


def test_other_tasks_and_another_protocol_are_said():
    runs = {"a": columns(make_run(0.5, tasks=60)), "b": columns(make_run(0.5, tasks=80, protocol="paper"))}
    board = make_board(runs, resamples=200)
    assert any("Not all runs have graded the same tasks: 1 of 1" in note for note in board.notes)
    assert any("Protocols differ (paper, submit)" in note for note in board.notes)


def test_a_run_of_which_nothing_was_graded_has_no_rank():
    runs = {"gone": columns([make_trace(None, stop="infrastructure", submission=None)]), **some_runs(good=0.8)}
    board = make_board(runs, resamples=200)
    assert [(row.name, row.rank, row.masked) for row in board.rows] == [("good", 1, 0), ("gone", None, 1)]
    assert "gone: 1 of 1 episodes are masked" in board.notes[0]
    assert "| – | gone | – |" in markdown(board)


def test_cost_needs_a_price_and_every_count():
    traces = [make_trace(True, id=f"t{n}", task_id=f"k{n}", policy="openai:m", tokens=None, prompt_tokens=1_000,
                         completion_tokens=100) for n in range(10)]
    prices = {"m": Price(input=10.0, output=100.0)}
    assert make_board({"a": columns(traces)}, prices=prices, resamples=200).rows[0].cost == pytest.approx(10 * 0.02)
    assert make_board({"a": columns(traces)}, resamples=200).rows[0].cost is None
    used_nothing = [*traces, make_trace(False, policy="openai:m", tokens=None, turns=[], stop="context", submission=None),
                    make_trace(None, policy="openai:m", tokens=None, turns=[], stop="infrastructure", submission=None)]
    assert make_board({"a": columns(used_nothing)}, prices=prices, resamples=200).rows[0].cost == pytest.approx(10 * 0.02)
    unknown = [*traces, make_trace(True, policy="openai:m", tokens=None, prompt_tokens=None, completion_tokens=5)]
    assert make_board({"a": columns(unknown)}, prices=prices, resamples=200).rows[0].cost is None


def test_dollars_are_those_of_all_rollouts_and_not_of_the_greedy_ones():
    traces = [make_trace(True, id=f"t{n}-{sample}", task_id=f"k{n}", sample=sample, temperature=0.6 if sample else 0.0,
                         policy="openai:m", tokens=None, prompt_tokens=1_000, completion_tokens=100)
              for n in range(10) for sample in range(8)]
    (row,) = make_board({"a": columns(traces)}, prices={"m": Price(input=10.0, output=100.0)}, resamples=200).rows
    assert (row.rate.traces, row.cost) == (10, pytest.approx(80 * 0.02))


def test_a_mean_over_two_of_eight_datasets_says_so_in_every_form():
    board = make_board({"a": columns(make_run(0.5, tasks=40))}, resamples=200)
    assert (board.rows[0].in_distribution_datasets, board.rows[0].out_of_distribution_datasets) == (2, 0)
    out = io.StringIO()
    print_board(board, out)
    for text in (markdown(board), page(board).replace("<small>", "").replace("</small>", ""), out.getvalue()):
        assert f"{percent(board.rows[0].in_distribution)} (2 of 8)" in text
        assert "of 4)" not in text, "there is no mean over none"


def test_few_masked_episodes_are_counted_and_many_are_an_alarm():
    def noted(masked):
        gone = [make_trace(None, stop="infrastructure", submission=None) for _ in range(masked)]
        return " ".join(make_board({"a": columns([*make_run(0.5, tasks=60), *gone])}, resamples=200).notes)

    assert "a: 3 of 63 episodes are masked, because our machinery failed. The same command" in noted(3)
    assert "a: 4 of 64 episodes are masked, because our machinery failed: 6.2 %, and above 5 %" in noted(4)


def test_published_rows_stand_apart_under_their_note(tmp_path):
    board = make_board(some_runs(a=0.3, b=0.9), resamples=200, notes=["b is not whole: gone"])
    write(board, tmp_path)
    text, html = (tmp_path / "leaderboard.md").read_text(), (tmp_path / "leaderboard.html").read_text()
    for form in (text, html):
        assert form.index("not comparable with strict success") < form.index("gpt-4.1")
        assert "b is not whole: gone" in form
    assert (tmp_path / "leaderboard.json").stat().st_size
    assert "gpt-4.1" not in markdown(make_board(some_runs(a=0.3), reference=False, resamples=200))
    out = io.StringIO()
    print_board(board, out)
    assert "share a rank" in out.getvalue()


def test_names_cannot_break_out_of_the_tables():
    board = make_board({"<script>x</script>|y": columns(make_run(0.5, tasks=40))}, resamples=200)
    assert "<script>" not in page(board)
    assert "|y" not in markdown(board).replace("\\|y", "")
    assert "http" not in page(board).replace("http-equiv", "")


SWEEP = """
out: OUT
sample: {datasets: [medcalcbench], tasks_per_dataset: 5}
entries:
  - {name: expert, policy: expert}
  - {name: gone, policy: "openai:m@http://127.0.0.1:1/v1"}
  - {name: last, policy: expert}
"""


def a_sweep(tmp_path, text=SWEEP):
    path = tmp_path / "board.yaml"
    path.write_text(text.replace("OUT", str(tmp_path / "out")))
    return load_config(SweepConfig, path)


def test_an_entry_that_fails_does_not_stop_the_others(tmp_path, monkeypatch):
    played, told = [], []

    def sample_run(config, progress, root=None):
        if "gone" in str(config.out):
            raise EngineError("openai:m: gave up")
        played.append(config.out.name)

    monkeypatch.setattr(module, "sample_run", sample_run)
    assert sweep(a_sweep(tmp_path), lambda _: lambda *_: None, told.append) == {"gone": "openai:m: gave up"}
    assert played == ["expert", "last"]
    assert told == ["gone: openai:m: gave up"]


def test_a_policy_that_is_not_there_is_told_of_before_the_others_play(tmp_path, monkeypatch):
    happened = []
    monkeypatch.setattr(module, "sample_run", lambda config, progress, root=None: happened.append(config.out.name))
    broken = sweep(a_sweep(tmp_path, SWEEP.replace('"openai:m@http://127.0.0.1:1/v1"', "runs/typo")), lambda _: lambda *_: None,
                   happened.append)
    assert list(broken) == ["gone"]
    assert happened[0].startswith("gone: ")
    assert happened[1:] == ["expert", "last"]


def test_an_entry_that_cannot_be_estimated_does_not_hide_the_others(tmp_path, monkeypatch, capsys):
    expected = {"prompt_tokens": None, "sampled_tokens": 70.0, "seconds": 3.0, "usd": 0.42}
    monkeypatch.setattr(module, "estimate", lambda config, root: check_config(config) or
                        {"owed": 5, "episodes": 5, "expected": expected, "from_traces": 2})
    a_sweep(tmp_path, SWEEP.replace('"openai:m@http://127.0.0.1:1/v1"', "runs/typo"))
    with pytest.raises(SystemExit, match="1"):
        command.run(tmp_path / "board.yaml", estimate=True)
    said = capsys.readouterr()
    words = "5 of 5 episodes owed; expected: prompt tokens unknown, 70 sampled tokens, 3 seconds, 0.42 US dollars"
    assert said.out.splitlines() == [f"expert: {words}", f"last: {words}"]
    assert "gone: policy 'runs/typo' is no expert" in " ".join((said.out + said.err).split())


def test_an_unknown_setting_of_a_sweep_is_refused_with_the_nearest(tmp_path):
    config = a_sweep(tmp_path, SWEEP.replace("datasets: [", "dataset: ["))
    with pytest.raises(UserError, match=r"unknown key 'sample\.dataset': did you mean 'datasets'"):
        sweep(config, lambda _: lambda *_: None, print)


def test_an_entry_whose_policy_was_changed_is_left_out_until_it_is_sampled(tmp_path, capsys):
    out = tmp_path / "out"
    for name, policy in (("expert", "expert"), ("last", "openai:other@http://127.0.0.1:1/v1")):
        with RunFolder.create(out / "runs" / name, {"policy": policy}).writer() as writer:
            for trace in make_run(0.5, tasks=4, policy=policy):
                writer.write(trace)
    path = tmp_path / "board.yaml"
    path.write_text(SWEEP.replace("OUT", str(out)))
    command.run(path, tables_only=True, resamples=100)
    found = json.loads((out / "leaderboard.json").read_text())
    assert [row["name"] for row in found["rows"]] == ["expert"]
    assert "last is left out" in capsys.readouterr().err


def a_run(folder: Path, *, planned: int | None = None, tasks: int = 4, **recorded) -> None:
    run = RunFolder.create(folder, recorded)
    with run.writer() as writer:
        for trace in make_run(0.5, tasks=tasks, policy="expert"):
            writer.write(trace)
    run.write_summary({"version": "0.1.0", **({} if planned is None else {"planned": planned})})


def tables(tmp_path, sample, entries='[{name: a, policy: expert}]'):
    path = tmp_path / "board.yaml"
    path.write_text(f"out: {tmp_path / 'out'}\nsample: {sample}\nentries: {entries}\n")
    command.run(path, tables_only=True, resamples=100)
    return json.loads((tmp_path / "out" / "leaderboard.json").read_text())["notes"]


def asked(sample: dict, out: Path) -> dict:
    """What the run of an entry records."""
    return run_record(SampleConfig(**{**sample, "out": out, "policy": "expert"}), ExpertPolicy())


def test_a_row_of_other_settings_than_the_list_asks_for_is_told_of(tmp_path):
    sample = {"datasets": ["medcalcbench"], "tasks_per_dataset": 3, "builds": {"medcalcbench": {"seed": 4}}}
    a_run(tmp_path / "out" / "runs" / "a", **asked(sample, tmp_path))
    assert tables(tmp_path, json.dumps(sample)) == []
    (note,) = tables(tmp_path, json.dumps({**sample, "tasks_per_dataset": 5, "protocol": "paper", "concurrency": 2}))
    assert "a was sampled under other settings than the list asks for now (different: protocol, tasks_per_dataset)" in note
    (note,) = tables(tmp_path, json.dumps({**sample, "builds": {"medcalcbench": {"seed": 5}}}))
    assert "(different: builds)" in note


def test_a_run_of_an_earlier_version_stands_at_the_defaults_of_what_it_does_not_name(tmp_path):
    sample = {"datasets": ["medcalcbench"], "builds": {"medcalcbench": {"seed": 4}}}
    old = asked(sample, tmp_path)
    for name in ("stateful", "skip_tasks", "policy_record"):
        del old[name]
    del old["builds"]["medcalcbench"]["patients"]
    a_run(tmp_path / "out" / "runs" / "a", **old, gone_since=True)
    assert tables(tmp_path, json.dumps(sample)) == []
    assert "(different: stateful)" in tables(tmp_path, json.dumps({**sample, "stateful": True}))[0]


def test_runs_that_are_ranked_together_under_other_conditions_are_told_of(tmp_path):
    base = {"datasets": ["medcalcbench"], "profile": "nano"}
    a_run(tmp_path / "a", **asked(base, tmp_path))
    other = {"profile": "full", "split": "train", "loop_guard": True, "without": ["terminal"]}
    a_run(tmp_path / "b", **asked({**base, **other}, tmp_path))
    entries = f"[{{name: a, run: {tmp_path / 'a'}}}, {{name: b, run: {tmp_path / 'b'}}}]"
    said = " ".join(tables(tmp_path, "{}", entries))
    for words in ("Profiles differ (nano; full)", "Splits differ (test; train)", "loop guard and some without",
                  'taken away: none; ["terminal"]'):
        assert words in said
    assert "commit" not in said, "what was not recorded is no difference"


def test_an_entry_that_its_budget_stopped_is_told_of(tmp_path):
    sample = {"datasets": ["mimic_iii", "medcalcbench", "treqs"]}
    a_run(tmp_path / "out" / "runs" / "a", planned=400, tasks=32, **asked(sample, tmp_path))
    (note,) = tables(tmp_path, json.dumps(sample))
    assert note.startswith("a: 32 of 400 planned episodes are there, none of treqs")


@pytest.mark.parametrize(("old", "new", "reason"), [
    ("name: last", "name: expert", "same name"), ("{name: last, policy: expert}", "{name: last}", "either policy or run"),
    ("name: last", "name: ../x", "name"), ("tasks_per_dataset: 5", "tasks: 5", r"sample\.tasks"),
    ("tasks_per_dataset: 5", "out: runs/x", r"sample\.out is set by the entries")])
def test_what_is_wrong_is_said_before_anything_is_played(tmp_path, monkeypatch, old, new, reason):
    monkeypatch.setattr(module, "sample_run", lambda *_, **__: pytest.fail("played"))
    with pytest.raises(UserError, match=reason):
        sweep(a_sweep(tmp_path, SWEEP.replace(old, new)), lambda _: lambda *_: None, print)
