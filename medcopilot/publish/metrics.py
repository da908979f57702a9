"""Evaluation results for a card: from sample runs of the very model, with intervals, strict and paper side by side.

Promises: a run counts only if the digest of its policy is that of the weights that are published (or of the state they come from);
rates are those of `medcopilot eval`, with its cluster bootstrap; the hub's metadata holds the same numbers through
huggingface_hub's own types.
Does not cover: runs over an endpoint that recorded no digest (they are refused), and runs of other protocols than their own word.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from env.errors import UserError
from medcopilot.evaluation.runs import by_temperature, load_runs
from medcopilot.evaluation.summary import Group, Rate, summarise
from medcopilot.runs import RunFolder

METRICS = {"strict": "success, strict grader", "paper": "success, the paper's grader"}


class Result(NamedTuple):
    """One row of the card's table."""

    run: str
    dataset: str
    origin: str
    """`synthetic twin` or `real source`."""
    split: str
    slice: str
    protocol: str
    temperature: float
    group: Group


def read_results(folders: Sequence[Path], digests: set[str], resamples: int = 10_000) -> list[Result]:
    """A row per run, temperature, dataset and slice.

    Args:
        digests: those of the model's weights, in whichever form it was sampled from.

    Raises:
        UserError: not a run, without traces, or of another model.
    """
    configs = {}
    for folder in folders:
        config = RunFolder.open(folder).config
        digest = (config.get("policy_record") or {}).get("digest") or ""
        if digest not in digests:
            policy = f"{config.get('policy', 'another policy')} ({digest or 'no digest'})"
            raise UserError(f"--results {folder}: the run is of {policy}, not of what is published ({', '.join(sorted(digests))}): "
                            "sample it again with this checkpoint")
        configs[folder.name] = config
    if len(configs) < len(folders):
        raise UserError("--results: two runs have the same folder name: rename one")
    rows = []
    for name, whole in load_runs(list(folders)).items():
        config = configs[name]
        for part in by_temperature({name: whole}).values():
            summary = summarise(part, resamples=resamples)
            for dataset, slices in sorted(summary.dataset_slices.items()):
                built = (config.get("builds") or {}).get(dataset) or {}
                source = "real source" if built.get("source") else "synthetic twin"
                rows += [Result(name, dataset, source, str(config.get("split", "test")), slice_name,
                                str(config.get("protocol", "submit")), float(part.temperature.min()), group)
                         for slice_name, group in sorted(slices.items())]
    return rows


def interval(rate: Rate) -> tuple[float, float] | None:
    """95 %: the cluster bootstrap's, else Wilson's; None where nothing was graded."""
    low, high = (rate.ci_low, rate.ci_high) if rate.ci_low is not None else (rate.wilson_low, rate.wilson_high)
    return None if low is None or high is None else (low, high)


def percent(rate: Rate) -> str:
    """`81.0 (78.2 to 83.6)`."""
    if rate.value is None:
        return "not graded"
    bounds = interval(rate)
    spread = f" ({100 * bounds[0]:.1f} to {100 * bounds[1]:.1f})" if bounds else ""
    return f"{100 * rate.value:.1f}{spread}"


def hub_results(results: Sequence[Result]) -> list[Any]:
    """The same as huggingface_hub's `EvalResult`s: percent, with interval and number of tasks in the arguments."""
    from huggingface_hub import EvalResult

    found = []
    for row in results:
        for grader, title in METRICS.items():
            rate: Rate = getattr(row.group, grader)
            if rate.value is None:
                continue
            bounds = interval(rate)
            spread = {"ci95_low": round(100 * bounds[0], 2), "ci95_high": round(100 * bounds[1], 2)} if bounds else {}
            found.append(EvalResult(
                task_type="text-generation", task_name="code-writing agent in a sandbox",
                dataset_type=f"medcopilot/{row.dataset}", dataset_name=f"{row.dataset} ({row.origin}, {row.slice or 'all'})",
                dataset_split=row.split, dataset_config=f"{row.run}/{row.slice or 'all'}/T={row.temperature:g}",
                metric_type="accuracy", metric_name=f"{title}, T = {row.temperature:g}, protocol {row.protocol}",
                metric_value=round(100 * rate.value, 2),
                metric_args={"grader": grader, "tasks": row.group.tasks, "graded": rate.n, **spread}))
    return found
