"""Names and values that resemble a wrong one: what "did you mean" is made of.

Promises: deterministic, case-insensitive, best first. Does not cover: meaning; resemblance is of letters only.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import SequenceMatcher

_CUTOFF = 0.6
_BEHIND = 0.2
"""A candidate this far behind the best is noise."""


def nearest(word: str, candidates: Iterable[str], count: int = 3) -> list[str]:
    """Up to `count` candidates that resemble `word`, best first; ties keep the order given.

    Equality up to case comes first, then similarity (difflib's ratio, at least 0.6); one containing the other counts as 0.75.
    """
    wanted = word.casefold().strip()
    matcher = SequenceMatcher(autojunk=False)
    matcher.set_seq2(wanted)
    scored: list[tuple[float, int, str]] = []
    known = dict.fromkeys(map(ord, wanted))
    for position, candidate in enumerate(dict.fromkeys(candidates)):
        folded = candidate.casefold().strip()
        score = 0.0
        if folded == wanted:
            score = 1.01
        else:
            if min(len(folded), len(wanted)) >= 3 and (wanted in folded or folded in wanted):
                score = 0.75
            # no ratio can exceed these bounds, which cost a fraction of difflib's own
            least = _CUTOFF * (len(folded) + len(wanted)) / 2
            common = min(len(folded), len(wanted))
            if common >= least:
                common = min(len(folded) - len(folded.translate(known)), common)
            if common >= least:
                matcher.set_seq1(folded)
                if matcher.real_quick_ratio() >= _CUTOFF and matcher.quick_ratio() >= _CUTOFF:
                    score = max(score, matcher.ratio())
        if score >= _CUTOFF:
            scored.append((-score, position, candidate))
    scored.sort()
    return [candidate for score, _, candidate in scored[:count] if score <= scored[0][0] + _BEHIND]


def suggestion(word: str, candidates: Iterable[str], count: int = 3) -> str:
    """` Nearest: a, b.` with a leading space, or an empty string when nothing resembles `word`."""
    found = nearest(word, candidates, count)
    return f" Nearest: {', '.join(found)}." if found else ""
