"""The keys of the SFT, verifier and DPO recipes, without torch: a recipe is checked and printed in a moment.

Promises: contradictions between keys are refused when the file is read, not when training has begun.
Does not cover: GRPO's keys (`medcopilot.rl`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from medcopilot.train.config import Config, StageConfig
from medcopilot.train.model import NanoShape


class OptimizerConfig(Config):
    """How weights move. The defaults are the nano policy's SFT."""

    name: Literal["muon", "adamw", "sgd"] = "muon"
    """`sgd`: with momentum `betas[0]`. A policy gradient is mostly noise, and AdamW's division gives every weight an equal share of
    it; plain descent moves the weights in which the signal is."""
    lr: float = Field(0.002, gt=0)
    """AdamW's or SGD's rate (with `muon`: that of embeddings, biases and norms)."""
    muon_lr: float = Field(0.008, gt=0)
    betas: tuple[float, float] = (0.9, 0.95)
    weight_decay: float = Field(0.0, ge=0)
    """AdamW's decay, on matrices only."""
    muon_weight_decay: float = Field(0.1, ge=0)
    clip: float = Field(1.0, ge=0)
    """Largest gradient norm; 0: no clipping."""
    schedule: Literal["hold_linear", "cosine", "linear", "constant"] = "hold_linear"
    warmup_steps: int = Field(60, ge=0)
    hold: float = Field(0.4, ge=0, le=1)
    """`hold_linear`: fraction of the run at full rate before the decay."""
    floor: float = Field(0.05, ge=0, le=1)
    """Fraction of the rate at the end."""


class LoraSettings(Config):
    """Low-rank adapters instead of full fine-tuning; merged into the final checkpoint."""

    rank: int = Field(32, ge=1)
    alpha: float = Field(64, gt=0)
    dropout: float = Field(0.0, ge=0, lt=1)
    targets: str | list[str] = "all-linear"
    quantize: Literal["nf4"] | None = None
    """`nf4`: the parent's weights in 4 bits while the adapters are trained (QLoRA); needs a GPU and bitsandbytes."""


class ModelConfig(Config):
    """Where the weights come from: `checkpoint`, or random nano weights with `tokenizer`."""

    checkpoint: str | None = None
    """Folder of a checkpoint, or a hub name such as Qwen/Qwen2.5-7B-Instruct."""
    tokenizer: str | None = None
    """Folder of the tokenizer for random weights."""
    shape: NanoShape = NanoShape()
    profile: Literal["nano", "full"] | None = None
    """Prompt profile; None: the parent checkpoint's, and nano for random weights."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    attention: str = "auto"
    """`auto`: `causal_bmm` on the CPU, else the library's choice."""
    gradient_checkpointing: bool = False
    lora: LoraSettings | None = None

    @model_validator(mode="after")
    def _one_source(self) -> ModelConfig:
        if (self.checkpoint is None) == (self.tokenizer is None):
            raise ValueError("give either model.checkpoint or, for random nano weights, model.tokenizer")
        if self.lora is not None and self.lora.quantize and self.checkpoint is None:
            raise ValueError("lora.quantize needs weights to quantise: set model.checkpoint, or remove it")
        return self


class SftConfig(StageConfig):
    """One run of supervised fine-tuning."""

    name: str = "sft"
    data: Path
    """Rows from `medcopilot export sft`."""
    model: ModelConfig
    epochs: float | None = Field(None, gt=0)
    batch_tokens: int = Field(2048, ge=16)
    """Padded tokens per micro-batch and device."""
    batch_rows: int | None = Field(None, ge=1)
    """Rows per micro-batch and device at most; None: as many as the tokens allow."""
    packing: bool = False
    """Lay rows end to end in lines of `batch_tokens` in place of padding them; they do not see each other."""
    accumulation: int = Field(1, ge=1)
    """Micro-batches per step."""
    max_length: int | None = Field(None, ge=2)
    """Longer rows are left out; None: nothing is."""
    optimizer: OptimizerConfig = OptimizerConfig()

    @model_validator(mode="after")
    def _ends(self) -> SftConfig:
        if self.epochs is None and self.max_steps is None and self.max_seconds is None:
            raise ValueError("a run needs an end: set epochs, max_steps or max_seconds")
        if self.packing and self.batch_rows is not None:
            raise ValueError("packing fills batches by tokens: remove batch_rows, or set packing: false")
        return self


class VerifierConfig(SftConfig):
    """One run of the outcome verifier: SFT on the answer token, and a check on tasks that were held out."""

    name: str = "verifier"
    data: Path
    """Rows from `medcopilot export verifier`."""
    held_out: float = Field(0.2, gt=0, lt=1)
    """Share of every dataset's tasks that is not trained on but checked on."""


class DpoConfig(StageConfig):
    """One run of preference optimisation. The defaults are the nano policy's."""

    name: str = "dpo"
    data: Path
    """Pairs from `medcopilot export dpo`."""
    model: ModelConfig
    """`model.checkpoint` is the policy to start from and the reference."""
    epochs: float = Field(2.0, gt=0)
    batch_pairs: int = Field(8, ge=1)
    """Pairs per micro-batch and device."""
    accumulation: int = Field(1, ge=1)
    max_length: int | None = Field(None, ge=2)
    """Pairs with a longer side are left out; None: none is."""
    beta: float = Field(0.1, gt=0)
    loss: Literal["sigmoid", "sigmoid_norm", "ipo"] = "sigmoid"
    nll: float = Field(0.2, ge=0)
    """Weight of the chosen side's negative log-likelihood per token."""
    label_smoothing: float = Field(0.0, ge=0, lt=0.5)
    """Assumed fraction of wrong preferences (conservative DPO)."""
    optimizer: OptimizerConfig = OptimizerConfig(name="adamw", lr=2e-5, schedule="linear", warmup_steps=5, floor=0.0)

    @model_validator(mode="after")
    def _consistent(self) -> DpoConfig:
        if self.model.checkpoint is None:
            raise ValueError("preference optimisation starts from a checkpoint: set model.checkpoint, not model.tokenizer")
        if self.label_smoothing and self.loss != "sigmoid":
            raise ValueError("label_smoothing needs loss: sigmoid")
        return self
