"""`make study nano-rl`: GRPO and PPO against further supervised training, and what their safeguards are worth.

The design: the checkpoint of `make study nano` on which supervised training had become flat; from it, for each of three seeds,
GRPO and PPO with the same number of episodes, and the control that goes on with SFT on the same rows (`make study nano`'s own, or
trained here). All are played on the same held-out tasks, slices `seen` and `unseen`, and compared by a paired cluster bootstrap.
Ablations of GRPO, one seed each: trained on observations too, without the group filter, one round ahead, and with the released
gym's grader as the reward; of every run it is counted how often an answer only repeats the last output (`exploits`).

Promises: a budget of episodes, not of seconds, so a busy machine changes nothing but the time it takes; every finished run leaves
its summary in `docs/results/`; running again resumes.
Does not cover: other sizes of the policy.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from medcopilot import steps
from medcopilot.runs import RunFolder
from medcopilot.studies.common import Study, say
from medcopilot.studies.exploits import repeated
from medcopilot.studies.nano import NanoStudy


@dataclass(frozen=True)
class Budget:
    """Everything beyond the nano study's design that the outcome may depend on."""

    episodes: int = 30_000
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
PARTS = ("wait", "sync", "evaluate", "update", "other")
"""What a step's time is split into."""


class NanoRlStudy(Study):
    """The steps of the study, in the nano study's folder."""

    def __init__(self, base: NanoStudy, budget: Budget) -> None:
        super().__init__(base.out, base.builds, prefix="nano-rl", threads=base.threads, results=base.results, commit=base.commit,
                         **base.counts)
        self.base, self.budget = base, budget

    @property
    def design(self) -> dict[str, Any]:
        return {**self.base.design, **asdict(self.budget)}

    def run(self) -> dict[str, Any]:
        """All steps; returns the conclusion."""
        steps.claim(self.out / "study.json", self.base.design)
        steps.claim(self.out / "study-rl.json", asdict(self.budget))
        start = self.base.start()
        arm = partial(self.arm, needs=lambda: self.base.trained(start))
        arm(start, lambda: None)
        for seed in self.base.choices.seeds:
            arm(f"rl-grpo-{seed}", lambda seed=seed: self.train("grpo", start, f"rl-grpo-{seed}", seed))
            arm(f"rl-ppo-{seed}", lambda seed=seed: self.train("ppo", start, f"rl-ppo-{seed}", seed))
            arm(f"control-{seed}", lambda seed=seed: self.base.control(start, seed))
            self.conclude(start)
        for name, changes in ABLATIONS.items():
            arm(f"rl-{name}", lambda name=name, changes=changes: self.train("grpo", start, f"rl-{name}", 0, *changes))
            self.conclude(start)
        return self.conclude(start)

    def train(self, stage: str, start: str, name: str, seed: int, *changes: str) -> None:
        """One run of an online recipe within the budget."""
        rate = self.budget.grpo_rate if stage == "grpo" else self.budget.ppo_rate
        data = json.dumps({key: request.model_dump(mode="json") for key, request in self.builds.items()})
        steps.recipe(stage, self.threads, f"builds={data}", f"model.checkpoint={self.checkpoint(start)}", f"run={self.out}",
                     f"name={name}", f"seed={seed}", "max_seconds=null", f"max_episodes={self.budget.episodes}",
                     f"optimizer.lr={rate}", *self.budget.extra, *changes)

    def training(self, name: str) -> dict[str, Any]:
        """Of an online run: how often a greedy answer repeats the output, the curve, and the seconds of steps, for the picture."""
        if not name.startswith("rl-"):
            return {}
        found = {"repeated": repeated(RunFolder.open(self.out / "eval" / f"{name}-t0").traces())}
        path = self.out / "metrics" / f"{name}.jsonl"
        if not path.is_file():
            return found
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        seconds = {part: sum(row.get(f"time/{part}", 0.0) for row in rows) / max(1, len(rows)) for part in PARTS}
        return {**found, "training": {"curve": curve(rows), "seconds": seconds}}

    def conclude(self, start: str) -> dict[str, Any]:
        """Everything that can be compared so far."""
        result: dict[str, Any] = {"start": start, "design": self.design}
        seeds = [seed for seed in self.base.choices.seeds
                 if all(self.finished(name) for name in (f"rl-grpo-{seed}", f"rl-ppo-{seed}", f"control-{seed}"))]
        arms = {arm: [f"{arm}-{seed}" for seed in seeds] for arm in ("control", "rl-grpo", "rl-ppo")}
        arms["start"] = [start] * len(seeds)
        if seeds:
            for title, one, other in (("GRPO - control", "control", "rl-grpo"), ("PPO - control", "control", "rl-ppo"),
                                      ("PPO - GRPO", "rl-grpo", "rl-ppo"), ("control - start", "start", "control"),
                                      ("GRPO - start", "start", "rl-grpo"), ("PPO - start", "start", "rl-ppo")):
                result[title] = self.versus(arms[one], arms[other])
                say(title, result[title])
        for name in filter(self.finished, [f"rl-{name}" for name in ABLATIONS]):
            result[name] = {**self.versus(["rl-grpo-0"], [name]), "inflation": self._inflation(["rl-grpo-0", name]),
                            "repeated": {run: (self.kept(run) or {}).get("repeated") for run in ("rl-grpo-0", name)}}
            say(f"{name} - rl-grpo-0", result[name])
        self.keep(self.prefix, _slim(result))
        for line in self.table([start, *arms["control"], *arms["rl-grpo"], *arms["rl-ppo"], *(f"rl-{name}" for name in ABLATIONS)]):
            print(line)
        draw({name: found["training"] for name in (*arms["rl-grpo"], *arms["rl-ppo"]) if (found := self.kept(name))},
             self.results / f"{self.prefix}.png")
        return result

    def table(self, names: Sequence[str]) -> list[str]:
        """Strict success in per cent of the runs that are finished, as Markdown."""
        lines = ["| run | seen, T = 0 | seen, T = 1 | unseen, T = 0 | unseen, T = 1 |", "|---|---|---|---|---|"]
        for name in names:
            if (found := self.kept(name)) is not None:
                rates = (found, found["t1"], found["unseen"], found["t1"]["unseen"])
                lines.append(f"| {name} | " + " | ".join(f"{100 * rate['strict']:.1f}" for rate in rates) + " |")
        return lines

    def _inflation(self, names: Sequence[str]) -> dict[str, dict[str, float]]:
        """Success under both graders, greedy, seen templates: what a run earns from the paper's grader beyond right answers."""
        found = {}
        for name in names:
            played = self.columns([name], "t0")
            part = played.where((played.slice == "seen") & played.graded & ~np.isnan(played.paper))
            rates = {grader: float((getattr(part, grader) == 1.0).mean()) for grader in ("strict", "paper")}
            found[name] = {**rates, "inflation": rates["paper"] - rates["strict"]}
        return found


def _slim(result: Any, inner: bool = False) -> Any:
    """With five digits, and without what stands elsewhere: rows by dataset in the runs' summaries, counts in the pooled rows."""
    if isinstance(result, dict):
        told = {"datasets", "slice", "separated", "cluster_p", *(("tasks", "clusters") if inner else ())}
        return {name: _slim(value, inner or name.endswith("-seeds")) for name, value in result.items() if name not in told}
    if isinstance(result, list):
        return [_slim(value, inner) for value in result]
    return round(result, 5) if isinstance(result, float) else result


def curve(rows: Sequence[dict[str, Any]], points: int = 40) -> dict[str, list[float]]:
    """Training success over episodes: moving means over a thirtieth of the rounds, at about `points` places."""
    rounds = [row for row in rows if "success" in row and "groups/played" in row]
    window = max(1, len(rounds) // 30)
    total, episodes, success = 0.0, [], []
    for number, row in enumerate(rounds):
        total += row["rollouts/episodes"]
        if number % max(1, len(rounds) // points) == 0 or number == len(rounds) - 1:
            last = [other["success"] for other in rounds[max(0, number - window): number + 1]]
            episodes.append(total)
            success.append(round(sum(last) / len(last), 4))
    return {"episodes": episodes, "success": success}


def draw(runs: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """Training success over episodes, and what a step's time goes to."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    if not runs:
        return
    figure, (curves, bars) = pyplot.subplots(1, 2, figsize=(9, 3.2), dpi=80)
    for name, run in runs.items():
        curves.plot(run["curve"]["episodes"], [100 * value for value in run["curve"]["success"]], label=name.removeprefix("rl-"),
                    color="C0" if "grpo" in name else "C1", alpha=0.7)
    curves.set(xlabel="episodes", ylabel="success on training tasks, %\n(moving mean; half-solved templates drawn more)")
    curves.legend(fontsize=7)
    for place, run in enumerate(runs.values()):
        left = 0.0
        for number, part in enumerate(PARTS):
            width = run["seconds"][part]
            bars.barh(place, width, left=left, color=f"C{number}", label=part if not place else None)
            left += width
    bars.set_yticks(range(len(runs)), [name.removeprefix("rl-") for name in runs], fontsize=7)
    bars.set(xlabel="seconds per optimiser step")
    bars.legend(fontsize=7)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    pyplot.close(figure)
