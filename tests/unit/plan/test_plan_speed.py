"""Seconds by hand."""

from pathlib import Path

import pytest

from medcopilot.plan.activations import Numbers
from medcopilot.plan.architecture import KNOWN
from medcopilot.plan.assumptions import ASSUMED, GPUS
from medcopilot.plan.estimate import Hardware, plan
from medcopilot.plan.lengths import Lengths
from medcopilot.plan.memory import Role
from medcopilot.plan.recipe import read_recipe
from medcopilot.plan.speed import decoding, generation, link, traffic, update_flops
from medcopilot.plan.workload import Engine, Rollouts, Work

SEVEN = KNOWN["Qwen2.5-7B"]
FULL = Role("policy", SEVEN, Numbers(2, True, "full", checkpointing=True))
LENGTHS = Lengths(0, 8000, 1.0, 0.25, 10, 1.0, 32_768, "assumed")
ENGINE = Engine("vllm", 0.9, 32_768, 128, 2)
RECIPES = Path(__file__).resolve().parents[3] / "recipes"


def test_eight_flops_for_each_weight_and_token_with_checkpointing_six_for_the_head() -> None:
    learnt, before = update_flops([FULL], Work(1000, 400, 0, 1))
    assert learnt == 8 * SEVEN.linear * 1000 + 6 * SEVEN.embedding * 400
    assert before == 0


def test_passes_before_an_update() -> None:
    critic, reference = FULL._replace(name="critic"), FULL._replace(name="reference", numbers=FULL.numbers._replace(trained="none"))
    work = Work(1000, 0, 0, 1)
    once = 2 * SEVEN.linear * 1000
    assert update_flops([FULL, reference], work._replace(evaluate=1))[1] == once  # GRPO
    assert update_flops([FULL, critic, reference], work._replace(evaluate=3))[1] == 3 * once  # PPO
    adapted = FULL._replace(numbers=FULL.numbers._replace(trained="lora", rank=1))
    with_adapter = update_flops([adapted], work._replace(evaluate=1))[1]  # the reference is the policy without its adapter
    assert with_adapter == pytest.approx(once, rel=1e-3)


def test_one_sequence_is_decoded_as_fast_as_weights_are_read() -> None:
    found = decoding(SEVEN, ENGINE, GPUS["h100"], 1, LENGTHS, 0.0, ASSUMED)
    cache = 2 * 28 * 4 * 128 * 2 * 4000
    assert found.sequences == 1
    assert found.step == pytest.approx((2 * 7_615_616_512 + cache) / (3.35e12 * 0.6) + 0.004)


def test_who_waits_is_not_decoded() -> None:
    busy, waiting = (decoding(SEVEN, ENGINE, GPUS["h100"], 64, LENGTHS, wait, ASSUMED) for wait in (0.0, 10.0))
    assert busy.sequences == pytest.approx(64)
    assert waiting.sequences < 32
    turn = 8000 * 0.25 / 10 * waiting.step
    assert waiting.sequences == pytest.approx(64 * turn / (turn + 10), rel=0.01)


def test_more_episodes_at_once_take_less_than_their_share() -> None:
    one, two = (generation(SEVEN, ENGINE, GPUS["h100"], Rollouts(count, 1, count, False), LENGTHS, ASSUMED, 0.5)
                for count in (16, 32))
    assert one < two < 2 * one


def test_bytes_over_the_links() -> None:
    n = 7_615_616_512
    assert traffic([FULL], "none", 1, 4) == 0
    assert traffic([FULL], "ZeRO-3", 8, 1) == pytest.approx(7 / 8 * 6 * n)  # gathered twice, reduced once
    assert traffic([FULL], "DDP", 8, 4) == pytest.approx(7 / 8 * 4 * n)
    assert link(GPUS["h100"], 16, ASSUMED) < link(GPUS["h100"], 8, ASSUMED)


def test_one_step_ahead_hides_the_shorter_of_the_two() -> None:
    path = RECIPES / "qwen2.5-7b" / "grpo.yaml"
    after, ahead = (plan(read_recipe(path, [f"rollouts.staleness={s}"]), Hardware("h100", 8, "zero3")).seconds for s in (0, 1))
    assert ahead.step == pytest.approx(max(after.update + after.evaluate, after.generate))
    assert after.step == pytest.approx(after.update + after.evaluate + after.generate)


def test_the_hours_of_dpo_hold_one_forward_pass_over_both_sides_of_every_pair() -> None:
    recipe = read_recipe(RECIPES / "qwen2.5-7b" / "dpo.yaml")
    found, short = (plan(read_recipe(recipe.path, changes), Hardware("h100", 8, "zero3"), rows=4000)
                    for changes in ((), ("max_steps=1",)))
    pairs = 2 * 4000 / 8
    mean = min(found.load.lengths.mean, 8192)
    flops = (2 * SEVEN.linear + 2 * SEVEN.embedding * found.load.lengths.scored) * pairs * mean
    flops += 4 * SEVEN.layers * SEVEN.queries * pairs * found.load.lengths.square(8192)
    gpu = GPUS["h100"]
    assert found.before == pytest.approx(flops / (gpu.flops * gpu.utilisation) / 3600)
    assert found.hours == pytest.approx(found.steps * found.seconds.step / 3600 + found.before)
    assert found.before > 0.2 * (found.hours - found.before)
    assert short.before == found.before  # of all pairs, however few are trained on
    assert "the hours count them" in " ".join(found.load.notes)
    clock = plan(read_recipe(recipe.path, ["max_seconds=36"]), Hardware("h100", 8, "zero3"), rows=4000)
    assert clock.hours == pytest.approx(0.01 + found.before)  # the clock begins with the first step
    assert plan(read_recipe(RECIPES / "qwen2.5-7b" / "sft.yaml"), Hardware("h100", 8, "zero3")).before == 0


def test_bare_bfloat16_weights_are_warned_of() -> None:
    recipe = read_recipe(RECIPES / "qwen2.5-7b" / "sft.yaml")
    bare, kept = (plan(recipe, Hardware("h200", 8, launch)).load.notes for launch in ("ddp", "zero3"))
    assert "rounded away" in " ".join(bare)
    assert kept == ()
