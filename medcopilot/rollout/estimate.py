"""What a sampling run will take, before it starts: episodes, tokens, time, money.

Promises: what is known is told apart from what is not. Expected figures come from traces of the run itself, where it has any;
without them there is only the bound that the limits set. Without a price, cost is None.
Does not cover: prompt tokens of endpoints beyond what their own usage records say.
"""

from __future__ import annotations

from pathlib import Path
from statistics import fmean
from typing import Any

from medcopilot.agent.profiles import view_for
from medcopilot.prices import load_prices
from medcopilot.rollout.sample import all_jobs
from medcopilot.rollout.settings import SampleConfig, build_all, policy_of
from medcopilot.runs import RunFolder


def estimate(config: SampleConfig, root: Path | None = None) -> dict[str, Any]:
    """Nothing is played or sent.

    Returns:
        `episodes`, `done`, `owed`; `at_most`: sampled tokens that the limits allow; `expected`: prompt and sampled tokens, seconds
        and US dollars of what is owed, each None where it is not known; `from_traces`: how many traces that rests on.
    """
    builts = build_all(config.datasets, config.builds, root)
    policy = policy_of(config, builts)
    jobs = list(all_jobs(config, builts))
    rows: list[dict[str, Any]] = []
    done: set[str] = set()
    seen: list[Any] = []
    if (config.out / "config.json").exists():
        run = RunFolder.open(config.out)
        done = run.done()
        rows = list(run.index.rows("stop != 'infrastructure'"))
        seen = [trace.prompt_tokens for trace, _ in zip(run.traces(), range(200), strict=False) if trace.prompt_tokens is not None]
    owed = [job for job in jobs if job.trace_id(policy.name, config.protocol) not in done]
    limits = [view_for(job.task.view, job.profile, job.without, job.turns).limits for job in owed]
    sampled = _mean([row["tokens"] for row in rows])
    prompt = _mean(seen)
    seconds = _mean([row["seconds"] for row in rows])
    price = load_prices(config.prices).get(str(policy.describe().get("model", policy.name)))
    cost = price.of(round(prompt), round(sampled)) if price and prompt is not None and sampled is not None else None
    return {
        "episodes": len(jobs), "done": len(jobs) - len(owed), "owed": len(owed), "from_traces": len(rows),
        "at_most": {"sampled_tokens": sum(limit.turns * limit.turn_tokens for limit in limits)},
        "expected": {"prompt_tokens": _times(prompt, len(owed)), "sampled_tokens": _times(sampled, len(owed)),
                     "seconds": _times(seconds, len(owed) / config.concurrency), "usd": _times(cost, len(owed))},
    }


def _mean(values: list[Any]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def _times(value: float | None, count: float) -> float | None:
    return None if value is None else value * count
