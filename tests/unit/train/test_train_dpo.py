"""DPO: the trainer's loss equals the loss computed by hand on sampled tokens, so observations cannot count."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from env.errors import UserError
from medcopilot.data.rows import Card, rows_digest, tokenizer_digest, write_rows
from medcopilot.train.dpo import MaskedDpoTrainer, _arguments, build_trainer, run_dpo
from medcopilot.train.dpo_loss import dpo_loss, likelihood_loss
from medcopilot.train.model import META, CheckpointMeta, NanoShape, load_checkpoint, new_nano, read_meta, save_checkpoint
from medcopilot.train.policy import load_policy
from medcopilot.train.reference import SIDES
from medcopilot.train.settings import DpoConfig, LoraSettings, ModelConfig


def pairs(count: int) -> list[dict[str, Any]]:
    """Opening, a sampled turn, an observation (mask 0), a sampled turn; of different lengths."""
    generator = torch.Generator().manual_seed(0)

    def draw(n: int) -> list[int]:
        return torch.randint(3, 200, (n,), generator=generator).tolist()

    rows = []
    for i in range(count):
        rows.append({"prompt_ids": draw(5 + i % 3), "chosen_ids": draw(9 + i % 4), "rejected_ids": draw(7 + i % 5),
                     "chosen_mask": [1] * 3 + [0] * 4 + [1] * (2 + i % 4), "rejected_mask": [1] * 2 + [0] * 3 + [1] * (2 + i % 5)})
    return rows


@pytest.fixture
def config(tmp_path: Path, tokenizer: Any, tiny_shape: dict[str, int]) -> DpoConfig:
    parent = save_checkpoint(new_nano(tokenizer, NanoShape(**tiny_shape), seed=3), tokenizer, tmp_path / "parent",
                             CheckpointMeta(profile="nano", policy_version=1))
    rows = pairs(8)
    data = tmp_path / "dpo.parquet"
    write_rows(data, rows, Card(kind="dpo", digest=rows_digest(rows), rows=8, tokens=0, trained_tokens=0,
                                tokenizer=tokenizer_digest(tokenizer)))
    return DpoConfig(run=tmp_path / "run", data=data, model=ModelConfig(checkpoint=str(parent)), batch_pairs=4, bf16=False,
                     device="cpu", log_steps=1)


def logprobs(model: Any, row: dict[str, Any], side: str) -> list[torch.Tensor]:
    """Of the tokens of one side whose mask is 1."""
    ids = row["prompt_ids"] + row[f"{side}_ids"]
    mask = [0] * len(row["prompt_ids"]) + row[f"{side}_mask"]
    table = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0].log_softmax(-1)
    return [table[i - 1, ids[i]] for i in range(len(ids)) if mask[i]]


def by_hand(policy: Any, reference: Any, rows: list[dict[str, Any]], config: DpoConfig) -> torch.Tensor:
    """The mean over pairs of the loss of the difference of log-ratios, + nll x mean over chosen tokens.

    sigmoid: -log sigmoid(beta d), smoothed; sigmoid_norm: of the ratios per token; ipo: (d - 1 / (2 beta))^2, per token too.
    """
    losses, likelihood = [], []
    for row in rows:
        ratio = {side: sum(logprobs(policy, row, side)) - sum(logprobs(reference, row, side)) for side in ("chosen", "rejected")}
        if config.loss != "sigmoid":
            ratio = {side: value / sum(row[f"{side}_mask"]) for side, value in ratio.items()}
        d = ratio["chosen"] - ratio["rejected"]
        z, smooth = config.beta * d, config.label_smoothing
        sigmoid = -(1 - smooth) * torch.nn.functional.logsigmoid(z) - smooth * torch.nn.functional.logsigmoid(-z)
        losses.append((d - 1 / (2 * config.beta)) ** 2 if config.loss == "ipo" else sigmoid)
        likelihood += logprobs(policy, row, "chosen")
    return torch.stack(losses).mean() - config.nll * torch.stack(likelihood).mean()


def make(config: DpoConfig, rows: list[dict[str, Any]], **columns: Any) -> tuple[MaskedDpoTrainer, dict[str, Any]]:
    """A trainer and its first batch; `columns` overwrite entries of every row."""
    source = load_policy(config.model, config.seed)
    trainer, _, _ = build_trainer(config, _arguments(config), source, [{**row, **columns} for row in rows])
    batch = trainer.data_collator([trainer.train_dataset[i] for i in range(len(rows))])
    return trainer, batch


def shaken(trainer: MaskedDpoTrainer) -> Any:
    """The policy after a change of its weights, the same each time."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in trainer.model.parameters():
            p.add_(0.05 * torch.randn(p.shape, generator=generator))
    return trainer.model


@pytest.mark.parametrize(("changes", "count"), [
    ({}, 4), ({"nll": 0.0, "beta": 0.7}, 4), ({"label_smoothing": 0.1, "batch_pairs": 1}, 1), ({"label_smoothing": 0.3}, 4),
    ({"label_smoothing": 0.1, "nll": 0.0}, 3), ({"loss": "sigmoid_norm"}, 4), ({"loss": "ipo", "nll": 0.0}, 4)])
def test_the_loss_is_the_one_by_hand(config: DpoConfig, changes: dict[str, Any], count: int) -> None:
    config = DpoConfig(**{**config.model_dump(), **changes})
    rows = pairs(count)
    trainer, batch = make(config, rows)
    policy = shaken(trainer)
    found = trainer.compute_loss(policy, dict(batch))
    reference = load_checkpoint(config.model.checkpoint).model
    torch.testing.assert_close(found, by_hand(policy, reference, rows, config), rtol=1e-4, atol=1e-5)


def test_the_loss_without_trl_is_the_one_by_hand(config: DpoConfig) -> None:
    rows = pairs(4)
    policy, reference = (new_nano(load_policy(config.model, 0).tokenizer, NanoShape(hidden=32, layers=2, heads=2, feed_forward=48),
                                  seed=seed) for seed in (7, 8))
    scored = [{side: torch.stack(logprobs(policy, row, side)) for side in SIDES} for row in rows]
    sums = torch.stack([torch.stack([row[side].sum() for row in scored]) for side in SIDES])
    start = torch.stack([torch.stack([torch.stack(logprobs(reference, row, side)).sum() for row in rows]) for side in SIDES])
    chosen = torch.nn.utils.rnn.pad_sequence([row["chosen"] for row in scored], batch_first=True)
    found = dpo_loss(sums, start, config.beta).mean() + config.nll * likelihood_loss(chosen, chosen != 0)
    torch.testing.assert_close(found, by_hand(policy, reference, rows, config), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("z", [-3.0, 0.0, 0.4, 25.0])
def test_smoothing_by_trls_losses_is_exact(config: DpoConfig, z: float) -> None:
    """What `sigmoid` and `robust` add up to, for one value of z and any smoothing."""
    for smooth in (0.05, 0.3, 0.49):
        weights = dict(zip(*(getattr(_arguments(config.model_copy(update={"label_smoothing": smooth, "nll": 0.0})), name)
                             for name in ("loss_type", "loss_weights")), strict=True))
        loss, mirrored = math.log1p(math.exp(-z)), math.log1p(math.exp(z))
        robust = ((1 - smooth) * loss - smooth * mirrored) / (1 - 2 * smooth)
        found = weights["sigmoid"] * loss + weights["robust"] * robust
        assert found == pytest.approx((1 - smooth) * loss + smooth * mirrored)


def test_gradient_checkpointing_changes_nothing(config: DpoConfig) -> None:
    rows = pairs(4)
    gradients = []
    for on in (False, True):
        model = config.model.model_copy(update={"gradient_checkpointing": on})
        trainer, batch = make(config.model_copy(update={"model": model}), rows)
        if on:
            trainer.model.gradient_checkpointing_enable()
        trainer.compute_loss(shaken(trainer).train(), dict(batch)).backward()
        gradients.append([p.grad for p in trainer.model.parameters()])
    assert any(grad.abs().max() > 1e-3 for grad in gradients[0])
    for plain, checkpointed in zip(*gradients, strict=True):
        torch.testing.assert_close(checkpointed, plain, rtol=1e-5, atol=1e-5)


def parents_sums(config: DpoConfig, rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
    parent = load_checkpoint(config.model.checkpoint).model
    with torch.no_grad():
        return {side: torch.stack([torch.stack(logprobs(parent, row, side)).sum() for row in rows]) for side in SIDES}


def test_reference_sums_are_the_parents(config: DpoConfig) -> None:
    """In the order of the rows, though computed by length."""
    rows = pairs(7)
    trainer, _ = make(config, rows)
    for side, expected in parents_sums(config, rows).items():
        torch.testing.assert_close(torch.tensor(trainer.train_dataset[f"ref_{side}_logps"]), expected, rtol=1e-5, atol=1e-5)


def test_with_lora_the_reference_is_the_model_without_adapters(config: DpoConfig) -> None:
    rows = pairs(4)
    model = config.model.model_copy(update={"lora": LoraSettings(rank=4, alpha=8)})
    trainer, batch = make(config.model_copy(update={"model": model}), rows)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, p in trainer.model.named_parameters():
            if "lora_" in name:
                p.add_(0.1 * torch.randn(p.shape, generator=generator))
    found = trainer.compute_ref_log_probs(trainer.model, batch)
    for side, sums in zip(SIDES, found, strict=True):
        expected = parents_sums(config, rows)[side]
        torch.testing.assert_close(sums, expected, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(torch.tensor(trainer.train_dataset[f"ref_{side}_logps"]), expected, rtol=1e-5, atol=1e-5)
    parent = load_checkpoint(config.model.checkpoint).model
    torch.testing.assert_close(trainer.compute_loss(trainer.model, dict(batch)), by_hand(trainer.model, parent, rows, config),
                               rtol=1e-4, atol=1e-5)


def test_reference_sums_are_kept_and_belong_to_pairs_and_parent(config: DpoConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = pairs(4)
    make(config, rows)
    (kept,) = (config.run / "cache").iterdir()
    calls: list[int] = []
    original = MaskedDpoTrainer._reference_sums

    def counted(self: MaskedDpoTrainer, *args: Any) -> Any:
        calls.append(1)
        return original(self, *args)

    monkeypatch.setattr(MaskedDpoTrainer, "_reference_sums", counted)
    make(config.model_copy(update={"beta": 0.3, "epochs": 7}), rows)  # another run on the same pairs and parent
    assert not calls
    make(config, rows[::-1])
    assert len(calls) == 1
    other = save_checkpoint(shaken(make(config, rows)[0]), load_checkpoint(config.model.checkpoint).tokenizer,
                            config.run / "other", CheckpointMeta(profile="nano"))
    make(config.model_copy(update={"model": ModelConfig(checkpoint=str(other))}), rows)
    assert len(calls) == 2
    kept.write_bytes(kept.read_bytes()[:50])  # not ours to have torn, but disks do
    make(config, rows)
    assert len(calls) == 3
    assert len(list((config.run / "cache").iterdir())) == 3


def test_a_stage_starts_from_a_base_model_as_from_sft(config: DpoConfig) -> None:
    """A checkpoint of transformers, without a record of ours."""
    (Path(config.model.checkpoint) / META).unlink()
    model = config.model.model_copy(update={"profile": "nano"})
    result = run_dpo(config.model_copy(update={"model": model, "max_steps": 1}))
    assert result.steps == 1
    meta = read_meta(config.checkpoint)
    assert (meta.policy_version, meta.stage, meta.profile) == (1, "dpo", "nano")
    assert meta.parent == load_checkpoint(config.model.checkpoint).digest


def test_before_any_step_preferences_are_undecided(config: DpoConfig) -> None:
    rows = pairs(4)
    trainer, batch = make(config.model_copy(update={"nll": 0.0}), rows)
    torch.testing.assert_close(trainer.compute_loss(trainer.model, dict(batch)), torch.tensor(2.0).log(), rtol=1e-4, atol=1e-5)


def test_the_mask_that_reaches_the_loss_is_the_one_of_the_rows(config: DpoConfig) -> None:
    """And it matters: with observations counted, the same weights give another loss."""
    rows = pairs(4)
    trainer, batch = make(config, rows)
    shaken(trainer)
    masked = trainer.compute_loss(trainer.model, dict(batch))
    unmasked = dict(batch)
    unmasked["completion_mask"] = ((batch["attention_mask"] == 1) & (torch.arange(batch["input_ids"].shape[1]) >= 5)).long()
    assert not torch.isclose(masked, trainer.compute_loss(trainer.model, unmasked))
    for i, side in enumerate(["chosen"] * 4 + ["rejected"] * 4):
        row = rows[i % 4]
        start = len(row["prompt_ids"])
        end = start + len(row[f"{side}_mask"])
        assert batch["completion_mask"][i, start:end].tolist() == row[f"{side}_mask"]
        assert int(batch["completion_mask"][i].sum()) == sum(row[f"{side}_mask"])


def test_trailing_observations_change_nothing(config: DpoConfig) -> None:
    rows = pairs(4)
    longer = [{**row, "chosen_ids": [*row["chosen_ids"], 9, 9, 9], "chosen_mask": [*row["chosen_mask"], 0, 0, 0]} for row in rows]
    losses = []
    for variant in (rows, longer):
        trainer, batch = make(config, variant)
        losses.append(trainer.compute_loss(shaken(trainer), dict(batch)).item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_a_stage_prefers_the_chosen_and_is_recognised(config: DpoConfig) -> None:
    config = config.model_copy(update={"epochs": 10, "optimizer": config.optimizer.model_copy(update={"lr": 3e-3})})
    result = run_dpo(config)
    assert result.steps == 20
    meta = read_meta(config.checkpoint)
    assert (meta.policy_version, meta.stage, meta.profile) == (2, "dpo", "nano")
    before, after = load_checkpoint(config.model.checkpoint).model, load_checkpoint(config.checkpoint).model
    margins = [sum(sum(logprobs(model, row, "chosen")) - sum(logprobs(model, row, "rejected")) for row in pairs(8))
               for model in (before, after)]
    assert margins[1] > margins[0] + 1
    assert run_dpo(config).steps == 0


def test_pairs_that_do_not_fit_are_refused(config: DpoConfig) -> None:
    with pytest.raises(UserError, match="no pair fits"):
        run_dpo(config.model_copy(update={"max_length": 4}))
    rows = pairs(2)
    rows[1]["chosen_mask"] = [1]
    write_rows(config.data, rows, Card(kind="dpo", digest="", rows=2, tokens=0, trained_tokens=0, tokenizer=""))
    config.data.with_name(config.data.name + ".card.json").unlink()
    with pytest.raises(UserError, match="row 2"):
        run_dpo(config)


def test_settings_that_contradict_each_other(config: DpoConfig) -> None:
    body = config.model_dump()
    with pytest.raises(ValueError, match="starts from a checkpoint"):
        DpoConfig(**{**body, "model": {"tokenizer": "t"}})
    with pytest.raises(ValueError, match="loss: sigmoid"):
        DpoConfig(**{**body, "label_smoothing": 0.1, "loss": "ipo"})
