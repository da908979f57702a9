"""What counts as plain data: the JSON that may cross from a box, or from an agent's text, to a grader.

Promises: `check_plain` accepts None, booleans, integers up to 256 bits, finite floats, valid text, lists and string-keyed
dicts, to a depth; everything else is refused with a reason. It never recurses, so deep input costs nothing.
"""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

DEPTH = 40


def load_plain(data: bytes | str, depth: int = DEPTH) -> Any:
    """Parse strict JSON (no NaN, no Infinity) and check it.

    Raises:
        ValueError: not JSON, or not plain; the message says what.
    """
    try:
        value = json.loads(data, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    check_plain(value, depth)
    return value


def check_plain(value: Any, depth: int = DEPTH) -> None:
    """Refuse what is not plain data.

    Raises:
        ValueError: says what is wrong.
    """
    pending = [(value, 0)]
    while pending:
        item, level = pending.pop()
        if level > depth:
            raise ValueError(f"nested deeper than {depth} levels")
        if item is None or isinstance(item, bool):
            continue
        if isinstance(item, int):
            if item.bit_length() > 256:
                raise ValueError("an integer beyond 256 bits")
        elif isinstance(item, float):
            if not math.isfinite(item):
                raise ValueError("a number that is not finite")
        elif isinstance(item, str):
            _check_text(item)
        elif isinstance(item, list):
            pending.extend((part, level + 1) for part in item)
        elif isinstance(item, dict):
            for key, part in item.items():
                if not isinstance(key, str):
                    raise ValueError("an object whose keys are not text")
                _check_text(key)
                pending.append((part, level + 1))
        else:
            raise ValueError(f"a {type(item).__name__}, which is not plain data")


def _check_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("text with lone surrogates") from None


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
