"""Whose episodes a run holds, and how many of those that it was to hold: nothing goes by a checkpoint folder's last name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from test_evaluation_cli import invoke
from trace_factory import make_run, make_trace

from env.errors import UserError
from medcopilot.cli import compare, evaluate, report
from medcopilot.evaluation.columns import columns
from medcopilot.evaluation.protocols import protocol_pairs
from medcopilot.evaluation.records import conflict, read_record, refuse_strangers, wholeness
from medcopilot.report.build import build_report
from medcopilot.runs import RunFolder


def a_run(path: Path, traces, *, digest: str = "", planned: int | None = None, **config) -> Path:
    record = {"policy": f"{path.name}/checkpoints/sft", "profile": "nano", "protocol": "submit", "top_p": 1.0,
              **({"policy_record": {"name": "sft", "digest": digest}} if digest else {}), **config}
    run = RunFolder.create(path, record)
    with run.writer() as writer:
        for trace in traces:
            writer.write(trace)
    run.write_summary({"gym": {}, **({} if planned is None else {"planned": planned})})
    return path


def seeds(tmp_path: Path, *, same: bool = False) -> list[Path]:
    """Two checkpoints called `sft`, whose episodes have the same ids, for an id holds no more of a policy than its name."""
    return [a_run(tmp_path / "seed0", make_run(1.0, policy="sft", inflation=0), digest="aaaa"),
            a_run(tmp_path / "seed1", [trace.model_copy(update={"id": trace.id.replace("0-0.0-", "0-1.0-")})
                                       for trace in make_run(0.0, policy="sft", inflation=0)], digest="aaaa" if same else "bbbb")]


def test_two_checkpoints_of_one_name_are_not_one_run_of_a_report(tmp_path):
    a, b = seeds(tmp_path)
    with pytest.raises(UserError, match=r"are not one run, both: another policy, sft \(digest aaaa\) and sft \(digest bbbb\)"):
        build_report({"both": [a, b]}, tmp_path / "r.html")
    build_report({"seed0": a, "seed1": b}, tmp_path / "r.html")
    page = (tmp_path / "r.html").read_text()
    assert "120 episodes" in page, "no episode gives way to another folder's of the same id"


def test_one_episode_in_two_folders_is_an_error_and_replaces_nothing(tmp_path):
    with pytest.raises(UserError, match="hold the same episode"):
        build_report({"both": seeds(tmp_path, same=True)}, tmp_path / "r.html")
    assert not (tmp_path / "r.html").exists()


@pytest.mark.parametrize(("a", "b", "why"), [
    ({}, {}, ""), ({"profile": "nano"}, {"profile": "full"}, "another profile"), ({}, {"loop_guard": True}, "another loop_guard"),
    ({"without": ["debugging"]}, {}, "another without"), ({"protocol": "submit"}, {"protocol": "paper"}, "another protocol"),
    ({"temperature": 0.0, "seed": 1, "slices": ["seen"]}, {"temperature": 1.0, "seed": 2, "slices": ["unseen"]}, ""),
    ({"builds": {"eicu": {"seed": 0, "patients": 9}}}, {"builds": {"eicu": {"seed": 1}}}, "eicu was built otherwise, seed 0 and 1"),
    ({"builds": {"eicu": {"seed": 0}}}, {"builds": {"eicu": {"seed": 0, "patients": 9}, "treqs": {"seed": 4}}}, "")])
def test_folders_under_one_name_have_the_same_settings(tmp_path, a, b, why):
    one, two = (read_record(a_run(tmp_path / name, [], **config)) for name, config in (("a", a), ("b", b)))
    assert conflict(one, two).startswith(why)
    assert bool(conflict(one, two)) == bool(why)


def test_a_policy_without_a_digest_is_its_whole_record_and_one_without_a_record_differs_from_none(tmp_path):
    named = {"name": "openai:m", "model": "m"}
    records = {"cheap": {**named, "body": {}}, "thinks": {**named, "body": {"effort": 1}},
               "later": {**named, "body": {}, "torch": "9"}}
    found = {name: read_record(a_run(tmp_path / name, [], policy_record=record)) for name, record in records.items()}
    old = read_record(a_run(tmp_path / "old", []))
    assert "another policy" in conflict(found["cheap"], found["thinks"])
    assert conflict(found["cheap"], found["later"]) == ""
    assert (old.policy, conflict(old, found["cheap"]), old.planned) == ("", "", None)
    RunFolder.create(tmp_path / "bare", {"policy": "nano"})
    assert conflict(read_record(tmp_path / "bare"), found["thinks"]) == ""
    refuse_strangers("x", [tmp_path / "bare", tmp_path / "thinks"])
    (tmp_path / "bare" / "config.json").write_text("{torn")
    assert read_record(tmp_path / "bare").settings == {}, "its episodes can be read all the same"


def test_protocols_are_paired_by_weights_and_not_by_name():
    runs = {"submit": columns(make_run(0.3, policy="sft")), "paper": columns(make_run(0.6, policy="sft", protocol="paper")),
            "moved": columns(make_run(0.6, policy="other", protocol="paper"))}
    known = {"submit": "digest aaaa", "paper": "digest bbbb", "moved": "digest aaaa"}
    assert protocol_pairs(runs) == [("submit", "paper")]
    assert protocol_pairs(runs, known) == [("submit", "moved")]
    assert protocol_pairs(runs, {"submit": "digest aaaa"}) == [("submit", "paper")], "where one is not recorded, names have to do"


def test_compare_and_eval_pair_strangers_no_more_and_say_that_protocols_differ(tmp_path):
    a = a_run(tmp_path / "seed0", make_run(0.3, policy="sft"), digest="aaaa")
    stranger = a_run(tmp_path / "paper1", make_run(0.6, policy="sft", protocol="paper"), digest="bbbb", protocol="paper")
    same = a_run(tmp_path / "paper0", make_run(0.7, policy="copy", protocol="paper"), digest="aaaa", protocol="paper")
    text = invoke(compare, a, stranger, "--resamples", "100", "--json", tmp_path / "c.json").stdout
    assert "Protocols and graders on the same tasks" not in text
    assert "Protocols differ (submit; paper)" in text
    assert "Protocols differ" in " ".join(json.loads((tmp_path / "c.json").read_text())["notes"])
    assert "Protocols and graders on the same tasks" in invoke(compare, a, same, "--resamples", "100").stdout
    invoke(evaluate, a, stranger, same, "--resamples", "100", "--json", tmp_path / "e.json")
    found = json.loads((tmp_path / "e.json").read_text())
    assert list(found["inflation"]) == ["paper0 against seed0"]
    assert any("Protocols differ" in note for note in found["notes"])


def test_compare_says_what_else_differs(tmp_path):
    a = a_run(tmp_path / "a", make_run(0.3), profile="nano")
    b = a_run(tmp_path / "b", make_run(0.6), profile="full", without=["debugging"])
    text = invoke(compare, a, b, "--resamples", "100").stdout
    assert "Profiles differ (nano; full)" in text
    assert "taken away" in text


def test_one_file_of_scores_is_not_for_two_runs_that_share_ids(tmp_path):
    a = a_run(tmp_path / "kA", make_run(0.5, tasks=20, samples=2, temperature=0.6, policy="sft"))
    b = a_run(tmp_path / "kB", make_run(0.5, tasks=20, samples=2, temperature=0.6, policy="sft"))
    other = a_run(tmp_path / "kC", make_run(0.4, tasks=20, samples=2, temperature=0.6))
    scores = tmp_path / "scores.jsonl"
    scores.write_text("".join(json.dumps({"id": trace.id, "score": 0.5}) + "\n" for run in (a, other)
                              for trace in RunFolder.open(run).traces()))
    for command in (compare, evaluate):
        with pytest.raises(UserError, match="kA and kB share 40 episode ids"):
            invoke(command, a, b, "--verifier", scores, "--resamples", "100")
    assert "Best@K" in invoke(compare, a, other, "--verifier", scores, "--resamples", "100").stdout


def test_an_unfinished_run_says_so_wherever_it_is_read(tmp_path):
    whole = a_run(tmp_path / "whole", make_run(0.5), planned=60)
    part = a_run(tmp_path / "part", make_run(0.7)[:34], planned=400, datasets=["mimic_iii", "medcalcbench", "treqs"])
    sentence = "part: 34 of 400 planned episodes are there, none of treqs"
    for command in (evaluate, compare):
        text = invoke(command, whole, part, "--resamples", "100").stdout
        assert sentence in text
        assert "whole: 60" not in text
    invoke(report, whole, part, "--out", tmp_path / "r.html", "--trajectories", "0")
    assert sentence in (tmp_path / "r.html").read_text()


def test_folders_of_one_run_are_planned_together_and_an_old_one_plans_nothing(tmp_path):
    cold, hot = make_run(0.5), make_run(0.5, temperature=1.0)
    records = [read_record(a_run(tmp_path / "cold", cold, planned=60)), read_record(a_run(tmp_path / "hot", hot, planned=70))]
    assert wholeness("x", columns([*cold, *hot]), records) == [
        "x: 120 of 130 planned episodes are there: its numbers are over those. The command that sampled it plays the rest."]
    assert wholeness("x", columns(cold), [read_record(a_run(tmp_path / "old", cold))]) == []
    (tmp_path / "old" / "summary.json").write_text('{"planned": "many"}')
    assert read_record(tmp_path / "old").planned is None


@pytest.mark.parametrize(("masked", "alarm"), [(3, False), (4, True)])
def test_above_five_per_cent_masked_is_an_alarm(tmp_path, masked, alarm):
    gone = [make_trace(None, stop="infrastructure", submission=None) for _ in range(masked)]
    run = a_run(tmp_path / "run", [*make_run(0.5, tasks=60), *gone])
    text = invoke(evaluate, run, "--resamples", "100").stdout
    assert ("above 5 % a rate may hang" in text) == alarm
    invoke(report, run, "--trajectories", "0")
    assert ("above 5 % a rate may hang" in (run / "report.html").read_text()) == alarm


def test_episodes_that_were_never_graded_are_not_called_masked():
    ungraded = [trace.model_copy(update={"grades": {}}) for trace in make_run(0.5)]
    assert wholeness("x", columns(ungraded)) == []
