"""The outcome verifier: a language model that reads a finished episode and says how likely its submission is correct.

Promises: r = e^yes / (e^yes + e^no) of the two answer tokens at the position after the prompt (arXiv 2506.04405, section on the
verifier); it is trained by SFT on episodes that the strict grader judged (`rows`, `train`) and checked on tasks that it has not
seen (`calibration`). Heavy modules load on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from medcopilot.verifier.score import Verifier

__all__ = ["Verifier"]


def __getattr__(name: str) -> Any:
    if name != "Verifier":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from medcopilot.verifier.score import Verifier

    return Verifier
