"""Live episodes on two CPU processes: engines get whole weights, however training has spread them, and sample with its logprobs."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from launches import CONFIGS, ROOT, finish
from test_distributed import needs

from medcopilot.train.model import load_checkpoint, read_meta

pytestmark = pytest.mark.slow
STEPS = 3
SETTINGS = {"grpo": ("loss.kl=0.01",),
            "ppo": ("rollouts.groups=8", "rollouts.group_size=1", "rollouts.max_groups=12", "critic.warmup_steps=0",
                    "loss.kl=0.01")}
"""A rank's share; with a reference, which is sharded as well."""
FAST = ("optimizer.lr=0.003", "bf16=false")
"""Weights move so far in a step that an engine with those of the step before would be seen."""
LORA = ("model.lora.rank=4", "model.lora.alpha=8", "optimizer.lr=0.01")
IN_CI = {("fsdp2", "grpo")}
PAIRS = [pytest.param(config, stage, marks=() if (config, stage) in IN_CI else pytest.mark.thorough)
         for config in ("ddp", "zero2", "zero3", "fsdp2") for stage in SETTINGS]


def launch(workshop, config, stage, name, *overrides) -> list[dict[str, float]]:
    """The recipe on two processes. Returns the metrics."""
    python, *words = workshop.command(stage, name, f"max_steps={STEPS}", *FAST, *SETTINGS[stage], *overrides)
    log = workshop.folder / f"{name}.log"
    said = finish([python, "-m", "accelerate.commands.accelerate_cli", "launch", "--config_file",
                   f"accelerate_configs/ci/{config}.yaml", *words], log, seconds=900)
    assert said.count(f"{stage}: 2 processes, {CONFIGS[config]}") == 1
    rows = workshop.rows(stage, name)
    assert [row["step"] for row in rows] == list(range(1, STEPS + 1))
    return rows


def check(workshop, stage, name, rows) -> None:
    """Engine and trainer agreed at every step, and the checkpoint is whole."""
    print({key: [row[key] for row in rows] for key in ("sync/probe_max", "mismatch/max", "reward") if key in rows[0]})
    assert all(row["mismatch/max"] < 1e-3 for row in rows)
    assert all(row["rollouts/infrastructure"] == 0 and row["skipped"] == 0 for row in rows)
    checkpoint = workshop.folder / name / "checkpoints" / stage
    start = load_checkpoint(workshop.folder / "start").model.state_dict()
    end = load_checkpoint(checkpoint).model.state_dict()
    assert {key: tensor.shape for key, tensor in end.items()} == {key: tensor.shape for key, tensor in start.items()}
    assert read_meta(checkpoint).policy_version == 2


@pytest.fixture
def at_home(workshop, monkeypatch):
    for name, value in workshop.environment.items():
        monkeypatch.setenv(name, value)
    return workshop


@pytest.mark.parametrize(("config", "stage"), PAIRS)
def test_every_rank_fills_an_engine_of_its_own(at_home, config, stage) -> None:
    needs(config)
    name = f"live-{config}-{stage}"
    rows = launch(at_home, config, stage, name)
    check(at_home, stage, name, rows)
    if config in ("zero3", "fsdp2"):  # the copy was compared with the trainer
        assert all(row["sync/probe_max"] < 1e-4 for row in rows)


@pytest.mark.parametrize(("config", "stage"), [
    ("zero3", "ppo"), *(pytest.param(config, stage, marks=pytest.mark.thorough)
                        for config, stage in (("zero3", "grpo"), ("fsdp2", "grpo"), ("fsdp2", "ppo")))])
def test_shards_in_bfloat16_learn_from_live_episodes(at_home, config, stage) -> None:
    needs(config)
    rows = launch(at_home, config, stage, f"bf16-{config}-{stage}", "bf16=true")
    assert all(row["rollouts/infrastructure"] == 0 and row["skipped"] == 0 for row in rows)
    assert all(0 < row["sync/probe_max"] < 0.5 for row in rows), "rounded weights against those that are trained"


@pytest.mark.thorough
@pytest.mark.parametrize("config", ["zero3", "fsdp2"])
@pytest.mark.parametrize("stage", SETTINGS)
def test_sharded_adapters_are_merged_for_the_engine(at_home, config, stage) -> None:
    needs(config)
    name = f"live-lora-{config}-{stage}"
    critic = ("critic.lora.rank=4",) if stage == "ppo" else ()
    rows = launch(at_home, config, stage, name, *LORA, *critic)
    check(at_home, stage, name, rows)
    assert all(row["sync/probe_max"] < 1e-4 for row in rows)


@contextlib.contextmanager
def serving(checkpoint: Path, sync: str, output: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """A server from the environment that has vLLM: the trainer's has DeepSpeed."""
    python = sys.executable if importlib.util.find_spec("vllm") else str(ROOT / ".venv-vllm" / "bin" / "python")
    if not Path(python).is_file():
        pytest.skip("vLLM is not installed: run .ci/setup vllm")
    words = [python, "-m", "medcopilot.cli.main", "serve", str(checkpoint), "--port", "0", "--weight-sync", sync,
             "--dtype", "float32", "--wait", "600"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    with output.open("wb") as handle:
        process = subprocess.Popen(words, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=handle)
    try:
        yield process, output
    finally:
        process.terminate()
        process.wait(60)


def address(process: subprocess.Popen[bytes], output: Path) -> str:
    """What a server prints when it is healthy."""
    assert process.stdout is not None
    said = process.stdout.readline().decode().strip()
    assert said.startswith("http://"), output.read_text(errors="replace")[-3000:]
    return said


@pytest.mark.vllm
@pytest.mark.thorough
@pytest.mark.parametrize(("config", "stage", "sync"), [
    ("zero3", "grpo", "gloo"), ("fsdp2", "ppo", "gloo"), ("fsdp2", "grpo", "lora"), ("zero3", "ppo", "lora")])
def test_every_rank_sends_to_servers_of_its_own(at_home, tmp_path, config, stage, sync) -> None:
    needs(config)
    name = f"served-{config}-{stage}-{sync}"
    with contextlib.ExitStack() as stack:
        outputs = [stack.enter_context(serving(at_home.folder / "start", sync, tmp_path / f"{number}.log")) for number in range(2)]
        urls = [address(process, output) for process, output in outputs]
        engine = json.dumps({"kind": "vllm_server", "servers": {"urls": urls, "sync": sync}})
        rows = launch(at_home, config, stage, name, f"engine={engine}", *(LORA if sync == "lora" else ()))
    check(at_home, stage, name, rows)
    assert all(row["sync/servers"] == 1 and row["sync/probe_max"] < 1e-3 for row in rows)
