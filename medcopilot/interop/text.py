"""What was said and done as text for people, in Inspect's viewer: Markdown, a program in a block of its own, the rest as JSON."""

from __future__ import annotations

import json
import re
from typing import Any

_PROGRAMS = {"code": "python", "program": "python", "command": "bash"}


def block(text: str, language: str = "text") -> str:
    """A fenced block whose fence the text cannot close."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def action_text(action: str | None, params: dict[str, Any]) -> str:
    """What a turn did. `action`: None for a reply that was no action."""
    if action is None:
        return "**no action**: the reply could not be read"
    rest, parts = dict(params), [f"**{action}**"]
    for name, language in _PROGRAMS.items():
        if isinstance(rest.get(name), str) and rest[name]:
            parts.append(block(rest.pop(name), str(rest.pop("language", language))))
    if rest:
        parts.append(block(json.dumps(rest, ensure_ascii=False, indent=2), "json"))
    return "\n\n".join(parts)


def observation_text(observation: str) -> str:
    """What came back."""
    return block(observation)


def submission_text(submission: dict[str, Any] | None) -> str | None:
    """What was submitted, in one text; None when nothing was."""
    if submission is None:
        return None
    kind = submission["kind"]
    if kind == "program":
        return str(submission["program"])
    if kind == "abstain":
        return "(abstained)"
    if kind == "files":
        return ", ".join(submission["files"])
    return json.dumps(submission["answer"], ensure_ascii=False)
