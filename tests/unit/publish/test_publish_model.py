"""Checkpoints: what is staged computes what was trained, its card says where it comes from, and what may not leave stays."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
import yaml
from huggingface_hub import ModelCard
from safetensors.torch import load_file
from trace_factory import make_run
from transformers import AutoModelForCausalLM, GenerationConfig, PreTrainedTokenizerFast
from typer.testing import CliRunner

from env.errors import AgreementError, UserError
from medcopilot.cli.main import app
from medcopilot.publish import verify
from medcopilot.publish.card import public_recipe
from medcopilot.publish.model_folder import ModelOptions, stage_model
from medcopilot.publish.shards import plain_names
from medcopilot.publish.source import origin, settle
from medcopilot.publish.tree import tree
from medcopilot.runs import RunFolder
from medcopilot.train.model import checkpoint_digest, load_checkpoint
from medcopilot.train.provenance import Parent, Provenance, Seen, own_record, read_provenance

OPTIONS = ModelOptions(name="agent", vllm=False)
TREE = ["README.md", "chat_template.jinja", "config.json", "generation_config.json", "medcopilot.json", "model.safetensors",
        "provenance.json", "recipe.yaml", "tokenizer.json", "tokenizer_config.json"]
PERMIT = "- {{dataset: {name}, exit: hub, allowed: true, who: Jane Doe, date: 2026-11-03}}\n"


def adapter_of(folder, tmp_path, *, dtype="float32", parent=None):
    """A LoRA adapter with weights that matter, as peft writes it."""
    from peft import LoraConfig, get_peft_model

    model = load_checkpoint(folder, dtype=dtype).model
    made = get_peft_model(model, LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM"))
    torch.manual_seed(0)
    with torch.no_grad():
        for name, weight in made.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.6)
    made.save_pretrained(tmp_path / "adapter")
    if parent is not None:
        path = tmp_path / "adapter" / "adapter_config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "base_model_name_or_path": parent}))
    return made.eval(), tmp_path / "adapter"


def test_the_tree_of_a_finished_stage(make_checkpoint, tmp_path):
    source = make_checkpoint()
    told = []
    files = stage_model(source, tmp_path / "out", OPTIONS, told.append)
    assert [file.path for file in files] == TREE
    before, after = (AutoModelForCausalLM.from_pretrained(folder) for folder in (source, tmp_path / "out"))
    assert all(torch.equal(a, b) for a, b in zip(before.parameters(), after.parameters(), strict=True))
    assert after.config.use_cache
    assert "largest difference 0.0e+00" in told[0]
    tokenizer = PreTrainedTokenizerFast.from_pretrained(tmp_path / "out")
    assert tokenizer.chat_template
    assert tokenizer.eos_token_id in GenerationConfig.from_pretrained(tmp_path / "out").eos_token_id
    record = own_record(tmp_path / "out")
    assert record is not None
    assert [(one.dataset, one.licence) for one in record.seen] == [("mimic_iii", "synthetic")]


def test_the_same_source_gives_the_same_weights(make_checkpoint, tmp_path):
    source = make_checkpoint()
    one, two = (stage_model(source, tmp_path / "out", OPTIONS) for _ in range(2))
    assert one == two


def test_no_path_and_no_account_of_this_machine_is_in_it(make_checkpoint, tmp_path):
    source = make_checkpoint()
    meta = json.loads((source / "medcopilot.json").read_text())
    (source / "medcopilot.json").write_text(json.dumps({**meta, "details": {"replay": f"{tmp_path}/run/rollouts/grpo"}}))
    stage_model(source, tmp_path / "out", OPTIONS)
    for file in tree(tmp_path / "out"):
        body = (tmp_path / "out" / file.path).read_bytes()
        assert str(tmp_path).encode() not in body, file.path
        assert b"my-team" not in body, file.path
    assert yaml.safe_load((tmp_path / "out" / "recipe.yaml").read_text())["model"]["tokenizer"].endswith("/tokenizer")


def test_paths_lose_their_beginning_and_words_stay():
    recipe = {"run": "/srv/u/runs/a", "data": "runs/a/sft.jsonl", "model": {"checkpoint": "Qwen/Qwen2.5-7B-Instruct"}, "threads": 4,
              "engine": {"servers": {"urls": ["http://10.0.0.7:80"]}, "kind": "vllm_server"}, "seeds": [1, "~/x/y/z"]}
    assert public_recipe(recipe) == {"run": "runs/a", "data": "runs/a/sft.jsonl",
                                     "model": {"checkpoint": "Qwen/Qwen2.5-7B-Instruct"}, "engine": {"kind": "vllm_server"},
                                     "seeds": [1, "y/z"]}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_merged_adapter_computes_what_the_adapter_did(make_checkpoint, tmp_path, permissions, dtype):
    parent = make_checkpoint(dtype=dtype)
    made, folder = adapter_of(parent, tmp_path, dtype="auto")
    with pytest.raises(AgreementError, match=r"rows of the adapter adapter are not recorded") as refusal:
        stage_model(folder, tmp_path / "out", OPTIONS)
    permissions.write_text(PERMIT.format(name=str(refusal.value).partition("{dataset: ")[2].partition(",")[0]))
    files = stage_model(folder, tmp_path / "out", OPTIONS)
    assert [file.path for file in files if file.path.endswith(".safetensors")] == ["model.safetensors"]
    weights = load_file(tmp_path / "out" / "model.safetensors")
    assert {str(tensor.dtype) for tensor in weights.values()} == {f"torch.{dtype}"}
    assert not any("lora" in name for name in weights)
    rows = [[5, 9, 11, 40, 2], [7, 7, 200, 1, 2]]
    own, merged = verify.own_scores(made, rows), verify.transformers_scores(tmp_path / "out", rows)
    plain = verify.transformers_scores(parent, rows)
    gap = [max(abs(a - b) for x, y in zip(own, other, strict=True) for a, b in zip(x, y, strict=True)) for other in (merged, plain)]
    assert gap[0] < (1e-5 if dtype == "float32" else 0.1)
    assert gap[1] > 0.2


def test_an_adapter_without_a_parent_says_so(make_checkpoint, tmp_path):
    parent = make_checkpoint()
    _, folder = adapter_of(parent, tmp_path, parent="")
    with pytest.raises(UserError, match="--base"):
        stage_model(folder, tmp_path / "out", OPTIONS)


def recorded(folder, **fields):
    """The record of an adapter's own stage, which saw synthetic rows."""
    seen = (Seen(stage="dpo", dataset="eicu", licence="synthetic", count=5),)
    (folder / "provenance.json").write_text(Provenance(**{"seen": seen, **fields}).model_dump_json())


def on_hub_model(folder, name="lab/open"):
    recorded(folder, parents=(Parent(role="policy", name=name),), bases=(name,))


def test_an_adapter_of_a_hub_model_goes_onto_a_download_of_it(make_checkpoint, tmp_path):
    """Which has no record of ours."""
    download = make_checkpoint("open", licence=None)
    for name in ("medcopilot.json", "recipe.yaml"):
        (download / name).unlink()
    _, folder = adapter_of(download, tmp_path, parent="lab/open")
    on_hub_model(folder)
    stage_model(folder, tmp_path / "out", replace(OPTIONS, base=str(download)))
    record = own_record(tmp_path / "out")
    assert record.bases == ("lab/open",)
    assert [one.stage for one in record.seen] == ["dpo"]
    assert not record.unknown


@pytest.mark.parametrize("licence", ["synthetic", "PhysioNet-credentialed"])
def test_an_adapter_of_a_hub_model_does_not_go_onto_what_its_record_says_is_another(make_checkpoint, tmp_path, licence):
    base = make_checkpoint("closed", licence=licence)
    _, folder = adapter_of(base, tmp_path, parent="lab/open")
    on_hub_model(folder)
    for options in (replace(OPTIONS, base=str(base)), OPTIONS):
        with pytest.raises(UserError, match=r"trained on lab/open of the hub.*random weights, seed 7"):
            stage_model(folder, tmp_path / "out", options)
        (folder / "adapter_config.json").write_text(  # without --base, the adapter's own word for its parent counts as much
            json.dumps({**json.loads((folder / "adapter_config.json").read_text()), "base_model_name_or_path": str(base)}))
    assert not (tmp_path / "out").exists()


def test_a_base_of_ours_without_its_record_is_of_unknown_origin(make_checkpoint, tmp_path):
    base = make_checkpoint("old", licence=None)
    _, folder = adapter_of(base, tmp_path, parent="lab/open")
    on_hub_model(folder)
    with pytest.raises(AgreementError, match=r"old.*has no record"):
        stage_model(folder, tmp_path / "out", replace(OPTIONS, base=str(base)))


def test_what_the_base_was_trained_on_counts_as_the_adapters_own(make_checkpoint, tmp_path, permissions):
    base = make_checkpoint("closed", licence="PhysioNet-credentialed")
    _, folder = adapter_of(base, tmp_path)
    recorded(folder, parents=(Parent(role="policy", name="closed", digest=checkpoint_digest(base)),), bases=("lab/open",))
    options = replace(OPTIONS, base=str(base))
    with pytest.raises(AgreementError, match="rows of mimic_iii"):
        stage_model(folder, tmp_path / "out", options)
    permissions.write_text(PERMIT.format(name="mimic_iii"))
    stage_model(folder, tmp_path / "out", options)
    card = (tmp_path / "out" / "README.md").read_text()
    assert "| eicu | synthetic |" in card
    assert "| mimic_iii | PhysioNet-credentialed |" in card
    assert own_record(tmp_path / "out").bases == ("lab/open", "random weights, seed 7")
    with pytest.raises(UserError, match="trained on other weights"):
        stage_model(folder, tmp_path / "out", replace(OPTIONS, base=str(make_checkpoint("other", seed=1))))


def test_without_a_record_the_parent_that_is_loaded_is_the_one_that_is_traced(make_checkpoint, tmp_path):
    """A recipe beside the adapter names another than the adapter does."""
    _, folder = adapter_of(make_checkpoint("open"), tmp_path)
    closed = make_checkpoint("closed", licence="PhysioNet-credentialed", seed=1)
    (folder / "recipe.yaml").write_text(f"name: dpo\nmodel:\n  checkpoint: {closed}\n")
    record, _ = origin(folder)
    assert [one.licence for one in record.seen] == ["PhysioNet-credentialed"]


def test_weights_of_credentialed_rows_are_refused_until_permitted(make_checkpoint, tmp_path, permissions):
    source = make_checkpoint(licence="PhysioNet-credentialed")
    with pytest.raises(AgreementError, match=r"rows of mimic_iii \(PhysioNet-credentialed\) must not leave"):
        stage_model(source, tmp_path / "out", OPTIONS)
    assert not (tmp_path / "out").exists()
    permissions.write_text(PERMIT.format(name="mimic_iii"))
    stage_model(source, tmp_path / "out", OPTIONS)
    assert "| mimic_iii | PhysioNet-credentialed |" in (tmp_path / "out" / "README.md").read_text()


def test_weights_of_unknown_origin_are_refused_with_the_cure(make_checkpoint, tmp_path, permissions):
    source = make_checkpoint(licence=None)
    with pytest.raises(AgreementError, match=r"no provenance\.json.*train it again.*record") as refusal:
        stage_model(source, tmp_path / "out", OPTIONS)
    assert "\n" not in str(refusal.value)
    permissions.write_text(PERMIT.format(name=f"checkpoint-{checkpoint_digest(source)}"))
    stage_model(source, tmp_path / "out", OPTIONS)
    assert "is not recorded" in (tmp_path / "out" / "README.md").read_text()


def test_a_record_beside_other_weights_counts_for_nothing(make_checkpoint, tmp_path):
    open_source, closed = make_checkpoint("open"), make_checkpoint("closed", licence="Stanford-EHRSHOT", seed=1)
    (closed / "provenance.json").write_bytes((open_source / "provenance.json").read_bytes())
    assert read_provenance(closed) is not None
    with pytest.raises(AgreementError, match="belongs to its weights"):
        stage_model(closed, tmp_path / "out", OPTIONS)


def evaluated(tmp_path, digest, name="grpo-t0"):
    run = RunFolder.create(tmp_path / name, {"policy": "runs/x", "policy_record": {"digest": digest}, "split": "test",
                                             "protocol": "submit", "builds": {"mimic_iii": {"source": None}}})
    with run.writer("a") as writer:
        for trace in make_run(0.7):
            writer.write(trace)
    return run.path


def test_results_stand_in_the_card_and_in_the_metadata_with_intervals(make_checkpoint, tmp_path):
    source = make_checkpoint()
    run = evaluated(tmp_path, checkpoint_digest(source))
    stage_model(source, tmp_path / "out", ModelOptions(name="agent", vllm=False, results=(run,), licence="apache-2.0"))
    card = ModelCard.load(tmp_path / "out" / "README.md")
    assert card.data.license == "apache-2.0"
    results = card.data.eval_results
    assert {one.dataset_type for one in results} == {"medcopilot/mimic_iii", "medcopilot/medcalcbench"}
    assert {one.metric_args["grader"] for one in results} == {"strict", "paper"}
    for one in results:
        assert one.metric_args["ci95_low"] <= one.metric_value <= one.metric_args["ci95_high"]
    strict = next(one for one in results if one.metric_args["grader"] == "strict")
    assert f"{strict.metric_value:.1f} ({strict.metric_args['ci95_low']:.1f} to " in card.text
    for words in ("Not for clinical care", "seed 7", "| sft | mimic_iii | synthetic | 12 rows |", "random weights, seed 7",
                  "largest difference", "vLLM was not asked", "PreTrainedTokenizerFast"):
        assert words in card.text


def test_results_of_another_model_are_refused(make_checkpoint, tmp_path):
    source = make_checkpoint()
    run = evaluated(tmp_path, "0" * 16)
    with pytest.raises(UserError, match="not of what is published"):
        stage_model(source, tmp_path / "out", ModelOptions(name="agent", vllm=False, results=(run,)))
    assert not (tmp_path / "out").exists()


def test_a_difference_beyond_the_tolerance_is_refused():
    own = [[-1.0, -2.0]]
    assert verify.agree("transformers", "1", own, [[-1.0, -2.00005]], "float32").largest == pytest.approx(5e-5)
    with pytest.raises(UserError, match="does not compute what was trained"):
        verify.agree("transformers", "1", own, [[-1.0, -2.1]], "float32")
    assert verify.agree("vllm", "1", own, [[-1.0, -2.1]], "float32", tolerance=0.2)
    with pytest.raises(UserError, match="not finite"):
        verify.agree("vllm", "1", own, [[-1.0, float("nan")]], "float32")


def test_rounding_to_bfloat16_is_no_other_model():
    """Between 16 and 32 its neighbours are an eighth apart; other weights are off on average."""
    own = [[-0.5, -1.0, -9.0, -0.25]]
    rounded = [[-0.5, -1.125, -8.5, -0.25]]
    assert verify.agree("transformers", "1", own, rounded, "bfloat16").largest == pytest.approx(0.5)
    for other in ([[-0.9, -1.4, -9.4, -0.65]], [[-0.5, -1.0, -10.5, -0.25]]):
        with pytest.raises(UserError, match=r"at most 1, and 0\.2 on average"):
            verify.agree("vllm", "1", own, other, "bfloat16")


def test_weights_that_do_not_fill_the_model_are_refused(make_checkpoint, tmp_path):
    from safetensors.torch import save_file

    source = make_checkpoint()
    weights = load_file(source / "model.safetensors")
    gone = next(name for name in weights if "layers.1" in name)
    save_file({name: tensor for name, tensor in weights.items() if name != gone}, source / "model.safetensors",
              metadata={"format": "pt"})
    with pytest.raises(UserError, match="other weights"):
        verify.transformers_scores(source, [[1, 2, 3]])


def test_names_lose_what_wrappers_put_before_them():
    tensor = torch.zeros(1)
    assert set(plain_names({"module._orig_mod.model.a": tensor, "step": 3})) == {"model.a"}
    both = {"actor.base_model.model.model.a": tensor, "critic.b": tensor, "value_head.weight": tensor}
    assert set(plain_names(both)) == {"model.a"}


def test_the_newest_complete_state_is_taken(tmp_path):
    for number in (2, 10, 11):
        (tmp_path / f"checkpoint-{number}").mkdir()
    (tmp_path / "recipe.json").write_text("{}")
    for number in (2, 10):
        (tmp_path / f"checkpoint-{number}" / "complete.json").write_text("{}")
    assert settle(tmp_path).name == "checkpoint-10"
    with pytest.raises(UserError, match="not written to its end"):
        settle(tmp_path / "checkpoint-11")
    with pytest.raises(UserError, match="no such folder"):
        settle(tmp_path / "nothing")


def test_the_command_stages_and_then_sends_the_same_tree(hub, make_checkpoint, tmp_path):
    source = make_checkpoint("grpo")
    words = ["publish", str(source), "--no-check-vllm", "--repo-id", "lab/agent"]
    shown = CliRunner().invoke(app, [*words, "--dry-run"])
    assert shown.exit_code == 0, shown.output
    assert hub.requests == []
    staged = tmp_path / "run" / "publish" / "grpo"
    assert [file.path for file in tree(staged)] == TREE
    sent = CliRunner().invoke(app, words)
    assert sent.exit_code == 0, sent.output
    repo = hub.repos["lab/agent"]
    assert repo.private
    assert repo.commits == [TREE]
    assert repo.large == {"model.safetensors"}
    assert repo.files == {name: (staged / name).read_bytes() for name in TREE}


@pytest.mark.parametrize("words", [["--type", "space"], ["--out", "."], ["--type", "dataset", "--base", "x"]])
def test_odd_options_are_refused(make_checkpoint, words, monkeypatch):
    source = make_checkpoint()
    monkeypatch.chdir(source)
    with pytest.raises(UserError):
        CliRunner().invoke(app, ["publish", str(source), *words], catch_exceptions=False)
