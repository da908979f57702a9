"""A sweep: the same tasks by a list of endpoints and checkpoints.

Promises: every entry is a run folder of its own and resumes; one that fails is told of, and the others go on; what was played
counts also where an entry is not whole.
Does not cover: entries at the same time (one engine has the machine).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, field_validator, model_validator

from env.errors import InfrastructureError, UserError
from medcopilot.rollout.estimate import estimate
from medcopilot.rollout.sample import Progress, sample_run
from medcopilot.rollout.settings import OPERATIONAL, SampleConfig, check_config
from medcopilot.train.config import Config, explain


class Entry(Config):
    """One row of the board: a policy to sample, or a run that is there."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._ +-]*$")
    policy: str | None = None
    """See `medcopilot.policies.load`."""
    run: Path | None = None

    @model_validator(mode="after")
    def _one(self) -> Entry:
        if (self.policy is None) == (self.run is None):
            raise ValueError("give either policy or run")
        return self


class SweepConfig(Config):
    """A leaderboard."""

    out: Path
    """Folder of the entries' runs and of the tables."""
    sample: dict[str, Any] = Field(default_factory=dict)
    """Settings of `medcopilot sample --config`, without `out` and `policy`: the same for every entry."""
    entries: tuple[Entry, ...] = Field(min_length=1)
    reference: bool = True
    """With the published rows."""
    prices: Path | None = None

    @field_validator("entries")
    @classmethod
    def _names(cls, entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
        names = [entry.name for entry in entries]
        if len(set(names)) < len(names):
            raise ValueError("two entries have the same name")
        return entries

    def sampling(self, entry: Entry) -> SampleConfig:
        """What an entry plays.

        Raises:
            UserError: the settings under `sample` are wrong.
        """
        if fixed := {"out", "policy"} & set(self.sample):
            raise UserError(f"leaderboard: sample.{min(fixed)} is set by the entries: remove it")
        prices = {"prices": self.prices} if self.prices else {}
        try:
            return SampleConfig(**{**prices, **self.sample, "out": self.folder(entry), "policy": entry.policy})
        except ValidationError as error:
            raise UserError(explain(SampleConfig, "leaderboard", error, "sample")) from None

    def folder(self, entry: Entry) -> Path:
        """Where an entry's run lies."""
        return entry.run or self.out / "runs" / entry.name


def drift(config: SweepConfig, entry: Entry, recorded: Mapping[str, Any]) -> list[str]:
    """Settings in which the run that an entry has differs from what the list asks for now. What a run of an earlier version does
    not name could not be set then, and stands at its default.

    Args:
        recorded: the run's config.
    """
    asked = config.sampling(entry)
    known = {name: value for name, value in recorded.items() if name in SampleConfig.model_fields}
    try:
        played = SampleConfig(**{**known, "out": asked.out, "policy": asked.policy})
    except ValidationError as error:  # of a version that took other values
        return sorted({str(item["loc"][0]) for item in error.errors()})
    now, then = (settings.model_dump(mode="json", exclude=OPERATIONAL | {"policy"}) for settings in (asked, played))
    return sorted(name for name in now if now[name] != then[name])


def estimates(config: SweepConfig, root: Path | None = None) -> Iterator[tuple[str, dict[str, Any] | UserError]]:
    """What each entry that is to be sampled will take (`medcopilot.rollout.estimate`), or what is wrong with it."""
    for entry in config.entries:
        if entry.policy:
            try:
                yield entry.name, estimate(config.sampling(entry), root)
            except UserError as error:
                yield entry.name, error


def sweep(config: SweepConfig, progress: Callable[[str], Progress], tell: Callable[[str], None],
          root: Path | None = None) -> dict[str, str]:
    """Sample every entry that is owed.

    Args:
        progress: gives the progress of an entry, by its name.
        tell: hears of entries that failed.

    Returns:
        Name -> why the entry is not whole.
    """
    broken = {}
    owed = [entry for entry in config.entries if entry.policy]
    settings = [config.sampling(entry) for entry in owed]
    for entry, sampling in zip(owed, settings, strict=True):  # what is wrong with any is said before the first is played
        try:
            check_config(sampling)
        except UserError as error:
            broken[entry.name] = str(error)
            tell(f"{entry.name}: {error}")
    for entry in owed:
        if entry.name in broken:
            continue
        try:
            sample_run(config.sampling(entry), progress(entry.name), root=root)
        except (InfrastructureError, UserError) as error:
            broken[entry.name] = str(error)
            tell(f"{entry.name}: {error}")
    return broken
