"""slurm/train.sbatch with doubles of Slurm's programs: what a real cluster of one machine cannot show."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

NODES = ("trainer", "good", "dead")
SRUN = """#!{python}
import json, os, subprocess, sys
words, here = sys.argv[1:], os.environ["SLURM_SUBMIT_DIR"]
tasks = next((int(word.split("=")[1]) for word in words if word.startswith("--ntasks-per-node=")), 1)
if "slurm/server.sh" in words:
    if "--nodelist=dead" in words:
        sys.exit(1)
    gpus = ",".join(str(number) for number in range(int(os.environ["SLURM_GPUS_ON_NODE"])))
    for task in range(tasks):
        subprocess.run(words[words.index("bash"):], env={{**os.environ, "SLURM_LOCALID": str(task), "CUDA_VISIBLE_DEVICES": gpus}})
    open(f"{{here}}/ready", "w").close()
    os.execv("/bin/sleep", ["sleep", "60"])
open(f"{{here}}/trained", "w").write(json.dumps(words))
"""
MEDCOPILOT = """#!{python}
import json, os, sys
chosen = {{name: value for name, value in os.environ.items() if name.startswith(("VLLM", "CUDA"))}}
with open(os.environ["SLURM_SUBMIT_DIR"] + "/served", "a") as served:
    served.write(json.dumps({{"words": sys.argv[1:], "environment": chosen}}) + "\\n")
"""
CURL = """#!/bin/bash
[[ "$*" == *//good:* && -e $SLURM_SUBMIT_DIR/ready ]]
"""
SEVEN = "recipes/qwen2.5-7b/grpo.yaml"


@pytest.fixture
def job(tmp_path: Path, repository: Path) -> dict[str, str]:
    for name in ("slurm", "recipes", "accelerate_configs"):
        (tmp_path / name).symlink_to(repository / name)
    (tmp_path / "env" / "bin").mkdir(parents=True)
    doubles = {"srun": SRUN.format(python=sys.executable), "medcopilot": MEDCOPILOT.format(python=sys.executable), "curl": CURL,
               "scontrol": "#!/bin/bash\n[[ $1$2 == showhostnames ]] && printf '%s\\n' $NODES\n",
               "sleep": '#!/bin/bash\n[[ $1 == 60 ]] && exec /bin/sleep 60\nexec /bin/sleep 0.1\n',
               "python": f'#!/bin/bash\nexec {sys.executable} "$@"\n'}
    for name, text in doubles.items():
        path = tmp_path / "env" / "bin" / name
        path.write_text(text)
        path.chmod(0o755)
    return {"PATH": f"{tmp_path / 'env' / 'bin'}:{os.environ['PATH']}", "SLURM_SUBMIT_DIR": str(tmp_path), "SLURM_JOB_ID": "7",
            "SLURM_JOB_NODELIST": "n[1-3]", "MEDCOPILOT_ENV": str(tmp_path / "env"), "NODES": "trainer good", "SERVE_NODES": "1",
            "SLURM_GPUS_ON_NODE": "2", "MEDCOPILOT_OPEN_SERVERS": "1", "PYTHONPATH": str(repository)}


def run(job: dict[str, str], *words: str, seconds: int = 60) -> str:
    """The job with what it has started; what it said on stderr."""
    script = f"timeout --foreground {seconds} bash slurm/train.sbatch {' '.join(words)}; kill -- -$$"
    return subprocess.run(["bash", "-c", script], cwd=job["SLURM_SUBMIT_DIR"], env=job, capture_output=True, text=True,
                          timeout=seconds + 60, check=False, start_new_session=True).stderr


def test_a_server_that_ended_before_it_answered_ends_the_job(job: dict[str, str]) -> None:
    """Also where another one is well: the job would hold its nodes until its time limit."""
    said = run(job | {"NODES": " ".join(NODES), "SERVE_NODES": "2"}, "grpo", "recipes/nano/grpo.yaml")
    assert "a server ended before it answered: see logs/slurm/7/serve-dead-*.log" in said


def test_servers_and_trainer_agree(job: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command that the job starts is taken by the program that it starts: eight servers for the eight ranks of one node."""
    from medcopilot.cli.main import app
    from medcopilot.policies import vllm_launch
    from medcopilot.rl.grpo_settings import GrpoConfig
    from medcopilot.train.config import load_config

    start = tmp_path / "other"
    start.mkdir()
    (start / "config.json").write_text("{}")
    eight = job | {"SLURM_GPUS_ON_NODE": "8", "SERVE_FLAGS": "--gpu-memory-utilization 0.8"}
    said = run(eight, "grpo", SEVEN, f"model.checkpoint={start}")
    assert (tmp_path / "trained").exists(), said
    started: list[list[str]] = []
    monkeypatch.setattr(vllm_launch, "require_vllm", lambda: None)
    monkeypatch.setattr(vllm_launch, "distribution", lambda: "vllm")
    monkeypatch.setattr(vllm_launch, "free_port", lambda host, port: port)
    monkeypatch.setattr(vllm_launch.VllmProcess, "__init__", lambda self, command, environment, url, *_: started.append(command))
    for name in ("wait", "run", "stop"):
        monkeypatch.setattr(vllm_launch.VllmProcess, name, lambda *_: 0)
    served = [json.loads(line) for line in (tmp_path / "served").read_text().splitlines()]
    for server in served:
        done = CliRunner().invoke(app, server["words"], env=server["environment"])
        assert done.exit_code == 0, done.output
    ports = [command[command.index("--port") + 1] for command in started]
    assert ports == [str(8000 + number) for number in range(8)]
    assert [server["environment"]["CUDA_VISIBLE_DEVICES"] for server in served] == [str(number) for number in range(8)]
    for command in started:
        assert command[3] == str(start)  # the checkpoint that is trained: weights of another shape could never be replaced
        assert command[-6:] == ["--max-model-len", "32768", "--max-num-seqs", "128", "--gpu-memory-utilization", "0.8"]
        assert json.loads(command[command.index("--weight-transfer-config") + 1]) == {"backend": "nccl"}
    line = json.loads((tmp_path / "trained").read_text())[-1].split()
    assert line[line.index("--num_processes") + 1] == "8"
    unquoted = f"printf '%s\\n' {' '.join(line[line.index(SEVEN) + 1:])}"
    overrides = subprocess.run(["bash", "-c", unquoted], capture_output=True, text=True, check=True).stdout.splitlines()
    config = load_config(GrpoConfig, tmp_path / SEVEN, overrides)
    assert [config.engine.servers.share(rank, 8).urls for rank in range(8)] == [(f"http://good:{port}",) for port in ports]


@pytest.mark.parametrize(("change", "words", "wanted"), [
    ({"MEDCOPILOT_OPEN_SERVERS": ""}, ["grpo", SEVEN], "set MEDCOPILOT_OPEN_SERVERS=1 in slurm/site.sh"),
    ({"SERVERS_PER_NODE": "1"}, ["grpo", SEVEN], "1 servers for 2 ranks"),
    ({"SERVE_NODES": "2"}, ["grpo", SEVEN], "leaves none to train"),
    ({}, ["dpo", "recipes/qwen2.5-7b/dpo.yaml"], "this stage plays no rollouts"),
    ({"SERVE_SYNC": "lora"}, ["grpo", SEVEN], "sends an adapter and there is none"),
    ({}, ["grpo", SEVEN, "rollouts.groups=0"], "key 'rollouts.groups'"),
])
def test_servers_that_cannot_work_are_refused_before_they_start(job: dict[str, str], tmp_path: Path, change, words, wanted) -> None:
    assert wanted in run(job | change, *words)
    assert not (tmp_path / "served").exists()


@pytest.mark.parametrize(("recipe", "nodes", "wanted"), [
    ("qwen2.5-7b/sft.yaml", 1, "zero3.yaml"), ("qwen2.5-7b/sft.yaml", 2, "zero3-2nodes.yaml"),
    ("qwen2.5-7b/ppo.yaml", 1, "fsdp2.yaml"), ("qwen2.5-7b/ppo.yaml", 2, "fsdp2-2nodes.yaml"),
    ("qwen2.5-7b/sft-lora.yaml", 2, "ddp.yaml"), ("nano/sft.yaml", 1, "ddp.yaml")])
def test_several_processes_are_launched_as_the_recipes_header_says(repository: Path, monkeypatch, recipe, nodes, wanted) -> None:
    from medcopilot.train.slurm import configuration

    monkeypatch.chdir(repository)
    assert configuration(Path("recipes") / recipe, nodes).name == wanted


def test_another_configuration_may_be_chosen_and_the_launcher_outlasts_the_ranks(repository: Path, monkeypatch, capsys) -> None:
    from medcopilot.train.slurm import main

    monkeypatch.chdir(repository)
    monkeypatch.setenv("ACCELERATE", "mine.yaml")
    assert main(["launch", "ppo", "recipes/qwen2.5-7b/ppo.yaml", "2", "grace_seconds=900"]) == 0
    assert capsys.readouterr().out.split() == ["mine.yaml", "960"]


def test_a_recipe_whose_header_names_no_file_is_refused(tmp_path: Path) -> None:
    from env.errors import UserError
    from medcopilot.train.slurm import configuration

    path = tmp_path / "mine.yaml"
    path.write_text("# accelerate launch --config_file accelerate_configs/mine.yaml recipes/sft.py\nrun: x\n")
    with pytest.raises(UserError, match="name another in ACCELERATE"):
        configuration(path, 1)


@pytest.fixture
def headers(repository: Path) -> dict[str, str]:
    """The text of every job script."""
    return {path.stem: path.read_text() for path in sorted((repository / "slurm").glob("*.sbatch"))}


def test_what_is_sourced_before_sbatch_makes_the_folder_of_the_output(repository: Path, tmp_path: Path, headers) -> None:
    """Slurm makes no folders, and a job whose output has no place ends before its first line."""
    (tmp_path / "slurm").symlink_to(repository / "slurm")
    for _ in range(2):
        subprocess.run(["bash", "-euc", "source slurm/site.sh"], cwd=tmp_path, check=True)
    places = {re.search(r"^#SBATCH --output=(.+)/", text, re.MULTILINE)[1] for text in headers.values()}
    assert places == {"logs"}
    assert (tmp_path / "logs").is_dir()


def test_a_job_is_told_before_the_grace_of_its_ranks_would_end_at_the_limit(repository: Path, headers) -> None:
    """After the ranks the launcher ends, and the job asks to be put back into the queue: all of it within the limit."""
    from medcopilot.train.config import StageConfig
    from medcopilot.train.slurm import SLACK_SECONDS

    margin = SLACK_SECONDS + 60
    told = int(re.search(r"^#SBATCH --signal=B:TERM@(\d+)$", headers["train"], re.MULTILINE)[1])
    assert told >= StageConfig.model_fields["grace_seconds"].default + margin
    for text in (headers["train"], (repository / "docs/tutorials/cluster.md").read_text()):
        longer = re.search(r"--signal=B:TERM@(\d+) slurm/train.sbatch grpo \S+\s+grace_seconds=(\d+)", text)
        assert int(longer[1]) >= int(longer[2]) + margin


def test_jobs_that_sample_name_an_engine_that_uses_their_gpu(repository: Path, headers) -> None:
    """A folder alone is played by transformers on the CPU."""
    named = r"(?:sample\.sbatch|eval\.sbatch --checkpoint) (\S*CHECKPOINT)"
    found = [word for text in (headers["sample"], headers["eval"], (repository / "docs/tutorials/cluster.md").read_text())
             for word in re.findall(named, text)]
    assert found == ["vllm:CHECKPOINT"] * 6  # two headers with their usage, and the tutorial's two lines


@pytest.mark.parametrize(("script", "words"), [
    ("sample", ["vllm:start", "--dataset", "medcalcbench", "--out", "runs/wide", "--samples", "16"]),
    ("eval", ["--checkpoint", "vllm:start", "--dataset", "medcalcbench", "--json", "eval.json"])])
def test_the_command_of_a_job_that_samples_is_taken(job: dict[str, str], tmp_path: Path, monkeypatch, script, words) -> None:
    """What the job hands to srun reaches the engine: vLLM, with the folder that was named."""
    from medcopilot.cli.main import app
    from medcopilot.rollout import sample

    start = tmp_path / "start"
    start.mkdir()
    command = f"timeout --foreground 60 bash slurm/{script}.sbatch {' '.join(words)}; kill -- -$$"
    subprocess.run(["bash", "-c", command], cwd=tmp_path, env=job, capture_output=True, timeout=120, check=False,
                   start_new_session=True)
    handed = json.loads((tmp_path / "trained").read_text())
    asked: list[str] = []

    def play(config, *_: object, **__: object) -> Path:
        sample.check_config(config)
        asked.append(config.policy)
        raise KeyboardInterrupt

    monkeypatch.setattr(sample, "sample_run", play)
    monkeypatch.chdir(tmp_path)
    CliRunner().invoke(app, handed[handed.index("medcopilot") + 1:])
    assert asked == ["vllm:start"]
