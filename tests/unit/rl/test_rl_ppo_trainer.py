"""PPOTrainer: the loss is the hand-computed one, observations do not take part, the critic learns first, and it learns."""

import math
from itertools import pairwise
from types import SimpleNamespace

import pytest
import torch
from tiny import VOCABULARY, tiny_model, tiny_tokenizer
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy
from torch.distributed.tensor import DTensor
from transformers import PreTrainedTokenizerFast, Qwen2ForCausalLM, TrainingArguments

from env.errors import UserError
from medcopilot.rl.actor_critic import ActorCritic, Reference
from medcopilot.rl.experience import Credit, Experience, assign, deal, pad
from medcopilot.rl.gae import alone, gae
from medcopilot.rl.ppo_settings import PpoConfig
from medcopilot.rl.ppo_trainer import PPOTrainer
from medcopilot.rl.rounds import Round, Row
from medcopilot.train import loop, parallel


def tiny_pair(seed: int = 0, spread: float = 0.5) -> ActorCritic:
    """With a value head that says something."""
    pair = ActorCritic(tiny_model(seed), tiny_model(seed + 1), temperature=0.7)
    torch.manual_seed(seed)
    torch.nn.init.normal_(pair.value_head.weight, std=spread)
    return pair


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return tiny_tokenizer()


def random_rows(count: int, seed: int = 0) -> list[Row]:
    """Rollouts of two turns with an observation between, old logprobs in the region of the model's."""
    generator = torch.Generator().manual_seed(seed)
    rows = []
    for number in range(count):
        first, seen, second = (int(torch.randint(1, 5, (), generator=generator)) for _ in range(3))
        mask = [0, 0, 0] + [1] * first + [0] * seen + [1] * second
        ids = torch.randint(2, VOCABULARY, (len(mask),), generator=generator).tolist()
        old = (torch.randn(len(mask), generator=generator) * 0.3 - 3.0).tolist()
        rows.append(Row(ids, mask, [o * m for o, m in zip(old, mask, strict=True)], 0.0, float(number % 3 == 0), number))
    return rows


class Given:
    """A source of given rounds."""

    def __init__(self, *rounds) -> None:
        self.rounds = rounds
        self.count = 0

    def next(self, step: int) -> Round:
        rows = self.rounds[min(self.count, len(self.rounds) - 1)]
        self.count += 1
        return Round(rows(step) if callable(rows) else rows, 0, {"reward": 0.25})


def make_trainer(tmp_path, tokenizer, source, *, model=None, reference=None, steps=2, **changes):
    critic = {"warmup_steps": 0, "optimizer": {"name": "adamw", "lr": 1e-3, "schedule": "constant", "warmup_steps": 0}}
    plain = {"run": tmp_path, "model": {"checkpoint": "x"}, "max_steps": steps, "micro_batches": 2, "critic": critic,
             "optimizer": {"name": "adamw", "lr": 1e-3, "schedule": "constant", "warmup_steps": 0}}
    config = PpoConfig.model_validate({**plain, "loss": {"kl": 0.0}, **changes})
    arguments = TrainingArguments(output_dir=str(tmp_path), use_cpu=True, report_to="none", max_steps=steps, logging_steps=1,
                                  gradient_accumulation_steps=config.micro_batches, per_device_train_batch_size=1,
                                  save_strategy="no", disable_tqdm=True, max_grad_norm=0.0, remove_unused_columns=False)
    trainer = PPOTrainer(source=source, config=config, model=model or tiny_pair(), args=arguments, processing_class=tokenizer,
                         reference=reference)
    trainer.stage_optimizer, trainer.horizon = config.optimizer, loop.Horizon(steps, None)
    return trainer


def by_hand(pair, rows, config, kl=0.0, reference=None):
    """Every rollout alone, without padding: Schulman et al. 2017, eq. 7, and half the squared error of the critic."""
    policy, value, tokens, advantages = [], [], 0, []
    parts = []
    for row in rows:
        ids = torch.tensor([row.ids])
        logps = torch.log_softmax(pair.actor(ids).logits[0].float() / pair.temperature, -1)
        values = pair.value_head(pair.critic(ids).last_hidden_state)[0, :, 0]
        places = [place for place, sampled in enumerate(row.mask) if sampled]
        chosen = torch.stack([logps[place - 1, row.ids[place]] for place in places])
        estimates = torch.stack([values[place - 1] for place in places])
        rewards = torch.zeros(len(places))
        rewards[-1] = row.reward
        if reference is not None:
            start = torch.log_softmax(reference(ids).logits[0].float() / pair.temperature, -1)
            rewards -= kl * (chosen.detach() - torch.stack([start[place - 1, row.ids[place]] for place in places]))
        ones = torch.ones(1, len(places))
        advantage = gae(rewards[None], estimates.detach()[None], ones, config.gamma, config.lam)[0]
        target = gae(rewards[None], estimates.detach()[None], ones, config.gamma, config.value_lam)[0] + estimates.detach()
        advantages.append(advantage)
        parts.append((chosen, torch.tensor([row.logprobs[place] for place in places]), estimates, target))
    everything = torch.cat(advantages)
    for (chosen, old, estimates, target), advantage in zip(parts, advantages, strict=True):
        if config.whiten:
            advantage = (advantage - everything.mean()) / (everything.var(unbiased=False) + 1e-8).sqrt()
        ratio = (chosen - old).exp()
        clipped = ratio.clamp(1 - config.clip_low, 1 + config.clip_high)
        policy.append(-torch.minimum(ratio.clamp(max=config.ratio_cap) * advantage, clipped * advantage).sum())
        value.append(0.5 * ((estimates - target) ** 2).sum())
        tokens += len(chosen)
    return (torch.stack(policy).sum() + config.value_weight * torch.stack(value).sum()) / tokens


def first_loss(trainer):
    """The loss of the first optimiser step as accumulation adds it up, with its gradients."""
    trainer.current_gradient_accumulation_steps = count = trainer.config.micro_batches
    loss = sum(trainer.compute_loss(trainer.model, trainer._prepare_inputs({})) / count for _ in range(count))
    loss.backward()
    return loss


@pytest.mark.parametrize("micro", [1, 2, 4])
@pytest.mark.parametrize("lam", [1.0, 0.6])
def test_loss_and_gradient_equal_the_hand_computed_ones(tmp_path, tokenizer, micro, lam) -> None:
    rows = random_rows(7)
    trainer = make_trainer(tmp_path, tokenizer, Given(rows), micro_batches=micro, loss={"kl": 0.0, "lam": lam, "gamma": 0.9})
    expected = by_hand(reference := tiny_pair(), rows, trainer.config.loss)
    loss = first_loss(trainer)
    assert loss.item() == pytest.approx(expected.item(), abs=1e-5)
    expected.backward()
    for (name, one), (_, other) in zip(trainer.model.named_parameters(), reference.named_parameters(), strict=True):
        assert torch.allclose(one.grad, other.grad, atol=1e-5), name


def test_the_penalty_is_in_every_sampled_tokens_reward(tmp_path, tokenizer) -> None:
    rows, start = random_rows(5), tiny_model(9)
    trainer = make_trainer(tmp_path, tokenizer, Given(rows), loss={"kl": 0.3, "whiten": False}, reference=Reference(start, 0.7))
    expected = by_hand(tiny_pair(), rows, trainer.config.loss, 0.3, tiny_model(9))
    assert first_loss(trainer).item() == pytest.approx(expected.item(), abs=1e-5)
    assert trainer._metrics["kl/start"][0] > 0


def test_observation_logprobs_and_values_play_no_part(tmp_path, tokenizer) -> None:
    rows = random_rows(6)
    noisy = [row._replace(logprobs=[-50.0 if not sampled else old for old, sampled in zip(row.logprobs, row.mask, strict=True)])
             for row in rows]
    losses = [first_loss(make_trainer(tmp_path, tokenizer, Given(given))).item() for given in (rows, noisy)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-7)


def test_rollouts_without_loss_change_nothing(tmp_path, tokenizer) -> None:
    rows = random_rows(6)
    more = [*rows, rows[0]._replace(mask=[0] * len(rows[0].ids), reward=0.0)]
    losses = [first_loss(make_trainer(tmp_path, tokenizer, Given(given), micro_batches=micro)).item()
              for given, micro in ((rows, 2), (more, 2), (rows, 8))]
    assert losses == pytest.approx([losses[0]] * 3, abs=1e-6)


def test_values_stand_before_their_token_and_gradients_stay_apart() -> None:
    pair = tiny_pair()
    ids = torch.randint(2, VOCABULARY, (2, 8), generator=torch.Generator().manual_seed(3))
    mask = torch.tensor([[0, 0, 1, 1, 0, 0, 1, 0], [0, 0, 0, 1, 1, 1, 1, 1]])
    logprob, entropy, value = pair(ids, mask)
    assert (logprob[mask == 0] == 0).all()
    other = ids.clone()
    other[0, 6] = (other[0, 6] - 1) % (VOCABULARY - 2) + 2
    assert pair(other, mask)[2][0].tolist() == pytest.approx(value[0].tolist())  # the last sampled token is not known to its value
    exact = torch.log_softmax(pair.actor(ids).logits.float() / 0.7, -1)
    assert entropy[0, 2].item() == pytest.approx(-(exact[0, 1].exp() * exact[0, 1]).sum().item(), rel=1e-4)
    logprob.sum().backward()
    assert all(parameter.grad is None for parameter in [*pair.critic.parameters(), *pair.value_head.parameters()])
    value = pair(ids, mask)[2]
    before = [parameter.grad.clone() for parameter in pair.actor.parameters()]
    value.sum().backward()
    assert all(torch.equal(old, parameter.grad) for old, parameter in zip(before, pair.actor.parameters(), strict=True))
    blank = pair(ids, torch.zeros_like(mask))
    pair.zero_grad()
    sum(part.sum() for part in (blank[0], blank[2])).backward()
    assert all(parameter.grad is not None and not parameter.grad.any() for parameter in pair.parameters())


def test_while_the_critic_warms_up_the_policy_stays(tmp_path, tokenizer) -> None:
    critic = {"warmup_steps": 3, "optimizer": {"name": "adamw", "lr": 1e-3, "schedule": "constant", "warmup_steps": 0}}
    pair = tiny_pair()
    actors, critics = [], []

    def rows(step):
        actors.append(torch.cat([p.detach().flatten() for p in pair.actor.parameters()]))
        critics.append(torch.cat([p.detach().flatten() for p in pair.critic.parameters()]))
        return random_rows(6, step)

    trainer = make_trainer(tmp_path, tokenizer, Given(rows), model=pair, critic=critic, steps=6,
                           optimizer={"name": "sgd", "lr": 0.1, "schedule": "constant", "warmup_steps": 0})
    trainer.train()
    assert [torch.equal(one, other) for one, other in pairwise(actors)] == [True, True, True, False, False]
    assert not any(torch.equal(one, other) for one, other in pairwise(critics))


@pytest.mark.parametrize(("stop", "rounds"), [(None, 2), (1e-9, 6)])
def test_a_round_is_left_when_the_policy_has_moved_too_far(tmp_path, tokenizer, stop, rounds) -> None:
    """Six steps: two rounds of three passes, or six of which only the first pass is taken."""
    source = Given(random_rows(6))
    trainer = make_trainer(tmp_path, tokenizer, source, steps=6, loss={"kl": 0.0, "epochs": 3, "stop_kl": stop})
    trainer.train()
    assert source.count == rounds


def test_every_epoch_deals_every_rollout_once() -> None:
    experiences = [Experience(row) for row in random_rows(11)]
    assign_zero(experiences)
    dealt = deal(experiences, 3, 2, (1, 2))
    assert [len(minibatch) for minibatch in dealt] == [2, 2, 2]
    held = [one for minibatch in dealt for part in minibatch for one in part if any(one.row.mask)]
    assert sorted(id(one) for one in held) == sorted(id(one) for one in experiences)
    assert [[id(one) for one in part] for minibatch in deal(experiences, 3, 2, (1, 3)) for part in minibatch] != [
        [id(one) for one in part] for minibatch in dealt for part in minibatch]
    lonely = deal(experiences[:1], 3, 2, (1,))
    assert [sum(any(one.row.mask) for part in minibatch for one in part) for minibatch in lonely] == [1, 0, 0]


def assign_zero(experiences) -> None:
    for one in experiences:
        one.values = one.trainer = torch.zeros(len(one.row.ids))
    assign(experiences, Credit(1.0, 1.0, 1.0, False, 0.0), alone)


def test_assigned_returns_are_the_outcomes() -> None:
    rows = random_rows(5)
    experiences = [Experience(row, values=torch.full((len(row.ids),), 0.5) * torch.tensor(row.mask)) for row in rows]
    metrics = assign(experiences, Credit(1.0, 0.5, 1.0, True, 0.0), alone)
    for one in experiences:
        assert one.returns.tolist() == pytest.approx([one.row.reward * m for m in one.row.mask])
    assert metrics["value/mean"] == pytest.approx(0.5)
    assert pad([one.advantages for one in experiences])[pad([one.row.mask for one in experiences]).bool()].mean().item() == (
        pytest.approx(0.0, abs=1e-6))


def bandit(pair, good: dict[int, int], count: int, seed: int):
    """One sampled token after each prompt; the prompt's own token is rewarded."""

    def rows(step):
        generator = torch.Generator().manual_seed(1000 * seed + step)
        prompts = list(good) * (count // len(good))
        with torch.no_grad():
            ids = torch.tensor([[5, prompt] for prompt in prompts])
            logps = torch.log_softmax(pair.actor(ids).logits[:, -1].float() / pair.temperature, -1)
            tokens = torch.multinomial(logps.exp(), 1, generator=generator)[:, 0].tolist()
        return [Row([5, prompt, token], [0, 0, 1], [0.0, 0.0, logps[n, token].item()], 0.0, float(token == good[prompt]), n)
                for n, (prompt, token) in enumerate(zip(prompts, tokens, strict=True))]

    return rows


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_it_learns_what_is_rewarded_and_the_critic_which_prompts_are(tmp_path, tokenizer, seed) -> None:
    """Two prompts have a rewarded token, two have none: success goes from chance to most, and the critic tells them apart."""
    pair = ActorCritic(tiny_model(seed, scale=1.0), tiny_model(seed + 1, scale=8.0))
    good = {7: 3, 8: 12, 9: -1, 10: -1}
    fast = {"name": "adamw", "lr": 1e-2, "schedule": "constant", "warmup_steps": 0}
    trainer = make_trainer(tmp_path, tokenizer, Given(bandit(pair, good, 64, seed)), model=pair, steps=80, optimizer=fast,
                           loss={"kl": 0.0, "epochs": 2})
    trainer.train()
    with torch.no_grad():
        logits = pair.actor(torch.tensor([[5, prompt] for prompt in good])).logits[:, -1]
    probability = logits.softmax(-1)[[0, 1], [3, 12]]
    assert probability.min() > 0.8, probability
    explained = [row["value/explained_variance"] for row in trainer.state.log_history if "value/explained_variance" in row]
    assert max(explained[-20:]) > 0.5


def test_metrics_say_what_happened(tmp_path, tokenizer) -> None:
    trainer = make_trainer(tmp_path, tokenizer, Given(random_rows(6)), loss={"kl": 0.1, "minibatches": 2}, steps=4,
                           reference=Reference(tiny_model(), 0.7))
    trainer.train()
    row = [row for row in trainer.state.log_history if "loss" in row][-1]
    assert {"policy/loss", "value/loss", "entropy", "policy/clipped", "skipped"} <= set(row)
    everything = {name for row in trainer.state.log_history for name in row}
    assert {"value/explained_variance", "kl/start", "kl/round", "kl/weight", "mismatch/mean", "time/evaluate", "time/update",
            "reward"} <= everything
    assert row["loss"] == pytest.approx(row["policy/loss"] + 0.5 * row["value/loss"], rel=1e-3)


def test_a_spoilt_step_is_not_taken(tmp_path, tokenizer) -> None:
    good = random_rows(6)
    bad = [good[0]._replace(reward=math.nan), *good[1:]]
    pair = tiny_pair()
    before = [parameter.detach().clone() for parameter in pair.parameters()]
    moved = []

    def rows(step):
        moved.append(any(not torch.equal(old, new) for old, new in zip(before, pair.parameters(), strict=True)))
        return bad if step == 0 else good

    trainer = make_trainer(tmp_path, tokenizer, Given(rows), model=pair, steps=3)
    trainer.train()
    assert moved == [False, False, True]
    assert all(torch.isfinite(parameter).all() for parameter in pair.parameters())
    with pytest.raises(UserError, match=r"3 steps could not be taken.*not finite"):
        make_trainer(tmp_path, tokenizer, Given(bad), steps=9).train()


def test_the_final_checkpoint_is_the_policy_and_a_state_is_both(tmp_path, tokenizer) -> None:
    trainer = make_trainer(tmp_path, tokenizer, Given(random_rows(6)))
    trainer.train()
    trainer.save_model(str(tmp_path / "final"))
    loaded = Qwen2ForCausalLM.from_pretrained(tmp_path / "final")
    for one, other in zip(loaded.parameters(), trainer.model.actor.parameters(), strict=True):
        assert torch.equal(one, other)
    trainer.save_model(str(tmp_path / "state"), _internal_call=True)
    fresh = make_trainer(tmp_path, tokenizer, Given(random_rows(6)), model=tiny_pair(5))
    fresh._load_from_checkpoint(str(tmp_path / "state"))
    for one, other in zip(fresh.model.parameters(), trainer.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_reference_is_sharded_layer_by_layer(tmp_path) -> None:
    """One process, as FSDP2 takes it: a single unit would gather all weights at once. Logprobs stay float32."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        plugin = SimpleNamespace(fsdp_version=2, reshard_after_forward=True, cpu_offload=None, ignored_modules=None,
                                 mixed_precision_policy=MixedPrecisionPolicy(torch.bfloat16, torch.bfloat16, torch.bfloat16))
        accelerator = SimpleNamespace(state=SimpleNamespace(fsdp_plugin=plugin), device=torch.device("cpu"))
        parallel.keep_precision(SimpleNamespace(accelerator=accelerator))
        ids = torch.randint(3, VOCABULARY, (2, 9))
        mask = torch.ones_like(ids)
        mask[:, 0] = 0
        plain = Reference(tiny_model())(ids, mask)
        reference = parallel.shard_frozen(Reference(tiny_model()), accelerator)
        layers = reference.model.model.layers
        assert all(isinstance(module, FSDPModule) for module in (reference, *layers))
        found = reference(ids, mask)
        assert found.dtype == torch.float32
        assert (found != found.bfloat16()).any()
        assert (found - plain).abs().mean() < 0.5
        for module in (reference, *layers):
            assert all(isinstance(p, DTensor) for p in module.parameters())  # nothing stays gathered
    finally:
        torch.distributed.destroy_process_group()
