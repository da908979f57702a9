"""p(YES) of finished episodes, from one forward pass of a causal language model.

Promises: r = e^yes / (e^yes + e^no) from the logprobs of the two answer tokens at the position after the prompt; a score does not
depend on what else is in the batch beyond the arithmetic's rounding; a model that yields no number is an `EngineError`, never a
score. Calls from several threads wait for each other.
Does not cover: training (`train`), prompts (`prompt`).
Source: arXiv 2506.04405, section on the outcome verifier.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field, ValidationError
from transformers.integrations import deepspeed

from env.errors import EngineError, UserError
from env.files import atomic_write
from medcopilot.agent.render import ChatRenderer
from medcopilot.trace import Trace
from medcopilot.train import attention
from medcopilot.train.config import Config
from medcopilot.train.model import load_checkpoint
from medcopilot.verifier.prompt import AnswerTokens, VerifierPrompt

RECORD = "verifier.json"
BATCH_TOKENS = {"cpu": 2048, "cuda": 16_384}
"""Padded tokens of one forward pass. On a CPU more of them only fall out of its caches: 16,384 run at half the speed."""
_FSDP_LAZY = "FSDP_CPU_RAM_EFFICIENT_LOADING"
_SHORT = 2048
"""Up to so many tokens the attention of small models on a CPU is the faster one."""


class VerifierRecord(Config):
    """`verifier.json` of a checkpoint: the prompts that it was trained on."""

    profile: Literal["full", "nano"] = "full"
    max_length: int | None = Field(None, ge=2)


class Verifier:
    """A model that scores episodes.

    Args:
        model: a causal language model in evaluation mode, wherever it is to run.
        prompt: how episodes are put to it.
        batch_tokens: padded tokens of one forward pass, None: the device's default; a longer prompt is a batch of its own.
    """

    def __init__(self, model: Any, prompt: VerifierPrompt, *, batch_tokens: int | None = None) -> None:
        self.model, self.prompt, self.batch_tokens = model, prompt, batch_tokens
        self._one_at_a_time = threading.Lock()

    @classmethod
    def from_checkpoint(cls, source: str | Path, *, device: str | None = None, dtype: str | None = None,
                        batch_tokens: int | None = None, record: VerifierRecord | None = None) -> Verifier:
        """A verifier from the folder that `recipes/verifier.py` wrote.

        Args:
            device: None: the process's CUDA device where there is one, else the CPU.
            dtype: None: bfloat16 on a GPU, float32 on the CPU.
            record: prompts to use with a model that was not trained as a verifier, e.g. an instruction model judging as it is.

        Raises:
            UserError: no checkpoint there, or one that is no verifier.
        """
        record = record or read_record(Path(source))
        device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        dtype = dtype or ("float32" if device == "cpu" else "bfloat16")
        with whole_weights():
            model, tokenizer, _, _ = load_checkpoint(source, dtype=dtype)
        prompt = VerifierPrompt(ChatRenderer(tokenizer), record.profile, record.max_length)
        if device == "cpu" and model.config.model_type == "qwen2" and prompt.max_tokens <= _SHORT:
            model.set_attn_implementation(attention.register())
        return cls(model.to(device).eval(), prompt, batch_tokens=batch_tokens)

    def score(self, traces: Sequence[Trace]) -> list[float]:
        """p(YES) in [0, 1] of every trace, in their order.

        Raises:
            EngineError: the model gave no number.
        """
        return self.score_ids([self.prompt.ids(trace) for trace in traces])

    def score_ids(self, prompts: Sequence[Sequence[int]]) -> list[float]:
        """As `score`, of prompts that end where the answer token comes."""
        with self._one_at_a_time:
            return p_yes(self.model, prompts, self.prompt.answers, batch_tokens=self.batch_tokens)


@torch.inference_mode()
def p_yes(model: Any, prompts: Sequence[Sequence[int]], answers: AnswerTokens, *, batch_tokens: int | None = None
          ) -> list[float]:
    """p(YES) after every prompt, in their order.

    Padding goes right, where causal attention cannot see it, so no mask is needed. The normaliser over the vocabulary cancels:
    of the output layer only two rows are used.

    Raises:
        EngineError: a score is not a number.
    """
    scores = torch.full((len(prompts),), float("nan"))
    head = model.get_output_embeddings()
    rows = torch.tensor([answers.yes, answers.no], device=head.weight.device)
    weight, bias = head.weight[rows].float(), None if head.bias is None else head.bias[rows].float()
    budget = batch_tokens or BATCH_TOKENS.get(model.device.type, BATCH_TOKENS["cuda"])
    for batch in batches_by_length([len(prompt) for prompt in prompts], budget):
        width = max(len(prompts[i]) for i in batch)
        ids = torch.tensor([[*prompts[i], *[0] * (width - len(prompts[i]))] for i in batch], device=model.device)
        last = torch.tensor([len(prompts[i]) - 1 for i in batch], device=model.device)
        hidden = model.base_model(input_ids=ids, use_cache=False).last_hidden_state
        picked = hidden[torch.arange(len(batch), device=model.device), last].float()
        yes, no = torch.nn.functional.linear(picked, weight, bias).unbind(-1)
        scores[batch] = torch.sigmoid((yes - no).float()).cpu()
    if not bool(scores.isfinite().all()):
        raise EngineError("the verifier gave a score that is not a number: its weights are broken, train it again")
    return scores.tolist()


def batches_by_length(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Indices in batches of neighbours in length, each of at most `budget` padded tokens, the longest first."""
    batches: list[list[int]] = []
    width = 0
    for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if not batches or width * (len(batches[-1]) + 1) > budget:
            batches.append([])
            width = max(1, lengths[i])
        batches[-1].append(i)
    return batches


@contextlib.contextmanager
def whole_weights() -> Iterator[None]:
    """Load a model of this process alone, though another one is trained in shards.

    Under ZeRO-3 transformers splits every model that it loads among the ranks, and under FSDP all ranks but the first get empty
    weights: right for what is trained, wrong for a verifier that each rank asks by itself.
    """
    reference = deepspeed._hf_deepspeed_config_weak_ref
    lazy = os.environ.get(_FSDP_LAZY)
    deepspeed.unset_hf_deepspeed_config()
    os.environ[_FSDP_LAZY] = "false"
    try:
        yield
    finally:
        deepspeed._hf_deepspeed_config_weak_ref = reference
        if lazy is None:
            del os.environ[_FSDP_LAZY]
        else:
            os.environ[_FSDP_LAZY] = lazy


def write_record(folder: Path, record: VerifierRecord) -> None:
    """Mark a checkpoint as a verifier."""
    atomic_write(folder / RECORD, record.model_dump_json(indent=2) + "\n")


def read_record(folder: Path) -> VerifierRecord:
    """What `write_record` wrote.

    Raises:
        UserError: the folder holds no verifier.
    """
    path = folder / RECORD
    if not path.is_file():
        raise UserError(f"{folder}: this is no verifier (there is no {RECORD}): give the checkpoint folder of a finished "
                        "recipes/verifier.py, e.g. runs/nano/checkpoints/verifier")
    try:
        return VerifierRecord.model_validate(json.loads(path.read_bytes()))
    except (ValueError, ValidationError):
        raise UserError(f"{path}: not a verifier's record: run recipes/verifier.py again; it writes the file anew") from None
