"""slurm/*.sbatch on a real Slurm of two nodes with two GPUs each, all on one machine; scripts stand for recipes and for vLLM.

Several processes on several nodes, servers beside them, preemption. Nothing computes on a GPU here.
"""

import json
import sys
from pathlib import Path

import pytest
from launches import COMMON, STAGES, losses, make_workshop
from slurm_cluster import make_site, missing, open_cluster

from medcopilot.rl.grpo_settings import GrpoConfig
from medcopilot.train.config import load_config

pytestmark = pytest.mark.slow

RECIPE = """
import json, os, sys
from pathlib import Path
names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "GROUP_RANK", "ACCELERATE_DEEPSPEED_ZERO_STAGE", "FSDP_VERSION", "SLURMD_NODENAME",
         "CUDA_VISIBLE_DEVICES", "TORCH_ELASTIC_SHUTDOWN_TIMEOUT")
said = {name: os.environ.get(name) for name in names}
(Path(os.environ["FOLDER"]) / f"rank-{said['RANK']}.json").write_text(json.dumps({**said, "words": sys.argv[1:]}))
print("rank", said["RANK"], "speaks")
"""
STUBBORN = """
import os, signal, sys, time
from pathlib import Path
folder, rank = Path(os.environ["FOLDER"]), os.environ["RANK"]
if os.environ.get("SLURM_RESTART_COUNT", "0") != "0":
    sys.exit(0)
told = []
signal.signal(signal.SIGTERM, lambda *_: told.append(time.monotonic()))
(folder / f"started-{rank}").touch()
while not told:
    signal.pause()
until = told[0] + float(os.environ["STEP_SECONDS"])
while time.monotonic() < until:  # the step under way
    time.sleep(0.1)
if rank == "0":
    Path(os.environ["MEDCOPILOT_PREEMPTED"]).touch()
    (folder / "saved").touch()
sys.exit(75)
"""
SERVE = """#!{python}
import http.server, json, os, sys
from pathlib import Path
port = int(sys.argv[sys.argv.index("--port") + 1])
names = ("CUDA_VISIBLE_DEVICES", "SLURMD_NODENAME", "VLLM_SERVER_DEV_MODE")
said = {{name: os.environ.get(name) for name in names}} | {{"words": sys.argv[1:]}}
(Path(os.environ["FOLDER"]) / f"server-{{port}}.json").write_text(json.dumps(said))
class Healthy(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
http.server.HTTPServer(("", port), Healthy).serve_forever()
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory, repository):
    if reason := missing(nodes=2):
        pytest.skip(reason)
    site = make_site(tmp_path_factory.mktemp("site") / "site", repository, verifier=STUBBORN, dpo=RECIPE, grpo=RECIPE)
    with open_cluster(tmp_path_factory.mktemp("slurm"), site, nodes=2, gpus=2) as cluster:
        cluster.environment["MEDCOPILOT_ENV"] = str(Path(sys.executable).parent.parent)
        yield cluster


@pytest.fixture
def vllm(tmp_path) -> str:
    """An environment whose `medcopilot serve` writes down how it was started, and answers."""
    serve = tmp_path / "serve" / "bin" / "medcopilot"
    serve.parent.mkdir(parents=True)
    serve.write_text(SERVE.format(python=sys.executable))
    serve.chmod(0o755)
    return str(serve.parent.parent)


def finished(cluster, job: str, wanted: str = "COMPLETED") -> str:
    """Wait for the job's end. Returns its output."""
    cluster.wait("the end", lambda: cluster.state(job) in ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "PREEMPTED"))
    said = next((cluster.repository / "logs").glob(f"slurm-*-{job}.out")).read_text()
    assert cluster.state(job) == wanted, said + cluster.logs()
    return said


def read(folder: Path, pattern: str) -> list[dict]:
    return [json.loads(path.read_text()) for path in sorted(folder.glob(pattern))]


def test_two_nodes_start_a_launcher_each(cluster, tmp_path) -> None:
    """Also with a configuration for one node, under which DeepSpeed would look for a hostfile and log in to the others."""
    job = cluster.submit("--nodes=2", "--gpus-per-node=2", "slurm/train.sbatch", "dpo", "recipes/qwen2.5-7b/dpo.yaml", "seed=3",
                         "grace_seconds=900", FOLDER=str(tmp_path), ACCELERATE="accelerate_configs/zero3.yaml")
    finished(cluster, job)
    ranks = read(tmp_path, "rank-*.json")
    assert [(rank["RANK"], rank["WORLD_SIZE"], rank["LOCAL_RANK"], rank["GROUP_RANK"]) for rank in ranks] == [
        ("0", "4", "0", "0"), ("1", "4", "1", "0"), ("2", "4", "0", "1"), ("3", "4", "1", "1")]
    assert len({rank["SLURMD_NODENAME"] for rank in ranks}) == 2
    assert {(rank["ACCELERATE_DEEPSPEED_ZERO_STAGE"], rank["CUDA_VISIBLE_DEVICES"]) for rank in ranks} == {("3", "0,1")}
    assert all(rank["words"] == ["--config", "recipes/qwen2.5-7b/dpo.yaml", "seed=3", "grace_seconds=900"] for rank in ranks)
    assert all(int(rank["TORCH_ELASTIC_SHUTDOWN_TIMEOUT"]) > 900 for rank in ranks), "the launcher outlasts the ranks"
    logs = cluster.repository / "logs" / "slurm" / job / "ranks"
    said = {(path.relative_to(logs).parts[0], path.parent.name): path.read_text()
            for path in logs.glob("*/*/attempt_0/*/stdout.log")}
    assert said == {(str(node), str(local)): f"rank {2 * node + local} speaks\n" for node in range(2) for local in range(2)}


def test_each_rank_has_a_server_on_a_gpu_of_its_own(cluster, tmp_path, vllm) -> None:
    recipe = "recipes/qwen2.5-7b/grpo.yaml"
    job = cluster.submit("--nodes=2", "--gpus-per-node=2", "slurm/train.sbatch", "grpo", recipe, "model.checkpoint=start",
                         FOLDER=str(tmp_path), SERVE_NODES="1", MEDCOPILOT_OPEN_SERVERS="1", SERVE_PORT="18210",
                         MEDCOPILOT_SERVE_ENV=vllm)
    finished(cluster, job)
    servers, ranks = read(tmp_path, "server-*.json"), read(tmp_path, "rank-*.json")
    assert [server["CUDA_VISIBLE_DEVICES"] for server in servers] == ["0", "1"]
    assert [server["VLLM_SERVER_DEV_MODE"] for server in servers] == ["1", "1"]
    assert [rank["WORLD_SIZE"] for rank in ranks] == ["2", "2"]
    (serves,), (trains,) = ({said["SLURMD_NODENAME"] for said in half} for half in (servers, ranks))
    assert serves != trains
    config = load_config(GrpoConfig, cluster.repository / recipe, ranks[0]["words"][2:])
    assert [config.engine.servers.share(rank, 2).urls for rank in range(2)] == [
        (f"http://{serves}:18210",), (f"http://{serves}:18211",)]


def test_a_serving_job_has_a_server_per_gpu(cluster, tmp_path, vllm) -> None:
    words = ("--gpus-per-node=2", "slurm/serve.sbatch", "start")
    job = cluster.submit(*words, FOLDER=str(tmp_path), SERVE_PORT="18220", MEDCOPILOT_SERVE_ENV=vllm)
    cluster.wait("two servers", lambda: len(list(tmp_path.glob("server-*.json"))) == 2 or cluster.state(job) == "FAILED")
    urls = (cluster.repository / "logs" / "slurm" / job / "urls").read_text().split()
    cluster.run("scancel", job)
    assert [url.rpartition(":")[2] for url in urls] == ["18220", "18221"]
    assert [server["CUDA_VISIBLE_DEVICES"] for server in read(tmp_path, "server-*.json")] == ["0", "1"]
    assert read(tmp_path, "server-*.json")[0]["VLLM_SERVER_DEV_MODE"] is None
    job = cluster.submit(*words, "--weight-sync", "nccl", MEDCOPILOT_SERVE_ENV=vllm)
    assert "set MEDCOPILOT_OPEN_SERVERS=1" in finished(cluster, job, "FAILED")


@pytest.mark.parametrize(("words", "variables", "said"), [
    (["grpo", "recipes/qwen2.5-7b/grpo.yaml"], {}, "set MEDCOPILOT_OPEN_SERVERS=1 in slurm/site.sh"),
    (["grpo", "recipes/qwen2.5-7b/grpo.yaml"], {"SERVERS_PER_NODE": "1"}, "1 servers for 2 ranks"),
    (["dpo", "recipes/qwen2.5-7b/dpo.yaml"], {"MEDCOPILOT_OPEN_SERVERS": "1"}, "this stage plays no rollouts"),
])
def test_servers_that_cannot_work_are_refused(cluster, words, variables, said) -> None:
    job = cluster.submit("--nodes=2", "--gpus-per-node=2", "slurm/train.sbatch", *words, SERVE_NODES="1", **variables)
    assert said in finished(cluster, job, "FAILED")


@pytest.mark.parametrize(("step", "patience", "saved"), [
    (600, {"TORCH_ELASTIC_SHUTDOWN_TIMEOUT": "1"}, False),  # as if the step outlasted grace_seconds: the launcher kills the ranks
    pytest.param(33, {}, True, marks=pytest.mark.thorough),  # longer than the 30 s that a launcher gives of its own accord
])
def test_a_pre_empted_job_of_two_processes_comes_back_after_a_long_step(cluster, tmp_path, step, patience, saved) -> None:
    job = cluster.submit("--nodes=1", "--nodelist=localhost", "slurm/train.sbatch", "verifier", "recipes/nano/verifier.yaml",
                         FOLDER=str(tmp_path), PROCESSES_PER_NODE="2", STEP_SECONDS=str(step), **patience)
    cluster.wait("both processes", lambda: len(list(tmp_path.glob("started-*"))) == 2 or cluster.state(job) == "FAILED")
    assert cluster.state(job) == "RUNNING", cluster.logs()
    cluster.submit("--partition=high", "--nodelist=localhost", f"--cpus-per-task={cluster.cores}", "--output=/dev/null", "--wrap",
                   "true")
    said = finished(cluster, job)
    assert "back into the queue" in said
    assert "start 2" in said
    assert (tmp_path / "saved").exists() == saved


@pytest.mark.thorough
def test_a_pre_empted_job_of_two_nodes_resumes(cluster, tmp_path) -> None:
    """Each process saves its part of the state, and none is ended by the others' end before it has."""
    make_workshop(tmp_path)
    words = [text.format(folder=tmp_path) for text in (*STAGES["sft"].overrides, *COMMON)]
    job = cluster.submit("--nodes=2", "slurm/train.sbatch", "sft", "recipes/nano/sft.yaml", f"run={tmp_path}/run", *words,
                         "max_seconds=null", "max_steps=200", "save_steps=null", PROCESSES_PER_NODE="1",
                         ACCELERATE="accelerate_configs/ci/fsdp2.yaml")
    metrics = tmp_path / "run" / "metrics" / "sft.jsonl"
    cluster.wait("the first steps", lambda: cluster.state(job) == "FAILED" or (metrics.exists() and metrics.stat().st_size > 2000))
    assert cluster.state(job) == "RUNNING", cluster.logs()
    cluster.submit("--partition=high", "--nodelist=localhost", f"--cpus-per-task={cluster.cores}", "--output=/dev/null", "--wrap",
                   "true")
    said = finished(cluster, job)
    assert "start 2" in said
    assert len(losses(tmp_path, "run", "sft")) == 200, "no step was lost or done twice"
    log = next((cluster.repository / "logs" / "slurm" / job).glob("*-0.log")).read_text()
    assert "2 processes on 2 machines, FSDP2" in log
    assert "told to make room, and stopped with a saved state" in log


def test_a_job_that_fails_by_itself_is_not_put_back(cluster, tmp_path) -> None:
    job = cluster.submit("--nodes=1", "slurm/train.sbatch", "dpo", "recipes/qwen2.5-7b/dpo.yaml", FOLDER=str(tmp_path / "none"),
                         PROCESSES_PER_NODE="1")
    said = finished(cluster, job, "FAILED")
    assert "back into the queue" not in said


def test_a_job_has_the_whole_node_unless_it_says_otherwise(cluster, tmp_path) -> None:
    for options, cpus in (((), cluster.cores), (("--oversubscribe", "--cpus-per-task=1", "--mem=1M"), 1)):
        job = cluster.submit("--nodes=1", *options, "slurm/train.sbatch", "dpo", "recipes/nano/dpo.yaml", FOLDER=str(tmp_path),
                             PROCESSES_PER_NODE="1")
        finished(cluster, job)
        about = cluster.run("scontrol", "show", "job", "--oneliner", job)
        assert f" NumCPUs={cpus} " in about
