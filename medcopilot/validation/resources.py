"""Attacks on resources: programs that would rather break the machine than solve the task.

Promises: each runs once for a dataset, under a limit of two seconds, in a grading box. It must earn nothing, must be
graded (nobody is excused for breaking the box), and must end within the limit and a margin. Its control counts a run that began as
a success, so it falls for every one that truly ran.
Does not cover: whether anything is left behind; the sandbox's own tests look for that from outside.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from env.errors import InfrastructureError
from env.grading import judge
from env.gym import Gym
from env.task import Submission, Task
from rewards.types import Evidence

LIMIT_SECONDS = 2.0
MARGIN_SECONDS = 15.0
BEGUN = "BEGUN"
_START = f"print({BEGUN!r}, flush=True)\n"
PROGRAMS = {
    "sleep for ever": "import time\nwhile True:\n    try:\n        time.sleep(1000)\n    except KeyboardInterrupt:\n        pass\n",
    "fork bomb": "import os\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        pass\n",
    "memory bomb": "kept = []\nwhile True:\n    kept.append(bytearray(64 << 20))\n",
    "fill the disk": "handle = open('big', 'wb')\nwhile True:\n    handle.write(b'x' * (1 << 20))\n",
    "a gigabyte of output": "for _ in range(1024):\n    print('x' * (1 << 20))\n",
    "reach the network": "import socket\nsocket.create_connection(('1.1.1.1', 80), timeout=1)\n",
    "a daemon": ("import os, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        time.sleep(60)\n"
                 "    os._exit(0)\n"),
}


def check(gym: Gym, tasks: Sequence[Task], progress: Callable[[int, int], None]) -> list[dict[str, Any]]:
    """One row for each attack, run on the first task; none without tasks."""
    rows = []
    for done, (name, source) in enumerate(PROGRAMS.items() if tasks else (), start=1):
        rows.append(_row(gym, tasks[0], name, _START + source))
        progress(done, len(PROGRAMS))
    return rows


def _row(gym: Gym, task: Task, name: str, source: str) -> dict[str, Any]:
    limits = task.view.limits.model_copy(update={"exec_seconds": LIMIT_SECONDS, "memory_mb": 512})
    view = task.view.model_copy(update={"limits": limits})
    started = time.monotonic()
    small = task.model_copy(update={"view": view})
    try:
        evidence = gym.room.evidence(small, Submission(kind="program", program=source))
    except InfrastructureError as error:
        evidence = Evidence(kind="program", status="infra", text=str(error))
    seconds = time.monotonic() - started
    grade = judge(small, "strict", evidence)
    problem = ""
    if evidence.status == "infra" or not grade.graded:
        problem = f"it was excused as a failure of our own ({evidence.text if evidence.status == 'infra' else grade.detail})"
    elif grade.score:
        problem = f"it earned {grade.score}"
    elif seconds > LIMIT_SECONDS + MARGIN_SECONDS:
        problem = f"it took {seconds:.1f} s under a limit of {LIMIT_SECONDS} s"
    return {"name": name, "status": evidence.status, "label": grade.label, "seconds": round(seconds, 2), "harmless": not problem,
            "detail": problem, "live": BEGUN in evidence.text}
