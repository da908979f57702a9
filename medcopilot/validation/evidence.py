"""Evidence of attack programs: shared runs, real runs to compare them with, and the search for the key.

Promises: every attack program runs in an untrusted box with exactly the files that an agent would have; what an attack prints
is kept as the grading room keeps it. Spot tasks see the attacks through the ordinary grading path.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from env.actions import CodeExecution, CodeParams
from env.errors import InfrastructureError
from env.gym import Gym
from env.task import Submission, Task
from medcopilot.validation.attacks import Attack, attacks
from medcopilot.validation.controls import RESULT_FILE, compares_in_box, leaky_box
from medcopilot.validation.judging import INFRASTRUCTURE, DataKey, EvidenceTable, attack_evidence, attack_grade, data_key
from medcopilot.validation.programs import read_key
from rewards.types import Evidence

EXEC_SECONDS = 30.0
"""Time limit of an attack: what they do takes a second or two."""


def attack_table(gym: Gym, tasks: Sequence[Task], threads: int, progress: Callable[[int, int], None]) -> EvidenceTable:
    """Evidence of every attack program on whatever it depends on (`data_key`), by (attack, that)."""
    hosts: dict[DataKey, Task] = {}
    for task in tasks:
        hosts.setdefault(data_key(task), task)
    jobs = [(attack, key, task) for key, task in hosts.items() for attack in attacks()
            if attack.submission.kind == "program" and attack.applies(task)]
    table: dict[tuple[str, DataKey], Evidence] = {}
    with ThreadPoolExecutor(threads) as pool:
        found = pool.map(lambda job: run_attack(gym, job[0].build(job[2]) if job[0].build else job[0].submission, job[2]), jobs)
        for done, ((attack, key, _), outcome) in enumerate(zip(jobs, found, strict=True), start=1):
            table[attack.name, key] = outcome
            progress(done, len(jobs))
    return table


def run_attack(gym: Gym, submission: Submission, task: Task) -> Evidence:
    """One attack program in a box of its own, with the files of `task`."""
    limits = task.view.limits.model_copy(update={"exec_seconds": EXEC_SECONDS})
    view = task.view.model_copy(update={"limits": limits})
    try:
        return gym.room.evidence(task.model_copy(update={"view": view}), submission, files=(RESULT_FILE,))
    except InfrastructureError as error:  # an attack that excuses itself as our failure: counted, and a breach
        return Evidence(kind="program", status=INFRASTRUCTURE, text=str(error))


def withstands(gym: Gym, attack: Attack, tasks: Sequence[Task]) -> str:
    """How a control that needs a box of its own withstood an attack on one task; empty when the attack succeeded."""
    if not tasks:
        return "no answerable task"
    task = tasks[0]
    if attack.control == "leaky_box":
        return leaky_box(gym.backend, task, gym.mounts(task.view))
    if attack.control == "compares_in_box":
        return compares_in_box(gym.backend, attack.submission.program, task)
    raise KeyError(f"attack {attack.name!r} names no known control: {attack.control!r}")


def spot_tasks(tasks: Sequence[Task], per_database: int, seed: int) -> list[Task]:
    """A few answerable tasks per set of files and split."""
    groups: dict[tuple[str, DataKey], list[Task]] = {}
    for task in tasks:
        if not task.key.args.get("impossible"):
            groups.setdefault((task.split, tuple(file.path for file in task.view.data)), []).append(task)
    rng = random.Random(seed)
    return [task for group in groups.values() for task in rng.sample(group, min(per_database, len(group)))]


def disagreement(gym: Gym, attack: Attack, task: Task, table: EvidenceTable) -> str:
    """What differs between the real grade of an attack and the grade of its shared evidence; empty when nothing does."""
    submission = attack.source_for(task)
    real = gym.grade(task, submission, state=[] if submission.kind == "state" else None)["strict"]
    shared = attack_grade(attack, attack_evidence(attack, task, table), task, "strict")
    if (real.score, real.label) == (shared.score, shared.label):
        return ""
    return f"{attack.name!r} on {task.id}: {real.label} ({real.score}) for real, {shared.label} ({shared.score}) shared"


def leaks_in(table: EvidenceTable, tasks: Sequence[Task]) -> Iterator[str]:
    """Canaries of the tasks in anything that an attack program got hold of."""
    texts = [(name, evidence.text) for (name, _), evidence in table.items() if name == "read the key"]
    for name, text in texts:
        for task in tasks:
            if task.key.canary and task.key.canary in text:
                yield f"{name}: canary of {task.id}"
                break


def search_for_key(gym: Gym, task: Task) -> Iterator[str]:
    """Search for this task's own canary from an episode's box, as an agent would."""
    episode = gym.episode(task)
    try:
        observation = episode.step(CodeExecution(action="code_execution", params=CodeParams(code=read_key(task.key.canary))))
    finally:
        episode.close()
    execution = observation.execution
    if execution is None or "searched" not in execution.stdout:
        yield f"search in the box of {task.id} did not run to its end: {observation.text[-200:]}"
    elif task.key.canary in execution.text:
        yield f"box of {task.id}: canary found"
