"""Training questions that the test split holds: shares by hand, the data that a run names, and every kind of row."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from export_traces import BAD, GOOD, LOOK, trace

from env.datasets import BuildRequest
from env.datasets.base import Dataset
from env.errors import UserError
from env.task import Task, TaskKey, TaskView, make_task
from medcopilot.data import contamination
from medcopilot.data.contamination import Questions
from medcopilot.data.export import Options, read_material, write_material
from medcopilot.data.funnel import Funnel
from medcopilot.data.pairs import PairOptions
from medcopilot.data.rows import read_rows
from medcopilot.data.sft import SftOptions
from medcopilot.inventory.overlap import Seen
from medcopilot.trace import write_line
from medcopilot.verifier.rows import VerifierOptions

CLEAN = "how many patients of the surgical ward were given a drug against fever in the first week of march"
LEAKED = "what is the mean length of stay of all patients who were admitted to the ward by transfer in june"
SHORT = "list all drugs"


def task(question: str, part: str = "train", context: str = "") -> Task:
    view = TaskView(dataset="toy", family="calc", question=question, context=context)
    return make_task(view, TaskKey(reference=1, grader="medcalc"), seed=0, category="c", template="t",
                     split="train" if part == "train" else "test", slice=part, cluster="t/0", licence="synthetic")


class Toy(Dataset):
    """Three training tasks; the test split asks one of them again, and another only among its seen templates."""

    name, family, title, licence, reference = "toy", "calc", "toy", "synthetic", ""
    paper_counts: ClassVar = {"train": 3, "test": 3}

    def synthesize(self, request: BuildRequest, folder: Path, progress: Any) -> Iterator[Task]:
        yield from map(task, (CLEAN, LEAKED, SHORT))
        yield task(f"{LEAKED} again", "unseen")
        yield task(f"{CLEAN} please", "seen")
        yield task("list all drugs of the ward", "unseen")

    def adapt(self, request: BuildRequest, folder: Path, progress: Any) -> Iterator[Task]:
        raise AssertionError


@pytest.fixture
def run_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run on the toy tasks, each solved and failed once, with its data built."""
    monkeypatch.setenv("MEDCOPILOT_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(contamination, "get_dataset", lambda _: Toy())
    Toy().build(BuildRequest())
    run = tmp_path / "run"
    (run / "traces").mkdir(parents=True)
    (run / "config.json").write_text(json.dumps({"datasets": ["toy"], "builds": {}}))
    (run / "digest").write_text("abc123\n")
    lines = []
    for name, text in (("clean", CLEAN), ("leaked", LEAKED), ("short", SHORT)):
        options = {"task": task(text).id, "question": text, "dataset": "toy", "category": name}
        lines += [write_line(trace(f"{name}+", LOOK, GOOD, **options)),
                  write_line(trace(f"{name}-", LOOK, BAD, score=0.0, **options))]
    (run / "traces" / "0.jsonl").write_text("".join(lines))
    return run


def test_the_share_of_a_question_by_hand() -> None:
    seen = Seen([task(LEAKED, "unseen"), task(SHORT, "unseen"), task("a question", "unseen", context="and a note of ten words or "
                                                                     "so, of which no word is missing")])
    assert seen.share(LEAKED) == 1.0
    words = LEAKED.split()
    assert seen.share(" ".join([*words[:-1], "july"])) == (len(words) - 10) / (len(words) - 9)  # the last of its 10-grams differs
    assert seen.share(CLEAN) == 0.0
    assert seen.share("List all drugs!") == 1.0  # short texts are known whole or not at all
    assert seen.share("list all drugs now") == 0.0
    assert seen.share("A question and a note of ten words or so of which no word is missing") == 1.0
    assert seen.share("") == 0.0


def test_tasks_over_the_threshold_are_dropped_and_counted() -> None:
    half = " ".join([*LEAKED.split()[:14], "of another house"])  # 5 of its 8 windows
    questions = Questions({"t1": CLEAN, "t2": LEAKED, "t3": half}, Seen([task(LEAKED, "unseen")]))
    traces = [trace(f"{name}{i}", GOOD, task=name) for name in ("t1", "t2", "t3") for i in range(2)]
    traces.append(trace("held out", GOOD, task="t9", split="test"))
    for threshold, kept in ((1.0, 7), (0.99, 5), (5 / 8, 5), (0.62, 3), (0.0, 3)):
        funnel = Funnel()
        assert len(questions.clean(traces, threshold, funnel)) == kept
        assert funnel.skipped == ({"contaminated": 7 - kept} if kept < 7 else {})


@pytest.mark.parametrize("options", [SftOptions(), PairOptions(), VerifierOptions(profile="nano", max_length=400)])
def test_every_kind_of_row_is_checked(run_folder: Path, tmp_path: Path, tokenizer: Any, options: Options) -> None:
    card = write_material(read_material([run_folder]), tmp_path / "rows.jsonl", tokenizer, options)
    assert {row["category"] for row in read_rows(tmp_path / "rows.jsonl", ())} == {"clean", "short"}
    assert card.skipped["contaminated"] == 2
    first = card.filters[0]
    assert (first.name, first.rows_in, first.rows_out) == ("10-grams of test questions", 6, 4)
    assert "unseen, official" in card.contamination
    assert (card.sources[0].digest, card.sources[0].traces) == ("abc123", 6)


def test_threshold_and_slices_are_options(run_folder: Path, tmp_path: Path, tokenizer: Any) -> None:
    out = tmp_path / "rows.jsonl"
    write_material(read_material([run_folder], slices=("seen",)), out, tokenizer, SftOptions())
    assert {row["category"] for row in read_rows(out, ())} == {"leaked", "short"}
    card = write_material(read_material([run_folder], threshold=1), out, tokenizer, SftOptions())
    assert (card.rows, card.contamination) == (3, "not checked")


def test_near_prompts_read_the_same_questions(run_folder: Path, tmp_path: Path, tokenizer: Any) -> None:
    material = read_material([run_folder], threshold=1, needs_questions=True)
    card = write_material(material, tmp_path / "rows.jsonl", tokenizer, SftOptions(near=0.9))
    assert (card.rows, card.filters[-1].name) == (3, "near-equal prompts")


def test_without_data_the_card_says_so_and_a_check_that_was_asked_for_is_refused(run_folder: Path, tmp_path: Path, tokenizer: Any
                                                                               ) -> None:
    elsewhere = tmp_path / "elsewhere"
    card = write_material(read_material([run_folder], root=elsewhere), tmp_path / "rows.jsonl", tokenizer, SftOptions())
    assert card.rows == 3
    assert card.contamination.startswith("not checked: ")
    for asked in ({"threshold": 0.5}, {"needs_questions": True}):
        with pytest.raises(UserError, match="are not built under"):
            read_material([run_folder], root=elsewhere, **asked)
    with pytest.raises(UserError, match="is not a run folder"):
        read_material([run_folder / "traces" / "0.jsonl"], threshold=0.5)


def test_other_data_than_the_runs_are_no_check(run_folder: Path) -> None:
    strange = write_line(trace("x", GOOD, task="unknown", dataset="toy"))
    (run_folder / "traces" / "1.jsonl").write_text(strange)
    with pytest.raises(UserError, match="1 of 4 tasks of the runs are not in the data"):
        read_material([run_folder], threshold=0.5)
    (run_folder / "config.json").write_text(json.dumps({"datasets": ["toy"], "builds": {"toy": {"patient": 3}}}))
    with pytest.raises(UserError, match=r"builds\.toy is no build request"):
        read_material([run_folder], threshold=0.5)
