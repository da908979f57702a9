"""A real Slurm of one machine, started for a test: munge, controller, one node, a low and a high partition that preempts it."""

from __future__ import annotations

import os
import shutil
import socket
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
SlurmdPort={node}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=1,bf_interval=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
MpiDefault=none
ReturnToService=2
NodeName={host} NodeAddr=127.0.0.1 CPUs={cores} State=UNKNOWN
PartitionName=low Nodes=ALL Default=YES MaxTime=INFINITE State=UP PriorityTier=1 PreemptMode=REQUEUE GraceTime=120
PartitionName=high Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=OFF
"""


def missing() -> str:
    """Why there can be no cluster here; empty: there can."""
    if os.geteuid() != 0:
        return "a Slurm of one's own needs root"
    gone = [name for name in PROGRAMS if shutil.which(name, path=_path()) is None]
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
        """A job's id."""
        before, self.environment = self.environment, {**self.environment, **variables}
        try:
            return self.run("sbatch", "--parsable", *words).strip()
        finally:
            self.environment = before

    def state(self, job: str) -> str:
        """For example RUNNING, PENDING, COMPLETED."""
        said = self.run("scontrol", "show", "job", "--oneliner", job)
        return said.partition("JobState=")[2].split()[0]

    def wait(self, what: str, found: Callable[[], bool], seconds: float = 240) -> None:
        """Until it is true."""
        until = time.monotonic() + seconds
        while not found():
            assert time.monotonic() < until, f"{what} did not happen in {seconds:g} s\n{self.logs()}"
            time.sleep(0.1)  # between two looks at another process

    def logs(self) -> str:
        """The ends of the daemons' logs and of the jobs' output."""
        files = [*self.folder.glob("*.log"), *sorted((self.repository / "logs").glob("slurm-*.out"))[-2:]]
        return "\n".join(f"== {path.name}\n{path.read_text(errors='replace')[-1500:]}" for path in files)


@contextmanager
def open_cluster(folder: Path, repository: Path) -> Iterator[Cluster]:
    """Start the daemons; end them, and what is left of jobs."""
    cluster = Cluster(folder, repository)
    (folder / "state").mkdir()
    key = folder / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    conf = CONF.format(folder=folder, host=socket.gethostname(), cores=cluster.cores, controller=_free_port(), node=_free_port())
    (folder / "slurm.conf").write_text(conf)
    munge = ["--force", "--key-file", key, "--socket", folder / "munge.sock", "--pid-file", folder / "munged.pid", "--log-file",
             folder / "munged.log", "--seed-file", folder / "munge.seed"]
    daemons = {"munged": ["munged", "--foreground", *munge], "slurmctld": ["slurmctld", "-D"], "slurmd": ["slurmd", "-D"]}
    started = []
    try:
        for name, words in daemons.items():
            with (folder / f"{name}.out.log").open("wb") as log:
                started.append(subprocess.Popen([str(word) for word in words], env=cluster.environment, stdout=log, stderr=log))
            if name == "munged":
                cluster.wait("munge's socket", (folder / "munge.sock").exists, 30)
        cluster.wait("an idle node", lambda: "idle" in _quiet(cluster, "sinfo", "--noheader", "--format=%t"), 60)
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
