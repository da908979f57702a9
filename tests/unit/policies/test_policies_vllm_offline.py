"""What an engine in this process is started with, and how it gets the weights of a model in training; vLLM itself is a stub."""

from __future__ import annotations

import importlib.machinery
import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from env.errors import EngineError, UserError
from medcopilot.policies import vllm_cpu
from medcopilot.policies.vllm_offline import VllmEngine, VllmPolicy, load_all


class Inner(torch.nn.Module):
    """vLLM's model: takes what it is given under the same names."""

    def __init__(self, names: list[str], *, forgets: str = "") -> None:
        super().__init__()
        self.forgets = forgets
        self.taken: dict[str, torch.Tensor] = {}
        self.names = names

    def named_parameters(self, *_, **__):
        return iter([(name, torch.zeros(1)) for name in self.names])

    def load_weights(self, weights):
        self.taken = {name: tensor.clone() for name, tensor in weights if name != self.forgets}
        return set(self.taken)


class Stub:
    """What was asked of `vllm.LLM`."""

    def __init__(self) -> None:
        self.asked: dict[str, object] = {}
        self.files: dict[str, bytes] = {}
        self.inner = Inner([])
        self.resets = 0
        self.core = SimpleNamespace(cleanup_dist_env_and_memory=lambda: pytest.fail("the group of the training was ended"))

    def __call__(self, **asked):
        self.asked = asked
        folder = Path(asked["model"])
        self.files = {path.name: path.read_bytes() for path in folder.iterdir()} if folder.is_dir() else {}

        def reset() -> None:
            self.resets += 1

        engine = SimpleNamespace(apply_model=lambda act: [act(self.inner)], reset_prefix_cache=reset)
        return SimpleNamespace(llm_engine=engine, model_config=SimpleNamespace(max_model_len=64))


@pytest.fixture
def cpu() -> list[bool]:
    """Whether the stub says that it computes on a CPU."""
    return [False]


@pytest.fixture
def llm(monkeypatch, cpu) -> Stub:
    stub, vllm, platforms = Stub(), ModuleType("vllm"), ModuleType("vllm.platforms")
    vllm.__spec__ = importlib.machinery.ModuleSpec("vllm", None)
    vllm.LLM, vllm.SamplingParams = stub, dict  # type: ignore[attr-defined]
    platforms.current_platform = SimpleNamespace(is_cpu=lambda: cpu[0])  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "vllm", vllm)
    monkeypatch.setitem(sys.modules, "vllm.platforms", platforms)
    engine = ModuleType("vllm.v1.engine")
    engine.core = stub.core  # type: ignore[attr-defined]
    for name, module in (("vllm.v1", ModuleType("vllm.v1")), ("vllm.v1.engine", engine)):
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(vllm_cpu, "ENVIRONMENT", {})
    monkeypatch.setattr(vllm_cpu, "_applied", [True])
    return stub


def ranks(monkeypatch, count: int) -> None:
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: count)


def asked(llm: Stub, **options):
    VllmEngine(Path("somewhere"), [1], 0, options)
    return llm.asked


def test_one_process_lets_vllm_choose_and_compile(llm) -> None:
    assert asked(llm, dtype="bfloat16") == {
        "model": "somewhere", "skip_tokenizer_init": True, "logprobs_mode": "processed_logprobs", "disable_log_stats": True,
        "enforce_eager": False, "dtype": "bfloat16"}


def test_every_rank_of_several_takes_its_own_gpu(llm, monkeypatch) -> None:
    ranks(monkeypatch, 8)
    assert asked(llm)["distributed_executor_backend"] == "external_launcher"
    ranks(monkeypatch, 1)
    assert "distributed_executor_backend" not in asked(llm)


def test_an_engine_that_ends_leaves_the_group_that_it_found(llm, monkeypatch) -> None:
    own = llm.core.cleanup_dist_env_and_memory
    asked(llm)
    assert llm.core.cleanup_dist_env_and_memory is own  # it then made the group itself
    ranks(monkeypatch, 2)
    asked(llm)
    llm.core.cleanup_dist_env_and_memory()


def test_an_engine_of_several_gpus_is_refused_where_every_rank_has_one(llm, monkeypatch) -> None:
    ranks(monkeypatch, 2)
    with pytest.raises(UserError, match=r"engine\.options\.tensor_parallel_size"):
        asked(llm, tensor_parallel_size=2)
    ranks(monkeypatch, 1)
    assert asked(llm, tensor_parallel_size=2)["tensor_parallel_size"] == 2


def test_a_cpu_compiles_nothing_and_needs_no_launcher(llm, cpu, monkeypatch) -> None:
    cpu[0] = True
    ranks(monkeypatch, 2)
    found = asked(llm)
    assert found["enforce_eager"] is True
    assert "distributed_executor_backend" not in found


def test_options_of_the_recipe_win(llm, monkeypatch) -> None:
    ranks(monkeypatch, 2)
    found = asked(llm, enforce_eager=True, distributed_executor_backend="uni")
    assert (found["enforce_eager"], found["distributed_executor_backend"]) == (True, "uni")


@pytest.fixture
def model() -> Qwen2ForCausalLM:
    torch.manual_seed(0)
    return Qwen2ForCausalLM(Qwen2Config(vocab_size=24, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, eos_token_id=1,
                                        num_key_value_heads=2, intermediate_size=24, tie_word_embeddings=True)).bfloat16()


TOKENIZER = SimpleNamespace(save_pretrained=lambda folder: None, eos_token_id=1, convert_tokens_to_ids=lambda text: 1,
                            unk_token_id=None, get_vocab=dict)


def test_a_model_in_training_is_served_without_its_weights_on_the_disk(llm, model, monkeypatch) -> None:
    ranks(monkeypatch, 2)
    monkeypatch.setattr(torch.distributed, "get_rank", lambda: 1)  # where transformers' save_pretrained writes nothing
    llm.inner = Inner([name for name, _ in model.named_parameters()])
    policy = VllmPolicy.from_model(model, TOKENIZER, None, version=3)
    try:
        assert llm.asked["load_format"] == "dummy"
        config = json.loads(llm.files["config.json"])
        assert (config["architectures"], config["dtype"]) == (["Qwen2ForCausalLM"], "bfloat16")
        assert not [name for name in llm.files if name.endswith((".safetensors", ".bin"))]
        assert not Path(str(llm.asked["model"])).exists()
        assert policy.version == 3
        assert llm.resets == 1
        for name, parameter in model.named_parameters():
            assert torch.equal(llm.inner.taken[name], parameter)
        with torch.no_grad():
            model.model.norm.weight.add_(1.0)
        assert policy.update() == 4
        assert torch.equal(llm.inner.taken["model.norm.weight"], model.model.norm.weight)
    finally:
        policy.close()


def test_a_parameter_that_got_no_weights_is_not_served(llm, model) -> None:
    llm.inner = Inner([name for name, _ in model.named_parameters()], forgets="model.norm.weight")
    with pytest.raises(EngineError, match=r"no weights for 1 parameters, e\.g\. model\.norm\.weight"):
        VllmPolicy.from_model(model, TOKENIZER, None)


def test_a_model_that_does_not_say_what_it_loaded_is_believed() -> None:
    assert load_all(SimpleNamespace(load_weights=lambda weights: None), []) == 0


def test_weights_on_a_gpu_are_finished_before_they_are_read(llm, monkeypatch) -> None:
    """vLLM's thread has a stream of its own there, which does not wait for the optimiser's."""
    done: list[object] = []
    monkeypatch.setattr(torch.cuda, "synchronize", done.append)
    engine = VllmEngine(Path("somewhere"), [1], 0, {})
    engine.engine.apply_model = lambda _: done.append("read")
    for device, before in (("cuda:3", [torch.device("cuda", 3)]), ("cpu", [])):
        done.clear()
        tensor = SimpleNamespace(device=torch.device(device))
        engine.follow = SimpleNamespace(named_parameters=lambda t=tensor: [("a", SimpleNamespace(detach=lambda: t))] * 2)
        engine.refresh(1)
        assert done == [*before, "read"]
