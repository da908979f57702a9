"""A study goes on from committed summaries: outcomes of one bit per task compare as the traces do."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from env.errors import UserError
from medcopilot import steps
from medcopilot.evaluation.columns import Columns
from medcopilot.evaluation.compare import difference
from medcopilot.studies import nano, nano_rl
from medcopilot.studies.outcomes import Tasks, pack, unpack

COUNT = 12


def run_of(scores: list[float], order: list[int]) -> Columns:
    """An evaluation of `COUNT` tasks in two datasets and slices, four clusters, whose episodes ended in this order."""
    places = range(COUNT)
    tasks = Tasks("", np.asarray(["unseen" if place % 4 > 1 else "seen" for place in places]),
                  np.asarray(["a" if place < 7 else "b" for place in places]), np.asarray([place % 4 for place in places]))
    strict = np.asarray(scores)
    bits = unpack(tasks, [{"strict": np.packbits(strict == 1.0).tobytes().hex(), "paper": "00" * COUNT,
                           "ungraded": np.flatnonzero(np.isnan(strict)).tolist()}])
    paper = np.where(np.arange(COUNT) % 5 == 4, strict, 1.0 - np.nan_to_num(strict))  # some without a score where strict has none
    return dataclasses.replace(bits, paper=paper).where(np.asarray(order))


SCORES = st.lists(st.sampled_from([0.0, 1.0, 1.0, float("nan")]), min_size=COUNT, max_size=COUNT)
ORDERS = st.permutations(list(range(COUNT)))


@settings(max_examples=60, deadline=None)
@given(SCORES, SCORES, ORDERS, ORDERS)
def test_packed_outcomes_compare_as_the_runs_do(one: list[float], other: list[float], order: list[int], again: list[int]) -> None:
    a, b = run_of(one, order), run_of(other, again)
    tasks = Tasks.of(a)
    loaded = Tasks.load(json.loads(json.dumps(tasks.record())))
    packed = json.loads(json.dumps([pack(run, tasks, "tasks.json") for run in (a, b)]))
    x, y = (unpack(loaded, [record]) for record in packed)
    for part in ("seen", "unseen"):
        exact = difference(a.where(a.slice == part), b.where(b.slice == part), resamples=50).model_dump()
        found = difference(x.where(x.slice == part), y.where(y.slice == part), resamples=50).model_dump()
        # which clusters a resample draws depends on the order of their names: the bounds are another draw of the same resampling
        for bound in ("ci_low", "ci_high", "separated"):
            exact.pop(bound), found.pop(bound)
        assert found == exact
    for value in (0.0, 1.0):
        assert (x.paper == value).sum() == (a.paper == value).sum()


def test_pooled_runs_count_each_task_by_its_mean() -> None:
    order = list(range(COUNT))
    never, always = run_of([0.0] * COUNT, order), run_of([1.0] * COUNT, order)
    tasks = Tasks.of(never)
    pooled = unpack(tasks, [pack(run, tasks, "tasks.json") for run in (never, always, always)])
    found = difference(unpack(tasks, [pack(never, tasks, "tasks.json")]), pooled)
    assert (found.tasks, found.difference) == (COUNT, pytest.approx(2 / 3))


def test_a_run_of_other_tasks_is_refused() -> None:
    whole = run_of([1.0] * COUNT, list(range(COUNT)))
    with pytest.raises(UserError, match=r"docs/results/x-tasks\.json lists other tasks"):
        pack(whole.where(np.arange(COUNT) < COUNT - 1), Tasks.of(whole), "docs/results/x-tasks.json")


@pytest.fixture
def kept(tmp_path: Path) -> nano_rl.NanoRlStudy:
    """A study of one seed, all of whose runs another machine has finished."""
    results = tmp_path / "results"
    base = nano.NanoStudy(tmp_path / "study", dataclasses.replace(nano.Design(), seeds=(0,)), 1, results, False)
    study = nano_rl.NanoRlStudy(base, nano_rl.Budget(episodes=30_000))
    results.mkdir()
    base.keep(nano.CURVE, {"design": base.design, "curve": [{"steps": 750, "success": 0.7}, {"steps": 1500, "success": 0.71}]})
    rates = {"control-0": 0.5, "rl-grpo-0": 1.0}
    runs = ["sft-1500", "control-0", "rl-grpo-0", "rl-ppo-0", *(f"rl-{name}" for name in nano_rl.ABLATIONS)]
    for number, name in enumerate(runs):
        share = rates.get(name, 0.75)
        scores = [float(place < share * COUNT) for place in range(COUNT)]
        run = run_of(scores, list(np.random.default_rng(number).permutation(COUNT)))
        training = {"curve": {"episodes": [10.0, 20.0], "success": [0.5, 0.6]}, "seconds": dict.fromkeys(nano_rl.PARTS, 1.0)}
        outcomes = study.outcomes({"t0": run, "t1": run})
        success = {"strict": share, "unseen": {"strict": share}}
        study.keep(f"nano-rl-{name}", {"design": study.design, **success, "t1": success, "training": training,
                                         "outcomes": outcomes})
    return study


def test_a_new_machine_concludes_from_summaries_alone(kept: nano_rl.NanoRlStudy, monkeypatch: pytest.MonkeyPatch,
                                                      capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(steps, "recipe", lambda *_: pytest.fail("a run whose summary is there was trained again"))
    monkeypatch.setattr(steps, "build_datasets", lambda *_: pytest.fail("nothing is owed, and data were built"))
    found: dict[str, Any] = kept.run()
    assert found["start"] == "sft-1500"
    assert found["GRPO - control"]["seen-t0"]["difference"] > 0.3
    assert (kept.results / "nano-rl.png").is_file()
    assert "| rl-ppo-0 | 75.0 | 75.0 | 75.0 | 75.0 |" in capsys.readouterr().out


def test_a_summary_of_another_design_is_not_gone_on_from(kept: nano_rl.NanoRlStudy) -> None:
    assert kept.finished("rl-grpo-0")
    other = nano_rl.NanoRlStudy(kept.base, nano_rl.Budget(episodes=40_000))
    assert not other.finished("rl-grpo-0")
