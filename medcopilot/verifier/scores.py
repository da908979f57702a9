"""A verifier's scores of a whole run, kept beside it.

Promises: `RUN/scores/<digest of the verifier>.jsonl` holds one row per episode (`id`, `score`), appended batch by batch: a scoring
that was stopped goes on where it was, and another verifier writes another file. Masked episodes are not scored.
Does not cover: the model (`score`) and what is chosen by the scores (`medcopilot.evaluation.scaling`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

from env.errors import UserError
from env.files import atomic_write
from medcopilot import jsonl
from medcopilot.runs import RunFolder
from medcopilot.trace import Trace

if TYPE_CHECKING:
    from medcopilot.evaluation.columns import Columns

BATCH = 256
"""Episodes between two writes."""
Progress = Callable[[int, int], None]
"""`progress(done, total)`."""


def scores_of(run: Path, source: Path, progress: Progress = lambda *_: None) -> dict[str, float]:
    """Trace id -> score of every episode of a run.

    Args:
        source: a verifier's checkpoint folder, or a file of rows `{"id": ..., "score": ...}` from elsewhere.

    Raises:
        UserError: neither of the two, or a row that is none.
    """
    if not source.is_dir():
        return read_scores(source)
    from medcopilot.train.model import checkpoint_digest  # heavy: a file of scores needs no torch
    from medcopilot.verifier.score import Verifier, read_record

    read_record(source)
    folder = RunFolder.open(run)
    path = folder.path / "scores" / f"{checkpoint_digest(source)}.jsonl"
    known = _rows(path, jsonl.read_rows(path))
    ids = {trace.id for trace in folder.traces() if trace.stop != "infrastructure"}
    owed = len(ids - set(known))
    if not owed:
        return known
    if known:  # a torn last line would run into the next row
        atomic_write(path, "".join(json.dumps({"id": name, "score": score}) + "\n" for name, score in known.items()))
    verifier, batch, before = Verifier.from_checkpoint(source), list[Trace](), len(known)

    def flush() -> None:
        for trace, score in zip(batch, verifier.score(batch), strict=True):
            known[trace.id] = score
            jsonl.append_row(path, {"id": trace.id, "score": score})
        batch.clear()
        progress(len(known) - before, owed)

    waiting = set(known)
    for trace in folder.traces():
        # an episode that was masked first has the id of the one that was played in its stead
        if trace.id in ids and trace.id not in waiting and trace.stop != "infrastructure":
            waiting.add(trace.id)
            batch.append(trace)
            if len(batch) == BATCH:
                flush()
    if batch:
        flush()
    return known


def kept_scores(run: Path) -> dict[str, float] | None:
    """The scores beside a run, if those of exactly one verifier are there."""
    files = sorted((run / "scores").glob("*.jsonl"))
    return read_scores(files[0]) if len(files) == 1 else None


def read_scores(path: Path) -> dict[str, float]:
    """A file of scores.

    Raises:
        UserError: it cannot be read, or a row is no score.
    """
    if not path.is_file():
        raise UserError(f"{path}: no verifier and no file of scores: give the checkpoint folder of a finished recipes/verifier.py, "
                        'or JSON lines {"id": TRACE, "score": NUMBER}')
    return _rows(path, jsonl.read_rows(path))


def refuse_shared(source: Path | None, runs: Mapping[str, Columns]) -> None:
    """A file of scores goes by episode ids, and a checkpoint's folder name in them does not tell it from another of that name.

    Args:
        source: a verifier's checkpoint folder, which scores each run on its own; or one file for all of these runs.

    Raises:
        UserError: it is a file, and two runs share ids.
    """
    if source is None or source.is_dir():
        return
    ids = {name: set(cols.id[cols.graded].tolist()) for name, cols in runs.items()}
    for a, b in combinations(ids, 2):
        if shared := len(ids[a] & ids[b]):
            raise UserError(f"{source} is one file of scores, but {a} and {b} share {shared} episode ids, so it cannot say whose "
                            "episodes it scored: give the verifier's checkpoint folder, or evaluate each run alone")


def _rows(path: Path, rows: Iterable[dict[str, Any]]) -> dict[str, float]:
    found = {}
    for number, row in enumerate(rows, start=1):
        score = row.get("score")
        if not isinstance(row.get("id"), str) or isinstance(score, bool) or not isinstance(score, int | float) \
                or not math.isfinite(score):
            raise UserError(f'{path} row {number}: not {{"id": TRACE, "score": NUMBER}}: delete the row, or the file to score anew')
        found[row["id"]] = float(score)
    return found
