"""One trace as one sample of an Inspect log.

Promises: the messages are the trace's, text for text; each turn is two events, the model's call and the action as a tool call with
its program, its observation and its times; grades keep their labels and details; ids and times come from the trace, so that the
same trace always gives the same sample.
Does not cover: the log around it (`logs`).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from inspect_ai.event import ErrorEvent, Event, ModelEvent, ScoreEvent, ToolEvent
from inspect_ai.log import EvalError, EvalSample, EvalSampleLimit
from inspect_ai.model import ChatCompletionChoice, ChatMessage, GenerateConfig, ModelOutput, ModelUsage
from inspect_ai.scorer import Score
from inspect_ai.tool import ToolCallContent, ToolCallError

from medcopilot.evaluation.errors import error_class
from medcopilot.interop.arena import labels
from medcopilot.interop.model import chat_messages
from medcopilot.interop.text import action_text, submission_text
from medcopilot.trace import GradeRecord, Trace, Turn, used_tokens

_LIMITS = {"turns": "turn", "context": "context", "loop": "custom"}
"""Our stop -> the name that Inspect has for such a limit."""


def eval_sample(trace: Trace) -> EvalSample:
    """The sample of a trace; epoch 1 is the first rollout."""
    messages = chat_messages(trace.messages, trace.id)
    opening = next((number for number, message in enumerate(messages) if message.role == "assistant"), len(messages))
    failed = EvalError(message=trace.error or "ungraded", traceback="", traceback_ansi="") if _masked(trace) else None
    scores = {} if failed else {name: _score(trace, name, grade) for name, grade in trace.grades.items()}
    usage = _usage(trace)
    return EvalSample(
        id=trace.task_id, epoch=trace.sample + 1, uuid=trace.id, input=messages[:opening], target="", messages=messages,
        output=_last_output(trace, messages), scores=scores or None, metadata=_about(trace),
        store={"medcopilot": {"submission": trace.submission, "state": trace.state}},
        events=list(_events(trace, messages, scores, failed)), model_usage={trace.policy: usage} if usage else {}, error=failed,
        started_at=_at(trace.started), completed_at=_at(trace.started + trace.seconds), total_time=trace.seconds,
        working_time=trace.seconds, limit=_limit(trace), turn_count=len(trace.turns))


def _masked(trace: Trace) -> bool:
    return trace.stop == "infrastructure" or not trace.graded


def _about(trace: Trace) -> dict[str, Any]:
    return {**labels(trace), "trace": trace.id, "stop": trace.stop, "error_class": error_class(trace), "protocol": trace.protocol,
            "seed": trace.seed, "temperature": trace.temperature, "policy_version": trace.policy_version,
            "sandbox": trace.sandbox, "impossible": trace.impossible, "grade_seconds": trace.grade_seconds}


def _score(trace: Trace, name: str, grade: GradeRecord) -> Score:
    answer = submission_text(trace.submission)
    if grade.score is None:
        return Score.unscored(reason="scoring_failed", answer=answer, explanation=f"{grade.error}: {grade.detail}")
    return Score(value=grade.score, answer=answer, explanation=": ".join(part for part in (grade.label, grade.detail) if part),
                 metadata={"label": grade.label, "stop": trace.stop, "turns": len(trace.turns)})


def _usage(trace: Trace) -> ModelUsage | None:
    """Tokens read (as the policy's engine or endpoint counted them) and sampled; None where either is unknown: Inspect has no word
    for half of it."""
    read, written = used_tokens([turn.sampled_tokens for turn in trace.turns], trace.prompt_tokens, trace.completion_tokens,
                                trace.stop == "infrastructure")
    if read is None or written is None:
        return None
    return ModelUsage(input_tokens=read, output_tokens=written, total_tokens=read + written)


def _limit(trace: Trace) -> EvalSampleLimit | None:
    if trace.stop not in _LIMITS:
        return None
    return EvalSampleLimit(type=_LIMITS[trace.stop], limit=float(trace.turn_limit or 0) if trace.stop == "turns" else 0.0,
                           reason=f"stop: {trace.stop}")


def _last_output(trace: Trace, messages: list[ChatMessage]) -> ModelOutput:
    said = [message for message in messages if message.role == "assistant"]
    return _output(trace, said[-1], trace.turns[-1] if trace.turns else None) if said else ModelOutput(model=trace.policy)


def _output(trace: Trace, message: Any, turn: Turn | None) -> ModelOutput:
    tokens = turn.sampled_tokens if turn is not None else None
    usage = ModelUsage(output_tokens=tokens, total_tokens=tokens) if tokens is not None else None
    return ModelOutput(model=trace.policy, choices=[ChatCompletionChoice(message=message)], usage=usage,
                       time=turn.generate_seconds if turn is not None else None)


def _events(trace: Trace, messages: list[ChatMessage], scores: dict[str, Score], failed: EvalError | None) -> Iterator[Event]:
    clock, turns = 0.0, iter(trace.turns)
    for number, message in enumerate(messages):
        if message.role != "assistant" or (turn := next(turns, None)) is None:
            continue
        name, said = f"{trace.id}-{number}", clock + turn.generate_seconds
        yield ModelEvent(uuid=f"{name}-model", model=trace.policy, input=messages[:number], tools=[], tool_choice="none",
                         config=GenerateConfig(temperature=trace.temperature), output=_output(trace, message, turn),
                         working_time=turn.generate_seconds, **_span(trace, clock, said))
        clock = said + turn.env_seconds
        yield ToolEvent(uuid=f"{name}-action", id=f"{name}-action", function=turn.action or "unreadable", arguments=turn.params,
                        view=ToolCallContent(format="markdown", content=action_text(turn.action, turn.params)),
                        result=turn.observation, error=_refusal(turn), working_time=turn.env_seconds,
                        metadata={"execution": turn.execution, "guard": turn.guard}, **_span(trace, said, clock))
    end = {name: value for name, value in _span(trace, trace.seconds, trace.seconds).items() if name != "completed"}
    if failed is not None:
        yield ErrorEvent(uuid=f"{trace.id}-error", error=failed, **end)
    for name, score in scores.items():
        yield ScoreEvent(uuid=f"{trace.id}-{name}", score=score, target="", scorer=name, **end)


def _span(trace: Trace, start: float, end: float) -> dict[str, Any]:
    """When an event began and ended; both in seconds since the episode did."""
    begun, done = (datetime.fromtimestamp(trace.started + seconds, UTC) for seconds in (start, end))
    return {"timestamp": begun, "completed": done, "working_start": start}


def _refusal(turn: Turn) -> ToolCallError | None:
    if not turn.problem:
        return None
    return ToolCallError("permission" if turn.problem == "not_allowed" else "parsing", turn.observation)


def _at(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
