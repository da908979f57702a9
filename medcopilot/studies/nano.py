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
        self.design = design

    def run(self) -> dict[str, Any]:
        """All steps; returns the conclusion."""
        steps.claim(self.out / "study.json", asdict(self.design))
        start = self.start()
        for seed in self.design.seeds:
            self.step(f"grpo-{seed}", lambda seed=seed: self.grpo(start, seed))
            self.step(f"control-{seed}", lambda seed=seed: self.control(start, seed))
            for arm in ("grpo", "control"):
                self.step(f"eval-{arm}-{seed}", lambda arm=arm, seed=seed: self.evaluate(f"{arm}-{seed}", asdict(self.design)))
        self.step("eval-start", lambda: self.evaluate(start, asdict(self.design)))
        return self.conclude(start)

    def start(self) -> str:
        """Data, expert set and SFT; the name of the checkpoint that the arms start from."""
        self.material()
        return self.sft()

    def material(self) -> None:
        """Data and expert set."""
        self.step("data", lambda: steps.build_datasets(self.builds))
        self.step("expert", self.expert)

    def expert(self) -> None:
        each = self.design.expert // len(self.builds)
        steps.sample(self.out / "expert", "expert", self.builds, split="train", tasks_per_dataset=each, detours=self.design.detours)
        steps.expert_rows(self.out)

    @property
    def rows(self) -> Path:
        return self.out / "data" / "sft.jsonl"

    def sft(self) -> str:
        """Annealed runs over growing horizons until the development success is flat. Returns the name of the start."""
        curve: list[dict[str, float]] = []
        for length in self.design.horizons:
            name = f"sft-{length}"
            self.step(
                name,
                lambda name=name, length=length: steps.recipe(
                    "sft",
                    self.threads,
                    f"run={self.out}",
                    f"name={name}",
                    f"data={self.rows}",
                    "max_seconds=null",
                    f"max_steps={length}",
                    f"model.tokenizer={self.out / 'tokenizer'}",
                ),
            )
            self.step(f"dev-{name}", lambda name=name: self._dev(name))
            curve.append({"steps": length, **self._rate(self.out / "dev" / name)})
            self.keep("nano-study-sft-curve", {"design": asdict(self.design), "curve": curve})
            draw_curve(curve, self.results / "nano-study-sft-curve.png")
            if len(curve) > 1 and curve[-1]["success"] - curve[-2]["success"] < self.design.flat:
                break
        best = max(curve, key=lambda point: point["success"])
        return f"sft-{int(best['steps'])}"

    def _dev(self, name: str) -> None:
        # the expert's tasks are the first of the same seeded order: skipping them keeps the development set apart
        steps.sample(
            self.out / "dev" / name,
            self.checkpoint(name),
            self.builds,
            split="train",
            tasks_per_dataset=self.design.dev,
            skip_tasks=self.design.expert // len(self.builds),
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
            f"max_seconds={self.design.seconds}",
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
            f"max_seconds={self.design.seconds}",
        )

    def conclude(self, start: str) -> dict[str, Any]:
        """GRPO minus control."""
        arms = ([f"{arm}-{seed}" for seed in self.design.seeds] for arm in ("control", "grpo"))
        result = {"start": start, "design": asdict(self.design), **self.versus(*arms)}
        self.keep("nano-study", result)
        say("GRPO - control", result)
        return result


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
