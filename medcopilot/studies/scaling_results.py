"""What `make study nano-scaling` keeps and draws: curves by columns, a verifier's ranking, the picture.

Promises: fractions with four digits, None where there is none; every value of a curve beside its bounds.
Does not cover: how the curves come about (`medcopilot.evaluation.scaling`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

MEASURES = ("pass_at_k", "best_at_k", "majority_at_k", "random", "regret")


def ranked(scores: Sequence[float], outcomes: Sequence[bool], tasks: Sequence[str]) -> dict[str, Any]:
    """AUROC with its interval over tasks, and the share of pairs within a task that are in the right order; None where there is
    nothing to tell apart."""
    from medcopilot.verifier.calibration import auroc_interval, within_tasks

    if len(set(outcomes)) < 2:
        return {"n": len(scores), "auroc": None}
    whole, within = auroc_interval(scores, outcomes, tasks), within_tasks(scores, outcomes, tasks)
    return {"n": len(scores), "auroc": whole.estimate, "ci_low": whole.low, "ci_high": whole.high,
            "within_tasks": within.share if within.pairs else None, "pairs": within.pairs}


def digits(value: Any) -> Any:
    """Fractions with four digits."""
    if isinstance(value, float):
        return round(value, 4) if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: digits(item) for name, item in value.items()}
    return [digits(item) for item in value] if isinstance(value, list) else value


def by_columns(curve: dict[str, Any]) -> dict[str, Any]:
    """A curve by columns: for each measure, (value, low, high) or None for every K."""
    def triple(found: dict[str, Any] | None) -> list[float | None] | None:
        return [found[name] for name in ("value", "ci_low", "ci_high")] if found else None

    points = curve["points"]
    return {**{name: value for name, value in curve.items() if name != "points"}, "k": [point["k"] for point in points],
            **{name: [triple(point.get(name)) for point in points] for name in MEASURES}}


def draw(result: dict[str, Any], path: Path) -> None:
    """Success over data, and over rollouts."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (data, wide) = pyplot.subplots(1, 2, figsize=(9, 3.7), dpi=80)
    rates = result["data"]["success"]
    for number, part in enumerate(("seen", "unseen")):
        points = [(int(share), row[part]) for share, row in rates.items()]
        spread = [[100 * abs(row["value"] - row[bound]) for _, row in points] for bound in ("ci_low", "ci_high")]
        data.errorbar([share for share, _ in points], [100 * row["value"] for _, row in points], yerr=spread, marker="o", capsize=3,
                      color=f"C{number}", label=f"{part} templates")
    data.set(xlabel="expert set, %", ylabel="success, %", ylim=(0, 100), xticks=[int(share) for share in rates])
    curve = next(row for row in result["rollouts"]["curves"] if row["scheme"] == "exchangeable")
    lines = [(curve["pass_at_k"], "Pass@K"), (curve["majority_at_k"], "majority@K"), (curve["random"], "one at random"),
             (curve["best_at_k"], "Best@K, verifier")]
    if "verifier_data" in result:
        lines.append((result["verifier_data"]["best_at_k"], "Best@K, verifier, more data"))
    for number, (values, label) in enumerate(lines):
        points = [(k, *value) for k, value in zip(curve["k"], values, strict=True) if value]
        wide.plot([point[0] for point in points], [100 * point[1] for point in points], color=f"C{number}", marker=".", label=label)
        if all(point[2] is not None for point in points):
            wide.fill_between([point[0] for point in points], [100 * point[2] for point in points],
                              [100 * point[3] for point in points], color=f"C{number}", alpha=0.12)
    wide.set(xlabel=f"rollouts K (T = {curve['temperature']:g})", ylabel="success, %",
             xticks=[k for k in curve["k"] if k & (k - 1) == 0])
    for axes in (data, wide):  # below: inside it would hide a line
        axes.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2, frameon=False)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    pyplot.close(figure)
