"""How busy real episodes keep an engine: their tokens per second over those of requests that are known in advance.

Promises: one engine, opened once with one set of flags, serves all three arms; they take turns, and the ratio is the median over
the rounds, so that what else the machine does hits all alike.
- `requests`: every turn's prompt, as the episodes produced it, with the same seeds, 64 in flight; the turns of a conversation come
  in their order over one session, so that the cache serves them as it serves episodes. No agent loop, no environment, no records.
  (In any other order the engine has more to compute: a slower base.)
- `episodes`: `RolloutEngine` and the agent loop, 64 in flight, an environment that answers at once.
- `slow episodes`: the same, 128 in flight, an environment whose every step takes 200 ms.
A request asks for exactly `turn_tokens` tokens and gets them; only these are counted, not the prompts'.
Does not cover: boxes, which need processor time of their own; several engines.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from medcopilot.bench.plan import Plan
from medcopilot.bench.workload import EngineKind, TimedGym, Workload, check, make_jobs, make_tasks, open_engine, turn_prompts
from medcopilot.policies.base import Sampling
from medcopilot.rollout.engine import RolloutEngine
from medcopilot.rollout.jobs import Job
from medcopilot.trace import Trace

IN_FLIGHT, IN_FLIGHT_SLOW = 64, 128
STEP_SECONDS = 0.2
BOX_THREADS = 4
"""For steps that take no time; steps that wait need a thread each."""
REQUESTS, EPISODES, SLOW = "requests", "episodes", "slow episodes"

Request = tuple[list[int], Sampling]


class Arm(NamedTuple):
    """One way of keeping the engine busy, played once."""

    tokens: int
    """Sampled."""
    seconds: float
    cpu: float
    """Processor seconds of this process: what is left of the comparison on a machine that does other work."""

    @property
    def rate(self) -> float:
        """Tokens per second."""
        return self.tokens / self.seconds


def play(policy: Any, jobs: Sequence[Job], in_flight: int, step_seconds: float,
         tell: Callable[[float], object] = lambda _: None) -> tuple[Arm, list[Trace]]:
    """Episodes through the rollout engine. `tell` gets the share that has ended."""
    gym = TimedGym(lambda task, turn: step_seconds)
    engine = RolloutEngine(policy, gym, concurrency=in_flight, box_threads=in_flight if step_seconds else BOX_THREADS)
    traces: list[Trace] = []

    def keep(trace: Trace) -> None:
        traces.append(trace)
        tell(len(traces) / len(jobs))

    try:
        started, cpu = time.perf_counter(), time.process_time()
        engine.run_sync(jobs, keep)
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    finally:
        engine.close()
    return Arm(sum(trace.completion_tokens or 0 for trace in traces), seconds, cpu), traces


def known_requests(jobs: Sequence[Job], traces: Sequence[Trace], workload: Workload) -> list[list[Request]]:
    """The requests of each conversation, turn by turn: prompts from the traces, sampling from the jobs."""
    played = {trace.task_id: trace for trace in traces}
    found = []
    for job in jobs:
        tokens = played[job.task.id].tokens
        assert tokens is not None
        found.append([(ids, Sampling(temperature=job.temperature, top_p=job.top_p, seed=job.turn_seed(turn),
                                     max_tokens=workload.turn_tokens)) for turn, ids in enumerate(turn_prompts(tokens))])
    return found


def feed(policy: Any, conversations: Sequence[Sequence[Request]], in_flight: int,
         tell: Callable[[float], object] = lambda _: None) -> Arm:
    """Requests that wait for nothing but the engine."""
    async def work(feed: Iterator[tuple[int, Sequence[Request]]]) -> int:
        sampled = 0
        for number, requests in feed:
            session = policy.session(None)
            for ids, sampling in requests:
                sampled += len((await session.act(ids, sampling)).ids)
            await session.close()
            tell((number + 1) / len(conversations))
        return sampled

    async def everything() -> int:
        waiting = iter(enumerate(conversations))
        return sum(await asyncio.gather(*(work(waiting) for _ in range(in_flight))))

    started, cpu = time.perf_counter(), time.process_time()
    tokens = asyncio.run(everything())
    return Arm(tokens, time.perf_counter() - started, time.process_time() - cpu)


def measure(workload: Workload, model: Any, tokenizer: Any, *, episodes: int = 256, rounds: int = 3,
            engine: EngineKind = "transformers", plan: Plan | None = None) -> dict[str, Any]:
    """The three arms, `rounds` times.

    Returns:
        One row per arm (medians over rounds), `engine_utilisation` and `engine_utilisation_200ms`, and every round's figures.
    """
    plan = plan or Plan(expected(episodes, rounds))
    jobs = make_jobs(make_tasks(episodes, workload))
    taken: list[dict[str, Arm]] = []
    with open_engine(engine, model, tokenizer, slots=IN_FLIGHT_SLOW) as policy:
        _, traces = play(policy, jobs[: min(len(jobs), IN_FLIGHT)], IN_FLIGHT, 0.0)  # not counted: everything is loaded then
        check(traces, workload, min(len(jobs), IN_FLIGHT))
        for number in range(rounds):
            name = part(number)
            plan.at(name, 0.0)
            fast, traces = play(policy, jobs, IN_FLIGHT, 0.0, lambda share, name=name: plan.at(name, share / 3))
            check(traces, workload, episodes)
            base = feed(policy, known_requests(jobs, traces, workload), IN_FLIGHT,
                        lambda share, name=name: plan.at(name, (1 + share) / 3))
            slow, traces = play(policy, jobs, IN_FLIGHT_SLOW, STEP_SECONDS, lambda share, name=name: plan.at(name, (2 + share) / 3))
            check(traces, workload, episodes)
            taken.append({REQUESTS: base, EPISODES: fast, SLOW: slow})
            plan.done(name)
    return summarise(taken)


def summarise(taken: Sequence[dict[str, Arm]]) -> dict[str, Any]:
    """The document, from every round's arms.

    Raises:
        RuntimeError: the arms of a round sampled different numbers of tokens.
    """
    if any(len({arm.tokens for arm in arms.values()}) != 1 for arms in taken):
        raise RuntimeError(f"the arms of a round differ in sampled tokens: {taken}")

    def median(name: str) -> dict[str, float]:
        return {"tokens_per_s": statistics.median(arms[name].rate for arms in taken),
                "seconds": statistics.median(arms[name].seconds for arms in taken),
                "cpu_seconds": statistics.median(arms[name].cpu for arms in taken)}

    return {
        f"rollout: known requests, {IN_FLIGHT} in flight": median(REQUESTS),
        f"rollout: episodes, instant steps, {IN_FLIGHT} in flight": median(EPISODES),
        f"rollout: episodes, steps of {1000 * STEP_SECONDS:.0f} ms, {IN_FLIGHT_SLOW} in flight": median(SLOW),
        "engine_utilisation": statistics.median(arms[EPISODES].rate / arms[REQUESTS].rate for arms in taken),
        "engine_utilisation_200ms": statistics.median(arms[SLOW].rate / arms[REQUESTS].rate for arms in taken),
        "utilisation_rounds": [{name: arm._asdict() for name, arm in arms.items()} for arms in taken],
    }


def part(number: int) -> str:
    """Name of a round in a `Plan`."""
    return f"utilisation, round {number + 1}"


def expected(episodes: int, rounds: int) -> dict[str, float]:
    """About how long each round takes on two quiet cores, seconds."""
    return {part(number): 0.12 * episodes for number in range(rounds)}
