"""What a run folder says of itself: whose episodes it holds, under which settings, and how many it was to hold.

Promises: a policy is its weights' digest, else its whole record; never its name alone, which two checkpoints may share. What a
record does not say is unknown and differs from nothing, so runs of earlier versions open as they did.
Does not cover: how the conditions of runs are shown (`medcopilot.report.comparable`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

from env.errors import MASKED_LIMIT, UserError
from medcopilot.evaluation.columns import Columns
from medcopilot.runs import OPTIONAL, RunFolder

_SETTINGS = ("profile", "protocol", "top_p", "stateful")
_PASSING = {"seed", "servers", "base_url", "local", "torch", "transformers", "vllm"}
"""Of a policy's record without a digest: what may change while the policy stays."""


class RunRecord(NamedTuple):
    """One folder."""

    folder: Path
    name: str
    """What the policy is called."""
    policy: str
    """What tells it from others; empty where it is not recorded."""
    settings: dict[str, Any]
    """What an episode depends on besides its task, policy, seed and temperature."""
    builds: dict[str, dict[str, Any]]
    planned: int | None
    """Episodes that the run's settings ask for; None in records of earlier versions."""
    datasets: tuple[str, ...]


def read_record(folder: Path) -> RunRecord:
    """A run folder's record.

    Raises:
        UserError: not a run folder.
    """
    run = RunFolder.open(folder)
    try:
        config = run.config
    except UserError:  # its episodes can be read all the same
        config = {}
    of_policy = config.get("policy_record")
    of_policy = of_policy if isinstance(of_policy, dict) else {}
    settings = {name: config[name] for name in _SETTINGS if name in config}
    if "profile" in config:  # a record of sampling, where what is not named was not used
        settings |= {name: config.get(name) or usual for name, usual in OPTIONAL.items()}
    builds = config.get("builds")
    datasets = config.get("datasets")
    return RunRecord(folder, str(of_policy.get("name") or config.get("policy") or "unknown"), _identity(of_policy), settings,
                     {name: item for name, item in builds.items() if isinstance(item, dict)} if isinstance(builds, dict) else {},
                     _planned(folder), tuple(map(str, datasets)) if isinstance(datasets, list) else ())


def conflict(a: RunRecord, b: RunRecord) -> str:
    """Why two folders are not one policy under the same settings; empty where nothing speaks against it."""
    if a.policy and b.policy and a.policy != b.policy:
        return f"another policy, {_called(a)} and {_called(b)}"
    for name in a.settings.keys() & b.settings.keys():
        if a.settings[name] != b.settings[name]:
            return f"another {name}, {json.dumps(a.settings[name])} and {json.dumps(b.settings[name])}"
    for name in a.builds.keys() & b.builds.keys():
        one, two = _build(a.builds[name]), _build(b.builds[name])
        if changed := sorted(key for key in one.keys() & two.keys() if one[key] != two[key]):
            return f"{name} was built otherwise, {changed[0]} {json.dumps(one[changed[0]])} and {json.dumps(two[changed[0]])}"
    return ""


def refuse_strangers(name: str, folders: Sequence[Path]) -> None:
    """Folders that are to count as one run are of one policy under the same settings.

    Raises:
        UserError: two of them are not.
    """
    for a, b in combinations([read_record(folder) for folder in folders], 2):
        if why := conflict(a, b):
            raise UserError(f"{a.folder} and {b.folder} are not one run, {name}: {why}: give each a name of its own, NAME=FOLDER")


def wholeness(name: str, cols: Columns, records: Iterable[RunRecord] = (), said: Iterable[str] = ()) -> list[str]:
    """A sentence for each reason why a run's numbers are not over all that it was to play.

    Args:
        cols: the whole run, all temperatures.
        records: of its folders.
        said: `masked` where the caller tells of it.
    """
    sentences = [_unfinished(name, cols, list(records)), _paper(name, cols)]
    masked = (~cols.graded) & (cols.label != "not_graded")
    if "masked" not in said and (alarm := above_limit(int(masked.sum()), len(cols))):
        sentences.append(f"{name}: {int(masked.sum()):,} of {len(cols):,} episodes are masked, because our machinery failed{alarm} "
                         "The command that sampled it plays them again.")
    return [sentence for sentence in sentences if sentence]


def above_limit(masked: int, episodes: int) -> str:
    """How a sentence about masked episodes goes on where they are too many; empty where they are not."""
    share = masked / episodes if episodes else 0.0
    return f": {100 * share:.1f} %, and above {100 * MASKED_LIMIT:g} % a rate may hang on which ones failed." \
        if share > MASKED_LIMIT else ""


def _unfinished(name: str, cols: Columns, records: Sequence[RunRecord]) -> str:
    plans = [record.planned for record in records]
    planned = sum(plan or 0 for plan in plans)
    if not plans or None in plans or len(cols) >= planned:
        return ""
    played = set(cols.dataset.tolist())
    absent = sorted({dataset for record in records for dataset in record.datasets} - played)
    without = f", none of {', '.join(absent)}" if absent else ""
    return (f"{name}: {len(cols):,} of {planned:,} planned episodes are there{without}: its numbers are over those. The command "
            "that sampled it plays the rest.")


def _paper(name: str, cols: Columns) -> str:
    graded, lacking = cols.graded, cols.paper_ungraded
    if not lacking.any():
        return ""
    labels = sorted(set(cols.paper_label[lacking].tolist()))
    return (f"{name}: the paper's grader scored {int(graded.sum() - lacking.sum()):,} of {int(graded.sum()):,} graded episodes "
            f"(the others: {', '.join(labels)}): its rate and the inflation are over those.")


def _identity(record: Mapping[str, Any]) -> str:
    if record.get("digest"):
        return f"digest {record['digest']}"
    rest = {name: value for name, value in record.items() if name not in _PASSING and value is not None}
    return json.dumps(rest, sort_keys=True, default=str) if rest else ""


def _called(record: RunRecord) -> str:
    return f"{record.name} ({record.policy})" if record.policy.startswith("digest ") else record.policy


def _build(request: Mapping[str, Any]) -> dict[str, Any]:
    """A folder of real files may be spelled in several ways: only that there is one counts."""
    return {**request, "source": bool(request.get("source"))}


def _planned(folder: Path) -> int | None:
    try:
        found = json.loads((folder / "summary.json").read_text(encoding="utf-8")).get("planned")
    except (OSError, ValueError, AttributeError):
        return None
    return found if isinstance(found, int) and not isinstance(found, bool) else None
