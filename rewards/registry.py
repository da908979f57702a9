"""Which grader serves which name, strict and paper.

A dataset names a grader (`TaskKey.grader`); each name has two variants. The modules are imported on first use.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import NamedTuple

from rewards.types import Evidence, EvidencePlan, Grade, Key, Variant

_MODULES: dict[tuple[str, Variant], str] = {
    ("assertions", "strict"): "rewards.assertions",
    ("assertions", "paper"): "rewards.assertions_paper",
    ("ehr_answer", "strict"): "rewards.ehr_answer",
    ("ehr_answer", "paper"): "rewards.ehr_answer_paper",
    ("ehrcon", "strict"): "rewards.ehrcon",
    ("ehrcon", "paper"): "rewards.ehrcon_paper",
    ("functions", "strict"): "rewards.functions",
    ("functions", "paper"): "rewards.functions_paper",
    ("medcalc", "strict"): "rewards.medcalc",
    ("medcalc", "paper"): "rewards.medcalc_paper",
    ("medagentbench", "strict"): "rewards.medagentbench",
    ("medagentbench", "paper"): "rewards.medagentbench_paper",
    ("npowerai", "strict"): "rewards.medcalc",  # a number within limits, which for a size are the size itself
    ("npowerai", "paper"): "rewards.npowerai_paper",
    ("predictions", "strict"): "rewards.predictions",
    ("predictions", "paper"): "rewards.predictions_paper",
}


class Grader(NamedTuple):
    """The two halves of a grader; the grading box lies between them."""

    plan: Callable[[Key], EvidencePlan]
    judge: Callable[[Evidence, Key], Grade]


def grader_names() -> list[str]:
    """Names of all graders, sorted."""
    return sorted({name for name, _ in _MODULES})


def get_grader(name: str, variant: Variant = "strict") -> Grader:
    """The grader called `name` in the given variant.

    Raises:
        KeyError: no such grader; the message lists those that exist.
    """
    try:
        return _load(_MODULES[name, variant])
    except KeyError:
        raise KeyError(f"no grader {name!r} with variant {variant!r}; known: {', '.join(grader_names())}") from None


@cache
def _load(path: str) -> Grader:
    module = import_module(path)
    return Grader(plan=module.plan, judge=module.judge)
