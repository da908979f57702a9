"""Scores of a run: kept beside it, gone on with after a stop, and never mixed between verifiers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from env.errors import UserError
from medcopilot.agent.render import ChatRenderer
from medcopilot.runs import RunFolder
from medcopilot.trace import GradeRecord, Trace
from medcopilot.train.model import CheckpointMeta, NanoShape, new_nano, save_checkpoint
from medcopilot.verifier import Verifier, scores
from medcopilot.verifier.score import VerifierRecord, write_record
from medcopilot.verifier.scores import kept_scores, scores_of

SHAPE = NanoShape(hidden=32, layers=2, heads=2, feed_forward=48, positions=1024)


@pytest.fixture
def run(tmp_path: Path, traces: list[Trace]) -> Path:
    folder = RunFolder.create(tmp_path / "run", {"policy": "nano"})
    with folder.writer() as writer:
        for trace in traces[:12]:
            writer.write(trace)
    return folder.path


@pytest.fixture
def verifier(tmp_path: Path, tokenizer: Any) -> Path:
    folder = tmp_path / "verifier"
    save_checkpoint(new_nano(tokenizer, SHAPE, seed=3), tokenizer, folder, CheckpointMeta(profile="nano", stage="verifier"))
    write_record(folder, VerifierRecord(profile="nano"))
    return folder


def test_scores_are_the_verifiers_and_are_kept(run: Path, verifier: Path, renderer: ChatRenderer, traces: list[Trace],
                                               monkeypatch: pytest.MonkeyPatch) -> None:
    told = []
    monkeypatch.setattr(scores, "BATCH", 5)
    found = scores_of(run, verifier, lambda done, total: told.append((done, total)))
    assert told == [(5, 12), (10, 12), (12, 12)]
    expected = Verifier.from_checkpoint(verifier, device="cpu").score(traces[:12])
    assert found == pytest.approx({trace.id: score for trace, score in zip(traces, expected, strict=False)}, abs=1e-6)
    assert kept_scores(run) == found
    assert scores_of(run, verifier, lambda *_: pytest.fail("nothing is owed")) == found


def test_a_stopped_scoring_goes_on_behind_its_torn_line(run: Path, verifier: Path, traces: list[Trace]) -> None:
    whole = scores_of(run, verifier)
    (path,) = (run / "scores").iterdir()
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:7]) + lines[7][:9])
    told = []
    assert scores_of(run, verifier, lambda done, total: told.append((done, total))) == pytest.approx(whole, abs=1e-6)
    assert told == [(5, 5)]
    assert len(path.read_text().splitlines()) == 12


def test_an_episode_that_was_masked_first_is_scored_as_it_was_played(tmp_path: Path, verifier: Path, traces: list[Trace]) -> None:
    played = traces[0]
    masked = played.model_copy(update={"stop": "infrastructure", "turns": [], "tokens": None, "submission": None,
                                       "grades": dict.fromkeys(played.grades, GradeRecord(score=None, label="infrastructure"))})
    folder = RunFolder.create(tmp_path / "retried", {"policy": "nano"})
    with folder.writer() as writer:
        writer.write(masked)
        writer.write(played)
    (expected,) = Verifier.from_checkpoint(verifier, device="cpu").score([played])
    assert scores_of(folder.path, verifier)[played.id] == pytest.approx(expected, abs=1e-6)


def test_what_is_no_verifier_is_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no verifier"):
        scores_of(run, tmp_path)
    assert kept_scores(run) is None
