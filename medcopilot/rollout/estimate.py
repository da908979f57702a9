"""What a sampling run will take, before it starts: episodes, tokens, time, money.

Promises: what is known is told apart from what is not. Expected figures come from traces of the run itself, where it has any;
without them there is only the bound that the limits set. Without a price, cost is None.
Does not cover: prompt tokens of endpoints beyond what their own usage records say.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from statistics import fmean
from typing import Any

from pydantic import BaseModel

from medcopilot.agent.profiles import view_for
from medcopilot.prices import load_prices, price_of
from medcopilot.rollout.sample import all_jobs, run_record
from medcopilot.rollout.settings import SampleConfig, build_all, check_config, policy_of
from medcopilot.runs import RunFolder

_SAMPLE = 200
"""Traces whose prompt tokens are looked at: what the rest used is taken to be alike."""


def estimate(config: SampleConfig, root: Path | None = None) -> dict[str, Any]:
    """Nothing is played or sent.

    Returns:
        `episodes`, `done`, `owed`; `at_most`: sampled tokens that the limits allow; `expected`: prompt and sampled tokens, seconds
        and US dollars of what is owed, each None where it is not known; `from_traces`: how many traces that rests on.

    Raises:
        UserError: `out` holds another run, or the settings cannot be played.
    """
    check_config(config)
    builts = build_all(config.datasets, config.builds, root)
    policy = policy_of(config, builts)
    jobs = list(all_jobs(config, builts))
    rows: list[dict[str, Any]] = []
    done: set[str] = set()
    seen: list[int | None] = []
    if RunFolder.begun(config.out, run_record(config, policy)):
        run = RunFolder.open(config.out)
        done = run.done()
        rows = list(run.index.rows("stop != 'infrastructure'"))
        seen = _prompt_tokens(run, rows)
    owed = [job for job in jobs if job.trace_id(policy.name, config.protocol) not in done]
    limits = [view_for(job.task.view, job.profile, job.without, job.turns).limits for job in owed]
    sampled = _mean([row["tokens"] for row in rows])
    prompt = _mean(seen)
    seconds = _mean([row["seconds"] for row in rows])
    price = price_of(load_prices(config.prices), policy.name)
    cost = price.of(round(prompt), round(sampled)) if price and prompt is not None and sampled is not None else None
    return {
        "episodes": len(jobs), "done": len(jobs) - len(owed), "owed": len(owed), "from_traces": len(rows),
        "at_most": {"sampled_tokens": sum(limit.turns * limit.turn_tokens for limit in limits)},
        "expected": {"prompt_tokens": _times(prompt, len(owed)), "sampled_tokens": _times(sampled, len(owed)),
                     "seconds": _times(seconds, len(owed) / config.concurrency), "usd": _times(cost, len(owed))},
    }


class _Used(BaseModel):
    """The one field that is wanted of a trace."""

    prompt_tokens: int | None = None


def _prompt_tokens(run: RunFolder, rows: Sequence[dict[str, Any]]) -> list[int | None]:
    """Of at most `_SAMPLE` traces, evenly spread; only their lines are read."""
    found = []
    chosen = [rows[place * len(rows) // _SAMPLE] for place in range(_SAMPLE)] if len(rows) > _SAMPLE else rows
    for name, lines in groupby(chosen, key=itemgetter("shard")):
        with (run.traces_dir / name).open("rb") as shard:
            for line in lines:
                shard.seek(line["offset"])
                found.append(_Used.model_validate_json(shard.read(line["size"])).prompt_tokens)
    return found


def _mean(values: list[Any]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def _times(value: float | None, count: float) -> float | None:
    return None if value is None else value * count
