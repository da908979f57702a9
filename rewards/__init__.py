"""Graders and reward terms: pure functions from evidence to a grade.

Promises: nothing here runs a program, opens a file or a socket, or knows a model. A grader is two functions,
`plan(key) -> EvidencePlan` and `judge(evidence, key) -> Grade`; what happens between them belongs to `env.grading`.
"""

from rewards.registry import Grader, get_grader, grader_names
from rewards.types import Evidence, EvidencePlan, Grade, Key

__all__ = ["Evidence", "EvidencePlan", "Grade", "Grader", "Key", "get_grader", "grader_names"]
