"""Hand-made traces for the tests of exports."""

from __future__ import annotations

from typing import Any

from medcopilot.trace import GradeRecord, Trace, Turn

QUESTION = "How many patients?"
LOOK = '{"action":"request_info","params":{}}'
GOOD = '{"action":"submit","params":{"answer":12}}'
BAD = '{"action":"submit","params":{"answer":7}}'


def trace(identity: str, *replies: str, task: str = "t1", score: float | None = 1.0, observation: str = "tables: patients",
          question: str = QUESTION, problems: tuple[int, ...] = (), **fields: Any) -> Trace:
    messages = [{"role": "user", "content": question}]
    turns = []
    for i, reply in enumerate(replies):
        last = i == len(replies) - 1
        messages.append({"role": "assistant", "content": reply})
        if not last:
            messages.append({"role": "user", "content": observation})
        turns.append(Turn(reply=reply, problem="format" if i in problems else "", observation="" if last else observation))
    grade = GradeRecord(score=score, label="correct" if score == 1 else "wrong")
    base: dict[str, Any] = {
        "id": identity, "task_id": task, "dataset": "mimic_iii", "category": "c", "template": "q", "split": "train",
        "slice": "train", "cluster": "k", "licence": "synthetic", "policy": "p", "messages": messages, "turns": turns,
        "stop": "submit",
        "grades": {"strict": grade, "paper": GradeRecord(score=1.0, label="correct")}}
    return Trace(**{**base, **fields})


def run_turn(code: str, status: str = "ok", language: str = "python") -> Turn:
    """A turn that ran a program."""
    reply = f'{{"action":"code_execution","params":{{"code":"{code}"}}}}'
    return Turn(reply=reply, action="code_execution", params={"code": code, "language": language}, observation=f"{status} {code}",
                execution={"status": status, "exit_code": 0 if status == "ok" else 1})


def submit_turn(**params: Any) -> Turn:
    """A turn that submitted."""
    reply = f'{{"action":"submit","params":{params}}}'
    return Turn(reply=reply, action="submit", params=params, observation="Submitted.")


def played(identity: str, *turns: Turn, score: float = 1.0, submission: dict[str, Any] | None = None, **fields: Any) -> Trace:
    """An episode of these turns."""
    item = trace(identity, *(turn.reply for turn in turns), score=score, **fields)
    messages = [item.messages[0]]
    for turn in turns:
        messages += [{"role": "assistant", "content": turn.reply}, {"role": "user", "content": turn.observation}]
    return item.model_copy(update={"turns": list(turns), "messages": messages[:-1],
                                   "submission": submission or {"kind": "answer", "answer": 12}})
