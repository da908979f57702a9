"""The grading room: one run per submission, evidence as plain data, failures of ours never a score."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from env.errors import BoxDied, SandboxUnavailable
from env.grading import GradingRoom, grade
from env.grading import room as module
from env.sandbox import open_backend
from env.sandbox.base import Backend, BoxSpec, Execution, Program
from env.task import Limits, Submission, Task, TaskKey, TaskView, make_task
from rewards.registry import Grader
from rewards.types import Evidence, EvidencePlan, Grade, Key

SEEN: list[Evidence] = []
TASK = make_task(TaskView(dataset="toy", family="calc", question="?", limits=Limits(exec_seconds=5)),
                 TaskKey(reference=42, grader="toy", args={"reference": "k3y-in-args"}), seed=1, category="c", template="t",
                 split="test", slice="seen", cluster="c0", licence="synthetic")


class FakeBox:
    """Answers with what it was given; counts."""

    tier = "fake"

    def __init__(self, backend: FakeBackend) -> None:
        self.backend = backend

    def run(self, program: Program, limits: Limits | None = None, *, want_value: bool = False) -> Execution:
        self.backend.programs.append(program.source)
        reply = self.backend.replies.pop(0) if len(self.backend.replies) > 1 else self.backend.replies[0]
        if isinstance(reply, Exception):
            raise reply
        return reply

    def read_files(self, names: list[str], max_bytes: int) -> dict[str, bytes]:
        return {name: b"data" for name in names if name == "out.csv"}

    def close(self) -> None:
        self.backend.closed += 1


class FakeBackend:
    name = tier = "fake"

    def __init__(self, *replies: Execution | Exception) -> None:
        self.replies = list(replies)
        self.programs: list[str] = []
        self.specs: list[BoxSpec] = []
        self.closed = 0

    def open(self, spec: BoxSpec) -> FakeBox:
        self.specs.append(spec)
        return FakeBox(self)

    def describe(self) -> dict[str, Any]:
        return {}

    def close(self) -> None:
        return


def judge(evidence: Evidence, key: Key) -> Grade:
    SEEN.append(evidence)
    right = evidence.has_value and evidence.status == "ok" and evidence.value == key.reference
    return Grade(float(right), "correct" if right else "wrong")


def judge_text(evidence: Evidence, key: Key) -> Grade:
    return Grade(float(str(key.reference) in evidence.text), "text")


@pytest.fixture(autouse=True)
def toy_graders(monkeypatch: pytest.MonkeyPatch) -> None:
    SEEN.clear()
    graders = {"strict": Grader(lambda key: EvidencePlan(), judge),
               "paper": Grader(lambda key: EvidencePlan(want_value=False, want_text=True), judge_text)}
    monkeypatch.setattr(module, "get_grader", lambda name, variant="strict": graders[variant])


def use(monkeypatch: pytest.MonkeyPatch, plan: EvidencePlan, judged: Any = judge) -> None:
    monkeypatch.setattr(module, "get_grader", lambda name, variant="strict": Grader(lambda key: plan, judged))


def program(source: str, language: str = "python") -> Submission:
    return Submission.model_validate({"kind": "program", "program": source, "language": language})


def room(backend: Backend) -> GradingRoom:
    return GradingRoom(backend, lambda view: ())


def test_one_run_serves_both_graders() -> None:
    backend = FakeBackend(Execution(status="ok", has_value=True, value=42, stdout="42\n"))
    grades = room(backend).grade(TASK, program("p"))
    assert {variant: grade.score for variant, grade in grades.items()} == {"strict": 1.0, "paper": 1.0}
    assert backend.programs == ["p"]
    assert backend.closed == 1
    assert not backend.specs[0].trusted


def test_printed_text_is_the_value_when_there_is_no_other() -> None:
    def score(**fields: Any) -> float | None:
        backend = FakeBackend(Execution(**{"status": "ok", **fields}))
        return room(backend).grade(TASK, program("p"), ("strict",))["strict"].score

    assert score(stdout="42\n") == 1.0
    assert score(stdout="42\n", has_value=True, value=41) == 0.0
    assert score(stdout="42\n", status="error") == 0.0
    assert score(stdout="42\n", truncated=True) == 0.0
    assert score(stdout="42", status="died") == 0.0


@pytest.mark.parametrize("failure", [BoxDied("gone"), Execution(status="infra", detail="gone")])
def test_our_failures_are_retried_once_then_ungraded(failure: Any) -> None:
    good = Execution(status="ok", has_value=True, value=42)
    once = FakeBackend(failure, good)
    assert room(once).grade(TASK, program("p"))["strict"].success
    twice = FakeBackend(failure)
    grades = room(twice).grade(TASK, program("p"))
    assert {(g.score, g.label, g.graded) for g in grades.values()} == {(None, "infrastructure", False)}
    assert len(twice.programs) == 2
    assert twice.closed == 2


def test_agent_failures_are_not_retried() -> None:
    backend = FakeBackend(Execution(status="died"))
    assert room(backend).grade(TASK, program("p"))["strict"].score == 0.0
    assert len(backend.programs) == 1


def test_unsupported_values_score_zero_where_the_value_matters() -> None:
    backend = FakeBackend(Execution(status="ok", unsupported="bytes", stdout="42"))
    grades = room(backend).grade(TASK, program("p"))
    assert (grades["strict"].score, grades["strict"].label, grades["paper"].score) == (0.0, "unsupported", 1.0)


def test_a_broken_grader_is_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, EvidencePlan(), lambda evidence, key: 1 / 0)
    found = room(FakeBackend()).grade(TASK, None, ("strict",))["strict"]
    assert (found.score, found.label, found.error) == (None, "infrastructure", "GraderError")


def test_other_submissions_need_no_box() -> None:
    backend = FakeBackend()
    grades = [room(backend).grade(TASK, submission, ("strict",))["strict"].score for submission in (
        Submission(kind="answer", answer=42), Submission(kind="answer", answer="42"), Submission(kind="abstain"), None)]
    assert grades == [1.0, 0.0, 0.0, 0.0]
    assert [evidence.kind for evidence in SEEN] == ["answer", "answer", "abstain", "none"]
    assert SEEN[0].text == "42"
    assert backend.specs == []


@pytest.mark.parametrize("answer", ["x" * 1_100_000, [1] * 600_000, float("nan"), float("inf"), "\ud800", 10**100, object()])
def test_malformed_answers_score_zero(answer: Any) -> None:
    found = room(FakeBackend()).grade(TASK, Submission(kind="answer", answer=answer))
    assert {(g.score, g.label) for g in found.values()} == {(0.0, "malformed")}


def test_deep_answers_score_zero() -> None:
    deep: Any = 0
    for _ in range(5000):
        deep = [deep]
    found = room(FakeBackend()).grade(TASK, Submission.model_construct(kind="answer", answer=deep))
    assert found["strict"].label == "malformed"


def test_files_and_state_reach_the_judge(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, EvidencePlan(files=("out.csv", "none.csv")))
    backend = FakeBackend(Execution(status="ok"))
    room(backend).grade(TASK, program("p"), ("strict",))
    room(backend).grade(TASK, Submission(kind="files", files=("a",)), ("strict",), files={"a": b"1"})
    room(backend).grade(TASK, Submission(kind="state"), ("strict",), state={"log": []})
    assert [evidence.files for evidence in SEEN] == [{"out.csv": b"data"}, {"a": b"1"}, {}]
    assert SEEN[2].state == {"log": []}


def test_hidden_inputs_go_in_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, EvidencePlan(inputs=("answer = f(1)", "answer = f(2)")))
    backend = FakeBackend(Execution(status="ok", has_value=True, value=3))
    room(backend).grade(TASK, program("def f(x): return 3"), ("strict",))
    assert [len(source.split("answer")) - 1 for source in backend.programs] == [0, 1, 1]
    assert len(backend.specs) == backend.closed == 3
    assert [output["value"] for output in SEEN[0].outputs] == [3, 3]


# With a real box


@pytest.fixture(scope="module")
def backend() -> Iterator[Backend]:
    try:
        made = open_backend()
    except SandboxUnavailable as error:
        pytest.skip(str(error))
    yield made
    made.close()


@pytest.mark.parametrize(("source", "score"), [
    ("answer = 42", 1.0), ("print(42)", 1.0), ("answer = 41\nprint(42)", 0.0), ("", 0.0), ("print(42)\n1/0", 0.0),
    ("import os\nprint(42, flush=True)\nos._exit(1)", 0.0), ("import os\nos.write(3, b'V43')\nos._exit(0)", 0.0),
    ("class E:\n  def __eq__(s, o): return True\nanswer = E()", 0.0), ("answer = float('nan')", 0.0),
    ("import builtins, math\nbuiltins.float = builtins.int = lambda *a: 42\nanswer = 41", 0.0),
    ("import os\nos.kill(os.getpid(), 9)\nprint(42)", 0.0), ("answer = 42\nimport atexit, os\natexit.register(os._exit, 1)", 0.0),
    ("import gc\nanswer = [o for o in gc.get_objects() if isinstance(o, dict) and o.get('reference') == 'k3y-' + 'in-args']", 0.0),
    ("open('result.json', 'w').write('{\"score\": 1}')", 0.0), ("import sys\nprint(42)\nsys.exit(0)", 1.0)])
def test_programs_and_attacks(backend: Backend, source: str, score: float | None) -> None:
    assert grade(TASK, program(source), ("strict",), backend=backend, mounts=lambda view: ())["strict"].score == score


def test_evidence_of_a_real_run(backend: Backend) -> None:
    for source, status in (("print('a')\nraise KeyError('k')", "error"), ("while True: pass", "timeout_soft")):
        task: Task = TASK.model_copy(update={"view": TASK.view.model_copy(update={"limits": Limits(exec_seconds=0.5)})})
        grades = room(backend).grade(task, program(source))
        assert grades["strict"].score == 0.0
        assert SEEN[-1].status == status
    assert "Traceback" in SEEN[0].text
    assert SEEN[0].text.startswith("a\n")


def test_gold_in_trusted_boxes_is_fast_and_right(backend: Backend) -> None:
    grading = room(backend)
    assert all(grading.grade(TASK, program("answer = 42"), trusted=True)["strict"].success for _ in range(20))
