"""`make study nano-rl`: GRPO and PPO against further supervised training, and what their safeguards are worth.

The design: the checkpoint of `make study nano` on which supervised training had become flat; from it, for each of three seeds,
GRPO and PPO with the same number of episodes, and the control that goes on with SFT on the same rows (`make study nano`'s own, or
trained here). All are played on the same held-out tasks, slices `seen` and `unseen`, and compared by a paired cluster bootstrap.
Ablations of GRPO, one seed each: trained on observations too, without the group filter, one round ahead, and with the released
gym's grader as the reward.

Promises: a budget of episodes, not of seconds, so a busy machine changes nothing but the time it takes; every finished run leaves
its summary in `docs/results/`; running again resumes.
Does not cover: other sizes of the policy.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from medcopilot import steps
from medcopilot.studies.common import Study, say
from medcopilot.studies.nano import NanoStudy


@dataclass(frozen=True)
class Budget:
    """Everything beyond the nano study's design that the outcome may depend on."""

    episodes: int = 50_000
    """Of each GRPO and PPO run."""
    grpo_rate: float = 0.2
    ppo_rate: float = 0.02
    """Learning rates at the start, chosen on development tasks."""
    extra: tuple[str, ...] = ()
    """Further changes to every online recipe."""


TINY = Budget(episodes=200, extra=("rollouts.filter=false", "rollouts.max_groups=36"))
"""Its policy solves nothing: only that every step runs is seen."""

ABLATIONS = {
    "grpo-observations": ("loss.observations=true",),
    "grpo-unfiltered": ("rollouts.filter=false",),
    "grpo-ahead": ("rollouts.staleness=1",),
    "grpo-paper-grader": ("rollouts.grader=paper",),
}
"""One change each to GRPO with seed 0."""


class NanoRlStudy(Study):
    """The steps of the study, in the nano study's folder."""

    def __init__(self, base: NanoStudy, budget: Budget) -> None:
        super().__init__(base.out, base.builds, prefix="nano-rl", seen=base.seen, unseen=base.unseen, threads=base.threads,
                         results=base.results, commit=base.commit)
        self.base, self.budget = base, budget

    @property
    def design(self) -> dict[str, Any]:
        """What the summaries say of it."""
        return {**asdict(self.base.design), **asdict(self.budget)}

    def run(self) -> dict[str, Any]:
        """All steps; returns the conclusion."""
        steps.claim(self.out / "study.json", asdict(self.base.design))
        steps.claim(self.out / "study-rl.json", asdict(self.budget))
        start = self.base.start()
        self.step("rl-eval-start", lambda: self.evaluate(start, self.design))
        for seed in self.base.design.seeds:
            self._arm(f"rl-grpo-{seed}", lambda name, seed=seed: self.train("grpo", start, name, seed))
            self._arm(f"rl-ppo-{seed}", lambda name, seed=seed: self.train("ppo", start, name, seed))
            self.step(f"control-{seed}", lambda seed=seed: self.base.control(start, seed))
            self.step(f"rl-eval-control-{seed}", lambda seed=seed: self.evaluate(f"control-{seed}", self.design))
            self.conclude(start)
        for name, changes in ABLATIONS.items():
            self._arm(f"rl-{name}", lambda arm, changes=changes: self.train("grpo", start, arm, 0, *changes))
            self.conclude(start)
        return self.conclude(start)

    def _arm(self, name: str, train: Any) -> None:
        self.step(name, lambda: train(name))
        self.step(f"eval-{name}", lambda: self.evaluate(name, self.design))

    def train(self, stage: str, start: str, name: str, seed: int, *changes: str) -> None:
        """One run of an online recipe within the budget."""
        rate = self.budget.grpo_rate if stage == "grpo" else self.budget.ppo_rate
        data = json.dumps({key: request.model_dump(mode="json") for key, request in self.builds.items()})
        steps.recipe(stage, self.threads, f"builds={data}", f"model.checkpoint={self.checkpoint(start)}", f"run={self.out}",
                     f"name={name}", f"seed={seed}", "max_seconds=null", f"max_episodes={self.budget.episodes}",
                     f"optimizer.lr={rate}", *self.budget.extra, *changes)

    def _done(self, names: Sequence[str]) -> list[str]:
        """Those that have been evaluated."""
        return [name for name in names if (self.results / f"{self.prefix}-{name}.json").is_file()]

    def conclude(self, start: str) -> dict[str, Any]:
        """Everything that can be compared so far."""
        result: dict[str, Any] = {"start": start, "design": self.design}
        seeds = [seed for seed in self.base.design.seeds
                 if len(self._done([f"rl-grpo-{seed}", f"rl-ppo-{seed}", f"control-{seed}"])) == 3]
        arms = {arm: [f"{arm}-{seed}" for seed in seeds] for arm in ("control", "rl-grpo", "rl-ppo")}
        if seeds:
            for title, one, other in (("GRPO - control", "control", "rl-grpo"), ("PPO - control", "control", "rl-ppo"),
                                      ("PPO - GRPO", "rl-grpo", "rl-ppo")):
                result[title] = self.versus(arms[one], arms[other])
                say(title, result[title])
        for name in self._done([f"rl-{name}" for name in ABLATIONS]):
            result[name] = {**self.versus(["rl-grpo-0"], [name]), "inflation": self._inflation(["rl-grpo-0", name])}
            say(f"{name} - rl-grpo-0", result[name])
        self.keep("nano-rl", _slim(result))
        draw(self.out / "metrics", [*arms["rl-grpo"], *arms["rl-ppo"]], self.results / "nano-rl.png")
        return result

    def _inflation(self, names: Sequence[str]) -> dict[str, dict[str, float]]:
        """Success under both graders, greedy, seen templates: what a run earns from the paper's grader beyond right answers."""
        found = {}
        for name in names:
            traces = [trace for trace in self.traces([name], "t0") if trace.slice == "seen" and trace.graded]
            rates = {grader: sum(trace.grades[grader].score == 1.0 for trace in traces) / max(1, len(traces))
                     for grader in ("strict", "paper")}
            found[name] = {**rates, "inflation": rates["paper"] - rates["strict"]}
        return found


def _slim(result: Any) -> Any:
    """Without the rows by dataset, which the runs' own summaries hold."""
    if isinstance(result, dict):
        return {name: _slim(value) for name, value in result.items() if name != "datasets"}
    return [_slim(value) for value in result] if isinstance(result, list) else result


def draw(metrics: Path, names: Sequence[str], path: Path) -> None:
    """Training success over episodes, and what a step's time goes to."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    found = {name: [json.loads(line) for line in (metrics / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]
             for name in names if (metrics / f"{name}.jsonl").is_file()}
    if not found:
        return
    figure, (curves, bars) = pyplot.subplots(1, 2, figsize=(9, 3.2), dpi=80)
    for name, rows in found.items():
        rounds = [row for row in rows if "success" in row and "groups/played" in row]
        episodes, success, total = [], [], 0.0
        for row in rounds:
            total += row["rollouts/episodes"]
            episodes.append(total)
            success.append(100 * row["success"])
        window = max(1, len(success) // 30)
        smooth = [sum(success[max(0, n - window): n + 1]) / len(success[max(0, n - window): n + 1]) for n in range(len(success))]
        curves.plot(episodes, smooth, label=name.removeprefix("rl-"), color="C0" if "grpo" in name else "C1", alpha=0.7)
    curves.set(xlabel="episodes", ylabel="success on training tasks, %\n(moving mean; half-solved templates drawn more)")
    curves.legend(fontsize=7)
    parts = ("wait", "sync", "evaluate", "update", "other")
    for place, rows in enumerate(found.values()):
        left = 0.0
        for number, part in enumerate(parts):
            values = [row.get(f"time/{part}", 0.0) for row in rows]
            width = sum(values) / max(1, len(values))
            bars.barh(place, width, left=left, color=f"C{number}", label=part if not place else None)
            left += width
    bars.set_yticks(range(len(found)), [name.removeprefix("rl-") for name in found], fontsize=7)
    bars.set(xlabel="seconds per optimiser step")
    bars.legend(fontsize=7)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    pyplot.close(figure)
