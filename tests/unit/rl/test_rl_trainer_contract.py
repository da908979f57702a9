"""StreamGRPOTrainer against TRL 1.16: the loss is the hand-computed one, and observation tokens do not take part in it."""

import pytest
import torch
import trl
from hypothesis import given
from hypothesis import strategies as st
from tiny import VOCABULARY, tiny_model, tiny_tokenizer
from transformers import PreTrainedTokenizerFast, Qwen2ForCausalLM
from trl import GRPOConfig

from env.errors import UserError
from medcopilot.rl.batch import collate, per_episode, split_rows
from medcopilot.rl.experience import pad
from medcopilot.rl.grpo_loss import dapo_loss
from medcopilot.rl.rounds import Round, Row, rows_of
from medcopilot.rl.settings import RolloutSettings
from medcopilot.rl.source import LiveSource
from medcopilot.rl.stream import TrajectoryStream, judge
from medcopilot.rl.tasks import TaskSampler
from medcopilot.rl.trainer import StreamGRPOTrainer
from medcopilot.train import loop
from medcopilot.train.optim import OptimizerConfig

LOW, HIGH, CAP = 0.2, 0.28, 2.0


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return tiny_tokenizer()


def random_group(task_of, trace_of, settings, seed=0, failed=()):
    """Eight rollouts of different lengths, two turns each, with old logprobs near the model's."""
    generator = torch.Generator().manual_seed(seed)
    task = task_of(seed)
    traces = []
    for sample in range(8):
        first, seen, second = (int(torch.randint(1, 5, (), generator=generator)) for _ in range(3))
        mask = [0, 0, 0] + [1] * first + [0] * seen + [1] * second + [0] * (sample % 2)
        ids = torch.randint(2, VOCABULARY, (len(mask),), generator=generator).tolist()
        old = (torch.randn(len(mask), generator=generator) * 0.3 - 3.0).tolist()
        score = None if sample in failed else float(sample < 3)
        logprobs = [o * m for o, m in zip(old, mask, strict=True)]
        traces.append(trace_of(task, score, ids=ids, mask=mask, logprobs=logprobs, sample=sample))
    return judge(task, traces, settings, 8)


def make_trainer(tmp_path, tokenizer, player, tasks, sync=lambda: 0, micro=2, model=None, **changes):
    settings = RolloutSettings(groups=2, group_size=8)
    stream = TrajectoryStream(player, TaskSampler(tasks, seed=0), settings)
    options = {"loss_type": "dapo", "epsilon": LOW, "epsilon_high": HIGH, "delta": CAP, "beta": 0.0, "max_steps": 2,
               "logging_steps": 1, **changes}
    arguments = GRPOConfig(output_dir=str(tmp_path), use_cpu=True, bf16=False, report_to="none", num_generations=8,
                           per_device_train_batch_size=16 // micro, gradient_accumulation_steps=micro, steps_per_generation=micro,
                           gradient_checkpointing=False, disable_tqdm=True, save_strategy="no", max_grad_norm=0.0,
                           remove_unused_columns=False, **options)
    trainer = StreamGRPOTrainer(source=LiveSource(stream, sync), model=model or tiny_model(), args=arguments,
                                processing_class=tokenizer)
    trainer.stage_optimizer = OptimizerConfig(name="adamw", lr=1e-3, schedule="constant", warmup_steps=0)
    trainer.horizon = loop.Horizon(2, None)
    return trainer


def by_hand(model, groups, ratio_cap=CAP):
    """DAPO (arXiv 2503.14476, eq. 8): sum over sampled tokens of all rollouts, over their number; ratio trainer over engine."""
    losses, count = [], 0
    for group in groups:
        for trace, reward, advantage in zip(group.traces, group.rewards, group.advantages, strict=True):
            if reward is None:
                continue
            ids, mask = torch.tensor([trace.tokens.ids]), trace.tokens.mask
            logps = torch.log_softmax(model(ids).logits[0].float(), -1)
            for position in range(1, len(mask)):
                if mask[position]:
                    ratio = (logps[position - 1, ids[0, position]] - trace.tokens.logprobs[position]).exp()
                    clipped = ratio.clamp(1 - LOW, 1 + HIGH)
                    losses.append(-torch.minimum(ratio.clamp(max=ratio_cap) * advantage, clipped * advantage))
                    count += 1
    return torch.stack(losses).sum() / count


def whole_loss(trainer, parts):
    """The sum over micro-batches, as gradient accumulation adds them up."""
    trainer.current_gradient_accumulation_steps = trainer.args.steps_per_generation = len(parts)
    return sum(trainer._compute_loss(trainer.model, part) for part in parts)


def as_parts(groups, count=1):
    parts = [collate(rows, 0) for rows in split_rows(rows_of(groups), count)]
    total = sum((part["completion_mask"] * part["tool_mask"]).sum() for part in parts)
    return [{**part, "num_items_in_batch": total} for part in parts]


def test_the_version_that_this_contract_was_written_for() -> None:
    assert trl.__version__.startswith("1.16."), "read _prepare_inputs and _compute_loss again: they are private"


@pytest.mark.parametrize("failed", [(), (0, 5)])
@pytest.mark.parametrize("micro", [1, 2, 4])
@pytest.mark.parametrize("compact", [True, False])
def test_loss_and_gradient_equal_the_hand_computed_ones(tmp_path, tokenizer, task_of, trace_of, player_of, tasks, failed, micro,
                                                        compact) -> None:
    """`compact=False` is TRL's own head, the one that runs on accelerators."""
    trainer = make_trainer(tmp_path, tokenizer, player_of(lambda job: 0.0), tasks, micro=micro)
    trainer._compact = compact
    groups = [random_group(task_of, trace_of, trainer.source.stream.settings, seed, failed) for seed in (1, 2)]
    reference = tiny_model().train()
    expected = by_hand(reference, groups)
    loss = whole_loss(trainer, as_parts(groups, micro))
    assert loss.item() == pytest.approx(expected.item(), abs=1e-5)
    loss.backward()
    expected.backward()
    for (name, one), (_, other) in zip(trainer.model.named_parameters(), reference.named_parameters(), strict=True):
        assert torch.allclose(one.grad, other.grad, atol=1e-5), name


@pytest.mark.parametrize("kl", [0.0, 0.04])
def test_the_loss_without_trl_is_trls(tmp_path, tokenizer, task_of, trace_of, player_of, tasks, kl) -> None:
    trainer = make_trainer(tmp_path, tokenizer, player_of(lambda job: 0.0), tasks, micro=2)
    trainer.beta = kl
    groups = [random_group(task_of, trace_of, trainer.source.stream.settings, seed) for seed in (1, 2)]
    rows = rows_of(groups)
    total = sum(sum(row.mask) for row in rows)
    reference, ours = tiny_model(seed=5, scale=4.0), tiny_model().train()
    parts, found = as_parts(groups, 2), 0.0
    for part, padded in zip(parts, split_rows(rows, 2), strict=True):
        ids, mask, old = (pad([getattr(row, name) for row in padded]) for name in ("ids", "mask", "logprobs"))
        logprobs, start = (torch.nn.functional.pad(
            model(ids).logits[:, :-1].float().log_softmax(-1).gather(-1, ids[:, 1:, None])[..., 0], (1, 0)) * mask
            for model in (ours, reference))
        part["ref_per_token_logps"] = start[:, -part["completion_ids"].shape[1]:].detach()
        found = found + dapo_loss(logprobs, old, torch.tensor([row.advantage for row in padded]), mask, total, low=LOW, high=HIGH,
                                  cap=CAP, reference=start.detach(), kl=kl)
    expected = whole_loss(trainer, parts)
    assert found.item() == pytest.approx(expected.item(), abs=1e-5)
    found.backward()
    expected.backward()
    for (name, one), (_, other) in zip(ours.named_parameters(), trainer.model.named_parameters(), strict=True):
        assert torch.allclose(one.grad, other.grad, atol=1e-5), name


def test_episode_average_is_the_mean_over_rollouts_of_their_means(tmp_path, tokenizer, task_of, trace_of, player_of, tasks) -> None:
    trainer = make_trainer(tmp_path, tokenizer, player_of(lambda job: 0.0), tasks, micro=2)
    groups = [random_group(task_of, trace_of, trainer.source.stream.settings, seed, failed=(3,)) for seed in (1, 2)]
    reference = tiny_model().train()
    graded = [(trace, advantage) for group in groups
              for trace, reward, advantage in zip(group.traces, group.rewards, group.advantages, strict=True) if reward is not None]
    expected = []
    for trace, advantage in graded:
        logps = torch.log_softmax(reference(torch.tensor([trace.tokens.ids])).logits[0].float(), -1)
        wanted = [place for place in range(1, len(trace.tokens.mask)) if trace.tokens.mask[place]]
        ratio = torch.stack([(logps[place - 1, trace.tokens.ids[place]] - trace.tokens.logprobs[place]).exp() for place in wanted])
        expected.append(-torch.minimum(ratio.clamp(max=CAP) * advantage, ratio.clamp(1 - LOW, 1 + HIGH) * advantage).mean())
    parts = as_parts(groups, 2)
    for part in parts:
        lengths = (part["completion_mask"] * part["tool_mask"]).sum(1)
        part["advantages"] = per_episode(part["advantages"], lengths, part["num_items_in_batch"], torch.tensor(len(graded)))
    assert whole_loss(trainer, parts).item() == pytest.approx(torch.stack(expected).mean().item(), abs=1e-5)


@pytest.mark.parametrize(("found", "share"), [(1, 0.5), (2, 1.0), (3, 1.0)])
def test_a_round_with_fewer_groups_than_wanted_takes_a_smaller_step(tmp_path, tokenizer, task_of, trace_of, player_of, tasks,
                                                                     monkeypatch, found, share) -> None:
    trainer = make_trainer(tmp_path, tokenizer, player_of(lambda job: 0.0), tasks, micro=2)  # it wants two groups of 8
    trainer.episode_average = True
    groups = [random_group(task_of, trace_of, trainer.source.stream.settings, seed) for seed in range(found)]
    monkeypatch.setattr(trainer.source, "next", lambda step: Round(rows_of(groups), 16))
    parts = trainer._next_round()
    weighed = sum((part["advantages"] * (part["completion_mask"] * part["tool_mask"]).sum(1)).abs().sum() for part in parts)
    plain = sum(abs(advantage) for group in groups for advantage in group.advantages)
    assert (weighed / parts[0]["num_items_in_batch"]).item() == pytest.approx(share * plain / (8 * found), rel=1e-5)


@pytest.mark.parametrize("compact", [True, False])
def test_observation_tokens_do_not_influence_the_loss(tmp_path, tokenizer, task_of, trace_of, player_of, tasks, compact) -> None:
    """Their logprobs may be anything; their ids act only as context."""
    trainer = make_trainer(tmp_path, tokenizer, player_of(lambda job: 0.0), tasks, micro=1)
    trainer._compact = compact
    groups = [random_group(task_of, trace_of, trainer.source.stream.settings)]
    [batch] = as_parts(groups)
    loss = whole_loss(trainer, [batch])
    entropy = trainer._metrics["train"]["entropy"][-1]
    old = torch.where(batch["tool_mask"] == 1, batch["old_per_token_logps"], torch.tensor(-50.0))
    assert whole_loss(trainer, [{**batch, "old_per_token_logps": old}]).item() == pytest.approx(loss.item(), abs=1e-7)
    assert batch["num_items_in_batch"].item() == sum(sum(trace.tokens.mask) for trace in groups[0].traces)
    # an observation after the last action of every row changes neither loss nor entropy
    longer = {**batch, **{name: torch.nn.functional.pad(batch[name], (0, 3), value=value) for name, value in
                          {"completion_ids": 9, "completion_mask": 1, "tool_mask": 0, "old_per_token_logps": -1.0}.items()}}
    assert whole_loss(trainer, [longer]).item() == pytest.approx(loss.item(), abs=1e-6)
    assert trainer._metrics["train"]["entropy"][-1] == pytest.approx(entropy, abs=1e-6)


def test_more_micro_batches_than_rows_change_nothing(tmp_path, tokenizer, task_of, trace_of, player_of, tasks) -> None:
    trainer = make_trainer(tmp_path, tokenizer, player_of(lambda job: 0.0), tasks, micro=1)
    groups = [random_group(task_of, trace_of, trainer.source.stream.settings, failed=(2, 3, 4, 6))]
    plain = whole_loss(trainer, as_parts(groups)).item()
    for compact in (True, False):
        trainer._compact = compact
        parts = as_parts(groups, 6)
        assert len(parts) == 6
        loss = whole_loss(trainer, parts)
        assert loss.item() == pytest.approx(plain, abs=1e-6)
        loss.backward()


@given(st.lists(st.integers(2, 60), min_size=1, max_size=40), st.integers(1, 8))
def test_micro_batches_hold_every_row_once_and_pad_little(lengths, count) -> None:
    rows = [Row([n] * length, [0] + [1] * (length - 1), [0.0] * length, float(n)) for n, length in enumerate(lengths)]
    parts = split_rows(rows, count)
    assert len(parts) == count
    held = [row.advantage for part in parts for row in part if any(row.mask)]
    assert sorted(held) == [float(n) for n in range(len(rows))]
    sizes = [len(part) * max(len(row.ids) for row in part) for part in parts]
    even = [sorted(lengths)[i::count] for i in range(count)]
    assert max(sizes) <= max(len(part) * max(part) for part in even if part)


def test_rows_end_with_their_last_sampled_token_and_split_at_the_shortest_prompt(task_of, trace_of) -> None:
    task, settings = task_of(), RolloutSettings(group_size=8)
    short = trace_of(task, 1.0, ids=[2, 3, 4, 5, 6, 7], mask=[0, 0, 1, 0, 1, 0])
    long = trace_of(task, 0.0, ids=[2, 3, 8, 9, 10], mask=[0, 0, 0, 0, 1])
    batch = collate(rows_of([judge(task, [short, long], settings, 8)]), 0)
    assert batch["prompt_ids"].tolist() == [[2, 3], [2, 3]]
    assert batch["completion_ids"].tolist() == [[4, 5, 6], [8, 9, 10]]
    assert (batch["completion_mask"] * batch["tool_mask"]).tolist() == [[1, 0, 1], [0, 0, 1]]


def test_training_syncs_before_rollouts_and_moves_the_model(tmp_path, tokenizer, player_of, tasks) -> None:
    order = []
    player = player_of(lambda job: order.append("play") or float(job.sample % 2))
    trainer = make_trainer(tmp_path, tokenizer, player, tasks, sync=lambda: order.append("sync"))
    before = [parameter.detach().clone() for parameter in trainer.model.parameters()]
    trainer.train()
    assert [n for n, event in enumerate(order) if event == "sync"] == [0, 17]
    assert any(not torch.equal(old, new) for old, new in zip(before, trainer.model.parameters(), strict=True))
    logged = [row for row in trainer.state.log_history if "reward" in row]
    assert len(logged) == 2
    assert logged[0]["reward/outcome"] == pytest.approx(0.5)
    assert {"groups/zero_variance", "rollouts/infrastructure", "time/rollout", "entropy", "mismatch/mean", "mismatch/kl",
            "share/env", "reward/outcome"} <= set(logged[0])
    for row in logged:
        assert sum(row[f"time/{part}"] for part in ("wait", "sync", "update", "other")) == pytest.approx(row["time/step"])
        assert row["time/update"] > 0
        assert row["staleness"] == 0


def test_mismatch_is_the_distance_between_trainer_and_engine(tmp_path, tokenizer, task_of, trace_of, player_of, tasks) -> None:
    trainer = make_trainer(tmp_path, tokenizer, player_of(lambda job: 0.0), tasks, micro=1)
    [batch] = as_parts([random_group(task_of, trace_of, trainer.source.stream.settings)])
    whole_loss(trainer, [batch])
    exact = {**batch, "old_per_token_logps": trainer._last_logps + 0.25 * batch["tool_mask"]}
    trainer._metrics["train"].clear()
    whole_loss(trainer, [exact])
    assert trainer._metrics["train"]["mismatch/mean"][0] == pytest.approx(0.25, abs=1e-4)
    assert trainer._metrics["train"]["mismatch/max"][0] == pytest.approx(0.25, abs=1e-4)
    assert trainer._metrics["train"]["mismatch/kl"][0] == pytest.approx(2.718281828 ** -0.25 - 1 + 0.25, abs=1e-4)


def test_kl_against_the_start_adds_nothing_at_first(tmp_path, tokenizer, player_of, tasks) -> None:
    model = tiny_model()
    model.save_pretrained(tmp_path / "start")
    loaded = Qwen2ForCausalLM.from_pretrained(tmp_path / "start")
    trainer = make_trainer(tmp_path / "run", tokenizer, player_of(lambda job: float(job.sample % 2)), tasks, model=loaded, beta=0.1)
    trainer.train()
    kl = [row["kl"] for row in trainer.state.log_history if "kl" in row]
    assert kl[0] == pytest.approx(0.0, abs=1e-6)
    assert kl[1] > 0.0


@pytest.mark.parametrize("loss_type", ["grpo", "dr_grpo", "sapo", "luspo", "vespo", "cispo"])
def test_micro_batches_do_not_change_any_loss(tmp_path, tokenizer, task_of, trace_of, player_of, tasks, loss_type) -> None:
    """13 rollouts in 1 or 3 micro-batches; with losses that average over rows, the 2 copies that fill up weigh nothing."""
    changes = {"loss_type": loss_type, "importance_sampling_level": "sequence" if loss_type == "luspo" else "token"}
    groups = [random_group(task_of, trace_of, RolloutSettings(group_size=8), seed, failed=(0, 4, 5) if seed == 1 else ())
              for seed in (1, 2)]
    losses = []
    for micro in (1, 4):
        trainer = make_trainer(tmp_path, tokenizer, player_of(lambda job: 0.0), tasks, micro=micro, **changes)
        trainer.source.next = lambda step: Round(rows_of(groups), 16)
        parts = trainer._next_round()
        scale = sum(len(part["prompt_ids"]) for part in parts) / 13 if loss_type not in ("vespo", "cispo") else 1.0
        losses.append(whole_loss(trainer, parts).item() * scale)
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)


def test_the_grpo_loss_is_the_mean_over_rollouts_of_their_means(tmp_path, tokenizer, task_of, trace_of, player_of, tasks) -> None:
    """Shao et al. 2024, eq. 3, with the two-sided cap."""
    trainer = make_trainer(tmp_path, tokenizer, player_of(lambda job: 0.0), tasks, micro=2, loss_type="grpo")
    groups = [random_group(task_of, trace_of, RolloutSettings(group_size=8), seed) for seed in (1, 2)]
    trainer.source.next = lambda step: Round(rows_of(groups), 16)
    expected = []
    for one in rows_of(groups):
        logps = torch.log_softmax(tiny_model().train()(torch.tensor([one.ids])).logits[0].float(), -1)
        places = [place for place, sampled in enumerate(one.mask) if sampled]
        ratio = torch.stack([(logps[place - 1, one.ids[place]] - one.logprobs[place]).exp() for place in places])
        expected.append(-torch.minimum(ratio.clamp(max=CAP) * one.advantage, ratio.clamp(1 - LOW, 1 + HIGH) * one.advantage).mean())
    assert whole_loss(trainer, trainer._next_round()).item() == pytest.approx(torch.stack(expected).mean().item(), abs=1e-5)


@pytest.mark.parametrize("spoil", ["ratio", "nan"])
def test_a_step_that_must_not_be_taken_is_not(tmp_path, tokenizer, task_of, trace_of, player_of, tasks, spoil) -> None:
    """One spoilt rollout of 16 in the first round: weights move in the second step only."""
    group = [random_group(task_of, trace_of, RolloutSettings(group_size=8), seed) for seed in (1, 2)]
    good = rows_of(group)
    worst = [-40.0 if sampled else 0.0 for sampled in good[3].mask] if spoil == "ratio" else [float("nan")] * len(good[3].mask)
    bad = [*good[:3], good[3]._replace(logprobs=worst), *good[4:]]
    trainer = make_trainer(tmp_path, tokenizer, player_of(lambda job: 0.0), tasks, micro=4)
    before = [parameter.detach().clone() for parameter in trainer.model.parameters()]
    moved = []

    def next_round(step):
        moved.append(any(not torch.equal(old, new) for old, new in zip(before, trainer.model.parameters(), strict=True)))
        return Round(bad if step == 0 else good, 16)

    trainer.source.next = next_round
    trainer.train()
    assert moved == [False, False]
    assert any(not torch.equal(old, new) for old, new in zip(before, trainer.model.parameters(), strict=True))
    assert all(torch.isfinite(parameter).all() for parameter in trainer.model.parameters())
    assert trainer.guard.skipped == 1


def test_the_third_spoilt_step_ends_the_run(tmp_path, tokenizer, task_of, trace_of, player_of, tasks) -> None:
    rows = rows_of([random_group(task_of, trace_of, RolloutSettings(group_size=8), seed) for seed in (1, 2)])
    bad = [one._replace(logprobs=[-40.0] * len(one.mask)) for one in rows]
    trainer = make_trainer(tmp_path, tokenizer, player_of(lambda job: 0.0), tasks, micro=2, max_steps=9)
    trainer.source.next = lambda step: Round(bad, 16)
    with pytest.raises(UserError, match=r"step 3: 3 steps could not be taken.*importance ratio"):
        trainer.train()


def test_the_observation_ablation_trains_on_them(tmp_path, tokenizer, task_of, trace_of, player_of, tasks) -> None:
    """Every token after the first sampled one counts, with ratio 1 where the engine has no logprob."""
    trainer = make_trainer(tmp_path, tokenizer, player_of(lambda job: 0.0), tasks, micro=1)
    groups = [random_group(task_of, trace_of, RolloutSettings(group_size=8))]
    trainer.source.next = lambda step: Round(rows_of(groups), 8)
    [plain] = trainer._next_round()
    trainer.observations = True
    [batch] = trainer._next_round()
    expected = sum(len(one.mask) - one.mask.index(1) for one in rows_of(groups))
    assert batch["num_items_in_batch"].item() == expected > plain["num_items_in_batch"].item()
    sampled = (plain["tool_mask"] * plain["completion_mask"]).bool()
    assert torch.equal(batch["old_per_token_logps"][sampled], plain["old_per_token_logps"][sampled])
    whole_loss(trainer, [batch])
    added = (batch["tool_mask"] * batch["completion_mask"]).bool() & ~sampled
    assert torch.allclose(trainer._last_logps[added], batch["old_per_token_logps"][added], atol=1e-5)
