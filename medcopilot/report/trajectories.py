"""Which episodes a report shows in full, and what it says about each.

Promises: a bounded choice from any number of traces in one pass; it depends on task ids only, so that the same tasks tend to be
shown for every stage and can be read against each other; successes, failures and answers that only the paper's grader accepts
each have their share per dataset.
Does not cover: permission to show a row (`build` asks `env.agreement`).
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Mapping
from typing import Any

from medcopilot.evaluation.columns import did_abstain
from medcopilot.evaluation.errors import CLASSES, error_class
from medcopilot.report.text import action_parts, one_line, visible
from medcopilot.trace import Trace, Turn
from medcopilot.trace_scan import Place, ScannedTrace

PROMPT_CHARS = 6_000
OBSERVATION_CHARS = 3_000

_WHY_LABEL = {
    "wrong": "The submitted value differs from the reference.",
    "near_miss": "The submitted value is close to the reference but outside its tolerance.",
    "wrong_type": "The submitted value has another type than the reference.",
    "malformed": "The submission could not be read as an answer.",
    "error": "The submitted program failed when it was run for grading.",
    "no_submission": "Nothing was submitted.",
    "abstained": "The agent abstained although the question has an answer.",
    "unsupported": "The program left a value that is no plain data (its type cannot be carried out of the box).",
    "infrastructure": "Ungraded: the machinery failed, not the agent.",
}
_WHY_STOP = {
    "turns": "The turns ran out before anything was submitted.",
    "context": "The conversation outgrew the context before anything was submitted.",
    "loop": "The agent repeated itself after it had been told so, before anything was submitted.",
    "no_reply": "The policy gave no reply.",
}


class Picker:
    """Keeps the traces of one stage that are worth reading."""

    def __init__(self, per_kind: int, seed: int = 0) -> None:
        self._per_kind = per_kind
        self._seed = seed
        self._kept: dict[tuple[str, str], list[tuple[float, str, Trace | Place]]] = {}

    def offer(self, trace: Trace) -> None:
        """Look at one trace; memory does not grow with their number."""
        if self._per_kind == 0:
            return
        digest = hashlib.blake2b(f"{self._seed}/{trace.task_id}/{trace.sample}".encode(), digest_size=8).digest()
        rank = -int.from_bytes(digest, "big") / 2**64
        kept = self._kept.setdefault((trace.dataset, trace.outcome), [])
        if (len(kept) == self._per_kind and rank <= kept[0][0]) or any(entry[1] == trace.id for entry in kept):
            return
        # a trace on disk is read again if it is shown: thousands in full would fill the memory
        entry = (rank, trace.id, trace.place if isinstance(trace, ScannedTrace) else trace)
        if len(kept) < self._per_kind:
            heapq.heappush(kept, entry)
        else:
            heapq.heapreplace(kept, entry)

    def forget(self, played: set[str]) -> None:
        """Drop attempts that were masked and then played again. `played`: ids of the graded episodes."""
        for (_, outcome), kept in self._kept.items():
            if outcome == "ungraded":
                kept[:] = [entry for entry in kept if entry[1] not in played]
                heapq.heapify(kept)

    def kept(self) -> dict[tuple[str, str], list[Trace | Place]]:
        """(dataset, outcome) -> traces, or where they lie, best first."""
        return {key: [trace for _, _, trace in sorted(entries, key=lambda entry: entry[:2], reverse=True)]
                for key, entries in self._kept.items()}


def share_out(pickers: Mapping[str, Picker], limit: int) -> list[tuple[str, Trace]]:
    """At most `limit` (stage, trace) pairs, dealt in turn to every stage, dataset and outcome."""
    order = {"success": 0, "failure": 1, "paper only": 2, "ungraded": 3}
    piles = [(stage, key, traces) for stage, picker in pickers.items()
             for key, traces in sorted(picker.kept().items(), key=lambda item: (item[0][0], order[item[0][1]]))]
    dealt: list[tuple[int, int]] = []
    for depth in range(max((len(traces) for _, _, traces in piles), default=0)):
        dealt += [(pile, depth) for pile, (_, _, traces) in enumerate(piles) if depth < len(traces)]
    chosen = [(piles[pile][0], piles[pile][2][depth]) for pile, depth in sorted(dealt[:limit])]
    return [(stage, item.read() if isinstance(item, Place) else item) for stage, item in chosen]


def why(trace: Trace) -> str:
    """One or two sentences on the verdict; empty for a success that needs no words."""
    strict = trace.grades.get("strict")
    if trace.outcome == "success":
        return strict.detail if strict is not None else ""
    if trace.stop == "infrastructure":
        return f"{_WHY_LABEL['infrastructure']} {trace.error}".strip()
    if strict is None:
        return "Ungraded: this episode was sampled without grading."
    parts = [_WHY_STOP.get(trace.stop, "") if trace.submission is None else "",
             "" if trace.submission is None and trace.stop in _WHY_STOP else _WHY_LABEL.get(strict.label, ""), strict.detail]
    if trace.impossible and not did_abstain(trace):
        parts.append("The question has no answer in the data: abstaining would have been right.")
    if trace.outcome == "paper only":
        parts.append("The paper's grader accepts it all the same.")
    said = dict.fromkeys(part.strip() for part in parts if part.strip())
    return " ".join(part if part[-1] in ".!?:" else part + "." for part in said)


def card(stage: str, trace: Trace, number: int, limit: int | None = None) -> dict[str, Any]:
    """What the template shows of one episode. Text is cleaned here and escaped there.

    Args:
        limit: characters of a prompt, a reply or an observation; None: those of a report.
    """
    opening = []
    for message in trace.messages:
        if message.get("role") == "assistant":
            break
        opening.append({"role": message.get("role", ""), "text": visible(message.get("content", ""), limit or PROMPT_CHARS)})
    question = next((item["text"] for item in reversed(opening) if item["role"] == "user"), "")
    error = error_class(trace)
    return {
        "id": f"episode-{number}", "stage": stage, "dataset": trace.dataset, "slice": trace.slice,
        "category": visible(trace.category), "template": visible(trace.template), "task": trace.task_id,
        "outcome": trace.outcome, "stop": trace.stop, "error": error,
        "meaning": CLASSES.get(error, ""),
        "question": one_line(question, 140) or "(no question text)", "opening": opening, "why": visible(why(trace)),
        "impossible": trace.impossible, "temperature": trace.temperature, "sample": trace.sample, "policy": trace.policy,
        "seconds": trace.seconds, "tokens": trace.context_tokens if trace.context_tokens is not None else trace.completion_tokens,
        "submission": trace.submission["kind"] if trace.submission else "nothing", "sandbox": trace.sandbox,
        "grades": [{"name": name, "score": grade.score, "label": visible(grade.label), "detail": visible(grade.detail, 600)}
                   for name, grade in sorted(trace.grades.items(), reverse=True)],
        "turns": [_turn(turn, limit or OBSERVATION_CHARS) for turn in trace.turns],
    }


def _turn(turn: Turn, limit: int) -> dict[str, Any]:
    run, reply = turn.execution or {}, turn.reply.strip()
    # an action alone is shown as what it does; what was said around it, the reasoning, is shown as it came
    said = "" if turn.action is None or (reply.startswith("{") and reply.endswith("}")) else visible(reply, limit)
    return {"action": turn.action or "unreadable reply", "problem": turn.problem, "tokens": turn.sampled_tokens,
            "seconds": turn.generate_seconds + turn.env_seconds, "status": run.get("status", ""),
            "said": said,
            "parts": action_parts(turn.action, turn.params, turn.reply),
            "observation": visible(turn.observation, limit), "guard": visible(turn.guard)}
