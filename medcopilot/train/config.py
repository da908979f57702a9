"""Recipe configurations: one YAML file is one run.

Promises: `load_config` returns a fully resolved, immutable configuration or raises a `UserError` of one sentence that names
the file, the key (and the nearest valid one) and the cure. Overrides are `key=value`, nested keys with dots
(`optimizer.lr=0.01`); values are read as YAML.
Does not cover: which keys a stage has (`medcopilot.train.sft`, `.dpo`, `medcopilot.rl`), nor running it (`.recipe`).
"""

from __future__ import annotations

import difflib
import hashlib
import json
import types
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from env.errors import UserError


class Config(BaseModel):
    """Base of every configuration and of its sections: immutable, and unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class WandbSettings(Config):
    """Weights & Biases: an exit, and so never a default."""

    project: str = Field(min_length=1)
    entity: str | None = None
    """Team or user; None: the account's own."""
    mode: Literal["offline", "online"] = "offline"
    """`offline`: written to `<run>/wandb`, sent by nobody; `wandb sync` sends it later."""
    samples: bool = False
    """Also log sample trajectories: those that the data agreements let out through `tracker`. Otherwise numbers only."""


class TrackingConfig(Config):
    """Where a stage's metrics are shown besides `<run>/metrics/<name>.jsonl`, which stays the truth."""

    tensorboard: bool = True
    """Event files in `<run>/tensorboard/<name>`, for `tensorboard --logdir <run>/tensorboard`."""
    wandb: WandbSettings | None = None
    samples: int = Field(3, ge=0)
    """Rollouts that online training writes as text to `<run>/samples/<name>/step-N.md`; 0: none."""
    samples_every: int = Field(10, ge=1)
    """Steps between two such files, at least; the first step always writes one."""


InputStep = Literal["expert trajectories", "SFT", "own rollouts"]
"""Steps of the demo that make inputs of recipes."""


class Prepare(Config):
    """The part of the demo that makes a recipe's inputs where they are missing (`medcopilot.train.prepare`)."""

    until: InputStep
    out: Path = Path("runs/demo")
    scale: Literal["demo", "tiny"] = "demo"


class StageConfig(Config):
    """What every training stage has. A stage is one recipe file and writes one checkpoint."""

    resume_ignores: ClassVar[frozenset[str]] = frozenset({"threads", "save_steps", "log_steps", "rank_seconds", "tracking",
                                                          "prepare", "grace_seconds"})
    """Keys (`section.key` inside a section) that may change between two starts of one run: they do not change its result."""

    run: Path
    """Run folder; the checkpoint goes to `<run>/checkpoints/<name>`, metrics to `<run>/metrics/<name>.jsonl`."""
    name: str
    """Name of the stage inside the run folder, e.g. `sft`."""
    seed: int = 0
    """Seeds everything: initial weights, order of batches, sampling."""
    threads: int | None = Field(None, ge=1)
    """CPU threads of torch; None: environment variable `OMP_NUM_THREADS`, else 1."""
    device: Literal["auto", "cpu"] = "auto"
    """`auto`: the accelerator where there is one."""
    bf16: bool = True
    """Train under bfloat16 autocast (weights and optimiser state keep their own type)."""
    max_steps: int | None = Field(None, ge=1)
    """Optimiser steps at most."""
    max_seconds: float | None = Field(None, gt=0)
    """Wall-clock seconds at most; the learning rate anneals over the horizon that really ends the run."""
    save_steps: int | None = Field(None, ge=1)
    """Steps between resumable states; None: none are kept and an interrupted run starts again."""
    log_steps: int = Field(20, ge=1)
    """Steps between two metric rows."""
    rank_seconds: float = Field(1800.0, gt=0)
    """Of several processes, how long one waits for another before the job ends."""
    grace_seconds: float = Field(300.0, gt=0)
    """After SIGTERM: how long the step under way and the saving of its state may take before the process ends without.
    A Slurm job's `--signal` must come two minutes earlier (`slurm/train.sbatch`)."""
    tracking: TrackingConfig = TrackingConfig()
    prepare: Prepare | None = None
    """Inputs that lie in the demo's folder are made when they are missing; None: what is missing is an error."""
    trial: bool = Field(False, exclude=True)
    """Set by `--max-steps`: what the same trial wrote before is no reason not to run."""

    @property
    def checkpoint(self) -> Path:
        """The folder of the finished checkpoint."""
        return self.run / "checkpoints" / self.name

    @property
    def work(self) -> Path:
        """Resumable state while the stage runs; gone when it has finished."""
        return self.run / "checkpoints" / f"{self.name}.work"

    @property
    def metrics(self) -> Path:
        return self.run / "metrics" / f"{self.name}.jsonl"

    @property
    def alarms(self) -> Path:
        """One JSON object per line: what went over its limit, and when."""
        return self.run / "alarms" / f"{self.name}.jsonl"

    @property
    def samples(self) -> Path:
        """Folder of sample trajectories."""
        return self.run / "samples" / self.name

    def digest(self) -> str:
        """16 hex digits over everything that can change the result."""
        body = self.model_dump(mode="json")
        for key in self.resume_ignores:
            *sections, last = key.split(".")
            node: Any = body
            for section in sections:
                node = (node or {}).get(section)  # a section that is optional may be None
            if node:
                node.pop(last, None)
        return hashlib.blake2b(json.dumps(body, sort_keys=True).encode(), digest_size=8).hexdigest()


C = TypeVar("C", bound=Config)


def load_config(cls: type[C], path: str | Path, overrides: Sequence[str] = ()) -> C:
    """The configuration in a YAML file, with overrides applied.

    Raises:
        UserError: missing or malformed file, unknown key, missing key, wrong type or value.
    """
    path = Path(path)
    try:
        body = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: the recipe cannot be read ({error.strerror}): recipes lie in recipes/<profile>/<stage>.yaml"
                        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        where = getattr(error, "problem_mark", None)
        line = f" line {where.line + 1}" if where else ""
        problem = getattr(error, "problem", None) or "not text"
        raise UserError(f"{path}{line}: not valid YAML ({problem}): correct that line") from None
    if not isinstance(body, dict):
        raise UserError(f"{path}: the recipe must be a mapping of keys to values, not {type(body).__name__}")
    for override in overrides:
        _apply(body, override)
    try:
        return cls.model_validate(body)
    except ValidationError as error:
        raise UserError(explain(cls, str(path), error)) from None


def dump_config(config: Config) -> str:
    """The resolved configuration as YAML, in the order of its definition."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def _apply(body: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    parts = key.split(".")
    if not separator or not all(parts):
        raise UserError(f"override {override!r} is not key=value: write for example max_steps=10 or optimizer.lr=0.01")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        raise UserError(f"override {override!r}: the value is not valid YAML: put it in quotes") from None
    node = body
    for part in parts[:-1]:
        child = node.get(part)
        if not isinstance(child, dict):
            child = node[part] = {}
        node = child
    node[parts[-1]] = value


def explain(cls: type[Config], source: str, error: ValidationError, inside: str = "") -> str:
    """One sentence for the first problem.

    Args:
        source: where the settings stand.
        inside: the key under which they stand there, where they are a part of it.
    """
    problems = error.errors(include_url=False)
    first = problems[0]
    parts = [str(part) for part in first["loc"]]
    key = ".".join([inside, *parts] if inside else parts) or "the recipe"
    more = f" ({len(problems) - 1} more problem{'s' if len(problems) > 2 else ''} after it)" if len(problems) > 1 else ""
    if first["type"] == "extra_forbidden":
        valid = _keys(_section(cls, parts[:-1]))
        near = difflib.get_close_matches(parts[-1], valid, n=1, cutoff=0.5)
        cure = (f"did you mean '{near[0]}'?" if near else
                f"remove it; valid keys here are {', '.join(sorted(valid))}" if valid else "remove it")
        return f"{source}: unknown key '{key}': {cure}{more}"
    if first["type"] == "missing":
        return f"{source}: key '{key}' is missing: add it{more}"
    message = first["msg"].removeprefix("Value error, ")
    return f"{source}: key '{key}' has the value {first['input']!r}: {message[0].lower()}{message[1:]}{more}"


def _keys(cls: type[BaseModel] | None) -> list[str]:
    return list(cls.model_fields) if cls is not None else []


def _section(cls: type[BaseModel], parts: Sequence[str]) -> type[BaseModel] | None:
    """The model class of a nested section; an item of a list or an entry of a mapping is one too."""
    current: Any = cls
    for part in parts:
        if (model := _model_in(current)) is not None:
            current = model.model_fields[part].annotation if part in model.model_fields else None
        else:
            current = _item_in(current)
    return _model_in(current)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return next((found for arg in typing.get_args(annotation) if (found := _model_in(arg))), None)
    return None


def _item_in(annotation: Any) -> Any:
    """What a list holds, or a mapping's values are; None for anything else."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return next((found for arg in typing.get_args(annotation) if (found := _item_in(arg)) is not None), None)
    found = [arg for arg in typing.get_args(annotation) if arg is not Ellipsis]
    return found[-1] if found and typing.get_origin(annotation) in (list, tuple, dict) else None
