"""A policy over a transformers model in this process.

Promises: many sessions act concurrently, batched by one engine thread; `update()` makes new weights visible under a new
version. Qwen2 models run on our decoder with a static cache (`kv_decoder`, `slot_engine`), every other architecture through
transformers' `generate` (`generate_engine`).
Does not cover: loading checkpoints (`medcopilot.train.model`) and several devices.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch

from medcopilot.policies.engine_thread import EnginePolicy, EngineThread, StepEngine
from medcopilot.policies.generate_engine import GenerateEngine
from medcopilot.policies.kv_decoder import KvDecoder, supports
from medcopilot.policies.slot_engine import SlotEngine

END_OF_TURN = "<|im_end|>"
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def stop_ids(model: Any, tokenizer: Any) -> list[int]:
    """Ids that end a turn: end of turn, end of text, and what the model itself declares."""
    declared = model.generation_config.eos_token_id if getattr(model, "generation_config", None) else None
    declared = [declared] if isinstance(declared, int) else list(declared or [])
    turn = tokenizer.convert_tokens_to_ids(END_OF_TURN)
    own = [turn if turn != tokenizer.unk_token_id else None, tokenizer.eos_token_id]
    return sorted({token for token in [*own, *declared] if token is not None})


class TransformersPolicy(EnginePolicy):
    """Token policy; see `medcopilot.policies.base.Policy`.

    Args:
        model: a causal language model. It may be trained between calls of `update`.
        slots: conversations that keep their cache; also the largest batch.
        dtype: of the linear layers of our decoder. `float32` reproduces the trainer's logprobs to about 1e-6;
            `bfloat16` is faster on a CPU and off by about 1e-2.
        capacity: cached positions per slot at the start; grows by itself.
        engine: `auto`, or one of the two by name.
        stops: ids that end a turn, for our decoder; None: those of tokenizer and model. Without any, every turn is as long as it
            may be.

    Raises:
        ValueError: stop ids for `generate`, which goes by the model's.
    """

    def __init__(self, model: Any, tokenizer: Any, renderer: Any, name: str = "transformers", version: int = 0, *,
                 slots: int = 64, dtype: Literal["float32", "bfloat16"] = "float32", capacity: int = 256,
                 engine: Literal["auto", "slots", "generate"] = "auto", digest: str = "",
                 stops: Sequence[int] | None = None) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.renderer = renderer
        self.name = name
        self.engine_name = ("slots" if supports(model) else "generate") if engine == "auto" else engine
        if stops is not None and self.engine_name == "generate":
            raise ValueError("generate goes by the model's stop ids: leave out stops")
        self._about = {"dtype": dtype, "digest": digest}
        self._max_length = int(getattr(model.config, "max_position_embeddings", 0) or 2**31 - 1)

        def build() -> StepEngine:
            ends = stop_ids(model, tokenizer) if stops is None else list(stops)
            if self.engine_name == "slots":
                decoder = KvDecoder(model, slots=slots, capacity=capacity, dtype=DTYPES[dtype])
                built: Any = SlotEngine(decoder, ends, self._max_length)
            else:
                pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else ends[0]
                built = GenerateEngine(model, ends, pad, self._max_length, batch=slots)
            built.version = version
            return built

        super().__init__(EngineThread(build, name=f"engine-{name}"), version, self._max_length)
        self.thread.order(lambda engine: None)  # built before the caller goes on: loading another model changes torch's defaults

    @classmethod
    def from_checkpoint(cls, folder: Path | str, *, threads: int | None = None, **options: Any) -> TransformersPolicy:
        """The policy of a checkpoint folder, named after it.

        Args:
            threads: CPU threads of torch (of the whole process); None leaves torch's default.
            options: passed to the constructor.

        Raises:
            UserError: no such folder, no weights, no tokenizer, or a tokenizer without the chat format.
        """
        from medcopilot.agent.render import ChatRenderer
        from medcopilot.train.model import load_checkpoint

        if threads is not None:
            torch.set_num_threads(threads)
        model, tokenizer, meta, digest = load_checkpoint(folder)
        settings = {"name": Path(folder).name, "version": meta.policy_version, "digest": digest, **options}
        return cls(model.eval(), tokenizer, ChatRenderer(tokenizer), **settings)

    def statistics(self) -> dict[str, int]:
        """Tokens computed and tokens found in the cache, since the start (zero where the engine does not count)."""
        def read(engine: Any) -> dict[str, int]:
            return {"computed_tokens": getattr(engine, "computed_tokens", 0), "reused_tokens": getattr(engine, "reused_tokens", 0)}

        return dict(self.thread.order(read))

    def describe(self) -> dict[str, Any]:
        """What goes into the run's record."""
        import transformers

        return {"kind": "transformers", "name": self.name, "version": self.version, "engine": self.engine_name,
                "architecture": self.model.config.model_type, "parameters": sum(p.numel() for p in self.model.parameters()),
                "torch": str(torch.__version__), "transformers": transformers.__version__, **self._about}
