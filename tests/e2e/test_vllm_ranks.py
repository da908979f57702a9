"""Online recipes on two processes with a real vLLM in each, as the recipes of eight GPUs start: on two GPUs where there are two,
else on CPU. Engines start by the launcher that GPUs take, follow sharded weights, and are gone when the checkpoint is written."""

from __future__ import annotations

import json
import subprocess

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("vllm")

from launches import CONFIGS, ROOT  # noqa: E402
from test_distributed import needs  # noqa: E402

from medcopilot.train.model import load_checkpoint, read_meta  # noqa: E402

pytestmark = [pytest.mark.vllm, pytest.mark.slow, pytest.mark.thorough]
GPUS = torch.cuda.device_count() > 1
STEPS = 2
SETTINGS = {"grpo": (), "ppo": ("rollouts.groups=8", "rollouts.group_size=1", "rollouts.max_groups=12", "critic.warmup_steps=0",
                                "loss.kl=0.01")}
"""A rank's share; PPO with a reference, which is sharded as well."""
OPTIONS = {"max_model_len": 512, "max_num_seqs": 16, "distributed_executor_backend": "external_launcher",
           **({"gpu_memory_utilization": 0.2} if GPUS else {})}


@pytest.mark.parametrize("stage", SETTINGS)
@pytest.mark.parametrize("config", ["fsdp2", "zero3"])
def test_a_recipe_trains_with_an_engine_in_every_process(workshop, config: str, stage: str) -> None:
    needs(config)
    name = f"ranks-{config}-{stage}"
    engine = {"kind": "vllm", "dtype": "bfloat16" if GPUS else "float32", "options": OPTIONS}
    python, *words = workshop.command(stage, name, f"max_steps={STEPS}", "optimizer.lr=0.003", f"engine={json.dumps(engine)}",
                                      f"bf16={str(GPUS).lower()}", *SETTINGS[stage])
    place = ("--config_file", f"accelerate_configs/{config}.yaml", "--num_processes", "2") if GPUS else (
        "--config_file", f"accelerate_configs/ci/{config}.yaml")
    done = subprocess.run([python, "-m", "accelerate.commands.accelerate_cli", "launch", *place, *words], cwd=ROOT, timeout=900,
                          env={**workshop.environment, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    assert f"{stage}: 2 processes, {CONFIGS[config]}" in done.stderr
    rows = workshop.rows(stage, name)
    print({key: [row[key] for row in rows] for key in ("sync/probe_max", "mismatch/max", "reward")})
    assert [row["step"] for row in rows] == list(range(1, STEPS + 1))
    assert all(row["rollouts/infrastructure"] == 0 and row["skipped"] == 0 for row in rows)
    assert all(row["mismatch/max"] < (0.5 if GPUS else 1e-3) for row in rows)
    checkpoint = workshop.folder / name / "checkpoints" / stage
    start = load_checkpoint(workshop.folder / "start").model.state_dict()
    end = load_checkpoint(checkpoint).model.state_dict()
    assert {key: tensor.shape for key, tensor in end.items()} == {key: tensor.shape for key, tensor in start.items()}
    assert read_meta(checkpoint).policy_version == STEPS  # the start's is 1, and the last step makes none
