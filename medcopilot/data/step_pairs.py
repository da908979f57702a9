"""Preference pairs within one episode: its final program against an earlier one that was wrong.

Promises: the opening is the episode up to where the wrong program was written; each side is one turn of the policy, the tokens of
it that the episode holds, so no observation is in either; an earlier program is wrong when its run ended with an error or at a
limit, or, under protocol `paper`, when it ran and the episode went on, which there means that its result was not the answer.
Does not cover: programs that ran and misled under protocol `submit`: their results are not graded one by one. The final program
may use what the agent learnt after the opening.
Source: "shared opening, chosen = the final correct program, rejected = an earlier wrong one", arXiv 2506.04405.
"""

from __future__ import annotations

from typing import NamedTuple

from medcopilot.data.sources import Tokenized
from medcopilot.trace import Trace, Turn
from rewards.loops import normal_program


class StepPair(NamedTuple):
    """Token ids and masks, as `medcopilot.data.pairs` writes them."""

    prompt_ids: list[int]
    chosen_ids: list[int]
    rejected_ids: list[int]
    chosen_mask: list[int]
    rejected_mask: list[int]


def step_pair(episode: Tokenized) -> StepPair | str:
    """The pair of a successful episode with its first wrong program, or why there is none: `no_program`, `no_wrong_program`, or
    `turns_unclear` (the tokens do not show where each turn lies)."""
    trace = episode.trace
    if len(episode.spans) != len(trace.turns):
        return "turns_unclear"
    final = final_program(trace)
    if final is None:
        return "no_program"
    right = _program(trace.turns[final])
    wrong = next((i for i, turn in enumerate(trace.turns[:final])
                  if _ran(turn) and _wrong(turn, trace) and _program(turn) != right), None)
    if wrong is None:
        return "no_wrong_program"
    (start, end), (first, last) = episode.spans[wrong], episode.spans[final]
    return StepPair(episode.ids[:start], episode.ids[first:last], episode.ids[start:end], episode.mask[first:last],
                    episode.mask[start:end])


def final_program(trace: Trace) -> int | None:
    """The turn whose program gave what was submitted: the last that ran without an error; of a submitted program, the last run of
    that program, else the submission itself. None when nothing was computed."""
    ran = [i for i, turn in enumerate(trace.turns) if _ran(turn) and not _failed(turn)]
    given = trace.submission
    if given is not None and given.get("kind") == "abstain":
        return None
    if given is None or given.get("kind") != "program":
        return ran[-1] if ran else None
    whole = normal_program(str(given.get("program", "")), str(given.get("language", "python")))
    same = [i for i in ran if _program(trace.turns[i]) == whole]
    last = len(trace.turns) - 1
    return same[-1] if same else last if trace.turns[last].action == "submit" and not trace.turns[last].problem else None


def _ran(turn: Turn) -> bool:
    """The turn ran a program of its own."""
    return turn.action == "code_execution" and not turn.problem and turn.execution is not None


def _failed(turn: Turn) -> bool:
    return turn.execution is not None and (turn.execution.get("status") != "ok" or bool(turn.execution.get("exit_code")))


def _wrong(turn: Turn, trace: Trace) -> bool:
    return _failed(turn) or trace.protocol == "paper"


def _program(turn: Turn) -> str:
    """What a turn runs, up to formatting."""
    return normal_program(str(turn.params.get("code", turn.params.get("program", ""))), str(turn.params.get("language", "python")))
