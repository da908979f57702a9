"""A few rollouts of a step as text that a person can read.

Promises: one Markdown file per chosen step, written whole, in `<run>/samples/<stage>/`; successes and failures have their share;
the first line of the file is a JSON comment that says which rows are in it and under which licence, so that whoever wants to pass
the file on can ask `env.agreement`; control characters, which a policy may print, are written out.
Does not cover: the complete record (`keep_traces`), and trackers (`medcopilot.train.tracking`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from env.files import atomic_write
from medcopilot.report.text import one_line, visible
from medcopilot.report.trajectories import Picker, share_out, why
from medcopilot.trace import Trace, Turn

if TYPE_CHECKING:
    from medcopilot.rl.group import Group

QUESTION_CHARS = 4_000
TEXT_CHARS = 2_000


class Sample(NamedTuple):
    """One rollout and what it was worth in its group."""

    trace: Trace
    reward: float | None
    advantage: float


def pick(played: Sequence[Group], count: int, seed: int = 0) -> list[Sample]:
    """At most `count` rollouts, dealt to every dataset and outcome in turn."""
    picker, worth = Picker(count, seed), {}
    for group in played:
        for trace, reward, advantage in zip(group.traces, group.rewards, group.advantages, strict=True):
            picker.offer(trace)
            worth[id(trace)] = Sample(trace, reward, advantage)
    return [worth[id(trace)] for _, trace in share_out({"": picker}, count)]


def sample_text(trace: Trace, reward: float | None, advantage: float) -> str:
    """Question, turns and outcome as Markdown."""
    question = next((message["content"] for message in trace.messages if message.get("role") == "user"), "")
    worth = "no reward" if reward is None else f"reward {reward:.2f}, advantage {advantage:+.2f}"
    parts = [f"## {trace.dataset} · {trace.outcome}: {one_line(question, 100) or trace.task_id}",
             f"task `{trace.task_id}`, {visible(trace.template)}, sample {trace.sample}, {len(trace.turns)} "
             f"turn{'s' if len(trace.turns) != 1 else ''}, ended by {trace.stop}, {worth}",
             "### Question", fenced(visible(question, QUESTION_CHARS))]
    for number, turn in enumerate(trace.turns, start=1):
        parts += _turn(number, turn)
    grades = ", ".join(f"{name} {'not graded' if grade.score is None else format(grade.score, '.2f')} ({visible(grade.label)})"
                       for name, grade in sorted(trace.grades.items(), reverse=True))
    parts += ["### Outcome", f"{grades}. {visible(why(trace), TEXT_CHARS)}".strip()]
    return "\n\n".join(parts) + "\n"


def _turn(number: int, turn: Turn) -> list[str]:
    problem = f", refused ({turn.problem})" if turn.problem else ""
    status = f", {turn.execution.get('status', '')}" if turn.execution else ""
    parts = [f"### Turn {number}: {turn.action or 'unreadable reply'}{problem}{status}, {turn.generate_seconds:.1f} s + "
             f"{turn.env_seconds:.1f} s", fenced(visible(_said(turn), TEXT_CHARS))]
    seen = "\n".join(text for text in (turn.observation, turn.guard) if text)
    return parts + (["observed:", fenced(visible(seen, TEXT_CHARS))] if seen else [])


def _said(turn: Turn) -> str:
    """The program where there is one, other parameters as JSON, what cannot be parsed as it came."""
    if turn.action is None:
        return turn.reply
    for name in ("code", "program"):
        if isinstance(turn.params.get(name), str) and len(turn.params) <= 2:
            return str(turn.params[name])
    return json.dumps(turn.params, ensure_ascii=False, indent=1)


def fenced(text: str) -> str:
    """A block of text whose fence is longer than any inside it."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{text.rstrip()}\n{fence}"


def due(folder: Path, step: int, every: int) -> bool:
    """Whether it is time for the next file: always for the first, then `every` steps after the last."""
    written = [int(path.stem[5:]) for path in folder.glob("step-*.md") if path.stem[5:].isdigit()]
    return not written or step >= max(written) + every


def write_samples(folder: Path, stage: str, step: int, chosen: Sequence[Sample], texts: Sequence[str]) -> Path:
    """The file of a step."""
    rows = sorted({(trace.dataset, trace.licence) for trace, *_ in chosen})
    path = folder / f"step-{step}.md"
    atomic_write(path, "\n".join([f"<!-- {json.dumps({'stage': stage, 'step': step, 'rows': rows})} -->",
                                  f"# {stage}, step {step}", "", *texts]))
    return path


def sample_rows(text: str) -> list[tuple[str, str]]:
    """(dataset, licence) of the rows in such a file; one without a tag, which counts as restricted, where it does not say."""
    try:
        head: Any = json.loads(text.partition("\n")[0].removeprefix("<!-- ").removesuffix(" -->"))
        return [(str(dataset), str(licence)) for dataset, licence in head["rows"]]
    except (ValueError, KeyError, TypeError):
        return [("unknown", "")]
