"""`--shrink`: two steps of any recipe on the same architecture at toy width, to see that the recipe is whole.

Promises: attention, number of key heads per query head, tied or untied head, adapters, losses, optimisers and every other key stay
the recipe's; weights are random, data are episodes of the scripted expert on a few synthetic tasks; nothing is
downloaded, and the recipe's own run folder is not touched. What was prepared is kept for the next recipe of the same size.
Does not cover: whether anything is learnt, or fits a GPU; several processes.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

from env.datasets import BuildRequest
from env.errors import UserError
from env.files import atomic_write
from env.task import TaskKey, TaskView
from medcopilot import steps
from medcopilot.plan.architecture import KNOWN, Family, known_name, read_folder
from medcopilot.policies.base import ChatReply, Sampling
from medcopilot.policies.expert import ExpertPolicy
from medcopilot.train.config import StageConfig
from medcopilot.train.model import CheckpointMeta
from medcopilot.train.settings import ModelConfig

S = TypeVar("S", bound=StageConfig)

STEPS = 2
TASKS = 12
"""Per dataset."""
BUILDS = {"mimic_iii": BuildRequest(train=40, test=8, patients=60, options=dict(steps.OPTIONS.get("mimic_iii", {}))),
          "medcalcbench": BuildRequest(train=40, test=8, patients=60, options=dict(steps.OPTIONS.get("medcalcbench", {})))}
ENTRIES = 2048


class Shape(NamedTuple):
    """What a toy keeps of its model."""

    name: str
    family: Family
    heads: int
    """Query heads for one key head."""
    tied: bool


def shape_of(checkpoint: str | None) -> Shape:
    """The shape of a local checkpoint, or that of the model whose name and size the name holds (Qwen2.5-7B where it holds none)."""
    folder = Path(checkpoint or "")
    if checkpoint and (folder / "config.json").is_file():
        found = read_folder(folder)
        heads = found.heads // found.key_heads
        return Shape(f"{found.family}-heads{heads}{'-tied' if found.tied else ''}", found.family, heads, found.tied)
    name = known_name(checkpoint or "") or "Qwen2.5-7B"
    found = KNOWN[name]
    return Shape(name.lower().removeprefix("qwen2.5-"), found.family, found.heads // found.key_heads, found.tied)


class Shop(NamedTuple):
    """Where what a toy needs is prepared, and what it is."""

    folder: Path
    shape: Shape
    profile: Literal["nano", "full"]


def shop_of(config: StageConfig) -> Shop:
    """Of a recipe, below the working directory; its run is `folder / "run"`."""
    model: ModelConfig = config.model  # type: ignore[attr-defined]
    profile = model.profile or ("nano" if "nano" in f"{config.run} {model.checkpoint}" else "full")
    shape = shape_of(model.checkpoint)
    return Shop(Path("runs").resolve() / "shrink" / f"{shape.name}-{profile}", shape, profile)


def shrink(config: S) -> S:
    """The recipe at toy width; prepares what it needs.

    Raises:
        UserError: started as several processes.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UserError("--shrink runs in one process: start the recipe with python, not with accelerate")
    shop, shape, profile = shop_of(config)
    print(f"shrink: {STEPS} steps at toy width ({shape.heads} query heads per key head), prepared in {shop}", file=sys.stderr)
    prepare(shop, shape, profile)
    run = shop / "run"
    for leftover in (run / "checkpoints" / config.name, run / "checkpoints" / f"{config.name}.work"):
        shutil.rmtree(leftover, ignore_errors=True)
    body = config.model_dump(mode="json")
    changes: dict[str, Any] = {"run": str(run), "max_steps": STEPS, "max_seconds": None, "save_steps": None, "log_steps": 1}
    weights = {"checkpoint": str(shop / "toy"), "tokenizer": None, "profile": profile}
    if "rollouts" in body:
        changes |= _online(body, shop)
        weights["checkpoint"] = str(shop / "toy-short")
    else:
        changes["data"] = str(shop / f"{'dpo' if 'beta' in body else 'verifier' if 'held_out' in body else 'sft'}.jsonl")
        changes |= {"max_length": None, "epochs": body["epochs"] or 1} | ({"held_out": 0.5} if "held_out" in body else {})
    changes["model"] = body["model"] | weights
    return type(config).model_validate(body | changes)


def _online(body: dict[str, Any], shop: Path) -> dict[str, Any]:
    """What an online recipe keeps of its rollouts: everything but their number. A toy solves nothing, so nothing is filtered."""
    groups, size = (2, 8) if body["rollouts"]["group_size"] > 1 else (16, 1)
    rollouts = body["rollouts"] | {"groups": groups, "group_size": size, "max_groups": groups, "filter": False, "concurrency": 16,
                                   "box_threads": 2, "verifier": None}
    rollouts["rewards"] = {name: weight for name, weight in body["rollouts"]["rewards"].items() if name != "verifier"}
    engine = {"kind": "transformers", "dtype": "float32"} if not _vllm_runs() or body["engine"]["kind"] == "vllm_server" else (
        body["engine"] | {"options": {}})
    changes = {"rollouts": rollouts, "engine": engine, "datasets": list(BUILDS), "tasks_per_dataset": TASKS, "micro_batches": 2,
               "builds": {name: request.model_dump(mode="json") for name, request in BUILDS.items()}, "max_episodes": None,
               "replay": None, "dump": False}
    if "critic" in body:
        changes["critic"] = body["critic"] | {"checkpoint": None, "warmup_steps": 1}
    return changes


def _vllm_runs() -> bool:
    """Whether vLLM is installed."""
    from importlib.util import find_spec

    return find_spec("vllm") is not None


def prepare(shop: Path, shape: Shape, profile: str) -> None:
    """Toy weights, the expert's episodes and mistaken ones on the same tasks, and rows of every kind."""
    if (shop / "prepared.json").is_file():
        return
    shutil.rmtree(shop, ignore_errors=True)
    options = {"split": "train", "tasks_per_dataset": TASKS, "profile": profile}
    _sample(shop / "expert", options)
    _sample(shop / "mistaken", options, Mistaken())
    toy, short = shop / "toy", shop / "toy-short"
    steps.command("export", "sft", shop / "expert", "--out", shop / "sft.jsonl", "--tokenizer", shop / "tokenizer",
                  "--new-tokenizer", ENTRIES)
    rows = [json.loads(line) for line in (shop / "sft.jsonl").read_text(encoding="utf-8").splitlines()]
    longest = max(len(row["input_ids"]) for row in rows)
    opening = max(next(place for place, label in enumerate(row["labels"]) if label != -100) for row in rows)
    _toy(shop / "tokenizer", toy, shape, profile, max(2 * longest, 4096))
    # its context ends soon after the opening: a random policy goes on until it does
    _toy(shop / "tokenizer", short, shape, profile, opening + 96)
    for kind in ("dpo", "verifier"):
        steps.command("export", kind, shop / "expert", shop / "mistaken", "--out", shop / f"{kind}.jsonl", "--tokenizer", toy)
    atomic_write(shop / "prepared.json", json.dumps({"longest": longest, "opening": opening}))


class Mistaken(ExpertPolicy):
    """The scripted expert, but for what it submits: episodes that fail at the end."""

    def __init__(self) -> None:
        super().__init__(detours=0.0)
        self.name = "mistaken"

    def session(self, view: TaskView, privileged: TaskKey | None = None) -> Any:
        """One episode."""
        session = super().session(view, privileged)
        act = session.act

        async def mistaken(messages: list[dict[str, str]], sampling: Sampling) -> ChatReply:
            reply = await act(messages, sampling)
            said = json.loads(reply.text)
            if said["action"] == "submit":
                reply = ChatReply(text=json.dumps({"action": "submit", "params": {"answer": -98765}}, separators=(",", ":")))
            return reply

        session.act = mistaken  # type: ignore[method-assign]
        return session


def _sample(out: Path, options: dict[str, Any], policy: Any = None) -> None:
    from medcopilot.rollout.sample import sample_run
    from medcopilot.rollout.settings import SampleConfig

    config = SampleConfig(out=out, policy="expert", datasets=tuple(BUILDS), builds=BUILDS, threads=1, detours=0.0, **options)
    sample_run(config, policy=policy)


def _toy(tokenizer: Path, folder: Path, shape: Shape, profile: str, positions: int) -> None:
    """Random weights of the architecture, two layers, heads of 16."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    from medcopilot.train.model import save_checkpoint
    from medcopilot.train.tokenizer import load_tokenizer

    loaded = load_tokenizer(tokenizer)
    config = AutoConfig.for_model(
        shape.family, vocab_size=len(loaded), hidden_size=16 * shape.heads, num_hidden_layers=2, num_attention_heads=shape.heads,
        num_key_value_heads=1, head_dim=16, intermediate_size=48 * shape.heads, max_position_embeddings=positions,
        tie_word_embeddings=shape.tied, rope_parameters={"rope_type": "default", "rope_theta": 1_000_000.0}, bos_token_id=None,
        eos_token_id=loaded.eos_token_id, pad_token_id=loaded.pad_token_id)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    save_checkpoint(model, loaded, folder, CheckpointMeta(profile=profile))  # type: ignore[arg-type]
