"""A staged folder under vLLM: it loads, and its logprobs are those of the model as it was trained, with its adapter merged."""

from __future__ import annotations

import pytest
import torch
from launches import SHAPE

from env.errors import UserError
from medcopilot.publish import verify
from medcopilot.publish.model_folder import ModelOptions, stage_model
from medcopilot.train.model import CheckpointMeta, NanoShape, load_checkpoint, new_nano, save_checkpoint
from medcopilot.train.provenance import Provenance, Seen, seal, trace_back
from medcopilot.train.tokenizer import train_tokenizer

pytestmark = [pytest.mark.vllm, pytest.mark.slow]


@pytest.fixture(scope="module")
def staged(tmp_path_factory):
    """A LoRA adapter on a nano policy, merged and staged; the model with its adapter; what was said."""
    from peft import LoraConfig, get_peft_model

    folder = tmp_path_factory.mktemp("publish")
    tokenizer = train_tokenizer([f"Dose {a} mg, then {b} mg.\nTotal?" for a in range(10, 30) for b in range(10, 20)], 400)
    parent = save_checkpoint(new_nano(tokenizer, NanoShape(**{**SHAPE, "hidden": 64}), seed=1), tokenizer, folder / "start",
                             CheckpointMeta(profile="nano"))
    seal(trace_back("start", 1, {}, [("policy", None)]), parent)
    adapted = get_peft_model(load_checkpoint(parent).model, LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM"))
    torch.manual_seed(0)
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.3)
    adapted.save_pretrained(folder / "adapter")
    record = Provenance(bases=("random weights, seed 1",), seen=(Seen(stage="sft", dataset="eicu", licence="synthetic", count=1),))
    (folder / "adapter" / "provenance.json").write_text(record.model_dump_json())
    told: list[str] = []
    stage_model(folder / "adapter", folder / "out", ModelOptions(name="agent", vllm=True), told.append)
    return folder / "out", adapted.eval(), told


def test_vllm_computes_what_the_adapter_did(staged):
    folder, _, told = staged
    assert [line.split()[0] for line in told[:2]] == ["transformers", "vllm"]
    assert "- vllm " in (folder / "README.md").read_text()
    print(told)


def test_other_weights_are_noticed(staged):
    folder, adapted, _ = staged
    rows = [[5, 9, 11, 40, 2, 8], [7, 7, 200, 1, 2, 9]]
    theirs = verify.vllm_scores(folder, rows)
    check = verify.agree("vllm", "", verify.own_scores(adapted, rows), theirs, "float32")
    assert check.largest < 1e-2
    with adapted.disable_adapter(), pytest.raises(UserError, match="does not compute what was trained"):
        verify.agree("vllm", "", verify.own_scores(adapted, rows), theirs, "float32")


def test_a_folder_that_vllm_cannot_load_is_one_sentence(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError, match="vLLM does not load what was staged") as refusal:
        verify.vllm_scores(tmp_path, [[1, 2, 3]])
    assert "\n" not in str(refusal.value)
