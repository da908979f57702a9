"""Under which conditions each run was made, side by side, and a sentence for everything that makes runs hard to compare.

Promises: conditions come from the runs' own records and traces; what a run does not say is `not recorded` and never counts as a
difference. The rates of a page are not touched: the reader is told.
Does not cover: differences that tasks themselves show (`medcopilot.evaluation.compare` pairs them).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from medcopilot.evaluation.columns import Columns
from medcopilot.evaluation.records import read_record, wholeness
from medcopilot.report.provenance import run_record
from medcopilot.report.stage import Stage

UNKNOWN = "not recorded"
_WARN = {
    "Med-Copilot": "Versions differ ({}): prompts, limits and graders may have changed between them.",
    "commit": "Commits differ ({}): prompts, limits and graders may have changed between them.",
    "grader": "Graders differ ({}): one rate is not the other.",
    "protocol": "Protocols differ ({}): protocol paper ends at the first correct execution, which helps whoever tries often.",
    "temperature": "Temperatures differ ({}): each run counts at its lowest.",
    "split": "Splits differ ({}): tasks of the training split may have been trained on.",
    "profile": "Profiles differ ({}): prompts and limits are not the same.",
    "sandbox tier": "Sandbox tiers differ ({}): what a program may do is the same, how fast it is allowed to be is not.",
    "stateful": "Some runs keep variables between executions and some do not.",
    "loop guard": "Some runs were played with the loop guard and some without.",
    "actions taken away": "Not all runs had the same actions (taken away: {}).",
    "turns": "The limits of turns differ ({}).",
}
"""Condition -> what is said where runs differ in it; the others are shown only."""
_CONFIG = {"split": "split", "profile": "profile", "stateful": "stateful", "top-p": "top_p"}
_OPTIONAL = {"loop guard": ("loop_guard", "false"), "actions taken away": ("without", "none"), "turns": ("turns", "the profile's")}
"""Left out of a record that does not use them."""
_LIBRARIES = ("torch", "transformers", "vllm")


class Condition(NamedTuple):
    """One line of the table: a value per run."""

    name: str
    values: list[str]
    differs: bool


class Played(Protocol):
    """What conditions are read from: a stage of a report, or a run."""

    @property
    def name(self) -> str: ...

    @property
    def columns(self) -> Columns:
        """At the lowest temperature that counts."""

    @property
    def facts(self) -> Mapping[str, set[str]]:
        """`policy`, `protocol` and `sandbox` of the traces."""


class _Run(NamedTuple):
    name: str
    columns: Columns
    facts: dict[str, set[str]]


def folder_notes(runs: Mapping[str, Columns], folders: Mapping[str, Path], said: Collection[str] = ()) -> list[str]:
    """What a reader of these runs' numbers has to know, without a report.

    Args:
        runs: whole runs by name.
        folders: of the same names.
        said: conditions, `tasks` or `masked`, of which the caller tells.
    """
    sentences = [sentence for name, cols in runs.items()
                 for sentence in wholeness(name, cols, [read_record(folders[name])], said)]
    if len(runs) < 2:
        return sentences
    played = [_Run(name, cols, {"policy": set(cols.policy.tolist()), "protocol": set(cols.protocol.tolist()), "sandbox": set()})
              for name, cols in runs.items()]
    found = conditions(played, {name: [(str(folder), run_record(folder))] for name, folder in folders.items()})
    return [*sentences, *([] if "tasks" in said else _tasks(played)), *_differing(found, said)]


def conditions(stages: Sequence[Played], records: Mapping[str, Sequence[tuple[str, Mapping[str, str]]]]) -> list[Condition]:
    """All that is known, the most telling first.

    Args:
        records: run -> (folder, `provenance.run_record` of it), one for each of its folders.
    """
    per_run = [_of_run(stage, [record for _, record in records.get(stage.name, ())]) for stage in stages]
    names = list(dict.fromkeys(name for found in per_run for name in found))
    table = []
    for name in names:
        values = [found.get(name, UNKNOWN) for found in per_run]
        known = {value for value in values if value != UNKNOWN}
        if known:
            table.append(Condition(name, values, len(known) > 1))
    return table


def warnings(stages: Sequence[Stage], found: Sequence[Condition]) -> list[str]:
    """What a reader has to know before comparing rows."""
    said, lacking = [], []
    for stage in stages:
        graded, count = int(stage.columns.graded.sum()), len(stage.columns)
        if not graded:
            said.append(f"{stage.name}: none of its {count:,} episodes is graded, so it has no rate: sample it with grading, or "
                        "see under Errors what failed.")
        elif graded < count:
            lacking.append(f"{stage.name} {count - graded:,} of {count:,}")
        said += stage.notes
        if len(stage.facts["policy"]) > 1:
            said.append(f"{stage.name} mixes policies ({', '.join(sorted(stage.facts['policy']))}): its rates are of none of them.")
    if lacking:
        said.append(f"Episodes that are not graded count in no rate ({', '.join(lacking)}); the command that sampled them plays "
                    "them again.")
    if len(stages) < 2:
        return said
    return [*said, *_tasks(stages), *_differing(found)]


def _differing(found: Sequence[Condition], elsewhere: Collection[str] = ()) -> list[str]:
    """A sentence for each condition in which runs differ and that matters."""
    said = []
    for item in found:
        if item.name in elsewhere:
            continue
        if item.differs and item.name in _WARN:
            said.append(_WARN[item.name].format("; ".join(dict.fromkeys(value for value in item.values if value != UNKNOWN))))
        elif item.differs and item.name.startswith("data of "):
            said.append(f"{item.name.removeprefix('data of ')} was not built alike in all runs: its tasks are others.")
    return said


def _tasks(stages: Sequence[Played]) -> list[str]:
    """Whether all runs were graded on the same tasks."""
    played = {stage.name: set(stage.columns.task[stage.columns.graded].tolist()) for stage in stages if stage.columns.graded.any()}
    if len(played) < 2:
        return []
    every, shared = set.union(*played.values()), set.intersection(*played.values())
    if every == shared:
        return []
    counts = ", ".join(f"{name} {len(tasks):,}" for name, tasks in played.items())
    return [f"Runs were not graded on the same tasks ({counts}; {len(shared):,} in all of them): rates stand over different tasks, "
            "differences over those that two runs share."]


def _of_run(stage: Played, records: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Condition -> value of one run; several folders' values are joined where they differ."""
    def of(*keys: str) -> str:
        for key in keys:
            if values := sorted({record[key] for record in records if key in record}):
                return ", ".join(values)
        return UNKNOWN

    told = {name: ", ".join(sorted(values - {""})) or UNKNOWN for name, values in stage.facts.items()}
    tier = of("gym.sandbox.tier")
    found = {"Med-Copilot": of("version"), "commit": of("code.commit"), "config digest": of("config digest"),
             "policy": told["policy"], "weights": of("config.policy_record.digest"), "protocol": told["protocol"],
             "grader": of("gym.grader"), "temperature": f"{stage.columns.temperature.min():g}",
             "sandbox tier": tier if tier != UNKNOWN else told["sandbox"]}
    found |= {name: of(f"config.{key}") for name, key in _CONFIG.items()}
    if records:
        found |= {name: value if (value := of(f"config.{key}")) != UNKNOWN else usual for name, (key, usual) in _OPTIONAL.items()}
    for dataset in sorted(set(stage.columns.dataset.tolist())):
        found[f"data of {dataset}"] = _data(records, dataset)
    found["Python"] = of("code.python", "gym.sandbox.python")
    found |= {name: of(f"code.{name}", f"config.policy_record.{name}") for name in _LIBRARIES}
    return found


def _data(records: Sequence[Mapping[str, str]], dataset: str) -> str:
    """How a dataset was built, as far as recorded."""
    texts = set()
    for record in records:
        for prefix in (f"builds.{dataset}.", f"config.builds.{dataset}."):
            parts = {key.removeprefix(prefix): value for key, value in record.items() if key.startswith(prefix) and value != "null"}
            if parts:
                source = parts.pop("source", "")
                texts.add(", ".join(["its own files" if source else "twin",
                                     *(f"{key.removeprefix('options.')} {value}" for key, value in sorted(parts.items()))]))
                break
    return "; ".join(sorted(texts)) or UNKNOWN
