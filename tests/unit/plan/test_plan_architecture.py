"""Parameters are counted exactly, and shapes are found without a network."""

import json
from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from env.errors import UserError
from medcopilot.plan.architecture import KNOWN, Architecture, from_config, known, read_folder
from medcopilot.plan.recipe import architecture_of, read_recipe

ROOT = Path(__file__).resolve().parents[3]


def fields(arch: Architecture) -> dict[str, object]:
    """As transformers calls them."""
    return {"vocab_size": arch.vocabulary, "hidden_size": arch.hidden, "num_hidden_layers": arch.layers,
            "num_attention_heads": arch.heads, "num_key_value_heads": arch.key_heads, "head_dim": arch.head_size,
            "intermediate_size": arch.feed_forward, "max_position_embeddings": arch.context, "tie_word_embeddings": arch.tied}


@pytest.mark.parametrize("name", KNOWN)
def test_as_many_parameters_as_transformers_builds(name: str) -> None:
    arch = KNOWN[name]._replace(layers=2)  # layers are alike
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(arch.family, **fields(arch)))
    assert arch.parameters() == sum(p.numel() for p in model.parameters())
    assert arch.parameters(head=False) == sum(p.numel() for p in model.get_decoder().parameters())
    linear = [m for m in model.get_decoder().modules() if isinstance(m, torch.nn.Linear)]
    assert arch.linear == sum(m.in_features * m.out_features for m in linear)
    assert from_config({"model_type": arch.family, **fields(arch)}) == arch


@pytest.mark.parametrize(("name", "count"), [("Qwen2.5-7B", 7_615_616_512), ("Qwen2.5-14B", 14_770_033_664),
                                             ("Qwen3-8B", 8_190_735_360), ("Llama-3.1-8B", 8_030_261_248)])
def test_the_model_cards_count_the_same(name: str, count: int) -> None:
    assert KNOWN[name].parameters() == count


@pytest.mark.parametrize("targets", ["all-linear", ["q_proj", "v_proj"]])
def test_an_adapter_is_as_large_as_pefts(targets: str | list[str]) -> None:
    from peft import LoraConfig, get_peft_model

    arch = Architecture("qwen3", 24, 2, 4, 2, 8, 40, 64, False, 128, False)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model("qwen3", **fields(arch)))
    adapted = get_peft_model(model, LoraConfig(r=5, target_modules=targets, task_type="CAUSAL_LM"))
    assert arch.adapter(5, targets) == sum(p.numel() for p in adapted.parameters() if p.requires_grad)


@pytest.mark.parametrize(("name", "key"), [
    ("Qwen/Qwen2.5-7B-Instruct", "Qwen2.5-7B"), ("runs/qwen2.5-14b/checkpoints/x", "Qwen2.5-14B"),
    ("Qwen/Qwen2.5-Coder-7B-Instruct", "Qwen2.5-7B"), ("meta-llama/Llama-3.2-3B", "Llama-3.2-3B")])
def test_a_name_is_recognised(name: str, key: str) -> None:
    assert known(name) == KNOWN[key]


def test_a_checkpoint_of_an_earlier_stage_has_the_shape_of_what_that_stage_began_with(tmp_path: Path,
                                                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # no checkpoint of this machine's is looked at
    arch, name = architecture_of(read_recipe(ROOT / "recipes/qwen2.5-14b/verifier.yaml"))
    assert (arch, name) == (KNOWN["Qwen2.5-7B"], "Qwen/Qwen2.5-7B-Instruct")
    arch, name = architecture_of(read_recipe(ROOT / "recipes/qwen2.5-14b/dpo.yaml"))
    assert (arch, name) == (KNOWN["Qwen2.5-14B"], "Qwen/Qwen2.5-14B-Instruct")
    assert architecture_of(read_recipe(ROOT / "recipes/nano/grpo.yaml"))[0].parameters() == 2_166_720  # 2,048 entries


@pytest.mark.parametrize(("body", "said"), [({"model_type": "mixtral"}, "mixtral"),
                                            ({"model_type": "qwen2"}, "num_attention_heads"),
                                            ({"model_type": "qwen2", "use_sliding_window": True}, "sliding")])
def test_what_is_not_counted_is_refused(tmp_path: Path, body: dict[str, object], said: str) -> None:
    (tmp_path / "config.json").write_text(json.dumps(body))
    with pytest.raises(UserError, match=said):
        read_folder(tmp_path)
