"""The parts of the page: stages turned into tables and figures that the template only lays out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from medcopilot.evaluation.compare import Difference, difference
from medcopilot.evaluation.errors import CLASSES, PAPER, PAPER_CLASSES, PUBLISHED
from medcopilot.evaluation.summary import Group, Rate, group
from medcopilot.report import metrics, plots, scaling
from medcopilot.report.format import percent
from medcopilot.report.stage import Stage, headline_group, headline_slice


def panels(stages: list[Stage], datasets: list[str], chance: Mapping[str, float]) -> list[dict[str, Any]]:
    part, panels = headline_slice(stages), []
    for dataset in ["", *datasets] if len(datasets) > 1 else datasets:
        groups = [headline_group(stage, part, dataset) for stage in stages]
        dots = [plots.Dot(stage.name, item.strict.value, item.strict.ci_low, item.strict.ci_high, item.paper.value)
                if item else plots.Dot(stage.name, None, None, None, None) for stage, item in zip(stages, groups, strict=True)]
        name = dataset or "all datasets"
        words = "; ".join(f"{dot.name} {percent(dot.strict)}, paper grader {percent(dot.paper)}" for dot in dots)
        figure = plots.rate_plot(dots, chance.get(dataset or "all"), f"Strict success, {name}: {words}")
        panels.append({"name": name, "svg": figure})
    return panels


def headline_rows(stages: list[Stage]) -> list[dict[str, Any]]:
    """The headline table: each stage at its lowest temperature, then at its others, all on the headline's slice."""
    part, rows = headline_slice(stages), []
    for stage in stages:
        cool = headline_group(stage, part)
        rows.append({"name": stage.name, "temperature": f"{stage.temperature:g}", "group": cool, "beside": False})
        for temperature, cols in stage.hotter.items():
            item = group(cols.where(cols.slice == part) if part else cols)
            rows.append({"name": stage.name, "temperature": temperature, "group": item, "beside": True})
    return rows


def comparisons(stages: list[Stage]) -> dict[str, dict[str, Any]]:
    """Each stage against the one before it, and the last against every earlier one."""
    pairs = list(pairwise(stages))
    pairs += [(earlier, stages[-1]) for earlier in stages[:-2]]
    rows: dict[str, dict[str, Any]] = {}
    for a, b in pairs:
        first, second = a.columns, b.columns
        label, names = f"{b.name} − {a.name}", sorted({*first.slice.tolist(), *second.slice.tolist()})
        found: dict[str, Difference] = {label: difference(first, second)} if len(names) == 1 else {
            f"{label}, {name}": difference(first.where(first.slice == name), second.where(second.slice == name)) for name in names}
        rows |= {name: item.model_dump() for name, item in found.items()}
    return rows


def curves(stages: list[Stage], extra: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Training curves: the given metrics, else whatever the runs' own folders hold, each file under its own name."""
    sources: dict[str, Any] = dict(extra.get("metrics", {}))
    for stage in stages:
        for folder in stage.folders:
            files = sorted((folder / "metrics").glob("*.jsonl"))
            if files and not sources.get(stage.name):
                sources |= {stage.name if len(files) == 1 else f"{stage.name}: {path.stem}": path for path in files}
    groups = []
    for label, source in sources.items():
        rows = metrics.read_rows(Path(source) if isinstance(source, str) else source)
        drawn = [{"name": line.name, "first": line.values[0], "last": line.values[-1],
                  "svg": plots.curve_plot(line, f"{label}: {line.name} from {line.values[0]:.3g} at step {line.steps[0]:g} to "
                                                f"{line.values[-1]:.3g} at step {line.steps[-1]:g}")}
                 for line in metrics.series(rows)]
        parts = metrics.split_of_time(rows)
        if parts:
            words = ", ".join(f"{part.name} {sum(part.values) / len(part.values):.3g} s" for part in parts)
            drawn.append({"name": "seconds per step", "first": parts[0].values[0], "last": parts[0].values[-1],
                          "svg": plots.split_plot(parts, f"{label}: where a step's seconds went, on average {words}")})
        if drawn:
            groups.append({"label": label, "curves": drawn})
    return groups


def scaled(stages: list[Stage]) -> list[dict[str, Any]]:
    """What several rollouts per task are worth: one block per stage and way of drawing them."""
    return [{"name": stage.name, "curve": curve, "svg": scaling.page_figure(scaling.curve_figure(curve, stage.name))}
            for stage in stages if stage.scaling for curve in stage.scaling.overall]


def scaled_together(stages: list[Stage]) -> list[dict[str, Any]]:
    """Pass@K and Best@K of all runs in one picture each, where several have rollouts that are drawn in the same way."""
    pictures = []
    for scheme in ("greedy first", "exchangeable"):
        found = [(stage.name, curve) for stage in stages if stage.scaling for curve in stage.scaling.overall
                 if curve.scheme == scheme]
        several = len({curve.temperature for _, curve in found}) > 1
        curves = {f"{name}, T = {curve.temperature:g}" if several else name: curve for name, curve in found}
        some = f" (first {scaling.STYLES} curves)" if len(curves) > scaling.STYLES else ""
        for measure in ("pass_at_k", "best_at_k"):
            figure = scaling.runs_figure(curves, measure)
            if figure is not None and len(figure.lines) > 1:
                pictures.append({"name": f"{scaling.MEASURES[measure]}, {scheme}{some}", "svg": scaling.page_figure(figure)})
    return pictures


def heat(stages: list[Stage], datasets: list[str]) -> dict[str, Any]:
    """Strict success of every run on every dataset, and within each on every category: rows of cells, one per run."""
    def cells(groups: list[Group | None]) -> list[Rate | None]:
        return [item.strict if item and item.strict.value is not None else None for item in groups]

    def row(name: str, groups: list[Group | None]) -> dict[str, Any]:
        found = cells(groups)
        return {"name": name, "cells": found, "n": max((item.n for item in found if item), default=0)}

    tables = []
    for dataset in datasets:
        per_stage = [stage.summary.categories.get(dataset, {}) for stage in stages]
        rows = [row(name, [groups.get(name) for groups in per_stage]) for name in sorted(set().union(*per_stage), key=_natural)]
        tables.append({**row(dataset, [stage.summary.datasets.get(dataset) for stage in stages]), "rows": rows})
    return {"datasets": tables, "mean": [stage.summary.macro_strict for stage in stages],
            "categories": sum(len(table["rows"]) for table in tables)}


def _natural(name: str) -> list[tuple[int, str]]:
    """Numbers in names sort as numbers."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def breakdowns(stages: list[Stage]) -> list[dict[str, Any]]:
    """Tables of shares: rows are what happened, columns are stages."""
    def table(title: str, counts: list[dict[str, int]]) -> dict[str, Any]:
        totals = [sum(count.values()) for count in counts]
        happened = {name for count in counts for name, n in count.items() if n}
        rows = [{"name": name, "cells": [{"n": count.get(name, 0), "share": count.get(name, 0) / total if total else None}
                                         for count, total in zip(counts, totals, strict=True)]}
                for name in sorted(happened, key=lambda name: (-counts[-1].get(name, 0), name))]
        return {"title": title, "rows": rows}

    acts = [stage.summary.behaviour for stage in stages]
    return [table("How episodes end", [item.stops for item in acts]), table("Strict verdict", [item.labels for item in acts]),
            table("Actions", [{name: round(share * item.action_count) for name, share in item.actions.items()} for item in acts]),
            table("Refused replies", [item.refused for item in acts])]


def errors(stages: list[Stage], datasets: list[str]) -> dict[str, Any]:
    """Why episodes failed: a bar picture of each stage, counts by class, by dataset and by the paper's classes. Empty where none
    failed."""
    acts = [stage.summary.behaviour for stage in stages]
    names = [name for name in CLASSES if any(item.errors.get(name) for item in acts)]
    if not names:
        return {}
    failed = [sum(item.paper_errors.values()) for item in acts]
    pictures = []
    for stage, item, total in zip(stages, acts, failed, strict=True):
        shares = {name.replace("_", " "): n / total for name, n in item.errors.items() if name != "infrastructure"} if total else {}
        words = ", ".join(f"{name} {percent(share)}" for name, share in shares.items())
        if shares:
            pictures.append({"name": f"{stage.name}: {total:,} failed",
                             "svg": plots.share_plot(shares, f"{stage.name}, classes of {total} failed episodes: {words}")})

    def rows(counts: list[dict[str, int]]) -> list[dict[str, Any]]:
        return [{"name": name, "meaning": CLASSES[name], "paper": PAPER.get(name, "other"), "cells": [
                    {"n": count.get(name, 0), "share": count.get(name, 0) / total if total and name != "infrastructure" else None}
                    for count, total in zip(counts, [sum(count.values()) - count.get("infrastructure", 0) for count in counts],
                                            strict=True)]}
                for name in names if any(count.get(name) for count in counts)]

    parts = [(name, rows([behave.errors if (behave := stage.summary.dataset_behaviour.get(name)) else {} for stage in stages]))
             for name in datasets]
    paper = [{"name": name, "published": PUBLISHED.get(name), "cells": [
                 {"n": item.paper_errors[name], "share": item.paper_errors[name] / total if total else None}
                 for item, total in zip(acts, failed, strict=True)]} for name in PAPER_CLASSES]
    return {"pictures": pictures, "rows": rows([item.errors for item in acts]), "paper": paper,
            "datasets": [{"name": name, "rows": found} for name, found in parts if found] if len(datasets) > 1 else []}


def slices(stages: list[Stage]) -> list[str]:
    order = {"seen": 0, "unseen": 1, "official": 2, "train": 3}
    return sorted({name for stage in stages for name in stage.summary.slices}, key=lambda name: (order.get(name, 9), name))
