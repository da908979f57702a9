"""What a sampling run says of itself, and what it refuses before it is one."""

import json

import pytest
from toy_run import CODE, RIGHT, Says, toy_run

from env.errors import SandboxUnavailable, UserError
from medcopilot.cli import evaluate, sample
from medcopilot.cli.progress import sampling_progress
from medcopilot.rollout import sample as sample_module
from medcopilot.rollout.sample import sample_run
from medcopilot.runs import RunFolder


def play(config, policy=None):
    """All that was told of a run: `(done, total, state)`."""
    told = []
    sample_run(config, lambda *state: told.append(state), policy=policy or Says())
    return told


def test_a_run_is_told_of_before_its_first_episode_and_after_its_last(monkeypatch, tmp_path):
    told = play(toy_run(monkeypatch, tmp_path))
    assert told[0][:2] == (0, 6)
    assert (told[0][2]["played"], told[0][2]["success"]) == (0, None)
    assert told[-1][:2] == (6, 6)
    assert (told[-1][2]["played"], told[-1][2]["success"], told[-1][2]["stopped"]) == (6, 1.0, "")


def test_an_engine_that_the_run_opened_is_closed_and_a_callers_is_not(monkeypatch, tmp_path):
    class Closing(Says):
        closed = 0

        def close(self):
            self.closed += 1

    config, opened = toy_run(monkeypatch, tmp_path), []
    monkeypatch.setattr(sample_module, "policy_of", lambda *_: opened.append(Closing()) or opened[-1])
    sample_run(config)
    assert [policy.closed for policy in opened] == [1]
    with pytest.raises(UserError, match="another config"):
        sample_run(config.model_copy(update={"temperature": 0.1, "seed": 9}))
    assert [policy.closed for policy in opened] == [1, 1]
    callers = Closing()
    sample_run(config, policy=callers)
    assert not callers.closed


def test_a_finished_run_is_told_of_as_it_is(monkeypatch, tmp_path):
    config = toy_run(monkeypatch, tmp_path)
    play(config)
    done, total, state = play(config)[-1]
    assert (done, total, state["played"], state["success"], state["infrastructure"]) == (6, 6, 0, None, 0)


def test_a_budget_of_tokens_stops_a_policy_that_counts_them_and_the_run_knows_its_plan(monkeypatch, tmp_path):
    config = toy_run(monkeypatch, tmp_path)
    done, total, state = play(config.model_copy(update={"max_tokens": 25}))[-1]
    assert (done, total, state["stopped"]) == (3, 6, "max_tokens")
    assert len(list(RunFolder.open(config.out).traces())) == done
    assert json.loads((config.out / "summary.json").read_text())["planned"] == 6
    done, _, state = play(config)[-1]
    assert (done, state["played"], state["stopped"]) == (6, 3, "")
    assert json.loads((config.out / "summary.json").read_text())["planned"] == 6


def test_a_budget_that_is_used_up_with_the_last_episode_has_stopped_nothing(monkeypatch, tmp_path):
    assert play(toy_run(monkeypatch, tmp_path).model_copy(update={"max_tokens": 60}))[-1][2]["stopped"] == ""


def test_a_budget_of_tokens_nobody_counts_ends_the_run_with_a_sentence(monkeypatch, tmp_path):
    config = toy_run(monkeypatch, tmp_path).model_copy(update={"max_tokens": 1})
    with pytest.raises(UserError, match="max_tokens: the policy does not say how many tokens its replies took: leave it out"):
        play(config, Says(tokens=None))


def test_a_choice_without_a_task_is_refused_and_no_folder_is_made(monkeypatch, tmp_path):
    config = toy_run(monkeypatch, tmp_path)
    for change, words in (({"slices": ("official",)}, r"test in the slices official \(toy: seen 6\): choose others"),
                          ({"split": "train"}, r"train \(toy: none\)"), ({"skip_tasks": 6}, "after the first 6")):
        with pytest.raises(UserError, match=words):
            play(config.model_copy(update=change))
    assert not config.out.exists()


def test_a_sandbox_that_does_not_start_claims_no_folder(monkeypatch, tmp_path):
    config = toy_run(monkeypatch, tmp_path)

    def broken(name):
        raise SandboxUnavailable(f"{name} does not work here")

    monkeypatch.setattr("medcopilot.rollout.sample.open_backend", broken)
    with pytest.raises(SandboxUnavailable):
        play(config.model_copy(update={"sandbox": "docker"}))
    assert not config.out.exists()


@pytest.mark.parametrize(("fields", "words"), [
    ({"policy": "runs/typo"}, "policy 'runs/typo' is no expert"), ({"policy": "openai:m"}, "write openai:MODEL@URL"),
    ({"policy": "openai:m@http://jane:s3cret@127.0.0.1:9/v1"}, "policy openai:m: the address holds a user, password or query"),
    ({"policy": "openai:m@https://api.example.org/v1?key=s3cret"}, "policy openai:m: the address holds a user, password or query"),
    ({"policy": "served:nowhere@http://127.0.0.1:1"}, "write served:FOLDER@URL"),
    ({"sandbox": "bwarp"}, "no sandbox backend 'bwarp'; choose one of: auto"),
    ({"datasets": ("medcalcbench", "nosuch")}, "unknown dataset 'nosuch'"),
    ({"out": "FILE"}, "FILE is a file, not a folder"), ({"out": "FILE/run"}, "FILE is a file, not a folder"),
    ({"max_cost": 1.0, "prices": "nowhere.yaml"}, "nowhere.yaml cannot be read")])
@pytest.mark.parametrize("estimate", [False, True])
def test_wrong_settings_are_found_before_anything_is_built(monkeypatch, tmp_path, fields, words, estimate):
    for module in ("sample", "estimate"):
        monkeypatch.setattr(f"medcopilot.rollout.{module}.build_all", lambda *_: pytest.fail("built"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "FILE").write_text("")
    lines = [f"{key}: {json.dumps(value)}\n" for key, value in {"out": "run", "policy": "expert", **fields}.items()]
    (tmp_path / "s.yaml").write_text("".join(lines))
    with pytest.raises(UserError, match=words):
        sample.run(config_file=tmp_path / "s.yaml", estimate=estimate)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("given", "words"), [
    ({"n": 0}, "option --n 0: input should be greater than"), ({"without": ["foo"]}, "option --without foo: input should be "
                                                               "'request_info', 'terminal', 'code_execution' or 'debugging'"),
    ({"slices": ["sen"]}, "option --slice sen: input should be 'train'"), ({"temperature": -1.0}, "option --temperature -1.0: "),
    ({"protocol": "papr"}, "option --protocol papr: input should be 'submit' or 'paper'")])
@pytest.mark.parametrize("play", [lambda **given: sample.run(policy="expert", **given),
                                  lambda **given: evaluate.run(checkpoint="expert", **given)])
def test_a_wrong_value_is_named_with_its_option_and_what_is_right(tmp_path, play, given, words):
    with pytest.raises(UserError) as raised:
        play(out=tmp_path / "run", dataset=["medcalcbench"], **given)
    assert str(raised.value).startswith(words)


def test_the_command_says_what_is_there_and_what_is_new(monkeypatch, tmp_path, capsys):
    config = toy_run(monkeypatch, tmp_path)
    monkeypatch.setattr("medcopilot.rollout.sample.policy_of", lambda *_: Says(tokens=10))
    lines = f"out: {config.out}\npolicy: expert\ndatasets: []\nconcurrency: 1\n"
    (tmp_path / "s.yaml").write_text(lines)

    def said(**more):
        sample.run(config_file=tmp_path / "s.yaml", json_file=tmp_path / "o.json", **more)
        return capsys.readouterr().out, json.loads((tmp_path / "o.json").read_text())

    out, outcome = said(changes=["max_tokens=35"])
    assert "4 of 6 traces; of the 4 new ones 0 masked, strict success 100.0%" in out
    assert "the budget max_tokens is used up" in out
    assert (outcome["done"], outcome["total"], outcome["played"]) == (4, 6, 4)
    assert len(list(RunFolder.open(config.out).traces())) == 4
    said()
    out, outcome = said()
    assert "6 of 6 traces; none is new" in out
    assert (outcome["done"], outcome["success"], outcome["played"]) == (6, None, 0)


@pytest.mark.parametrize(("failures", "warned"), [(0, False), (3, True)])
def test_a_run_with_many_masked_episodes_is_warned_of(monkeypatch, tmp_path, capsys, failures, warned):
    config = toy_run(monkeypatch, tmp_path, failures=failures)  # an episode is tried three times
    with sampling_progress("sampling") as (progress, outcome):
        sample_run(config, progress, policy=Says(CODE, RIGHT))
    assert outcome["infrastructure"] == warned
    assert ("warning: sampling: 1 of 6 episodes are masked (17%, more than 5%)" in capsys.readouterr().err) == warned
