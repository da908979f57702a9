"""`make demo`: the whole loop on a laptop, from an empty folder to a report.

    build data -> validate -> expert trajectories -> tokenizer -> SFT -> own rollouts -> DPO -> GRPO -> evaluate -> report

Promises: every stage is the product's own command or recipe at a small scale; what is finished is not done again; the numbers
in `summary.json` are strict grader, protocol submit, temperature 0, on held-out tasks.
Does not cover: real models and clusters (`recipes/qwen2.5-*`).
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from env.errors import UserError
from medcopilot import steps
from medcopilot.train.folders import hold
from medcopilot.train.prepare import INPUT_STEPS

GRPO_GUARD = 720.0
"""Seconds after which GRPO ends whatever its steps: only a busy machine gets there."""


@dataclass(frozen=True)
class Scale:
    """How much of everything."""

    patients: int
    train: int
    test: int
    validate: int
    """Tasks per split that are validated here; `medcopilot validate` does all of them."""
    expert: int
    """Expert trajectories per dataset."""
    detours: float
    sft_steps: int
    pair_tasks: int
    """Training tasks per dataset on which DPO's own rollouts are played."""
    pair_samples: int
    expert_pairs: bool
    """Also pair the expert's successes with own failures (a policy that never succeeds has no pairs of its own)."""
    grpo_steps: int
    seen: int
    """Held-out tasks per dataset, seen templates."""
    unseen: int
    warm: int
    """Of the seen ones, how many are also played at temperature 1."""
    stages: tuple[str, ...] = ("base", "sft", "dpo", "grpo")


SCALES = {
    "demo": Scale(patients=1000, train=6000, test=1000, validate=100, expert=4000, detours=0.12, sft_steps=900, pair_tasks=200,
                  pair_samples=6, expert_pairs=False, grpo_steps=120, seen=400, unseen=100, warm=200),
    "tiny": Scale(patients=60, train=200, test=80, validate=10, expert=100, detours=0.3, sft_steps=20, pair_tasks=8,
                  pair_samples=4, expert_pairs=True, grpo_steps=1, seen=20, unseen=8, warm=8,
                  stages=("base", "sft", "dpo")),  # a policy that never succeeds has no group that GRPO could learn from
}


class Demo:
    """The steps, in order. Files lie under `out`."""

    def __init__(self, out: Path, scale: Scale, seed: int, threads: int) -> None:
        self.out, self.scale, self.seed, self.threads = out, scale, seed, threads
        self.builds = steps.requests(seed=seed, train=scale.train, test=scale.test, patients=scale.patients)

    def run(self, until: str | None = None) -> None:
        """All steps; returns when the report is written, or when the step named `until` is done."""
        plan: list[tuple[str, Callable[[], object]]] = [
            ("build data", lambda: steps.build_datasets(self.builds)), ("validate graders", self.validate),
            ("expert trajectories", self.expert), ("SFT", self.sft), ("own rollouts", self.rollouts), ("DPO", self.dpo),
            *([("GRPO", self.grpo)] if "grpo" in self.scale.stages else []), ("evaluate", self.evaluate)]
        hold(self.out / "demo")
        steps.claim(self.out / "demo.json", {"scale": asdict(self.scale), "seed": self.seed})
        seconds = {}
        for number, (name, step) in enumerate(plan, start=1):
            label = f"[{number}/{len(plan) + 1}] {name}"
            seconds[name] = steps.run_step(self.out / "steps", f"{number:02d}-{name.replace(' ', '-')}", label, step)
            if name == until:
                return
        from medcopilot.demo_report import write_report

        write_report(self.out, self.scale.stages, seconds, asdict(self.scale), self.seed)
        print(f"{sum(seconds.values()) / 60:.1f} min; report: {self.out / 'report.html'}, numbers: {self.out / 'summary.json'}")

    def checkpoint(self, stage: str) -> Path:
        return self.out / "checkpoints" / stage

    def validate(self) -> None:
        steps.validate(self.out / "validation.json", self.builds, self.scale.validate, self.seed)

    def expert(self) -> None:
        steps.sample(self.out / "expert", "expert", self.builds, split="train", tasks_per_dataset=self.scale.expert,
                     detours=self.scale.detours, seed=self.seed)
        steps.expert_rows(self.out)

    def sft(self) -> None:
        steps.random_weights(self.out / "tokenizer", self.checkpoint("base"), self.seed)
        steps.recipe("sft", self.threads, f"run={self.out}", f"seed={self.seed}", f"data={self.out / 'data' / 'sft.jsonl'}",
                     f"model.tokenizer={self.out / 'tokenizer'}", f"max_steps={self.scale.sft_steps}")

    def rollouts(self) -> None:
        scale = self.scale
        # tasks that the expert did not show, unless the pairs are to hold the expert's successes
        steps.sample(self.out / "rollouts", self.checkpoint("sft"), self.builds, split="train", tasks_per_dataset=scale.pair_tasks,
                     skip_tasks=0 if scale.expert_pairs else scale.expert, samples=scale.pair_samples, temperature=1.0,
                     greedy_first=False, seed=self.seed)
        runs = [self.out / "rollouts", *([self.out / "expert"] if scale.expert_pairs else [])]
        for kind in ("dpo", "verifier"):
            steps.command("export", kind, *runs, "--out", self.out / "data" / f"{kind}.jsonl",
                          "--tokenizer", self.checkpoint("sft"))

    def dpo(self) -> None:
        steps.recipe("dpo", self.threads, f"run={self.out}", f"seed={self.seed}", f"data={self.out / 'data' / 'dpo.jsonl'}",
                     f"model.checkpoint={self.checkpoint('sft')}")

    def grpo(self) -> None:
        # from DPO's checkpoint: each stage goes on where the one before it ended
        steps.grpo(self.threads, self.builds, self.checkpoint("dpo"), f"run={self.out}", f"seed={self.seed}",
                   f"max_steps={self.scale.grpo_steps}", f"max_seconds={GRPO_GUARD}")

    def evaluate(self) -> None:
        scale, seed = self.scale, self.seed
        for stage in scale.stages:
            checkpoint, folder = self.checkpoint(stage), self.out / "eval"
            steps.sample(folder / f"{stage}-t0", checkpoint, self.builds, slices=("seen",), tasks_per_dataset=scale.seen, seed=seed)
            steps.sample(folder / f"{stage}-t0-unseen", checkpoint, self.builds, slices=("unseen",), tasks_per_dataset=scale.unseen,
                         seed=seed)
            steps.sample(folder / f"{stage}-t1", checkpoint, self.builds, slices=("seen",), tasks_per_dataset=scale.warm,
                         temperature=1.0, greedy_first=False, seed=seed)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `make demo`."""
    parser = argparse.ArgumentParser(prog="python -m medcopilot.demo", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--scale", choices=sorted(SCALES), default="demo", help="tiny: a minute or two, learns nothing")
    parser.add_argument("--out", type=Path, default=Path("runs/demo"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--until", metavar="STEP", choices=INPUT_STEPS, help="stop after this step: " + ", ".join(INPUT_STEPS))
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1), help="CPU threads of training")
    args = parser.parse_args(argv)
    steps.end_on_sigterm()
    try:
        Demo(args.out, SCALES[args.scale], args.seed, args.threads).run(args.until)
    except UserError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
