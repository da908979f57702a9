"""Lines of `error_cases.yaml` as traces.

A line may hold its dataset (`data`), `turns` in their order, one submission (`answer`, `program`, `state`, `abstain`), `label`,
`detail` and `score` of the strict grade, `end` (the stop where nothing was submitted), and fields of the trace. A turn is `info`,
or a program (`sql`, `py`, `sh`) with what came of it: `ok`, `error` or `raises` (a traceback with this last line, `within` a
package's frames) or `stopped`; or a reply that was `refused`, or what `debug` explained.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml
from trace_factory import make_trace

from medcopilot.trace import GradeRecord, Trace, Turn

_LANGUAGES = {"sql": "sql", "py": "python"}
_HEAD = 'Traceback (most recent call last):\n  File "program.py", line 1, in <module>\n'
_FRAME = '  File "/usr/lib/python3.11/site-packages/{0}/core/base.py", line 3823, in get\n    raise error\n'


@cache
def cases() -> list[tuple[str, dict[str, Any]]]:
    """(class, line) of every case."""
    table = yaml.safe_load((Path(__file__).parent / "error_cases.yaml").read_text(encoding="utf-8"))
    return [(name, line) for name, lines in table.items() for line in lines]


def trace_of(line: dict[str, Any]) -> Trace:
    """The failed episode that a line describes."""
    given = submission_of(line)
    score, label = line.get("score", 0.0), line.get("label", "no_submission")
    turns = [turn_of(item) for item in line.get("turns", ["info"])]
    if given is not None:
        turns.append(Turn(reply="{}", action="submit", params={}, observation="Submitted."))
    grade = GradeRecord(score=score, label=label, detail=line.get("detail", ""))
    return make_trace(False, dataset=line.get("data", "mimic_iii"), turns=turns, submission=given,
                      stop=line.get("end", "submit" if given is not None else "turns"), error=line.get("error", ""),
                      protocol=line.get("protocol", "submit"), impossible=line.get("impossible", False),
                      grades={"strict": grade, "paper": grade})


def submission_of(line: dict[str, Any]) -> dict[str, Any] | None:
    """As `Submission.model_dump` writes it."""
    empty = {"program": "", "language": "python", "answer": None, "files": []}
    if "program" in line:
        ((kind, text),) = line["program"].items()
        return {**empty, "kind": "program", "program": text, "language": _LANGUAGES[kind]}
    if "answer" in line:
        return {**empty, "kind": "answer", "answer": line["answer"]}
    kind = next((name for name in ("state", "abstain") if name in line), "")
    return {**empty, "kind": kind} if kind else None


def turn_of(item: Any) -> Turn:
    """One turn with what the agent was shown."""
    if item == "info":
        return Turn(reply="{}", action="request_info", params={"table": "patients"}, observation="subject_id, gender")
    if "debug" in item:
        return Turn(reply="{}", action="debugging", params={}, observation=item["debug"])
    if "refused" in item:
        return Turn(reply=item["said"], action=item.get("action"), problem=item["refused"], observation="Reply with one object.")
    kind = next(name for name in ("sql", "py", "sh") if name in item)
    source, (status, code, text) = item[kind], _outcome(item)
    shown = text if status == "ok" else f"{text}\n[{status}, exit code {code}]".lstrip("\n")
    action, params = ("terminal", {"command": source}) if kind == "sh" else (
        "code_execution", {"code": source, "language": _LANGUAGES[kind]})
    return Turn(reply="{}", action=action, params=params, observation=shown, execution={"status": status, "exit_code": code})


def _outcome(item: dict[str, Any]) -> tuple[str, int, str]:
    if "ok" in item:
        return "ok", 0, item["ok"]
    if "stopped" in item:
        return item["stopped"], 130, f"{_HEAD}KeyboardInterrupt"
    if "error" in item:
        return "error", item.get("exit", 1), item["error"]
    line = item["py"].split("\n")[-1].strip()
    frames = _FRAME.format(item["within"]) if "within" in item else ""
    return "error", 1, f"{_HEAD}    {line}\n{frames}{item['raises']}"
