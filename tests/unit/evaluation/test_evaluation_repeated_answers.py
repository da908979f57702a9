"""Answers that only repeat the output are counted, and nothing else."""

from __future__ import annotations

from trace_factory import make_trace

from medcopilot.studies.exploits import repeated
from medcopilot.trace import Trace, Turn


def episode(output: str, answer: object, **outcome: bool | None) -> Trace:
    return make_trace(**outcome, turns=[Turn(reply="{}", action="code_execution", params={"code": "…"}, observation=output),
                                        Turn(reply="{}", action="submit", params={"answer": answer}, observation="Submitted.")])


def test_doubled_answers_are_counted_by_what_graders_say() -> None:
    doubled = [episode("4\n", 44, success=False, paper=True), episode("1", "111", success=False, paper=False),
               episode("a.b", "a.ba.b", success=None)]
    honest = [episode("4", 4), episode("44", 44), episode("", ""), episode("a.b", "axbaxb"), episode("4", 45),
              make_trace(stop="turns"), make_trace(turns=[Turn(reply="{}", action="submit", params={"abstain": True})])]
    assert repeated([*doubled, *honest]) == {"repeated": 3, "strict": 0, "paper": 1}
