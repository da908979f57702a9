"""Self-improvement as one resumable recipe: a policy learns from its own graded episodes, round after round.

    a round:  sample K rollouts -> successes -> SFT -> sample K rollouts -> pairs -> DPO -> evaluate

Promises: every step is a command that a person could type, and `--dry-run` prints them all; a step that finished is not done again,
one that was killed resumes by its own means, and no two processes work on one run; more `rounds` go on where the last one ended;
other settings under the same name are refused. Rows come from the training split alone.
Does not cover: training a verifier, which `dpo.verifier` names.
Source: rejection-sampled SFT, then DPO on pairs of K rollouts, repeated: arXiv 2506.04405, section on self-improvement.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator

from env.errors import UserError
from env.files import atomic_write
from medcopilot import steps
from medcopilot.data.pairs import PairOptions
from medcopilot.data.sft import SftOptions
from medcopilot.rollout.settings import SampleConfig
from medcopilot.train.config import Config, dump_config, load_config

Stage = Literal["sft", "dpo"]
_FREE = {"run", "rounds", "threads", "launch"}
"""Keys that may change between two starts of one run."""
_OURS = {"out", "policy", "seed"}
"""Keys of a sampling that a round sets."""


class Training(Config):
    """One of the two trainings of a round."""

    recipe: Path
    """Its YAML file; run, name, seed, data and model are the round's."""
    changes: dict[str, Any] = Field(default_factory=dict)
    """Other values for single keys of it, e.g. `optimizer.lr: 0.001`."""
    sample: dict[str, Any] = Field(default_factory=dict)
    """Other values for single keys of the common `sample`."""
    also: tuple[Path, ...] = ()
    """Runs whose episodes join those of the round, e.g. the expert's."""


class SftTraining(Training):
    """SFT on the policy's own successes."""

    export: SftOptions = SftOptions()
    rounds: int | None = Field(None, ge=0)
    """Only the first so many rounds begin with it; None: all do."""
    restart: bool = False
    """From the first checkpoint each time, not from the last."""


class DpoTraining(Training):
    """DPO on pairs of the policy's own rollouts."""

    export: PairOptions = PairOptions()
    verifier: Path | None = None
    """For `export.best_worst`: a verifier's checkpoint folder."""

    @model_validator(mode="after")
    def _scores(self) -> DpoTraining:
        if self.export.best_worst != (self.verifier is not None):
            raise ValueError("dpo.verifier gives the scores for dpo.export.best_worst: set both, or neither")
        return self


class ImproveConfig(Config):
    """One run of self-improvement."""

    run: Path
    rounds: int = Field(2, ge=1)
    seed: int = 0
    threads: int = Field(1, ge=1)
    start: Path
    """Checkpoint of the policy that the first round samples."""
    policy: str = "{checkpoint}"
    """How a checkpoint is played, e.g. `vllm:{checkpoint}`."""
    launch: tuple[str, ...] = ()
    """Words before a training recipe, e.g. [accelerate, launch, --config_file, accelerate_configs/zero3.yaml]; none: Python."""
    sample: dict[str, Any]
    """Settings of `medcopilot sample --config`, without `out`, `policy` and `seed`; the split is `train`."""
    fresh_tasks: bool = False
    """Each sampling plays the tasks after those of the one before, in the same seeded order."""
    contamination: float | None = Field(None, ge=0, le=1)
    """`--contamination` of both exports."""
    sft: SftTraining
    dpo: DpoTraining
    evaluate: dict[str, Any] | None = None
    """Settings of `medcopilot sample --config` for the start and the end of each round; None: no evaluation."""

    @field_validator("policy")
    @classmethod
    def _names_the_checkpoint(cls, policy: str) -> str:
        if "{checkpoint}" not in policy:
            raise ValueError("write {checkpoint} where the checkpoint's folder belongs, e.g. vllm:{checkpoint}")
        return policy

    @model_validator(mode="after")
    def _tasks_are_counted(self) -> ImproveConfig:
        if self.fresh_tasks and any("tasks_per_dataset" not in {**self.sample, **part.sample} for part in (self.sft, self.dpo)):
            raise ValueError("fresh_tasks needs sample.tasks_per_dataset: how many tasks each sampling takes")
        return self


class Step(NamedTuple):
    """One command of the plan."""

    name: str
    label: str
    words: list[str]
    file: Path | None = None
    """A file that the command reads, and what is in it."""
    text: str = ""


class Plan:
    """All commands of a run, in their order."""

    def __init__(self, config: ImproveConfig) -> None:
        self.config, self.run = config, config.run
        self._played = 0

    def steps(self) -> Iterator[Step]:
        """The steps.

        Raises:
            UserError: a sampling's settings are wrong.
        """
        config, policy, evaluated = self.config, self.config.start, [self.run / "eval" / "start"]
        if config.evaluate is not None:
            yield self._sampling("eval-start", evaluated[0], policy, {"split": "test", **config.evaluate})
        for number in range(1, config.rounds + 1):
            if config.sft.rounds is None or number <= config.sft.rounds:
                yield from self._stage("sft", number, policy, config.start if config.sft.restart else policy)
                policy = self._checkpoint("sft", number)
            yield from self._stage("dpo", number, policy, policy)
            policy = self._checkpoint("dpo", number)
            if config.evaluate is not None:
                evaluated.append(self.run / "eval" / f"round-{number}")
                yield self._sampling(f"eval-{number}", evaluated[-1], policy, {"split": "test", **config.evaluate})
                words = ["eval", *map(str, evaluated), "--json", str(self.run / "evaluation.json")]
                yield Step(f"{number}-compare", f"round {number}: compare", steps.command_words(*words))

    def _checkpoint(self, stage: Stage, number: int) -> Path:
        return self.run / "checkpoints" / f"{stage}-{number}"

    def _stage(self, stage: Stage, number: int, policy: Path, parent: Path) -> Iterator[Step]:
        """Sampling, export and training."""
        config, name = self.config, f"{stage}-{number}"
        training = config.sft if stage == "sft" else config.dpo
        chosen = {"split": "train", **config.sample, **training.sample}
        if chosen["split"] != "train":
            raise UserError("self-improvement: sample.split: rows of the test split train nobody: write train, or leave it out")
        if config.fresh_tasks:
            chosen["skip_tasks"] = chosen.get("skip_tasks", 0) + self._played
            self._played += chosen["tasks_per_dataset"]
        rollouts, rows = self.run / "rollouts" / name, self.run / "data" / f"{name}.jsonl"
        yield self._sampling(f"{name}-sample", rollouts, policy, chosen)
        words = [stage, rollouts, *training.also, "--out", rows, "--tokenizer", parent, *_option_words(training.export)]
        words += ["--contamination", config.contamination] if config.contamination is not None else []
        words += ["--verifier", training.verifier] if isinstance(training, DpoTraining) and training.verifier else []
        yield Step(f"{name}-export", f"round {number}: rows for {stage.upper()}", steps.command_words("export", *words))
        overrides = {"run": str(self.run), "name": name, "seed": config.seed + number, "data": str(rows), "threads": config.threads,
                     "prepare": None, "model.checkpoint": str(parent), "model.tokenizer": None, **training.changes}
        yield Step(f"{name}-train", f"round {number}: {stage.upper()}", [
            *steps.recipe_words(stage, training.recipe, config.launch),
            *(f"{key}={_yaml(value)}" for key, value in overrides.items())])

    def _sampling(self, name: str, out: Path, policy: Path, chosen: dict[str, Any]) -> Step:
        if fixed := _OURS & set(chosen):
            raise UserError(f"self-improvement: {min(fixed)} of a sampling is set by the round: remove it from sample or evaluate")
        body = {"out": out, "policy": self.config.policy.format(checkpoint=policy), "seed": self.config.seed, **chosen}
        try:
            sampling = SampleConfig.model_validate(body)
        except ValidationError as error:
            first = error.errors()[0]
            raise UserError(f"self-improvement: sample.{'.'.join(map(str, first['loc']))}: {first['msg'].lower()}, not "
                            f"{first['input']!r}") from None
        file = self.run / "plan" / f"{name}.yaml"
        return Step(name, f"{name}: {sampling.samples} rollouts of each task",
                    steps.command_words("sample", "--config", file), file,
                    yaml.safe_dump(sampling.model_dump(mode="json", exclude_defaults=True), sort_keys=False))


def _option_words(options: SftOptions | PairOptions) -> list[str]:
    """Options of `medcopilot export` that are not the defaults."""
    words: list[str] = []
    for name, value in options.model_dump(exclude_defaults=True).items():
        option = f"--{name.replace('_', '-')}"
        if isinstance(value, tuple):
            words += [word for item in value for word in (option, str(item))]
        else:
            words += [option] if value is True else [option, str(value)]
    return words


def _yaml(value: Any) -> str:
    """A value as an override holds it."""
    return value if isinstance(value, str) and yaml.safe_load(value) == value else json.dumps(value)


def improve(config: ImproveConfig) -> Path:
    """All rounds; returns the last checkpoint.

    Raises:
        UserError: a step failed, its message stands above; or the run has other settings, or another process is at work in it.
    """
    plan = list(Plan(config).steps())
    if not config.start.is_dir():
        raise UserError(f"{config.start}: no checkpoint to start from: train one first, e.g. with recipes/sft.py, or set start")
    with steps.alone(config.run):
        steps.claim(config.run / "improve.json", config.model_dump(mode="json", exclude=_FREE))
        for number, step in enumerate(plan, start=1):
            if step.file is not None:
                atomic_write(step.file, step.text)
            steps.run_step(config.run / "steps", step.name, f"[{number}/{len(plan)}] {step.label}",
                           lambda step=step: steps.call(step.words, config.threads))
    return config.run / "checkpoints" / f"dpo-{config.rounds}"


def show(config: ImproveConfig) -> str:
    """The resolved settings and every command, as `--dry-run` prints them."""
    lines = [dump_config(config)]
    for number, step in enumerate(Plan(config).steps(), start=1):
        words = ["medcopilot", *step.words[3:]] if step.words[1:3] == ["-m", "medcopilot.cli.main"] else step.words
        lines.append(f"# [{number}] {step.label}\n{shlex.join(words)}\n")
    return "\n".join(lines)


def main(doc: str, argv: Sequence[str] | None = None) -> int:
    """Entry point of `recipes/self_improve.py`. Returns the exit code."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter,
                                     usage="%(prog)s (FILE.yaml | --config FILE.yaml) [--dry-run] [key=value ...]")
    parser.add_argument("words", nargs="*", metavar="FILE.yaml key=value", help="the run's YAML file, e.g. "
                                                                                "recipes/nano/self-improve.yaml, and single values")
    parser.add_argument("--config", metavar="FILE.yaml", help="the same as FILE.yaml as the first word")
    parser.add_argument("--dry-run", action="store_true", help="print the resolved settings and every command, and stop")
    args = parser.parse_intermixed_args(argv)
    file, overrides = (args.config, args.words) if args.config else (args.words[0], args.words[1:]) if args.words else (None, [])
    if file is None:
        parser.error("a recipe is missing: name its file, e.g. recipes/nano/self-improve.yaml")
    try:
        config = load_config(ImproveConfig, file, overrides)
        if args.dry_run:
            print(show(config), end="")
        else:
            steps.end_on_sigterm()
            print(f"{improve(config)} is the policy of the last round")
    except UserError as error:
        print(f"{os.path.basename(sys.argv[0])}: {error}", file=sys.stderr)
        return 2
    return 0
