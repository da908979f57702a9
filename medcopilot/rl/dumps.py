"""Rounds on disk: what a run was trained on, to train on it again without gym and engine.

Promises: a round's file appears whole or not at all; a replay gives every rollout once, whatever the number of processes, and
the same rounds on every start; a folder with a missing or torn round is refused with one sentence.
Does not cover: episodes for reading (`keep_traces`); a dump holds token ids and rewards only. Rows under a data agreement stay on
this machine like every file of a run.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

from env.errors import UserError
from env.files import atomic_write
from medcopilot.rl.rounds import Round, Row, blank

_TAGS = "tags.json"
_NAME = re.compile(r"round-(\d{6})\.rank(\d+)\.jsonl")


class DumpEnded(UserError):
    """A replay has no further round."""


def round_file(folder: Path, number: int, rank: int) -> Path:
    """Where one rank's part of a round lies."""
    return folder / f"round-{number:06d}.rank{rank}.jsonl"


def write_round(folder: Path, number: int, rank: int, world: int, played: Round, episodes: int = 0) -> Path:
    """Write one rank's part of a round; the first line is its head, every further line a rollout.

    Args:
        episodes: played for this round by this rank, kept or not.
    """
    head = {"round": number, "rank": rank, "world": world, "rows": len(played.rows), "wanted": played.wanted,
            "episodes": episodes * world, "metrics": played.metrics}
    folder.mkdir(parents=True, exist_ok=True)
    path = round_file(folder, number, rank)
    atomic_write(path, "\n".join(json.dumps(line) for line in [head, *(row._asdict() for row in played.rows)]) + "\n")
    return path


def write_tags(folder: Path, tags: Counter[tuple[str, str]]) -> None:
    """Write which tasks a dump is drawn from: what is trained on its rounds is derived from them."""
    folder.mkdir(parents=True, exist_ok=True)
    atomic_write(folder / _TAGS, json.dumps([[*tag, count] for tag, count in sorted(tags.items())]) + "\n")


def read_tags(folder: Path) -> Counter[tuple[str, str]]:
    """(dataset, licence) of the tasks of a dump, counted; one without a tag, which counts as restricted, where it does not say."""
    try:
        return Counter({(str(dataset), str(licence)): int(count)
                        for dataset, licence, count in json.loads((folder / _TAGS).read_text(encoding="utf-8"))})
    except (OSError, ValueError, TypeError):
        return Counter({("", ""): 1})


def read_part(path: Path) -> tuple[dict[str, Any], list[Row]]:
    """One rank's part of a round.

    Raises:
        UserError: the file is not whole.
    """
    try:
        head, *lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        rows = [Row(**line) for line in lines]
        if len(rows) != head["rows"] or any(len(row.ids) != len(row.mask) or len(row.ids) != len(row.logprobs) for row in rows):
            raise ValueError("rows are missing")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: not a whole round of rollouts ({error}): copy the folder again, or dump the run again with "
                        "dump: true") from None
    return head, rows


class ReplaySource:
    """Rounds of a dump, dealt out to the present processes.

    Args:
        folder: with `round-*.jsonl` of one or more ranks.
    """

    def __init__(self, folder: Path, *, rank: int = 0, world: int = 1) -> None:
        self.folder, self.rank, self.world = Path(folder), rank, world
        found = sorted({int(match[1]) for path in self.folder.glob("round-*.jsonl") if (match := _NAME.fullmatch(path.name))})
        if not found:
            raise UserError(f"{folder}: there are no rounds of rollouts (round-000000.rank0.jsonl): give the folder that a run "
                            "with dump: true wrote, e.g. runs/nano/rollouts/grpo")
        self.rounds = found
        self.position = 0
        self.episodes = 0

    def next(self, step: int) -> Round:
        """The next round.

        Raises:
            DumpEnded: that was all.
        """
        if self.position >= len(self.rounds):
            raise DumpEnded(f"{self.folder}: all {len(self.rounds)} rounds are used up: lower max_steps")
        number = self.rounds[self.position]
        self.position += 1
        head, rows = read_part(round_file(self.folder, number, 0))
        groups = _by_group(rows)
        for rank in range(1, head["world"]):
            groups += _by_group(read_part(round_file(self.folder, number, rank))[1])
        if not groups:
            raise UserError(f"{self.folder}: round {number} has no rollouts: dump the run again")
        self.episodes += int(head.get("episodes", 0)) // self.world
        mine = [row._replace(group=index) for index, group in enumerate(groups[self.rank :: self.world]) for row in group]
        metrics = {name: value for name, value in head["metrics"].items() if not name.startswith("time/")}  # times are not replayed
        return Round(mine or [blank(groups[0][0])], head["wanted"], metrics)

    def state(self) -> dict[str, Any]:
        """Plain data for `restore`."""
        return {"position": self.position, "episodes": self.episodes}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state()`."""
        self.position, self.episodes = int(state["position"]), int(state["episodes"])

    def tags(self) -> Counter[tuple[str, str]]:
        """(dataset, licence) of the tasks that were played, counted; without a tag where the dump does not say."""
        return read_tags(self.folder)

    def details(self) -> dict[str, Any]:
        """What the checkpoint's record says."""
        return {"replay": str(self.folder), "rounds": self.position}


def _by_group(rows: list[Row]) -> list[list[Row]]:
    groups: dict[int, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.group, []).append(row)
    return list(groups.values())
