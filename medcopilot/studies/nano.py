"""`make study nano`: does reinforcement learning add something that more supervised training does not?

The design: an expert set as scarce as the paper's (2,137 trajectories); SFT from random weights on it, annealed over longer and
longer horizons until held-out success is flat; from that checkpoint, for each of three seeds, GRPO in the environment and a
control that goes on with SFT on the same rows for the same wall-clock. Both are played on the same held-out tasks, slices
`seen` and `unseen`, and compared by a paired cluster bootstrap over tasks (clusters: template x patient block).

Promises: every finished run leaves a summary under 20 KB in `docs/results/`; running again resumes; the conclusion is computed
from the traces, whatever it says.
Does not cover: other sizes of the policy, other expert sets than the one stated in the summary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from medcopilot import steps
from medcopilot.studies.common import Study, say

CURVE = "nano-study-sft-curve"


@dataclass(frozen=True)
class Design:
    """Everything that the study's outcome may depend on."""

    patients: int = 1000
    train: int = 8000
    test: int = 1000
    expert: int = 2137
    """Expert trajectories in all."""
    detours: float = 0.2
    horizons: tuple[int, ...] = (750, 1500, 3000, 6000, 12000)
    """Optimiser steps of the annealed SFT runs, each from random weights."""
    flat: float = 0.02
    """SFT is flat when the next horizon gains less than this on the development tasks."""
    seconds: int = 900
    """Wall-clock of each GRPO run and of each control."""
    seeds: tuple[int, ...] = (0, 1, 2)
    dev: int = 200
    """Development tasks per dataset: training tasks outside the expert set."""
    seen: int = 400
    unseen: int = 100


TINY = Design(patients=60, train=200, test=80, expert=100, horizons=(10, 20), seconds=8, seeds=(0,), dev=10, seen=10, unseen=4)


class NanoStudy(Study):
    """The steps of the study."""

    def __init__(self, out: Path, design: Design, threads: int, results: Path, commit: bool) -> None:
        builds = steps.requests(train=design.train, test=design.test, patients=design.patients)
        super().__init__(out, builds, prefix="nano-study", seen=design.seen, unseen=design.unseen, threads=threads, results=results,
                         commit=commit)
        self.choices = design

    @property
    def design(self) -> dict[str, Any]:
        return asdict(self.choices)

    def run(self) -> dict[str, Any]:
        """All steps; returns the conclusion."""
        steps.claim(self.out / "study.json", self.design)
        start = self.start()
        for seed in self.choices.seeds:
            for arm in ("grpo", "control"):
                self.arm(f"{arm}-{seed}", lambda arm=arm, seed=seed: getattr(self, arm)(start, seed),
                         needs=lambda: self.trained(start))
        self.arm(start, lambda: None, needs=lambda: self.trained(start))
        return self.conclude(start)

    def start(self) -> str:
        """Name of the checkpoint that the arms start from: the one on which SFT was flat, by the summary of its curve where there
        is one, otherwise by training it. That its files are there is `trained`'s business."""
        kept = self.kept_as(CURVE)
        if kept and self.flat(kept["curve"]):
            return best(kept["curve"])
        self.material()
        return self.sft()

    def material(self) -> None:
        """Data and expert set."""
        self.step("data", lambda: steps.build_datasets(self.builds))
        self.step("expert", self.expert)

    def expert(self) -> None:
        each = self.choices.expert // len(self.builds)
        steps.sample(self.out / "expert", "expert", self.builds, split="train", tasks_per_dataset=each,
                     detours=self.choices.detours)
        steps.expert_rows(self.out)

    @property
    def rows(self) -> Path:
        return self.out / "data" / "sft.jsonl"

    def sft(self) -> str:
        """Annealed runs over growing horizons until the development success is flat. Returns the name of the start."""
        curve: list[dict[str, float]] = []
        for length in self.choices.horizons:
            name = f"sft-{length}"
            self.trained(name)
            self.step(f"dev-{name}", lambda name=name: self._dev(name))
            curve.append({"steps": length, **self._rate(self.out / "dev" / name)})
            self.keep(CURVE, {"design": self.design, "curve": curve})
            draw_curve(curve, self.results / f"{CURVE}.png")
            if self.flat(curve):
                break
        return best(curve)

    def flat(self, curve: Sequence[dict[str, float]]) -> bool:
        """The last horizon gained little, or there is no longer one."""
        return len(curve) == len(self.choices.horizons) or (
            len(curve) > 1 and curve[-1]["success"] - curve[-2]["success"] < self.choices.flat)

    def trained(self, name: str) -> None:
        """An annealed run of SFT, where its checkpoint is missing."""
        self.material()
        self.step(name, lambda: steps.recipe(
            "sft", self.threads, f"run={self.out}", f"name={name}", f"data={self.rows}", "max_seconds=null",
            f"max_steps={name.removeprefix('sft-')}", f"model.tokenizer={self.out / 'tokenizer'}"))

    def _dev(self, name: str) -> None:
        # the expert's tasks are the first of the same seeded order: skipping them keeps the development set apart
        steps.sample(
            self.out / "dev" / name,
            self.checkpoint(name),
            self.builds,
            split="train",
            tasks_per_dataset=self.choices.dev,
            skip_tasks=self.choices.expert // len(self.builds),
        )

    def _rate(self, run: Path) -> dict[str, float]:
        from medcopilot.evaluation.columns import columns
        from medcopilot.evaluation.summary import group
        from medcopilot.runs import RunFolder

        rate = group(columns(RunFolder.open(run).traces())).strict
        return {"success": rate.value, "ci_low": rate.ci_low, "ci_high": rate.ci_high, "n": rate.n}

    def grpo(self, start: str, seed: int) -> None:
        steps.grpo(
            self.threads,
            self.builds,
            self.checkpoint(start),
            f"run={self.out}",
            f"name=grpo-{seed}",
            f"seed={seed}",
            f"max_seconds={self.choices.seconds}",
            # few groups are half solved at this start, so most rounds take a fraction of a step: twice the demo's rate (chosen on
            # development tasks)
            "optimizer.lr=0.2",
        )

    def control(self, start: str, seed: int) -> None:
        steps.recipe(
            "sft",
            self.threads,
            f"run={self.out}",
            f"name=control-{seed}",
            f"seed={seed + 1}",
            f"data={self.rows}",
            f"model.checkpoint={self.checkpoint(start)}",
            "model.tokenizer=null",
            "max_steps=null",  # the wall-clock alone ends it
            f"max_seconds={self.choices.seconds}",
        )

    def conclude(self, start: str) -> dict[str, Any]:
        """GRPO minus control."""
        arms = ([f"{arm}-{seed}" for seed in self.choices.seeds] for arm in ("control", "grpo"))
        result = {"start": start, "design": self.design, **self.versus(*arms)}
        self.keep(self.prefix, result)
        say("GRPO - control", result)
        return result


def best(curve: Sequence[dict[str, float]]) -> str:
    """The run of a curve with the highest development success."""
    return f"sft-{int(max(curve, key=lambda point: point['success'])['steps'])}"


def draw_curve(curve: Sequence[dict[str, float]], path: Path) -> None:
    """Development success over SFT steps, with 95 % intervals."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    path.parent.mkdir(parents=True, exist_ok=True)
    figure, axes = pyplot.subplots(figsize=(5, 3), dpi=80)
    steps_, rates = [point["steps"] for point in curve], [100 * point["success"] for point in curve]
    spread = [
        [100 * (point["success"] - point["ci_low"]) for point in curve],
        [100 * (point["ci_high"] - point["success"]) for point in curve],
    ]
    axes.errorbar(steps_, rates, yerr=spread, marker="o", capsize=3)
    axes.set(xlabel="SFT steps (each point its own annealed run)", ylabel="held-out success, %", ylim=(0, 100))
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)
