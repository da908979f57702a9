"""LoRA in the online stages: what engines are given, what the reference is, what training moves, what a state holds."""

from __future__ import annotations

import asyncio
import copy
from types import SimpleNamespace

import pytest
import torch
from pydantic import ValidationError
from tiny import VOCABULARY, tiny_model, tiny_tokenizer
from transformers import TrainingArguments
from trl import GRPOConfig

from env.errors import EngineError, UserError
from medcopilot.policies.base import Sampling
from medcopilot.policies.sync_probe import trained_scores
from medcopilot.policies.transformers_engine import TransformersPolicy
from medcopilot.rl import live as live_module
from medcopilot.rl.actor_critic import ActorCritic
from medcopilot.rl.grpo import GrpoConfig
from medcopilot.rl.live import LivePolicy
from medcopilot.rl.ppo_settings import PpoConfig
from medcopilot.rl.ppo_trainer import PPOTrainer
from medcopilot.rl.rounds import Round, Row
from medcopilot.rl.trainer import StreamGRPOTrainer
from medcopilot.train import loop
from medcopilot.train.adapter_switch import switched_off
from medcopilot.train.adapters import adapted, merge
from medcopilot.train.launch import Launch
from medcopilot.train.optim import OptimizerConfig
from medcopilot.train.settings import LoraSettings

LORA = LoraSettings(rank=4, alpha=8)
ROWS = [[3, 4, 5, 6, 7, 8], [9, 10, 11, 12, 13, 14]]


def with_adapter(seed: int = 0, spread: float = 0.3):
    """A tiny model with an adapter that says something."""
    model = adapted(tiny_model(seed), LORA)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "lora_" in name:
                p.normal_(0, spread, generator=generator)
    return model


def parent_weights(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items() if "lora_" not in name}


def config_of(kind=GrpoConfig, **changes):
    return kind.model_validate({"run": "runs/x", "model": {"checkpoint": "start", "lora": LORA.model_dump()}, "max_steps": 2,
                                **changes})


def live_of(model, **changes):
    return LivePolicy(model, config_of(**changes), SimpleNamespace(prompt=lambda messages: ROWS[0]))


def rollouts(count: int = 16, seed: int = 0) -> list[Row]:
    generator = torch.Generator().manual_seed(seed)
    rows = []
    for number in range(count):
        length = int(torch.randint(3, 8, (), generator=generator))
        mask = [0, 0, *[1] * length]
        ids = torch.randint(2, VOCABULARY, (len(mask),), generator=generator).tolist()
        rows.append(Row(ids, mask, [-3.0 * on for on in mask], 1.0 if number % 2 else -1.0, float(number % 2), number // 8))
    return rows


class Given:
    """A source of one round, again and again."""

    episodes = 0

    def next(self, step: int) -> Round:
        return Round(rollouts(), 16)


def grpo_trainer(folder, model, *, beta=0.0, steps=2, **options):
    arguments = GRPOConfig(output_dir=str(folder), use_cpu=True, bf16=False, report_to="none", num_generations=8, max_steps=steps,
                           per_device_train_batch_size=8, gradient_accumulation_steps=2, steps_per_generation=2, beta=beta,
                           gradient_checkpointing=False, disable_tqdm=True, max_grad_norm=0.0, logging_steps=1,
                           remove_unused_columns=False, **{"save_strategy": "no", **options})
    trainer = StreamGRPOTrainer(source=Given(), model=model, args=arguments, processing_class=tiny_tokenizer())
    trainer.stage_optimizer = OptimizerConfig(name="adamw", lr=1e-2, schedule="constant", warmup_steps=0)
    trainer.horizon = loop.Horizon(steps, None)
    return trainer


def ppo_trainer(folder, actor, *, critic_lora=None, kl=0.1, steps=2, **options):
    rate = {"name": "adamw", "lr": 1e-2, "schedule": "constant", "warmup_steps": 0}
    config = config_of(PpoConfig, micro_batches=2, loss={"kl": kl}, optimizer=rate,
                       critic={"warmup_steps": 0, "optimizer": rate, "lora": critic_lora and critic_lora.model_dump()})
    arguments = TrainingArguments(output_dir=str(folder), use_cpu=True, report_to="none", max_steps=steps, logging_steps=1,
                                  gradient_accumulation_steps=2, per_device_train_batch_size=1, disable_tqdm=True,
                                  max_grad_norm=0.0, remove_unused_columns=False, **{"save_strategy": "no", **options})
    critic = tiny_model(5)
    pair = ActorCritic(actor, critic)
    if critic_lora is not None:
        adapted(critic, critic_lora, "critic.lora")
    trainer = PPOTrainer(source=Given(), config=config, model=pair, args=arguments, processing_class=tiny_tokenizer())
    trainer.stage_optimizer, trainer.horizon = config.optimizer, loop.Horizon(steps, None)
    return trainer


def test_merged_weights_are_those_of_peft() -> None:
    model = with_adapter()
    ours = merge(model.get_base_model().state_dict(), model.get_base_model())
    before = parent_weights(model)
    assert all(torch.equal(tensor, before[name]) for name, tensor in parent_weights(model).items())
    theirs = copy.deepcopy(model).merge_and_unload().state_dict()
    assert ours.keys() == theirs.keys()
    for name, tensor in theirs.items():
        torch.testing.assert_close(ours[name], tensor)


def test_an_adapter_that_is_switched_off_is_the_parent_to_the_bit() -> None:
    model = with_adapter()
    trained = trained_scores(model, ROWS)
    flags = [p.requires_grad for p in model.parameters()]
    with switched_off(model):
        assert trained_scores(model, ROWS) == trained_scores(tiny_model(), ROWS)
        assert [p.requires_grad for p in model.parameters()] == flags
    assert trained_scores(model, ROWS) == trained != trained_scores(tiny_model(), ROWS)


def test_engines_get_a_merged_copy_when_it_is_refreshed_and_not_before() -> None:
    model = with_adapter()
    live = live_of(model)
    before = parent_weights(model)

    def gap():
        return (torch.tensor(trained_scores(live.model, ROWS)) - torch.tensor(trained_scores(model, ROWS))).abs().max().item()

    assert live.model is not model
    assert gap() < 1e-5
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "lora_B" in name:
                p.add_(0.5)
    assert gap() > 0.01
    live.refresh()
    assert gap() < 1e-5
    assert live.metrics()["sync/probe_max"] < 1e-5
    assert all(torch.equal(tensor, before[name]) for name, tensor in parent_weights(model).items())
    own, parent = live.model.get_input_embeddings().weight, model.get_input_embeddings().weight
    assert own.data_ptr() == parent.data_ptr()  # what has no adapter is not copied
    assert live.model.get_output_embeddings().weight is own
    assert not any(p.requires_grad for p in live.model.parameters())


@pytest.mark.parametrize("lora", [True, False])
def test_a_copy_is_brought_up_to_date_in_place(monkeypatch, lora) -> None:
    """Of a sharded policy, too: a new copy beside the old one would take twice the memory on every rank."""
    monkeypatch.setattr(live_module, "read_launch", lambda: Launch(1, 0, 1, "FSDP2"))
    model = with_adapter() if lora else tiny_model()
    config = config_of(**({} if lora else {"model": {"checkpoint": "start"}}))
    live = LivePolicy(model, config, SimpleNamespace(prompt=lambda messages: ROWS[0]))
    held = {name: tensor.data_ptr() for name, tensor in live.model.state_dict().items()}
    before = trained_scores(live.model, ROWS)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(torch.randn(p.shape, generator=torch.Generator().manual_seed(1)) * 0.2)
    live.refresh()
    assert {name: tensor.data_ptr() for name, tensor in live.model.state_dict().items()} == held
    for now, wanted, old in zip(trained_scores(live.model, ROWS), trained_scores(model, ROWS), before, strict=True):
        assert now == pytest.approx(wanted, abs=1e-4)
        assert now != pytest.approx(old, abs=1e-2)
    assert live.model.get_output_embeddings().weight is live.model.get_input_embeddings().weight


def test_a_copy_that_does_not_compute_what_the_trainer_does_is_not_served(monkeypatch) -> None:
    live = live_of(with_adapter())
    monkeypatch.setattr(live, "_fill", lambda: live.model.model.layers[0].mlp.up_proj.weight.mul_(3.0))
    with pytest.raises(EngineError, match=r"off by .* \(limit 0\.01\)"):
        live.refresh()


@pytest.mark.parametrize("engine", ["slots", "generate"])
def test_an_engine_in_this_process_samples_with_the_trainers_logprobs(engine) -> None:
    model = with_adapter()
    model.set_attn_implementation("sdpa")  # our own serves training only
    live = live_of(model)
    policy = TransformersPolicy(live.model, tiny_tokenizer(), None, engine=engine, slots=4)
    try:
        with torch.no_grad():
            for name, p in model.named_parameters():
                if "lora_B" in name:
                    p.add_(0.2)
        live.refresh()
        policy.update()
        sampled = asyncio.run(policy.session(None).act(ROWS[0], Sampling(max_tokens=8, seed=3)))
    finally:
        policy.close()
    scores = trained_scores(model, [ROWS[0] + sampled.ids])[0][len(ROWS[0]) - 1:]
    assert sampled.logprobs == pytest.approx(scores, abs=1e-4)
    assert sampled.policy_version == 1


@pytest.mark.parametrize("compact", [True, False])
def test_the_reference_of_grpo_is_the_policy_without_its_adapter(tmp_path, compact) -> None:
    trainer = grpo_trainer(tmp_path, with_adapter(), beta=0.1)
    trainer._compact = compact
    plain = grpo_trainer(tmp_path, tiny_model())
    plain._compact = compact
    assert trainer.ref_model is None
    assert list(trainer.model.peft_config) == ["default"]
    batch = trainer._next_round()[0]
    expected = plain._score_frozen(plain.model, batch)
    wanted = (batch["completion_mask"] * batch["tool_mask"]).bool()
    torch.testing.assert_close(batch["ref_per_token_logps"][wanted], expected[wanted], rtol=0, atol=1e-5)
    own = trainer._score_frozen(trainer.model, batch)[wanted]
    assert (own - expected[wanted]).abs().max() > 0.01


def test_the_penalty_of_ppo_is_against_the_actor_without_its_adapter(tmp_path) -> None:
    trainer = ppo_trainer(tmp_path, with_adapter())
    assert trainer.reference is None
    for one in trainer._evaluate(rollouts()):
        ids, sampled = one.row.ids, torch.tensor(one.row.mask).bool()
        expected = torch.tensor([0.0, *trained_scores(tiny_model(), [ids])[0]])
        torch.testing.assert_close(one.start[sampled], expected[sampled], rtol=0, atol=1e-5)
        assert (one.trainer - one.start)[sampled].abs().max() > 1e-4
    assert all(value == 0.0 for one in trainer._evaluate(rollouts()) for value in one.start[~torch.tensor(one.row.mask).bool()])


def changes(before, after):
    return {name for name in before if not torch.equal(before[name], after[name])}


def test_grpo_moves_the_adapter_alone(tmp_path) -> None:
    model = adapted(tiny_model(), LORA)
    before = copy.deepcopy(model.state_dict())
    grpo_trainer(tmp_path, model, beta=0.05).train()
    moved = changes(before, model.state_dict())
    assert moved
    assert all(".lora_" in name for name in moved)


@pytest.mark.parametrize("critic_lora", [None, LORA])
def test_ppo_moves_the_adapter_and_the_critic(tmp_path, critic_lora) -> None:
    model = adapted(tiny_model(), LORA)
    trainer = ppo_trainer(tmp_path, model, critic_lora=critic_lora)
    before = copy.deepcopy(trainer.model.state_dict())
    trainer.train()
    moved = changes(before, trainer.model.state_dict())
    actor, critic = ({name for name in moved if name.startswith(part)} for part in ("actor.", "critic."))
    assert actor
    assert all(".lora_" in name for name in actor)
    assert critic
    assert all(".lora_" in name for name in critic) == (critic_lora is not None)
    assert "value_head.weight" in moved


@pytest.mark.parametrize("kind", ["grpo", "ppo", "ppo with a LoRA critic"])
def test_a_state_holds_what_was_trained_and_a_resumed_run_goes_on_alike(tmp_path, kind) -> None:
    def make(folder, **options):
        torch.manual_seed(0)
        model = adapted(tiny_model(), LORA)
        if kind == "grpo":
            return grpo_trainer(folder, model, steps=4, **options)
        return ppo_trainer(folder, model, critic_lora=LORA if "critic" in kind else None, steps=4, **options)

    whole = make(tmp_path / "whole", save_strategy="steps", save_steps=2)
    whole.train()
    state = tmp_path / "whole" / "checkpoint-2"
    names = {path.name for path in state.iterdir()}
    if kind == "grpo":
        assert "adapter_model.safetensors" in names
        assert "model.safetensors" not in names
    else:
        held = torch.load(state / "pytorch_model.bin", weights_only=True)
        assert all(".lora_" in name for name in held if name.startswith("actor."))
        assert "value_head.weight" in held
        assert all(".lora_" in name for name in held if name.startswith("critic.")) == ("critic" in kind)
    resumed = make(tmp_path / "resumed")
    resumed.train(resume_from_checkpoint=str(state))
    for (name, one), (_, other) in zip(whole.model.state_dict().items(), resumed.model.state_dict().items(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-7, msg=name)


@pytest.mark.parametrize(("changes", "words"), [
    ({"model": {"checkpoint": "x", "lora": {"dropout": 0.1}}}, "sampled without dropout"),
    ({"model": {"checkpoint": "x", "lora": {"quantize": "nf4"}}}, "whole weights"),
    ({"model": {"checkpoint": "x"}, "engine": {"kind": "vllm_server", "servers": {"urls": ["http://h:1"], "sync": "lora"}}},
     "set model.lora")])
def test_what_lora_cannot_do_online_is_refused_when_the_file_is_read(changes, words) -> None:
    with pytest.raises(ValidationError, match=words):
        config_of(**changes)


def test_a_critic_with_dropout_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"critic\.lora\.dropout"):
        config_of(PpoConfig, critic={"lora": {"dropout": 0.1}})


def test_adapters_of_embeddings_are_refused() -> None:
    with pytest.raises(UserError, match=r"model\.lora\.targets"):
        adapted(tiny_model(), LoraSettings(rank=2, targets=["embed_tokens"]))
