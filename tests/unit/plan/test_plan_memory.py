"""Bytes of a GPU by hand."""

import pytest

from medcopilot.plan.activations import Batch, Numbers, layer, layer_workspace
from medcopilot.plan.architecture import KNOWN, Architecture
from medcopilot.plan.memory import Held, Role, held, parts, saved, working

TINY = Architecture("qwen2", 8, 1, 2, 1, 4, 16, 10, True, 64, True)
FULL = Numbers(2, True, "full")


def test_parameters_of_a_tiny_model_by_hand() -> None:
    # q 8x8+8, k and v 8x4+4 each, o 8x8, three matrices of 8x16; two norms; embedding 10x8 (tied); last norm
    assert TINY.parameters() == 72 + 2 * 36 + 64 + 3 * 128 + 16 + 80 + 8 == 696


@pytest.mark.parametrize(("wrapper", "world", "expected"), [
    ("none", 1, Held(2 * 696, 2 * 696, 4 * 696)), ("DDP", 8, Held(2 * 696, 2 * 696, 4 * 696)),
    ("ZeRO-2", 8, Held(2 * 696, 2 * 87, 12 * 87)), ("ZeRO-3", 8, Held(2 * 87, 2 * 87, 12 * 87)),
    ("FSDP2", 8, Held(4 * 87, 4 * 87, 8 * 87))])
def test_all_weights_trained(wrapper, world, expected) -> None:
    assert held(Role("policy", TINY, FULL), wrapper, world) == expected


@pytest.mark.parametrize(("wrapper", "world", "expected"), [
    ("none", 1, Held(2 * 696 + 4 * 128, 4 * 128, 8 * 128)), ("ZeRO-2", 4, Held(2 * (696 + 128), 2 * 32, 12 * 32)),
    ("ZeRO-3", 4, Held(2 * (174 + 32), 2 * 32, 12 * 32)), ("FSDP2", 4, Held(2 * 174 + 4 * 32, 4 * 32, 8 * 32))])
def test_an_adapter_of_rank_one(wrapper, world, expected) -> None:
    role = Role("policy", TINY, Numbers(2, True, "lora", rank=1))
    assert role.adapter == 16 + 12 + 12 + 16 + 24 + 24 + 24  # inputs + outputs of q, k, v, o, gate, up, down
    assert held(role, wrapper, world) == expected


def test_a_reference_is_whole_but_where_weights_are_in_parts() -> None:
    role = Role("reference", TINY, FULL._replace(trained="none"))
    assert [held(role, wrapper, 8).weights for wrapper in ("DDP", "ZeRO-2", "ZeRO-3", "FSDP2")] == [1392, 1392, 174, 174]


def test_optimisers_differ_in_their_states() -> None:
    states = {name: held(Role("policy", TINY, FULL, name), "none", 1).optimizer for name in ("adamw", "sgd", "muon")}
    matrices = TINY.linear
    assert states == {"adamw": 4 * 696, "sgd": 2 * 696, "muon": pytest.approx(4 * 696 - 2 * matrices)}


def test_a_layer_at_a_time_under_checkpointing() -> None:
    arch, batch = KNOWN["Qwen2.5-7B"], Batch(1, 4096, 1000)
    plain, kept = (Role("policy", arch, FULL._replace(checkpointing=on), batch=batch) for on in (False, True))
    once = layer(arch, batch, FULL)
    assert saved(plain) - saved(kept) == pytest.approx(28 * (once - 4096 * 3584 * 2), rel=0.01)
    assert layer_workspace(arch, batch, FULL) + once <= working(kept)


def test_the_moments_of_a_step_do_not_add_up() -> None:
    role = Role("policy", KNOWN["Qwen2.5-7B"], FULL, batch=Batch(1, 4096, 1000))
    found = parts([role], "none", 1)
    assert found.activations + found.working == max(saved(role) + working(role), 2 * 7_615_616_512)  # backward, or AdamW's divisors


def test_seven_billion_parameters_on_eight_gpus() -> None:
    found = parts([Role("policy", KNOWN["Qwen2.5-7B"], FULL)], "ZeRO-3", 8)
    assert found.weights + found.gradients + found.optimizer == 16 * 7_615_616_512 / 8  # ZeRO's 16 bytes per parameter
