"""slurm/train.sbatch with doubles of Slurm's programs: what a real cluster of one machine cannot show."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

NODES = ("trainer", "good", "dead")
SRUN = """#!/bin/bash
case "$*" in
  *--nodelist=good*) echo "$*" >served; exec sleep 60 ;;
  *--nodelist=dead*) exit 1 ;;
esac
"""
CURL = """#!/bin/bash
[[ "$*" == *//good:* ]]
"""


@pytest.fixture
def job(tmp_path: Path, repository: Path) -> dict[str, str]:
    for name in ("slurm", "recipes", "accelerate_configs"):
        (tmp_path / name).symlink_to(repository / name)
    (tmp_path / "env" / "bin").mkdir(parents=True)
    doubles = {"srun": SRUN, "curl": CURL, "scontrol": "#!/bin/bash\nprintf '%s\\n' " + " ".join(NODES) + "\n",
               "sleep": '#!/bin/bash\n[[ $1 == 60 ]] && exec /bin/sleep 60\nexec /bin/sleep 0.1\n'}
    for name, text in doubles.items():
        path = tmp_path / "env" / "bin" / name
        path.write_text(text)
        path.chmod(0o755)
    (tmp_path / "env" / "bin" / "python").write_text(f'#!/bin/bash\nexec {sys.executable} "$@"\n')
    (tmp_path / "env" / "bin" / "python").chmod(0o755)
    return {"PATH": f"{tmp_path / 'env' / 'bin'}:{os.environ['PATH']}", "SLURM_SUBMIT_DIR": str(tmp_path), "SLURM_JOB_ID": "7",
            "SLURM_JOB_NODELIST": "n[1-3]", "MEDCOPILOT_ENV": str(tmp_path / "env"), "SERVE_NODES": "2", "SERVE_CHECKPOINT": "x"}


def test_a_server_that_ended_before_it_answered_ends_the_job(job: dict[str, str], tmp_path: Path) -> None:
    """Also where another one is well: the job would hold its nodes until its time limit."""
    script = "timeout --foreground 20 bash slurm/train.sbatch grpo recipes/nano/grpo.yaml; kill -- -$$"  # with what it has started
    said = subprocess.run(["bash", "-c", script], cwd=tmp_path, env=job, capture_output=True, text=True, timeout=60, check=False,
                          start_new_session=True)
    assert "a server ended before it answered: see logs/slurm/7/serve-dead.log" in said.stderr


def test_servers_start_from_the_checkpoint_that_is_trained(job: dict[str, str], tmp_path: Path) -> None:
    """A change on the command line included: weights of another shape could never be replaced."""
    del job["SERVE_CHECKPOINT"]
    script = "timeout --foreground 50 bash slurm/train.sbatch grpo recipes/nano/grpo.yaml model.checkpoint=runs/other; kill -- -$$"
    subprocess.run(["bash", "-c", script], cwd=tmp_path, env=job, capture_output=True, text=True, timeout=90, check=False,
                   start_new_session=True)
    assert "medcopilot serve runs/other --host" in (tmp_path / "served").read_text()
