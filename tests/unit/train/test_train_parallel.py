"""Launches as accelerate leaves them in the environment, the configurations, and what one process can show of several."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
import time
import weakref
from pathlib import Path

import accelerate
import pytest
import torch
from accelerate.commands.config.config_args import ClusterConfig, load_config_from_file
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedType
from transformers import TrainingArguments

from env.errors import UserError
from medcopilot.train import parallel
from medcopilot.train.launch import Launch, lost_process, read_launch
from medcopilot.train.loop import StageTrainer
from medcopilot.train.parallel import InForce, check, gathered, in_force, on_first, whole_model, whole_weights

CONFIGS = sorted((Path(__file__).resolve().parents[3] / "accelerate_configs").rglob("*.yaml"))
TWO = {"WORLD_SIZE": "2", "RANK": "1"}


@pytest.mark.parametrize(("environment", "launch"), [
    ({}, Launch(1, 0, 1, "none")),
    (TWO, Launch(2, 1, 1, "DDP")),
    ({**TWO, "GROUP_WORLD_SIZE": "2"}, Launch(2, 1, 2, "DDP")),
    ({**TWO, "ACCELERATE_USE_DEEPSPEED": "true", "ACCELERATE_DEEPSPEED_ZERO_STAGE": "3"}, Launch(2, 1, 1, "ZeRO-3")),
    ({**TWO, "ACCELERATE_USE_DEEPSPEED": "true"}, Launch(2, 1, 1, "ZeRO-2")),
    ({**TWO, "ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2"}, Launch(2, 1, 1, "FSDP2")),
    ({"WORLD_SIZE": "1", "ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2"}, Launch(1, 0, 1, "FSDP2")),
])
def test_a_launch_is_read_from_the_environment(environment: dict[str, str], launch: Launch) -> None:
    assert read_launch(environment) == launch
    assert launch.plain == (not environment)


def test_the_stage_can_lie_in_deepspeeds_own_file(tmp_path: Path) -> None:
    file = tmp_path / "ds.json"
    environment = {**TWO, "ACCELERATE_USE_DEEPSPEED": "true", "ACCELERATE_DEEPSPEED_CONFIG_FILE": str(file)}
    file.write_text(json.dumps({"zero_optimization": {"stage": 1}}))
    assert read_launch(environment).wrapper == "ZeRO-1"
    file.write_text("{}")
    with pytest.raises(UserError, match=r"ds\.json: .* zero_optimization\.stage"):
        read_launch(environment)


def test_one_process_in_place_of_several_is_refused() -> None:
    """What accelerate 1.15 leaves behind for `distributed_type: MULTI_CPU` without mpirun."""
    environment = {"ACCELERATE_MIXED_PRECISION": "no", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500", "KMP_BLOCKTIME": "1"}
    with pytest.raises(UserError, match=r"started one process .* accelerate_configs/ci/ddp\.yaml"):
        read_launch(environment)
    assert read_launch({"MASTER_ADDR": "head", "MASTER_PORT": "29500"}).plain  # a cluster's own


def test_the_first_version_of_fsdp_is_refused() -> None:
    with pytest.raises(UserError, match="fsdp_version: 2"):
        read_launch({**TWO, "ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "1"})


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_accelerate_takes_the_configurations(path: Path) -> None:
    config = load_config_from_file(str(path))
    assert isinstance(config, ClusterConfig)
    name, small = path.stem.partition("-")[0], path.parent.name == "ci"
    assert config.distributed_type == {"single": DistributedType.NO, "ddp": DistributedType.MULTI_GPU,
                                       "fsdp2": DistributedType.FSDP}.get(name, DistributedType.DEEPSPEED)
    assert config.use_cpu == small
    assert config.num_machines == (2 if path.stem.endswith("2nodes") else 1)
    assert config.num_processes == (2 if small else 1 if name == "single" else 8 * config.num_machines)
    assert config.mixed_precision == ("no" if small else "bf16")
    if name == "fsdp2":
        assert config.fsdp_config["fsdp_version"] == 2
    if name.startswith("zero"):
        assert config.deepspeed_config["zero_stage"] == int(name[-1])
    if small:
        assert config.gpu_ids == "-1,-1"


@pytest.mark.parametrize(("found", "words"), [
    (InForce("DDP", 0, 0, ""), "asked for 1 process, FSDP2, but 1 process with DDP came of it"),
    (InForce("none", 0, 0, ""), "with none came of it"),
])
def test_another_wrapper_is_refused(found: InForce, words: str) -> None:
    with pytest.raises(UserError, match=words):
        check(Launch(1, 0, 1, "FSDP2"), found)


def test_nothing_in_parts_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    check(Launch(2, 0, 1, "FSDP2"), InForce("FSDP2", 3, 26, "parameters sharded"))
    with pytest.raises(UserError, match="no parameter is in parts"):
        check(Launch(2, 0, 1, "FSDP2"), InForce("FSDP2", 0, 26, "parameters sharded"))
    with pytest.raises(UserError, match="asked for 4 processes, DDP, but 2 processes with DDP"):
        check(Launch(4, 0, 1, "DDP"), InForce("DDP", 0, 0, ""))


def test_a_plain_model_is_whole_already() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.BatchNorm1d(3), torch.nn.Linear(3, 3))
    model[2].weight = model[0].weight
    assert in_force(model) == InForce("none", 0, 0, "")
    assert whole_model(model, "float32") is model
    weights = whole_weights(model, torch.bfloat16)
    assert weights.keys() == model.state_dict().keys()
    assert weights["0.weight"] is weights["2.weight"]
    assert weights["0.weight"].dtype == torch.bfloat16
    assert weights["1.num_batches_tracked"].dtype == torch.int64


def test_whole_weights_come_one_at_a_time() -> None:
    model = torch.nn.Sequential(*(torch.nn.Linear(3, 3) for _ in range(4)))
    model[3].weight = model[0].weight
    alive: list[weakref.ref[torch.Tensor]] = []
    for name, tensor in gathered(model):
        assert torch.equal(tensor, model.state_dict()[name])
        alive = [seen for seen in alive if seen() is not None] + [weakref.ref(tensor)]
        assert len(alive) <= 3  # this one, the one before, and the one that stands for two


def test_one_process_acts_for_itself() -> None:
    assert on_first(lambda: 3) == 3
    with pytest.raises(UserError, match="no"):
        on_first(lambda: (_ for _ in ()).throw(UserError("no")))


def test_a_lost_process_is_recognised(monkeypatch: pytest.MonkeyPatch) -> None:
    error = RuntimeError("[../gloo/transport/tcp/pair.cc:553] Connection closed by peer [127.0.0.1]:21310")
    assert lost_process(error) is None  # there is no other
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    assert "process 0 of 2: another process of this job has ended (Connection closed by peer)" in (lost_process(error) or "")
    assert lost_process(RuntimeError("shape mismatch")) is None


def test_a_process_ends_with_its_launcher() -> None:
    child = "import time; from medcopilot.train.launch import end_with_launcher as e; e(); print('up', flush=True); time.sleep(60)"
    parent = f"import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', {child!r}]); print(p.pid, flush=True); p.wait()"
    launcher = subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True,
                                env={**os.environ, "PYTHONPATH": os.getcwd()})
    assert launcher.stdout is not None
    said = {launcher.stdout.readline().strip(), launcher.stdout.readline().strip()}
    pid = int((said - {"up"}).pop())
    launcher.kill()
    launcher.wait()
    deadline = time.monotonic() + 60
    while Path(f"/proc/{pid}/stat").exists() and Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z":
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_correction_for_fsdp_is_still_needed() -> None:
    """Behaviour is checked in tests/e2e/test_distributed.py; this says at once when accelerate no longer needs it."""
    assert accelerate.__version__.startswith("1.15.")
    assert "MULTI_CPU" not in inspect.getsource(AcceleratorState.__init__)


def test_a_plain_start_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WORLD_SIZE", "ACCELERATE_USE_DEEPSPEED", "ACCELERATE_USE_FSDP"):
        monkeypatch.delenv(name, raising=False)
    before = AcceleratorState.__init__

    class Settings:
        device, rank_seconds = "cpu", 1.0

    assert parallel.prepare(Settings()).plain  # type: ignore[arg-type]
    assert AcceleratorState.__init__ is before
    assert not torch.distributed.is_initialized()


def test_one_process_that_sees_several_gpus_trains_on_the_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """transformers would wrap the model in `nn.DataParallel`."""
    arguments = TrainingArguments(output_dir=str(tmp_path), use_cpu=True, report_to="none")
    assert arguments.n_gpu == 0
    arguments._n_gpu = 8
    trainer = StageTrainer(model=torch.nn.Linear(2, 2), args=arguments)
    assert (trainer.args.n_gpu, trainer.args.train_batch_size) == (1, 8)
    assert isinstance(trainer._wrap_model(trainer.model), torch.nn.Linear)
    assert "the first of 8 GPUs" in capsys.readouterr().err


def test_references_of_trls_own_are_sharded_layer_by_layer_under_fsdp(monkeypatch: pytest.MonkeyPatch) -> None:
    """That they are sharded right is shown where they are played with (tests/e2e/test_distributed_live.py)."""
    from trl.trainer import dpo_trainer, grpo_trainer

    from medcopilot.rl.trainer import StreamGRPOTrainer
    from medcopilot.train.dpo import MaskedDpoTrainer

    for cls, module in ((StreamGRPOTrainer, grpo_trainer), (MaskedDpoTrainer, dpo_trainer)):
        theirs = module.prepare_fsdp
        monkeypatch.setattr(module, "prepare_fsdp", theirs)  # put back afterwards
        trainer = object.__new__(cls)
        for enabled, used in ((False, theirs), (True, parallel.shard_frozen)):
            trainer.is_fsdp_enabled = enabled
            parallel.shard_references(trainer)
            assert module.prepare_fsdp is used
