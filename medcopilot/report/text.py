"""Untrusted text made safe to look at.

Promises: what comes back is HTML-escaped `Markup` or plain text without control characters; characters that would reorder or hide
text on the screen are shown as escapes. Highlighting never executes or imports what it colours.
Does not cover: where text is placed (the template escapes everything that is not `Markup`).
"""

from __future__ import annotations

import json
import re
from typing import Any

from markupsafe import Markup

# controls except newline and tab, bidirectional overrides, zero-width and line-separator characters, lone surrogates
_HIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff\ufff9-\ufffb]")
_LEXERS = {"python": "python", "sql": "sql", "shell": "bash", "json": "json"}
_HIGHLIGHT_LIMIT = 20_000  # characters; longer text is shown without colours


def visible(text: str, limit: int | None = None) -> str:
    """`text` with invisible characters written out, its middle cut when it is longer than `limit` characters."""
    text = text.replace("\r\n", "\n")
    if limit is not None and len(text) > limit:
        half = limit // 2
        text = f"{text[:half]}\n[... {len(text) - 2 * half:,} characters left out of this report ...]\n{text[-half:]}"
    return _HIDDEN.sub(lambda match: f"\\u{ord(match.group()):04x}", text)


def one_line(text: str, limit: int) -> str:
    """The last non-empty line, shortened: a question stands at the end of its prompt."""
    lines = [line.strip() for line in visible(text).splitlines() if line.strip()]
    last = lines[-1] if lines else ""
    return last if len(last) <= limit else last[: limit - 1].rstrip() + "…"


def prose(text: str) -> Markup:
    """A sentence of ours, escaped, with what stands between backticks as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(Markup.escape(visible(text)))))


def highlight(code: str, language: str) -> Markup:
    """Code as escaped HTML with Pygments' short class names; unknown languages stay plain."""
    code = visible(code, _HIGHLIGHT_LIMIT)
    if language not in _LEXERS or len(code) >= _HIGHLIGHT_LIMIT:
        return Markup.escape(code)
    from pygments import highlight as colour
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import get_lexer_by_name

    lexer = get_lexer_by_name(_LEXERS[language], stripnl=False, ensurenl=False)
    return Markup(colour(code, lexer, HtmlFormatter(nowrap=True)))


def plain_json(value: Any) -> str:
    """JSON for reading: one line when short, indented when long."""
    short = json.dumps(value, ensure_ascii=False)
    return short if len(short) <= 100 else json.dumps(value, ensure_ascii=False, indent=2)


def action_parts(action: str | None, params: dict[str, Any], reply: str) -> list[tuple[str, Markup]]:
    """What a turn did, as (caption, HTML) pairs: programs as code, everything else as JSON; an unread reply as it was said."""
    if action is None:
        return [("reply, as it came", Markup.escape(visible(reply)))]
    rest, parts = dict(params), []
    for name, language in (("code", rest.get("language", "python")), ("program", rest.get("language", "python")),
                           ("command", "shell")):
        if isinstance(rest.get(name), str) and rest[name]:
            parts.append((f"{name} ({language})", highlight(rest.pop(name), str(language))))
            rest.pop("language", None)
    if rest:
        parts.append(("parameters", highlight(plain_json(rest), "json")))
    return parts or [("parameters", Markup.escape("none"))]
