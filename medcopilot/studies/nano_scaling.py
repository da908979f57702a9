"""`make study nano-scaling`: what more rollouts, more data, self-improvement and DPO are worth to the nano policy.

The design, on the data and the expert set of `make study nano`, every comparison on the same held-out tasks:

- data: SFT from random weights on 25, 50, 75 and 100 % of the expert set (nested choices), equal steps, three seeds;
- own data: the same SFT on the expert set and on own successes on five times the training tasks that the expert did not show;
- rollouts: Pass@K, Best@K and majority@K of the 100 % policy of seed 0 for K = 1 to 16, with an outcome verifier trained on its
  rollouts of training tasks; the verifier's AUROC there (held-out tasks) and on the test rollouts; the same with a verifier that
  saw five times as many tasks;
- DPO on pairs of own rollouts, three seeds: from the 100 % policy, and from a brief SFT that knows the format and little more (the
  stand-in for an instruction-tuned model that has seen no expert);
- two rounds of self-improvement from the 100 % policy (`recipes/self_improve.py`), three seeds;
- ablation: the 100 % policies without the action `debugging`.

Promises: running again resumes; every finished policy leaves its summary in `docs/results/`, and every finished part is in the
conclusion beside them, so a new machine trains again only what an unfinished part needs.
Does not cover: other sizes of the policy; the tokenizer is fitted to the whole expert set in all arms.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from medcopilot import steps
from medcopilot.studies.common import Study, short
from medcopilot.studies.nano import NanoStudy
from medcopilot.studies.scaling_results import by_columns, digits, draw, ranked


@dataclass(frozen=True)
class Plan:
    """Everything beyond the nano study's design that the outcome may depend on."""

    shares: tuple[int, ...] = (25, 50, 75, 100)
    """Percent of the expert set."""
    seeds: tuple[int, ...] = (0, 1, 2)
    sft_steps: int = 1000
    brief_steps: int = 150
    seen: int = 300
    """Held-out tasks per dataset for every success rate."""
    unseen: int = 100
    wide: int = 150
    """Held-out tasks per dataset that are played many times."""
    k: int = 16
    temperature: float = 0.6
    """Of the rollouts after the greedy one, as in the paper."""
    own: int = 200
    """Training tasks per dataset, outside the expert set, for pairs and for the verifier's rows."""
    own_samples: int = 6
    rounds: int = 2
    expert_too: bool = False
    """The expert's episodes join the policy's own wherever successes are needed."""


TINY = Plan(shares=(50, 100), seeds=(0,), sft_steps=12, brief_steps=6, seen=6, unseen=4, wide=4, k=4, own=10, own_samples=2,
            rounds=1, expert_too=True)
"""Its policy solves nothing: only that every step runs is seen."""

WHOLE = 100
MORE = 5
"""Times as many training tasks for the second verifier and for SFT on own successes. No field of the plan: nothing else depends on
it."""


class NanoScalingStudy(Study):
    """The steps of the study, in a folder of its own; data and expert set are the nano study's."""

    kinds = ("t0",)

    def __init__(self, base: NanoStudy, plan: Plan) -> None:
        super().__init__(base.out / "scaling", base.builds, prefix="nano-scaling", seen=plan.seen, unseen=plan.unseen,
                         threads=base.threads, results=base.results, commit=base.commit)
        self.base, self.plan = base, plan

    @property
    def design(self) -> dict[str, Any]:
        return {"base": self.base.design, **asdict(self.plan)}

    def run(self) -> dict[str, Any]:
        """All parts; returns the conclusion."""
        steps.claim(self.base.out / "study.json", self.base.design)
        steps.claim(self.out / "scaling.json", asdict(self.plan))
        result: dict[str, Any] = {"design": self.design, **(self.kept_as(self.prefix) or {})}
        for part in (self.data, self.own_data, self.rollouts, self.verifier_data, self.preferences, self.improvement,
                     self.debugging):
            if part.__name__ in result:
                print(f"[study {self.prefix}] {part.__name__}: done before, {self.results / self.prefix}.json", flush=True)
                continue
            result[part.__name__] = digits(part())
            self.keep(self.prefix, result)
        draw(result, self.results / f"{self.prefix}.png")
        return result

    # -- data

    def data(self) -> dict[str, Any]:
        """Success over the share of the expert set."""
        for seed in self.plan.seeds:
            for share in self.plan.shares:
                self.arm(f"sft-{share}-{seed}", lambda share=share, seed=seed: self.sft(share, seed, self.plan.sft_steps))
        arms = {share: [f"sft-{share}-{seed}" for seed in self.plan.seeds] for share in self.plan.shares}
        return {"success": {str(share): self.rates(names) for share, names in arms.items()},
                "rows": {str(share): (self.kept(names[0]) or {}).get("rows") for share, names in arms.items()},
                "more": {f"{more} % - {less} %": self.against(arms[less], arms[more])
                         for less, more in zip(self.plan.shares, self.plan.shares[1:], strict=False)}}

    def rows(self, share: int) -> int:
        """Expert trajectories of a share."""
        return max(2, self.base.choices.expert * share // 100)

    def sft(self, share: int, seed: int, length: int, name: str | None = None) -> None:
        """SFT from random weights on a share of the expert set; a seed has its own nested choices."""
        self.base.material()
        rows = self.out / "data" / f"sft-{share}-{seed}.jsonl"
        if not rows.exists():
            steps.command("export", "sft", self.base.out / "expert", "--out", rows, "--tokenizer", self.base.out / "tokenizer",
                          "--limit", self.rows(share), "--seed", seed)
        self.train_sft(name or f"sft-{share}-{seed}", rows, seed, length)

    def train_sft(self, name: str, rows: Path, seed: int, length: int) -> None:
        """SFT from random weights."""
        steps.recipe("sft", self.threads, f"run={self.out}", f"name={name}", f"seed={seed}", f"data={rows}", "max_seconds=null",
                     f"max_steps={length}", f"model.tokenizer={self.base.out / 'tokenizer'}")

    def whole(self, seed: int) -> str:
        """The policy of the whole expert set, trained where its checkpoint is missing."""
        name = f"sft-{WHOLE}-{seed}"
        self.step(name, lambda: self.sft(WHOLE, seed, self.plan.sft_steps))
        return name

    def own_data(self) -> dict[str, Any]:
        """SFT on the expert set and on the policy's own successes on tasks that the expert did not show, one per task."""
        starts = [f"sft-{WHOLE}-{seed}" for seed in self.plan.seeds]
        names = [f"sft-own-{seed}" for seed in self.plan.seeds]
        for seed, name in zip(self.plan.seeds, names, strict=True):
            self.arm(name, lambda seed=seed, name=name: self.sft_own(name, seed), needs=lambda seed=seed: self.whole(seed))
        return {"rows": [(self.kept(name) or {}).get("rows") for name in names], "success": self.rates(names),
                "difference": self.against(starts, names)}

    def sft_own(self, name: str, seed: int) -> None:
        rows = self.out / "data" / f"{name}.jsonl"
        steps.command("export", "sft", self.base.out / "expert", *self.own_and_more(self.whole(seed)), "--out", rows, "--tokenizer",
                      self.base.out / "tokenizer", "--per-task", 1, "--seed", seed)
        self.train_sft(name, rows, seed, self.plan.sft_steps)

    # -- rollouts

    def rollouts(self) -> dict[str, Any]:
        """Pass@K and Best@K of the policy of seed 0."""
        start = self.whole(0)
        curves, found = self.judged("", start, [self.own(start)])
        return {"policy": start, "curves": curves, "verifier": found}

    def verifier_data(self) -> dict[str, Any]:
        """The same rollouts, ranked by a verifier that saw those of more training tasks."""
        start, fewer = self.whole(0), self.plan.own
        curves, found = self.judged("-more", start, self.own_and_more(start))
        [curve] = [curve for curve in curves if curve["scheme"] == "exchangeable"]
        return {"tasks per dataset": fewer * MORE, "k": curve["k"], "best_at_k": curve["best_at_k"], "verifier": found}

    @property
    def wide(self) -> Path:
        """The run with many rollouts per task."""
        return self.out / "wide" / f"sft-{WHOLE}-0"

    def judged(self, kind: str, start: str, runs: list[Path]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """Train a verifier on rollouts of training tasks, and rank the many rollouts of test tasks by it.

        Returns:
            The curves, and how well the verifier ranks.
        """
        self.step("wide", lambda: steps.sample(self.wide, self.checkpoint(start), self.builds, slices=("seen",),
                                               tasks_per_dataset=self.plan.wide, samples=self.plan.k + 1,
                                               temperature=self.plan.temperature))
        name, found = f"verifier{kind}", self.out / "wide" / f"evaluation{kind}.json"
        self.step(name, lambda: self.verifier(name, start, runs))
        checkpoint = self.checkpoint(name)
        self.step(f"wide-eval{kind}", lambda: steps.command("eval", self.wide, "--verifier", checkpoint, "--json", found))
        [scaling] = json.loads(found.read_text(encoding="utf-8"))["scaling"].values()
        checked = json.loads((self.out / "metrics" / f"{name}-eval.json").read_text(encoding="utf-8"))
        card = json.loads((self.out / "data" / f"{name}.jsonl.card.json").read_text(encoding="utf-8"))
        held_out = {key: value for key, value in checked.items() if key not in ("checkpoint", "data", "reliability")}
        return [by_columns(curve) for curve in scaling["overall"]], {
            "rows": card["rows"], "held-out training tasks": held_out,
            "test rollouts": self.ranking(self.wide, checkpoint)}

    def own(self, name: str) -> Path:
        """Rollouts of training tasks that the expert did not show."""
        return self.played_by(name, name, self.plan.own, self.fresh)

    def own_and_more(self, name: str) -> list[Path]:
        """The same on `MORE` times as many tasks."""
        own = self.plan.own
        return [self.own(name), self.played_by(name, f"{name}-more", own * (MORE - 1), self.fresh + own)]

    def played_by(self, name: str, run: str, tasks: int, skip: int) -> Path:
        """Rollouts of `tasks` training tasks per dataset, after the first `skip`."""
        folder = self.out / "own" / run
        self.step(f"own-{run}", lambda: steps.sample(
            folder, self.checkpoint(name), self.builds, split="train", tasks_per_dataset=tasks, skip_tasks=skip,
            samples=self.plan.own_samples, temperature=1.0, greedy_first=False))
        return folder

    @property
    def fresh(self) -> int:
        """Training tasks per dataset that are passed over, because the expert has shown them."""
        return 0 if self.plan.expert_too else self.base.choices.expert // len(self.builds)

    @property
    def also(self) -> list[Path]:
        """Runs that join the policy's own."""
        return [self.base.out / "expert"] if self.plan.expert_too else []

    def verifier(self, name: str, start: str, runs: list[Path]) -> None:
        rows = self.out / "data" / f"{name}.jsonl"
        steps.command("export", "verifier", *runs, *self.also, "--out", rows, "--tokenizer", self.checkpoint(start))
        steps.recipe("verifier", self.threads, f"run={self.out}", f"name={name}", f"data={rows}",
                     f"model.checkpoint={self.checkpoint(start)}")

    def ranking(self, run: Path, verifier: Path) -> dict[str, Any]:
        """AUROC over all sampled test rollouts, and among those of one task."""
        from medcopilot.runs import RunFolder
        from medcopilot.verifier.scores import scores_of

        scores = scores_of(run, verifier)
        played = [trace for trace in RunFolder.open(run).scan() if trace.graded and trace.id in scores]
        return ranked([scores[trace.id] for trace in played], [trace.success for trace in played],
                      [trace.task_id for trace in played])

    # -- preferences and self-improvement

    def preferences(self) -> dict[str, Any]:
        """DPO from a whole SFT and from a brief one."""
        arms: dict[str, list[str]] = {"brief": [], "sft": []}
        for seed in self.plan.seeds:
            brief = f"brief-{seed}"
            self.arm(brief, lambda seed=seed, brief=brief: self.sft(WHOLE, seed, self.plan.brief_steps, brief))
            for kind, start in (("brief", brief), ("sft", self.whole(seed))):
                if not self.finished(f"dpo-{start}"):
                    if kind == "brief":
                        self.step(brief, lambda seed=seed, brief=brief: self.sft(WHOLE, seed, self.plan.brief_steps, brief))
                    self.own(start)
                    self.step(f"dpo-{start}", lambda start=start, seed=seed: self.dpo(start, seed))
                    if not self.checkpoint(f"dpo-{start}").is_dir():
                        continue
                    self.evaluate(f"dpo-{start}")
                arms[kind].append(start)
        return {kind: {"before": self.rates(starts), "after": self.rates([f"dpo-{start}" for start in starts]),
                       "pairs": [self.kept_pairs(start) for start in starts],
                       "difference": self.against(starts, [f"dpo-{start}" for start in starts])}
                for kind, starts in arms.items() if starts}

    def dpo(self, start: str, seed: int) -> None:
        """DPO on pairs of own rollouts; a policy without a single pair is left as it is, which the summary shows."""
        from env.errors import UserError

        rows = self.out / "data" / f"dpo-{start}.jsonl"
        try:
            steps.command("export", "dpo", self.out / "own" / start, *self.also, "--out", rows,
                          "--tokenizer", self.checkpoint(start))
        except UserError as error:
            print(f"    {start} has no pairs: {error}", file=sys.stderr)
            return
        steps.recipe("dpo", self.threads, f"run={self.out}", f"name=dpo-{start}", f"seed={seed}", f"data={rows}",
                     f"model.checkpoint={self.checkpoint(start)}")

    def training(self, name: str) -> dict[str, Any]:
        """The rows that an arm of its own data had: a DPO's pairs, or SFT's trajectories."""
        card = self.out / "data" / f"{name}.jsonl.card.json"
        return {"rows": json.loads(card.read_text(encoding="utf-8"))["rows"]} if card.is_file() else {}

    def kept_pairs(self, start: str) -> int | None:
        """Pairs that the DPO of a policy had, by its summary."""
        return (self.kept(f"dpo-{start}") or {}).get("rows")

    def improvement(self) -> dict[str, Any]:
        """Rounds of self-improvement."""
        ends = {number: [f"round-{number}-{seed}" for seed in self.plan.seeds] for number in range(1, self.plan.rounds + 1)}
        for seed in self.plan.seeds:
            owed = [number for number in ends if not self.finished(f"round-{number}-{seed}")]
            if owed:
                start = self.whole(seed)
                self.step(f"improve-{seed}", lambda seed=seed, start=start: self.improve(seed, start))
            for number in owed:
                self.evaluate(f"round-{number}-{seed}", self.out / f"improve-{seed}" / "checkpoints" / f"dpo-{number}")
        starts = [f"sft-{WHOLE}-{seed}" for seed in self.plan.seeds]
        return {"start": self.rates(starts), **{f"round {number}": self.rates(names) for number, names in ends.items()},
                "differences": {f"round {number} - start": self.against(starts, names) for number, names in ends.items()}}

    def improve(self, seed: int, start: str) -> None:
        builds = {name: request.model_dump(mode="json") for name, request in self.builds.items()}
        sample = {"datasets": list(self.builds), "builds": builds, "tasks_per_dataset": self.plan.own,
                  "skip_tasks": self.fresh, "samples": self.plan.own_samples, "temperature": 1.0,
                  "greedy_first": False, "profile": "nano", "concurrency": 64, "threads": 1}
        words = steps.recipe_words("self_improve", steps.ROOT / "recipes" / "nano" / "self-improve.yaml")
        also = json.dumps([str(path) for path in self.also])
        steps.call([*words, f"run={self.out / f'improve-{seed}'}", f"rounds={self.plan.rounds}", f"seed={seed}",
                    f"threads={self.threads}", f"start={self.checkpoint(start)}", f"sample={json.dumps(sample)}", "evaluate=null",
                    f"sft.also={also}", f"dpo.also={also}"], self.threads)

    # -- ablation

    def debugging(self) -> dict[str, Any]:
        """The same policies without the action `debugging`."""
        names = [f"sft-{WHOLE}-{seed}" for seed in self.plan.seeds]
        for seed, name in zip(self.plan.seeds, names, strict=True):
            if not self.finished(f"{name}-without"):
                self.evaluate(f"{name}-without", self.checkpoint(self.whole(seed)), without=("debugging",))
        return {"with": self.rates(names), "without": self.rates([f"{name}-without" for name in names]),
                "difference": self.against(names, [f"{name}-without" for name in names])}

    # -- what the parts share

    def rates(self, names: Sequence[str]) -> dict[str, Any]:
        """Success of some policies pooled (the mean over policies of each task), greedy, by slice."""
        from medcopilot.evaluation.summary import group

        if not names:
            return {}
        cols, found = self.columns(names, "t0"), {}
        for part in ("seen", "unseen"):
            rate = group(cols.where(cols.slice == part)).strict
            found[part] = {"value": rate.value, "ci_low": rate.ci_low, "ci_high": rate.ci_high, "n": rate.n}
        return found

    def against(self, one: Sequence[str], other: Sequence[str]) -> dict[str, Any]:
        """`other` minus `one`, paired by task, by slice."""
        from medcopilot.evaluation.stages import comparison

        if not one:
            return {}
        arms = self.columns(one, "t0"), self.columns(other, "t0")
        return {part: short(comparison(*arms, slice_name=part)) for part in ("seen", "unseen")}
