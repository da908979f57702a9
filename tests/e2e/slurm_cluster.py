"""A real Slurm of one machine, started for a test: munge, controller, nodes, a low and a high partition that preempts it.

A second node is a second slurmd whose host name, in a namespace of its own, is `localhost`: both names lead to this machine. GPUs
are files that Slurm hands out and nothing computes on.
"""

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol", "sinfo")
CONF = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock,cred_expire=5
CredType=cred/munge
SlurmctldPort={controller}
FirstJobId={first}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=1,bf_interval=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
MpiDefault=none
ReturnToService=2
GresTypes=gpu
{nodes}
PartitionName=low Nodes=ALL Default=YES MaxTime=INFINITE State=UP PriorityTier=1 PreemptMode=REQUEUE GraceTime=120
PartitionName=high Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=OFF
"""
NODE = "NodeName={name} NodeAddr=127.0.0.1 Port={port} CPUs={cores} State=UNKNOWN"


def missing(nodes: int = 1) -> str:
    """Why there can be no cluster here; empty: there can."""
    if os.geteuid() != 0:
        return "a Slurm of one's own needs root"
    gone = [name for name in PROGRAMS if shutil.which(name, path=_path()) is None]
    if not gone and nodes > 1 and subprocess.run(["unshare", "--uts", "true"], capture_output=True, check=False).returncode:
        return "a second node needs a host name of its own (unshare --uts)"
    return f"no Slurm on this machine ({gone[0]}): apt-get install slurm-wlm munge" if gone else ""


class Cluster:
    """Submits to the cluster and asks it."""

    def __init__(self, folder: Path, repository: Path) -> None:
        self.folder, self.repository = folder, repository
        self.cores = os.cpu_count() or 1
        self.environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf"), "PATH": _path()}

    def run(self, *words: object) -> str:
        """One command of Slurm; what it printed."""
        done = subprocess.run([str(word) for word in words], env=self.environment, cwd=self.repository, capture_output=True,
                              text=True, timeout=60, check=False)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout

    def submit(self, *words: object, **variables: str) -> str:
        """A job's id. `variables`: of the environment."""
        before, self.environment = self.environment, {**self.environment, **variables}
        try:
            return self.run("sbatch", "--parsable", *words).strip()
        finally:
            self.environment = before

    def state(self, job: str) -> str:
        """For example RUNNING, PENDING, COMPLETED."""
        said = self.run("scontrol", "show", "job", "--oneliner", job)
        return said.partition("JobState=")[2].split()[0]

    def wait(self, what: str, found: Callable[[], bool], seconds: float = 900) -> None:
        """Until it is true."""
        until = time.monotonic() + seconds
        while not found():
            assert time.monotonic() < until, f"{what} did not happen in {seconds:g} s\n{self.logs()}"
            time.sleep(0.1)  # between two looks at another process

    def logs(self) -> str:
        """The ends of the daemons' logs and of the jobs' output."""
        logs = self.repository / "logs"
        files = [*self.folder.glob("*.log"), *sorted(logs.glob("slurm-*.out"))[-2:], *sorted(logs.glob("slurm/*/*.log"))[-2:]]
        return "\n".join(f"== {path.name}\n{path.read_text(errors='replace')[-1500:]}" for path in files)


def make_site(folder: Path, repository: Path, **recipes: str) -> Path:
    """A folder to submit from, like the repository but with scripts in place of some recipes. Returns it.

    Args:
        recipes: name of a stage -> its script.
    """
    (folder / "recipes").mkdir(parents=True)
    (folder / "logs").mkdir()
    for name in ("slurm", "accelerate_configs", "medcopilot", "env", "rewards"):
        (folder / name).symlink_to(repository / name)
    for path in (repository / "recipes").iterdir():
        if path.stem in recipes:
            (folder / "recipes" / path.name).write_text(recipes[path.stem])
        else:
            (folder / "recipes" / path.name).symlink_to(path)
    return folder


@contextmanager
def open_cluster(folder: Path, repository: Path, nodes: int = 1, gpus: int = 0) -> Iterator[Cluster]:
    """Start the daemons; end them, and what is left of jobs.

    Args:
        repository: where jobs are submitted.
        nodes: 1 or 2.
        gpus: of each node.
    """
    cluster = Cluster(folder, repository)
    (folder / "state").mkdir()
    key = folder / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    names = [socket.gethostname(), "localhost"][:nodes]
    own = f" Gres=gpu:{gpus}" if gpus else ""
    lines = [NODE.format(name=name, port=_free_port(), cores=cluster.cores) + own for name in names]
    first = 1 + 50 * (os.getpid() % 300)  # a job's number is its launchers' port: two clusters at once must not share any
    conf = CONF.format(folder=folder, host=names[0], controller=_free_port(), first=first, nodes="\n".join(lines))
    (folder / "slurm.conf").write_text(conf)
    for number in range(gpus):
        os.mknod(folder / f"gpu{number}", 0o600 | stat.S_IFCHR, os.makedev(1, 3))  # /dev/null's: Slurm wants devices
    (folder / "gres.conf").write_text(f"AutoDetect=off\nName=gpu File={folder}/gpu[0-{gpus - 1}]\n" if gpus else "")
    munge = ["--force", "--key-file", key, "--socket", folder / "munge.sock", "--pid-file", folder / "munged.pid", "--log-file",
             folder / "munged.log", "--seed-file", folder / "munge.seed"]
    daemons = {"munged": ["munged", "--foreground", *munge], "slurmctld": ["slurmctld", "-D"],
               "slurmd": ["slurmd", "-D", "-N", names[0]]}
    if nodes > 1:
        daemons["slurmd-2"] = ["unshare", "--uts", "sh", "-c", f"hostname {names[1]} && exec slurmd -D -N {names[1]}"]
    started = []
    try:
        for name, words in daemons.items():
            with (folder / f"{name}.out.log").open("wb") as log:
                started.append(subprocess.Popen([str(word) for word in words], env=cluster.environment, stdout=log, stderr=log))
            if name == "munged":
                cluster.wait("munge's socket", (folder / "munge.sock").exists, 30)
        states = ("sinfo", "--noheader", "--partition=low", "--Node", "--format=%t")
        cluster.wait("idle nodes", lambda: _quiet(cluster, *states).split() == ["idle"] * nodes, 60)
        yield cluster
    finally:
        _quiet(cluster, "scancel", "--user", "root")
        for process in reversed(started):
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _quiet(cluster: Cluster, *words: str) -> str:
    return subprocess.run(words, env=cluster.environment, capture_output=True, text=True, timeout=60, check=False).stdout


def _path() -> str:
    return os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
