"""What autograd keeps is what the planner counts, operation by operation."""

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from medcopilot.plan.activations import Batch, Numbers, decoder
from medcopilot.plan.architecture import Architecture
from medcopilot.plan.measure import Saved, storage_bytes

ROWS, WIDTH, RANK = 2, 48, 4


def build(family: str, weights: int, lora: bool, checkpointing: bool) -> tuple[Architecture, torch.nn.Module]:
    arch = Architecture(family, 64, 3, 4, 2, 16, 96, 64, False, 128, family == "qwen2")  # type: ignore[arg-type]
    config = AutoConfig.for_model(family, vocab_size=64, hidden_size=64, num_hidden_layers=3, num_attention_heads=4,
                                  num_key_value_heads=2, head_dim=16, intermediate_size=96, tie_word_embeddings=False)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16 if weights == 2 else torch.float32)
    if checkpointing:
        model.gradient_checkpointing_enable()
    if lora:
        from peft import LoraConfig, get_peft_model

        get_peft_model(model, LoraConfig(r=RANK, target_modules="all-linear", task_type="CAUSAL_LM"))
        if checkpointing:
            model.enable_input_require_grads()
    return arch, model.train()


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("lora", [False, True])
@pytest.mark.parametrize(("weights", "autocast"), [(2, True), (4, True), (4, False)])
@pytest.mark.parametrize("family", ["qwen2", "qwen3", "llama"])
def test_saved_bytes(family: str, weights: int, autocast: bool, lora: bool, checkpointing: bool) -> None:
    arch, model = build(family, weights, lora, checkpointing)
    ids = torch.randint(0, 64, (ROWS, WIDTH))
    with Saved(model.parameters()) as saved, torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        states = model.get_decoder()(input_ids=ids, use_cache=False).last_hidden_state
    assert states.requires_grad
    numbers = Numbers(weights, autocast, "lora" if lora else "full", rank=RANK, checkpointing=checkpointing, cuda=False)
    found = decoder(arch, Batch(ROWS, WIDTH, 0), numbers)
    assert found["layers"] + found["outside"] == pytest.approx(saved.bytes, rel=0.05)


def test_a_storage_counts_once_and_weights_do_not() -> None:
    weight, x = torch.ones(8, 8, requires_grad=True), torch.ones(4, 8, requires_grad=True)
    with Saved([weight]) as saved:
        (x @ weight).square().sum()
    assert saved.bytes == 4 * 8 * 4 + 4 * 8 * 4  # x for the product, the product for its square
    assert storage_bytes([x, x[:2], x.view(-1)]) == 4 * 8 * 4
