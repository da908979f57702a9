"""Every trainer under two CPU processes: the wrapper that was asked for, the losses of one process, kill and resume."""

from __future__ import annotations

import functools
import importlib.util
import itertools
import socket
import time
from pathlib import Path

import pytest
import torch
from launches import CONFIGS, STAGES, command, end, finish, losses, make_workshop, ranks, run_here, start, wait_for

from medcopilot.train.model import load_checkpoint, read_meta

pytestmark = pytest.mark.slow
TOLERANCE = 1e-4
ADAMW = ("optimizer.name=adamw",)
"""In place of the nano recipe's muon, which needs whole matrices: ZeRO has none, and its runs say so and take adamw."""


def needs(config: str) -> None:
    if config.startswith("zero") and importlib.util.find_spec("deepspeed") is None:
        pytest.skip("deepspeed is not installed: run .ci/setup")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("distributed")
    make_workshop(made)
    return made


@pytest.fixture(scope="module")
def alone(folder: Path):
    """Name of the one-process run of a stage with these overrides, trained at its first use."""

    numbers = itertools.count()

    @functools.cache
    def run(stage: str, *overrides: str, steps: int = 3) -> str:
        name = f"alone-{stage}-{next(numbers)}"
        run_here(command(folder, stage, name, None, *overrides, steps=steps))
        return name

    return run


def same_weights(left: Path, right: Path) -> bool:
    """Whole, loadable with transformers, and equal to training noise."""
    one, two = (dict(load_checkpoint(path).model.named_parameters()) for path in (left, right))
    return one.keys() == two.keys() and all(torch.allclose(one[name], two[name], atol=1e-3) for name in one)


IN_CI = {("ddp", "verifier"), ("zero2", "dpo"), ("zero3", "ppo"), ("fsdp2", "grpo"), ("fsdp2", "sft")}
"""Every wrapper and every stage once; `make check` runs all pairs."""


@pytest.mark.parametrize(("config", "stage"), [
    pytest.param(config, stage, marks=() if (config, stage) in IN_CI else pytest.mark.thorough)
    for config in CONFIGS for stage in STAGES])
def test_two_processes_train_what_one_does(folder: Path, alone, config: str, stage: str) -> None:
    needs(config)
    overrides = ADAMW if config.startswith("zero") and stage == "sft" else ()
    name = f"{config}-{stage}"
    said = finish(command(folder, stage, name, config, *overrides), folder / f"{name}.log")
    assert said.count(f"{stage}: 2 processes, {CONFIGS[config]}") == 1
    assert said.count(f"{stage}: done -> ") == 1
    reference = alone(stage, *overrides)
    assert losses(folder, name, stage) == pytest.approx(losses(folder, reference, stage), abs=TOLERANCE)
    ours, theirs = (folder / run / "checkpoints" / stage for run in (name, reference))
    assert same_weights(ours, theirs)
    assert read_meta(ours).parent == read_meta(theirs).parent
    assert not ours.with_name(f"{stage}.work").exists()


@pytest.mark.parametrize("config", [pytest.param("zero3", marks=pytest.mark.thorough), "fsdp2"])
def test_sharded_adapters_are_merged_into_whole_weights(folder: Path, alone, config: str) -> None:
    needs(config)
    overrides = ("model.tokenizer=null", f"model.checkpoint={folder}/start", "model.lora.rank=4", *ADAMW)
    finish(command(folder, "sft", f"{config}-lora", config, *overrides), folder / f"{config}-lora.log")
    reference = alone("sft", *overrides)
    assert losses(folder, f"{config}-lora", "sft") == pytest.approx(losses(folder, reference, "sft"), abs=TOLERANCE)
    assert same_weights(folder / f"{config}-lora" / "checkpoints" / "sft", folder / reference / "checkpoints" / "sft")


@pytest.mark.parametrize(("config", "stage"), [("zero3", "sft"), pytest.param("ddp", "ppo", marks=pytest.mark.thorough),
                                               pytest.param("fsdp2", "sft", marks=pytest.mark.thorough)])
def test_a_killed_process_ends_the_job_and_the_same_command_goes_on(folder: Path, alone, config: str, stage: str) -> None:
    needs(config)
    overrides = (*(ADAMW if config == "zero3" else ()), "save_steps=1")
    name = f"{config}-{stage}-killed"
    words = command(folder, stage, name, config, *overrides, steps=8)
    log = folder / f"{name}.log"
    process = start(words, log)
    try:
        state = folder / name / "checkpoints" / f"{stage}.work" / "checkpoint-2" / "complete.json"
        wait_for(state.is_file, process, log)
        ranks(process)["1"].kill()
        killed = time.monotonic()
        process.wait(60)
    finally:
        end(process)
    assert time.monotonic() - killed < 45
    assert process.returncode != 0
    said = log.read_text()
    assert "Signal 9 (SIGKILL)" in said
    assert "run the same command again" in said
    before = len(losses(folder, name, stage))
    assert 2 <= before < 8
    finish(words, log)
    assert losses(folder, name, stage) == pytest.approx(losses(folder, alone(stage, *overrides, steps=8), stage), abs=TOLERANCE)


def test_what_is_not_in_force_is_refused(folder: Path, tmp_path: Path) -> None:
    """Without our correction accelerate trains plain copies where FSDP2 was asked for, and says nothing."""
    script = tmp_path / "sft.py"
    script.write_text("from medcopilot.train import fsdp_cpu\nfsdp_cpu.apply = lambda: None\n"
                      "exec(open('recipes/sft.py').read())\n")
    said = finish(command(folder, "sft", "refused", "fsdp2", script=script), tmp_path / "log", code=1)
    assert said.count("sft.py: the launch asked for 2 processes, FSDP2, but 2 processes with DDP came of it") == 1
    assert "exitcode  : 2" in said
    assert not (folder / "refused" / "checkpoints" / "sft").exists()


def test_two_launches_train_as_two_machines(folder: Path, alone) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    flags = ("--num_machines", "2", "--main_process_ip", "127.0.0.1", "--main_process_port", str(port))
    logs = [folder / f"machine{rank}.log" for rank in (0, 1)]
    launches = [start(command(folder, "sft", "machines", "ddp", flags=(*flags, "--machine_rank", str(rank))), logs[rank])
                for rank in (0, 1)]
    try:
        codes = [launch.wait(180) for launch in launches]
    finally:
        for launch in launches:
            end(launch)
    assert codes == [0, 0], logs[0].read_text()[-3000:] + logs[1].read_text()[-3000:]
    assert "sft: 2 processes on 2 machines, DDP" in logs[0].read_text()
    assert losses(folder, "machines", "sft") == pytest.approx(losses(folder, alone("sft"), "sft"), abs=TOLERANCE)
