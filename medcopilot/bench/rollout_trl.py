"""Episodes per second of TRL's own tool loop (`environment_factory`) and of our rollout engine, generation phase only.

What both have alike: the model's weights and dtype, the tasks and so the prompts' ids, four turns of exactly 64 sampled tokens,
temperature 1, 64 conversations at once, what the environment says, and how long each of its steps takes: drawn once for every
episode and turn from a long-tailed distribution. Steps wait, they do not compute; a last turn has no step (TRL takes none).
- `ours`: `RolloutEngine` over our decoder, 64 slots.
- `TRL, same engine`: TRL 1.16's `GRPOTrainer` unchanged but for `_generate_single_turn`, which asks our decoder, 64 slots, one
  session per conversation, so that the cache serves it as it serves ours. Tokenizing, parsing and tool loop are TRL's own.
- `TRL, its own engine`: TRL as it comes, with transformers' `generate`.
A random policy calls no tools: in TRL's arms the tokenizer's `parse_response` (which TRL asks) says that every turn calls the
environment's `step`, and TRL's limit of tool iterations ends the episodes. TRL works through its batches of 64 one after the other;
timed is its `_generate`, which holds tokenizing, generation and tools, and neither resets, rewards nor padding.
Does not cover: TRL over vLLM, whose requests would be served alike in both.
"""

from __future__ import annotations

import asyncio
import copy
import functools
import os
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any

from transformers import PreTrainedTokenizerFast
from trl import GRPOConfig, GRPOTrainer

from env.task import Task
from medcopilot.agent.profiles import opening_messages
from medcopilot.bench.plan import Plan
from medcopilot.bench.workload import TimedGym, Workload, check, make_jobs, make_tasks, open_engine
from medcopilot.policies.base import Sampling
from medcopilot.rollout.engine import RolloutEngine
from medcopilot.trace import Trace

IN_FLIGHT = 64
MEANS = (0.1, 0.025, 0.0)
"""Mean seconds of a step; the first is the one that the ratio without a suffix is of."""
SPREAD, LONGEST = 1.0, 10.0
"""Standard deviation of the logarithm, and the longest step in means."""
OURS, SAME, STOCK = "ours", "TRL, same engine", "TRL, its own engine"
TOOLS_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + ('user' if message['role'] == 'tool' else message['role']) + '\\n' + message['content'] }}"
    "{% for call in message['tool_calls'] or [] %}{{ call['function'] | tojson }}{% endfor %}"
    "{{ '<|im_end|>' + '\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
"""The nano chat format with tools: what the environment says is a user's turn, as in ours, and no list of tools is shown."""


def step_seconds(number: int, turn: int, mean: float, turns: int) -> float:
    """How long the environment takes after turn `turn` (from 0) of episode `number`: log-normal; 0 after the last turn."""
    if turn >= turns - 1 or not mean:
        return 0.0
    drawn = random.Random(f"bench/step/{number}/{turn}").lognormvariate(-SPREAD**2 / 2, SPREAD)
    return mean * min(drawn, LONGEST)


def ours(policy: Any, tasks: Sequence[Task], workload: Workload, mean: float,
         tell: Callable[[float], object] = lambda _: None) -> tuple[float, list[Trace]]:
    """Seconds of all episodes through the rollout engine, and their traces."""
    gym = TimedGym(lambda task, turn: step_seconds(task.key.reference, turn, mean, workload.turns))
    engine = RolloutEngine(policy, gym, concurrency=IN_FLIGHT, box_threads=IN_FLIGHT)
    traces: list[Trace] = []

    def keep(trace: Trace) -> None:
        traces.append(trace)
        tell(len(traces) / len(tasks))

    try:
        started = time.perf_counter()
        engine.run_sync(make_jobs(tasks), keep)
        seconds = time.perf_counter() - started
    finally:
        engine.close()
    check(traces, workload, len(tasks))
    return seconds, traces


def tool_tokenizer(tokenizer: PreTrainedTokenizerFast) -> PreTrainedTokenizerFast:
    """The same vocabulary, as TRL's tool loop wants it: a template with tools, and a parser that finds a call in every turn."""
    tools = copy.deepcopy(tokenizer)
    tools.chat_template = TOOLS_TEMPLATE

    def parse_response(ids: list[int], **_: Any) -> dict[str, Any]:
        call = {"type": "function", "function": {"name": "step", "arguments": {}}}
        return {"role": "assistant", "content": tools.decode(ids), "tool_calls": [call]}

    tools.parse_response = parse_response
    tools.response_template = {}  # says that this tokenizer can parse; the parser above needs no description
    return tools


def environment(workload: Workload, mean: float, said: str) -> Any:
    """A class of environments whose `step` takes what that of our gym takes and says the same."""

    class Waiting:
        taken = 0.0
        """Seconds of all steps of all instances."""
        steps = 0

        def reset(self, number: int, **_: Any) -> None:
            self._number, self._turn = number, 0

        def step(self) -> str:
            """Go on."""
            seconds = step_seconds(self._number, self._turn, mean, workload.turns)
            self._turn += 1
            Waiting.taken += seconds
            Waiting.steps += 1
            if seconds:
                time.sleep(seconds)
            return said

    return Waiting


def free(completions: Sequence[Any], **_: Any) -> list[float]:
    """A reward function: TRL wants one."""
    return [0.0] * len(completions)


class TimedTrainer(GRPOTrainer):
    """TRL's trainer with a clock around `_generate`; with a `policy` its turns are generated by that.

    Args:
        policy: our engine, or None for transformers' `generate`.
    """

    def __init__(self, *args: Any, policy: Any = None, workload: Workload, **options: Any) -> None:
        super().__init__(*args, **options)
        self.policy, self.workload = policy, workload
        self.seconds = 0.0
        self.sampled: list[int] = []
        """Sampled tokens of every episode."""
        self.prompts: list[list[int]] = []
        self._sessions: list[Any] = []
        self._turn = 0

    def _generate(self, prompts: list[Any]) -> Any:
        started = time.perf_counter()
        self._sessions, self._turn = [], 0
        found = super()._generate(prompts)
        self.seconds += time.perf_counter() - started
        self.prompts += found[0]
        self.sampled += [sum(mask) for mask in found[2]]
        return found

    def _generate_single_turn(self, prompt_ids: list[list[int]], *args: Any, **options: Any) -> Any:
        if self.policy is None:
            return super()._generate_single_turn(prompt_ids, *args, **options)
        return asyncio.run(self._ask(prompt_ids)), None

    async def _ask(self, prompt_ids: list[list[int]]) -> list[list[int]]:
        """All prompts at once, and the ids of all answers: every conversation takes part in every turn."""
        self._sessions = self._sessions or [self.policy.session(None) for _ in prompt_ids]
        self._turn += 1
        answers = await asyncio.gather(*(
            session.act(ids, Sampling(temperature=1.0, max_tokens=self.workload.turn_tokens, seed=1000 * number + self._turn))
            for number, (session, ids) in enumerate(zip(self._sessions, prompt_ids, strict=True))))
        if self._turn == self.workload.turns:
            await asyncio.gather(*(session.close() for session in self._sessions))
        return [answer.ids for answer in answers]


def make_trainer(model: Any, tokenizer: Any, workload: Workload, kind: Any, folder: str, batch: int, policy: Any) -> TimedTrainer:
    """TRL's trainer for `environment_factory` with forced turns."""
    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
    length = {"max_new_tokens": workload.turn_tokens, "min_new_tokens": workload.turn_tokens}
    arguments = GRPOConfig(output_dir=folder, use_cpu=True, bf16=False, report_to="none", disable_tqdm=True, save_strategy="no",
                           per_device_train_batch_size=batch, num_generations=2, max_completion_length=8192, temperature=1.0,
                           max_tool_calling_iterations=workload.turns - 1, generation_kwargs=length, gradient_checkpointing=False)
    from datasets import Dataset

    rows = Dataset.from_list([{"prompt": [{"role": "user", "content": "unused"}], "number": 0}] * batch)
    trainer = TimedTrainer(model=model, reward_funcs=free, args=arguments, train_dataset=rows, processing_class=tokenizer,
                           environment_factory=kind, policy=policy, workload=workload)
    trainer.model.train()
    return trainer


def trl(model: Any, tokenizer: Any, tasks: Sequence[Task], workload: Workload, mean: float, said: str, policy: Any = None,
        tell: Callable[[float], object] = lambda _: None) -> dict[str, float]:
    """All episodes, an even number, through TRL's loop in batches of at most 64.

    Raises:
        RuntimeError: its episodes were not of the forced size.
    """
    kind = environment(workload, mean, said)
    batch = min(IN_FLIGHT, len(tasks))
    with tempfile.TemporaryDirectory(prefix="medcopilot-bench-") as folder:
        trainer = make_trainer(model, tool_tokenizer(tokenizer), workload, kind, folder, batch, policy)
        for first in range(0, len(tasks), batch):
            inputs = [{"prompt": opening_messages(task.view, "nano"), "number": task.key.reference}
                      for task in tasks[first : first + batch]]
            trainer._generate_and_score_completions(inputs)
            tell((first + len(inputs)) / len(tasks))
    steps = len(tasks) * (workload.turns - 1)
    if trainer.sampled != [workload.tokens] * len(tasks) or kind.steps != steps:
        raise RuntimeError(f"TRL's episodes had {trainer.sampled} sampled tokens and {kind.steps} steps, not {workload.tokens} "
                           f"each and {steps}")
    return {"episodes_per_s": len(tasks) / trainer.seconds, "seconds": trainer.seconds, "step_seconds": kind.taken}


def measure(workload: Workload, model: Any, tokenizer: Any, *, episodes: int = 128, means: Sequence[float] = MEANS,
            plan: Plan | None = None) -> dict[str, Any]:
    """Every arm at every mean of step times; TRL's own engine at the first mean only. `means`: with different milliseconds.

    Returns:
        One row per arm and mean, and the ratios ours / TRL: `speedup_vs_trl_tool_loop` (same engine, first mean), `..._25ms`,
        `..._instant`, and `speedup_vs_trl_stock_engine`.
    """
    plan = plan or Plan(expected(episodes, means))
    tasks = make_tasks(episodes, workload)
    document: dict[str, Any] = {}
    with open_engine("transformers", model, tokenizer, slots=IN_FLIGHT) as policy:
        _, traces = ours(policy, tasks[: min(episodes, IN_FLIGHT)], workload, 0.0)  # not counted: everything is loaded then
        said = traces[0].turns[0].observation
        arms: list[tuple[str, float]] = [(kind, mean) for mean in means for kind in (OURS, SAME)]
        for kind, mean in [*arms, (STOCK, means[0])]:
            name = part(kind, mean)
            plan.at(name, 0.0)
            tell = functools.partial(plan.at, name)
            if kind == OURS:
                seconds, traces = ours(policy, tasks, workload, mean, tell)
                spent = sum(step_seconds(number, turn, mean, workload.turns)
                            for number in range(episodes) for turn in range(workload.turns))
                row = {"episodes_per_s": episodes / seconds, "seconds": seconds, "step_seconds": spent}
            else:
                row = trl(model, tokenizer, tasks, workload, mean, said, policy if kind == SAME else None, tell)
            document[f"rollout: {name}"] = row
            plan.done(name)
    return {**document, **ratios(document, means)}


def ratios(document: dict[str, Any], means: Sequence[float] = MEANS) -> dict[str, float]:
    """Episodes per second, ours over TRL's."""
    def over(kind: str, mean: float) -> float:
        rate = {name: document[f"rollout: {part(name, mean)}"]["episodes_per_s"] for name in (OURS, kind)}
        return float(rate[OURS] / rate[kind])

    names = [f"_{1000 * mean:.0f}ms" if mean else "_instant" for mean in means]
    loops = {f"speedup_vs_trl_tool_loop{'' if mean == means[0] else name}": over(SAME, mean)
             for name, mean in zip(names, means, strict=True)}
    return {**loops, "speedup_vs_trl_stock_engine": over(STOCK, means[0])}


def part(kind: str, mean: float) -> str:
    """Name of an arm in a `Plan` and, after `rollout: `, in the document."""
    return f"{kind}, " + (f"steps of {1000 * mean:.0f} ms on average" if mean else "instant steps")


def expected(episodes: int, means: Sequence[float] = MEANS) -> dict[str, float]:
    """About how long each arm takes on two quiet cores, seconds."""
    found = {}
    for mean in means:
        found[part(OURS, mean)] = 0.04 * episodes + 30 * mean
        found[part(SAME, mean)] = (0.04 + 3 * mean) * episodes
    found[part(STOCK, means[0])] = (0.1 + 3 * means[0]) * episodes
    return found
