"""slurm/*.sbatch on a real Slurm of one machine: jobs are pre-empted, go back into the queue, resume and finish."""

import json
import sys
from pathlib import Path

import pytest
from launches import make_workshop
from slurm_cluster import missing, open_cluster

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster(tmp_path_factory, repository):
    if reason := missing():
        pytest.skip(reason)
    (repository / "logs").mkdir(exist_ok=True)
    with open_cluster(tmp_path_factory.mktemp("slurm"), repository) as cluster:
        cluster.environment["MEDCOPILOT_ENV"] = str(Path(sys.executable).parent.parent)
        yield cluster


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """Tiny rows for SFT, and a tokenizer."""
    folder = tmp_path_factory.mktemp("rows")
    make_workshop(folder)
    return folder


def sft(rows: Path, name: str) -> list[str]:
    return ["slurm/train.sbatch", "sft", "recipes/nano/sft.yaml", f"run={rows / name}", f"data={rows / 'sft.jsonl'}",
            f"model.tokenizer={rows / 'tokenizer'}",
            "model.shape={hidden: 32, layers: 2, heads: 2, feed_forward: 48, positions: 256}", "batch_tokens=512",
            "max_seconds=null", "max_steps=300", "save_steps=null", "log_steps=1", "optimizer.warmup_steps=1"]


def logged(folder: Path, stage: str) -> list[int]:
    """Steps that the run has logged."""
    path = folder / "metrics" / f"{stage}.jsonl"
    lines = path.read_text().split("\n")[:-1] if path.exists() else []
    return [json.loads(line)["step"] for line in lines]


def preempted(cluster, words: list[str], folder: Path, stage: str, after: int, **variables: str) -> str:
    """Submit, pre-empt once `after` steps are logged, wait for the end. Returns the job's output."""
    job = cluster.submit("--job-name=low-one", *words, **variables)
    cluster.wait("the first steps", lambda: len(logged(folder, stage)) >= after or cluster.state(job) in ("FAILED", "COMPLETED"))
    assert cluster.state(job) == "RUNNING", cluster.logs()
    cluster.submit("--job-name=high-one", "--partition=high", f"--cpus-per-task={cluster.cores}", "--output=/dev/null", "--wrap",
                   "true")
    cluster.wait("the end", lambda: cluster.state(job) in ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "PREEMPTED"))
    said = (cluster.repository / "logs" / f"slurm-low-one-{job}.out").read_text()
    assert cluster.state(job) == "COMPLETED", said + cluster.logs()
    return said


def test_a_pre_empted_sft_job_resumes_and_ends_with_the_undisturbed_weights(cluster, rows) -> None:
    job = cluster.submit("--job-name=alone", *sft(rows, "straight"))
    cluster.wait("the end", lambda: cluster.state(job) in ("COMPLETED", "FAILED"))
    assert cluster.state(job) == "COMPLETED", cluster.logs()
    said = preempted(cluster, sft(rows, "disturbed"), rows / "disturbed", "sft", 20)
    assert "start 1" in said
    assert "back into the queue" in said
    assert "start 2" in said
    assert logged(rows / "disturbed", "sft") == list(range(1, 301)), "no step was lost or done twice"
    one, two = (rows / name / "checkpoints" / "sft" / "model.safetensors" for name in ("straight", "disturbed"))
    assert one.read_bytes() == two.read_bytes()


@pytest.mark.thorough  # one process does it above, and scripts in test_slurm_nodes.py
def test_a_pre_empted_job_of_two_processes_resumes(cluster, rows) -> None:
    words = [*sft(rows, "two"), "optimizer.name=adamw"]
    said = preempted(cluster, words, rows / "two", "sft", 20, PROCESSES_PER_NODE="2", ACCELERATE="accelerate_configs/ci/ddp.yaml")
    assert "back into the queue" in said
    assert "start 2" in said
    assert logged(rows / "two", "sft") == list(range(1, 301)), "no step was lost or done twice"
    log = next((cluster.repository / "logs" / "slurm" / said.split()[1]).glob("*-0.log")).read_text()
    assert "2 processes, DDP" in log
    assert "told to make room, and stopped with a saved state" in log


def test_a_pre_empted_grpo_job_resumes_and_finishes(cluster, workshop) -> None:
    words = workshop.command("grpo", "slurm", "max_steps=60")[1:]
    for name, value in workshop.environment.items():
        cluster.environment.setdefault(name, value)
    recipe = ["slurm/train.sbatch", "grpo", "recipes/nano/grpo.yaml", *words[2:]]
    said = preempted(cluster, recipe, workshop.folder / "slurm", "grpo", 1)
    assert "start 2" in said
    assert logged(workshop.folder / "slurm", "grpo") == list(range(1, 61))


def test_a_cancelled_job_does_not_come_back(cluster, rows) -> None:
    job = cluster.submit("--job-name=cancelled", *sft(rows, "cancelled"))
    cluster.wait("the first steps", lambda: len(logged(rows / "cancelled", "sft")) >= 5)
    cluster.run("scancel", job)
    cluster.wait("the end", lambda: cluster.state(job) == "CANCELLED")
    cluster.wait("the node", lambda: "idle" in cluster.run("sinfo", "--noheader", "--format=%t"))
    assert cluster.state(job) == "CANCELLED"


@pytest.mark.parametrize(("words", "variables", "said"), [
    (["slurm/train.sbatch", "sft"], {}, "usage: sbatch slurm/train.sbatch"),
    (["slurm/train.sbatch", "sft", "recipes/none.yaml"], {}, "usage: sbatch slurm/train.sbatch"),
    (["slurm/train.sbatch", "sft", "recipes/nano/sft.yaml"], {"SERVE_NODES": "1"}, "leaves none to train"),
    (["slurm/train.sbatch", "sft", "recipes/nano/sft.yaml"], {"MEDCOPILOT_ENV": "/nowhere"}, "set MEDCOPILOT_ENV"),
    (["slurm/sample.sbatch"], {}, "usage: sbatch slurm/sample.sbatch"),
    (["slurm/eval.sbatch"], {}, "usage: sbatch slurm/eval.sbatch"),
    (["slurm/serve.sbatch"], {}, "usage: sbatch slurm/serve.sbatch"),
])
def test_bad_input_is_one_sentence(cluster, words, variables, said) -> None:
    job = cluster.submit("--job-name=bad", *words, **variables)
    cluster.wait("the end", lambda: cluster.state(job) == "FAILED")
    assert said in (cluster.repository / "logs" / f"slurm-bad-{job}.out").read_text()


def test_sampling_runs_as_a_job(cluster, workshop, tmp_path) -> None:
    for name, value in workshop.environment.items():
        cluster.environment.setdefault(name, value)
    job = cluster.submit("--job-name=sample", "slurm/sample.sbatch", "expert", "--dataset", "medcalcbench", "--train", 40,
                         "--test", 8, "--patients", 50, "--out", tmp_path / "run")
    cluster.wait("the end", lambda: cluster.state(job) in ("COMPLETED", "FAILED"))
    assert cluster.state(job) == "COMPLETED", cluster.logs()
    assert list((tmp_path / "run" / "traces").glob("*.jsonl"))
