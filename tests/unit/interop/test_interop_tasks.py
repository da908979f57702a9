"""Our tasks in Inspect, played by its mock model: grades, errors without a score, limits, and no key where it must not be."""

from __future__ import annotations

import json
import math

import pytest

pytest.importorskip("inspect_ai", reason="inspect-ai is not installed (`make check` installs it on its own, .venv-inspect)")

from inspect_ai import eval as inspect_eval
from inspect_ai.model import ModelOutput, ModelUsage, get_model

from env.errors import AgreementError, UserError
from medcopilot.interop.solver import RECORD
from medcopilot.interop.tasks import TASKS, make_task

CODE = '{"action":"code_execution","params":{"code":"print(42)"}}'


def submit(**params) -> str:
    return json.dumps({"action": "submit", "params": params})


@pytest.fixture
def play(arena, tmp_path):
    """`play(script)`: the log of an evaluation in which the model says `script(task, turn)`."""
    def run(script, *, limit=None, **options):
        given = arena.settings.model_dump(mode="json", exclude_defaults=True)
        del given["dataset"]
        by_question = {task.view.question: task for task in arena.tasks}

        def reply(messages, tools, choice, config):
            opening = next(message.text for message in messages if message.role == "user")
            task = next(task for question, task in by_question.items() if question in opening
                        and (not task.view.context or task.view.context in opening))
            output = ModelOutput.from_content("mockllm", script(task, sum(message.role == "assistant" for message in messages)))
            output.usage = ModelUsage(input_tokens=10, output_tokens=5, total_tokens=15)  # without it the mock asks the network
            return output

        model = get_model("mockllm/model", custom_outputs=reply)
        task = make_task("medcalcbench", **given)
        (log,) = inspect_eval(task, model=model, log_dir=str(tmp_path / "logs"), display="none", limit=limit, **options)
        return log

    return run


def numbers(log, scorer="strict"):
    score = next(score for score in log.results.scores if score.name == scorer)
    return {name: metric.value for name, metric in score.metrics.items()}, score


def right(task, turn):
    return submit(answer=task.key.reference)


def wrong(task, turn):
    return submit(answer="no idea")


def test_a_model_that_solves_every_task_scores_one(play, arena):
    log = play(lambda task, turn: CODE if turn == 0 else right(task, turn))
    assert log.status == "success"
    for scorer in ("strict", "paper"):
        metrics, score = numbers(log, scorer)
        assert metrics == {"accuracy": 1.0, "stderr": 0.0}
        assert (score.scored_samples, score.unscored_samples) == (6, 0)
    sample = log.samples[0]
    assert [message.role for message in sample.messages] == ["system", "user", "assistant", "user", "assistant"]
    assert sample.messages[3].text == "42"
    assert sample.metadata["cluster"] == arena.task(sample.id).cluster
    assert sample.scores["strict"].metadata == {"label": "correct", "stop": "submit", "turns": 2}
    assert sample.store[RECORD]["turns"][0]["action"] == "code_execution"
    shown = [event.data for event in sample.events if event.event == "info" and event.source == "medcopilot"]
    assert len(shown) == 2
    assert "```python\nprint(42)\n```" in shown[0]
    assert log.stats.model_usage["mockllm/model"].output_tokens == 6 * 2 * 5


def test_a_model_that_fails_scores_zero(play):
    log = play(wrong)
    assert numbers(log)[0]["accuracy"] == 0.0
    assert log.samples[0].scores["strict"].metadata["label"] != "correct"


def test_silence_is_scored_as_nothing_submitted(play):
    log = play(lambda task, turn: "I would rather talk.", limit=1)
    assert log.samples[0].scores["strict"].value == 0.0
    assert log.samples[0].scores["strict"].metadata == {"label": "no_submission", "stop": "turns", "turns": 15}


def test_a_failure_of_our_machinery_is_an_error_and_no_score(play, arena):
    arena.backend.fails = True
    broken = arena.tasks[0].id
    log = play(lambda task, turn: CODE if task.id == broken else right(task, turn), fail_on_error=False)
    (failed,) = [sample for sample in log.samples if sample.error]
    assert failed.id == broken
    assert "the box vanished" in failed.error.message
    assert not failed.scores
    metrics, score = numbers(log)
    assert metrics["accuracy"] == 1.0
    assert score.scored_samples == 5


def test_such_a_sample_has_no_score_even_where_errors_are_scored(play, arena):
    arena.backend.fails = True
    log = play(lambda task, turn: CODE, limit=1, fail_on_error=False, score_on_error=True)
    assert math.isnan(log.samples[0].scores["strict"].value)
    assert math.isnan(numbers(log)[0]["accuracy"])


def test_many_failures_end_the_evaluation(play, arena):
    arena.backend.fails = True
    assert play(lambda task, turn: CODE).status == "error"


def test_a_verdict_that_is_owed_is_no_score(play, arena):
    arena.backend.fails = True
    log = play(lambda task, turn: submit(program="answer = 1"), limit=2)
    assert log.status == "success"
    metrics, score = numbers(log)
    assert math.isnan(metrics["accuracy"])
    assert (score.scored_samples, score.unscored_samples) == (0, 2)
    assert "BoxDied" in log.samples[0].scores["strict"].explanation


def test_a_limit_of_inspect_ends_the_episode_and_is_scored(play):
    log = play(lambda task, turn: CODE, limit=1, token_limit=1)
    (sample,) = log.samples
    assert sample.error is None
    assert sample.limit.type == "token"
    assert sample.scores["strict"].value == 0.0
    assert sample.scores["strict"].metadata["label"] == "no_submission"


def test_epochs_are_rollouts_and_the_error_is_clustered(play, arena):
    solved = {task.id for task in arena.tasks[:3]}
    log = play(lambda task, turn: right(task, turn) if task.id in solved else wrong(task, turn), epochs=2)
    metrics, _ = numbers(log)
    assert metrics["accuracy"] == 0.5
    sums: dict[str, float] = {}
    for task in arena.tasks:
        sums[task.cluster] = sums.get(task.cluster, 0.0) + (0.5 if task.id in solved else -0.5)
    clusters = len(sums)  # cluster-robust standard error of a mean, with the correction for few clusters
    by_hand = math.sqrt(sum(value**2 for value in sums.values()) * clusters / (clusters - 1)) / len(arena.tasks)
    assert metrics["stderr"] == pytest.approx(by_hand)
    assert sorted(sample.epoch for sample in log.samples) == [1] * 6 + [2] * 6


def test_nothing_of_the_key_is_in_samples_or_before_grading(play, arena):
    given = arena.settings.model_dump(mode="json", exclude_defaults=True)
    del given["dataset"]
    task = make_task("medcalcbench", **given)
    samples = "".join(sample.model_dump_json() for sample in task.dataset)
    log = play(wrong)
    for sample in log.samples:
        sample.scores = None
        sample.events = [event for event in sample.events if event.event != "score"]
    logged = "".join(sample.model_dump_json() for sample in log.samples)
    for one in arena.tasks:
        for text in (samples, logged):
            assert one.key.canary not in text
            assert json.dumps(one.key.gold)[1:-1] not in text
    assert all(sample.target == "" for sample in task.dataset)
    assert "impossible" not in samples + logged


def test_settings_that_do_not_fit_are_refused_in_one_sentence():
    with pytest.raises(UserError, match="-T split=dev"):
        make_task("medcalcbench", split="dev")


def test_a_log_of_rows_under_an_agreement_is_refused_before_anything_is_played(play, arena, tmp_path, monkeypatch):
    monkeypatch.setenv("MEDCOPILOT_AGREEMENTS", str(tmp_path / "none.yaml"))
    arena.tasks = [task.model_copy(update={"licence": "PhysioNet-credentialed"}) for task in arena.tasks]
    with pytest.raises(AgreementError, match="log_export"):
        play(right)


def test_every_dataset_is_a_task():
    assert {"mimic_iii", "medcalcbench", "npowerai"} <= set(TASKS)
