"""FHIR tasks through a real gym: the expert earns 1 on every type, shortcuts earn 0, and no episode sees another."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import threading
from collections.abc import Iterator

import pytest

from env.datasets.base import BuildRequest, Built
from env.datasets.medagentbench import MedAgentBench
from env.errors import BoxDied
from env.gym import Gym
from env.sandbox import open_backend
from env.sandbox.base import Backend
from env.task import Submission, Task
from medcopilot.agent.loop import run_episode
from medcopilot.policies.expert import ExpertPolicy
from medcopilot.rollout.jobs import Job
from medcopilot.trace import Trace, write_line

BASE = "http://127.0.0.1:8080/fhir"
FETCH = f"import urllib.request\nprint(urllib.request.urlopen('{BASE}/%s', timeout=10).read().decode())"


@pytest.fixture(scope="module")
def backend() -> Iterator[Backend]:
    made = open_backend("auto")
    yield made
    made.close()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    request = BuildRequest(seed=11, train=0, test=80, patients=150)
    return MedAgentBench().build(request, root=tmp_path_factory.mktemp("fhir"))


@pytest.fixture(scope="module")
def gym(backend: Backend, built: Built) -> Gym:
    return Gym(backend, [built])


@pytest.fixture(scope="module")
def tasks(built: Built) -> list[Task]:
    return built.tasks("test")


def action(name: str, **params: object) -> str:
    return json.dumps({"action": name, "params": params})


def play(gym: Gym, task: Task, *actions: str) -> tuple[list[str], float | None]:
    episode = gym.episode(task)
    try:
        texts = [episode.step(text).text for text in actions]
    finally:
        episode.close()
    return texts, gym.grade(task, episode.submission, state=episode.state)["strict"].score


def answer_of(task: Task) -> dict[str, object]:
    reference = task.key.reference["answer"]
    return {"state": True, **({"answer": reference[0] if len(reference) == 1 else reference} if reference else {})}


def test_the_expert_earns_one_on_every_type_with_and_without_detours(gym: Gym, tasks: list[Task]) -> None:
    chosen = {(task.template, bool(task.key.args["due"])): task for task in tasks}
    assert len({name for name, _ in chosen}) == 20
    for number, task in enumerate(chosen.values()):
        trace = asyncio.run(run_episode(Job(task=task, loop_guard=True), ExpertPolicy(seed=number, detours=0.5), gym))
        assert trace.grades["strict"].score == 1.0, (task.template, trace.grades["strict"].detail, trace.turns[-1].observation)
        assert trace.stop == "submit"
        assert not any(turn.guard for turn in trace.turns)
        again = Trace(**json.loads(write_line(trace)))
        assert again.submission is not None
        assert gym.grade(task, Submission(**again.submission), state=again.state)["strict"].success


def test_gold_submitted_as_a_program_runs_beside_a_server_of_its_own(gym: Gym, tasks: list[Task]) -> None:
    for task in [task for task in tasks if task.key.args["due"]][:3] + [task for task in tasks if not task.key.args["due"]][:2]:
        given = Submission(kind="program", program=task.key.gold)
        assert gym.grade(task, given)["strict"].success
        assert gym.grade(task, given, trusted=True)["strict"].success
        assert gym.grade(task, Submission(kind="program", program=task.key.gold + task.key.gold))["strict"].success is not bool(
            task.key.args["due"]), task.template


def test_doing_nothing_writing_twice_and_reflex_orders_earn_nothing(gym: Gym, tasks: list[Task]) -> None:
    due = next(task for task in tasks if task.template == "replace magnesium" and task.key.args["due"])
    idle = next(task for task in tasks if task.template == "replace magnesium" and not task.key.args["due"])
    gold, submit = action("code_execution", code=due.key.gold), action("submit", **answer_of(due))
    assert play(gym, due, gold, submit)[1] == 1.0
    assert play(gym, due, submit)[1] == 0.0
    assert play(gym, due, gold, gold, submit)[1] == 0.0
    assert play(gym, due, gold, action("submit", state=True))[1] == 0.0
    assert play(gym, due, gold)[1] == 0.0
    assert play(gym, idle, action("submit", **answer_of(idle)))[1] == 1.0
    reflex = idle.key.gold.replace("if rows and answer <= 1.9:", "if True:").replace("grams = 4", "grams = 1")
    assert play(gym, idle, action("code_execution", code=reflex), action("submit", **answer_of(idle)))[1] == 0.0


def test_what_may_be_submitted_is_said(gym: Gym, tasks: list[Task]) -> None:
    texts, score = play(gym, tasks[0], action("submit", answer=5), action("submit", abstain=True))
    assert texts[0] == 'This task takes state or program, not answer. Write {"state": true, "answer": ...}.'
    assert texts[1].startswith("This task takes state or program, not abstain.")
    assert score == 0.0


def test_no_episode_sees_anothers_writes(gym: Gym, tasks: list[Task]) -> None:
    task = next(task for task in tasks if task.template == "record blood pressure")
    mrn = task.key.args["due"][0]["pattern"]["subject"]["reference"].split("/")[1]
    look = action("code_execution", code=FETCH % f"Observation?patient={mrn}&code=BP&_lastUpdated=ge2023")
    one, two = gym.episode(task), gym.episode(task)
    try:
        one.step(action("code_execution", code=task.key.gold))
        assert json.loads(one.step(look).text)["total"] == 1
        assert json.loads(two.step(look).text)["total"] == 0
        assert (len(one.state or []), two.state) == (1, [])
    finally:
        one.close()
        two.close()
    assert len(one.state or []) == 1


def test_the_box_holds_no_resources_and_reaches_nothing_else(gym: Gym, tasks: list[Task]) -> None:
    code = """
import os, socket
print(os.listdir("/data"))
for address in (("127.0.0.1", 8081), ("8.8.8.8", 53)):
    try:
        socket.create_connection(address, timeout=2)
        print("reached", address)
    except OSError:
        pass
"""
    texts, _ = play(gym, tasks[0], action("code_execution", code=code), action("request_info"),
                    action("request_info", table="Observation", column="code.coding.code"))
    assert texts[0] == "[]"
    assert "Patient 150" in texts[1]
    assert "MG" in texts[2]


def test_a_box_that_was_started_again_is_served_again(gym: Gym, tasks: list[Task]) -> None:
    look = action("code_execution", code=FETCH % "Patient?_summary=count")
    episode = gym.episode(tasks[0])
    try:
        assert '"total": 150' in episode.step(look).text
        box = episode._box
        assert box is not None
        os.kill(box.worker.pid, signal.SIGKILL)  # type: ignore[attr-defined]
        texts = []
        for _ in range(5):  # the first may be told that the box died
            with contextlib.suppress(BoxDied):
                texts.append(episode.step(look).text)
        assert '"total": 150' in texts[-1]
    finally:
        episode.close()


def test_the_paper_protocol_ends_with_the_first_correct_run(backend: Backend, built: Built, tasks: list[Task]) -> None:
    task = next(task for task in tasks if task.template == "replace potassium" and task.key.args["due"])
    episode = Gym(backend, [built], protocol="paper").episode(task)
    try:
        assert episode.step(action("code_execution", code="print('looking')")).ended == ""
        assert episode.step(action("code_execution", code=task.key.gold)).ended == "success"
    finally:
        episode.close()


def test_nothing_is_left_when_episodes_end(gym: Gym, tasks: list[Task]) -> None:
    def left() -> tuple[int, int]:
        return len(os.listdir("/proc/self/fd")), sum(thread.name.startswith("fhir") for thread in threading.enumerate())

    look = action("code_execution", code=FETCH % "Patient?_count=1")
    play(gym, tasks[0], look)
    before = left()
    for _ in range(8):
        play(gym, tasks[0], look, look)
        gym.grade(tasks[0], Submission(kind="program", program=tasks[0].key.gold))
    assert left()[0] <= before[0] + 2
    assert left()[1] == 0
