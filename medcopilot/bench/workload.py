"""Episodes of a fixed size for the rollout benchmarks: as many turns and tokens as asked for, whatever a policy samples.

Promises: a policy with random weights (Qwen2 architecture, nano shape) and a tokenizer fitted here; every turn has exactly
`turn_tokens` sampled tokens (the engine has no stop token) and every episode exactly `turns` turns; agent loop, gym, episode and
grading are the real ones. Random text is no action, so every step is the episode's own refusal, which needs no box; how long a
step takes besides is set by the benchmark. `check` refuses to count anything else.
Does not cover: boxes (`medcopilot bench sandbox`), policies that can do something.
"""

from __future__ import annotations

import contextlib
import os
import platform
import random
import re
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from env.actions import Action
from env.episode import Episode, Observation
from env.errors import SandboxUnavailable
from env.gym import Gym
from env.sandbox.base import Box, BoxSpec
from env.task import Limits, Task, TaskKey, TaskView, make_task
from medcopilot.agent.render import ChatRenderer
from medcopilot.rollout.jobs import Job
from medcopilot.trace import Tokens, Trace
from medcopilot.train.model import CheckpointMeta, NanoShape, new_nano, save_checkpoint
from medcopilot.train.tokenizer import train_tokenizer

EngineKind = Literal["transformers", "vllm"]
CONTEXT = 448
"""Tokens of a conversation at most: the nano profile's."""
ENTRIES = 1024
"""Of the vocabulary, at most."""


@dataclass(frozen=True)
class Workload:
    """The size of the episodes and of the policy."""

    turns: int = 4
    turn_tokens: int = 64
    shape: NanoShape = field(default_factory=NanoShape)

    @property
    def tokens(self) -> int:
        """Sampled in one episode."""
        return self.turns * self.turn_tokens


class NoBoxes:
    """A sandbox that has none to give: nothing that a random policy writes is run."""

    name = tier = "none"

    def open(self, spec: BoxSpec) -> Box:
        raise SandboxUnavailable("the episodes of this benchmark run no programs")

    def describe(self) -> dict[str, Any]:
        return {"backend": self.name}

    def close(self) -> None:
        """Nothing is open."""


class TimedGym(Gym):
    """Real episodes whose steps take `seconds(task, turn)` longer; turns count from 0. Waiting, not computing."""

    def __init__(self, seconds: Callable[[Task, int], float] = lambda task, turn: 0.0) -> None:
        super().__init__(NoBoxes())
        self.seconds = seconds

    def episode(self, task: Task, *, trusted: bool = False) -> Episode:
        episode = super().episode(task, trusted=trusted)
        step = episode.step

        def timed(action: Action | str) -> Observation:
            if seconds := self.seconds(task, episode.turns):
                time.sleep(seconds)
            return step(action)

        episode.step = timed  # type: ignore[method-assign]
        return episode


def question(number: int) -> str:
    """A question like those of the datasets; short enough for four turns in the nano profile's context."""
    rng = random.Random(f"bench/{number}")
    lab = rng.choice(("creatinine", "potassium", "lactate", "glucose", "sodium", "hemoglobin"))
    what = rng.choice(("highest", "lowest", "mean", "first", "last"))
    return f"What was the {what} {lab} of patient {rng.randrange(1000, 10000)} on the first day of the last stay?"


def make_tasks(count: int, workload: Workload) -> list[Task]:
    """So many tasks, each with its number as the reference."""
    limits = Limits(turns=workload.turns, turn_tokens=workload.turn_tokens, observation_chars=64, context_tokens=CONTEXT)
    return [make_task(TaskView(dataset="bench", family="calc", question=question(number), limits=limits, answer_kind=("answer",)),
                      TaskKey(reference=number, grader="medcalc"), seed=0, category="bench", template="bench", split="train",
                      slice="train", cluster=f"bench/{number}", licence="synthetic") for number in range(count)]


def make_jobs(tasks: Iterable[Task]) -> list[Job]:
    """One sampled rollout of each task."""
    return [Job(task, temperature=1.0, profile="nano") for task in tasks]


def make_policy_parts(workload: Workload, seed: int = 0) -> tuple[Any, Any]:
    """Model with random weights, float32, and its tokenizer."""
    prose = (files("medcopilot.agent") / "prompts" / "full.system.jinja").read_text(encoding="utf-8")
    words = "\n".join(re.findall(r"[A-Za-z ,.]+", prose))  # no JSON: random text must not come to look like an action
    tokenizer = train_tokenizer([words, *(question(number) for number in range(20))], ENTRIES, max_token_chars=12)
    return new_nano(tokenizer, workload.shape, seed=seed).eval(), tokenizer


@contextlib.contextmanager
def open_engine(kind: EngineKind, model: Any, tokenizer: Any, slots: int) -> Iterator[Any]:
    """A policy that ends no turn before its last token. `slots`: conversations that keep their cache (`transformers`), or the
    server's `--max-num-seqs` (`vllm`: a server that is started here, from the environment that has vLLM)."""
    with contextlib.ExitStack() as stack:
        if kind == "transformers":
            from medcopilot.policies.transformers_engine import TransformersPolicy

            policy: Any = TransformersPolicy(model, tokenizer, ChatRenderer(tokenizer), "bench", slots=slots, capacity=CONTEXT,
                                             stops=())
        else:
            policy = _served(stack, model, tokenizer, slots)
        stack.callback(policy.close)
        yield policy


def _served(stack: contextlib.ExitStack, model: Any, tokenizer: Any, slots: int) -> Any:
    from medcopilot.policies.server_settings import ServerSettings
    from medcopilot.policies.vllm_launch import VllmProcess
    from medcopilot.policies.vllm_server import VllmServerPolicy

    work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="medcopilot-bench-")))
    folder = save_checkpoint(model, tokenizer, work / "nano", CheckpointMeta(profile="nano"))
    server = VllmProcess.start(folder, dtype="float32", output=work / "server.log",
                               extra=("--max-num-seqs", str(slots), "--max-model-len", "1024"))
    stack.callback(server.stop)
    policy = VllmServerPolicy.from_checkpoint(folder, ServerSettings(urls=(server.wait(),), in_flight=slots))
    policy.stops = []
    return policy


def turn_prompts(tokens: Tokens) -> list[list[int]]:
    """What the engine was given for each turn: the ids before each run of sampled ones."""
    starts = [place for place, sampled in enumerate(tokens.mask) if sampled and (place == 0 or not tokens.mask[place - 1])]
    return [tokens.ids[:start] for start in starts]


def check(traces: Iterable[Trace], workload: Workload, count: int) -> None:
    """Every episode was played, once, to its forced size.

    Raises:
        RuntimeError: something else was measured.
    """
    traces = list(traces)
    if len(traces) != count or len({(trace.task_id, trace.sample, trace.seed) for trace in traces}) != count:
        raise RuntimeError(f"{len(traces)} episodes were played, some twice or never, instead of {count}")
    for trace in traces:
        sizes = [turn.sampled_tokens for turn in trace.turns]
        if trace.stop != "turns" or sizes != [workload.turn_tokens] * workload.turns:
            raise RuntimeError(f"an episode of the benchmark ended with {trace.stop!r} after turns of {sizes} tokens "
                               f"({trace.error or 'no error'})")


def machine() -> dict[str, Any]:
    """What the figures depend on besides the program; `load` is the number of busy processes just now."""
    import torch
    import transformers
    import trl

    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor())
    return {"processor": name, "cores": len(os.sched_getaffinity(0)), "threads": torch.get_num_threads(),
            "load": round(os.getloadavg()[0], 2), "python": platform.python_version(), "torch": str(torch.__version__),
            "transformers": transformers.__version__, "trl": trl.__version__}
