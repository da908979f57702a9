"""Episodes that say again what another one says: the same tokens, the same work on one task, nearly the same prompt.

Promises: the first of its kind in the order given is kept, so a seeded order gives a seeded choice; nothing is compared across
datasets but whole token sequences; `NearPrompts` is exact, no pair over the threshold is missed.
Source: prefix filtering, Bayardo, Ma and Srikant 2007 (WWW), "Scaling up all pairs similarity search".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from math import ceil

from medcopilot.data.sources import Tokenized
from medcopilot.inventory.overlap import whole_grams
from medcopilot.loops import step_of
from medcopilot.trace import Trace
from rewards.loops import normal_program

SHINGLE = 3
"""Words of a window when prompts are compared."""


def work(trace: Trace) -> tuple[str, ...]:
    """What an episode did, up to formatting: its actions and programs in their order, without what came back."""
    steps = [step_of(turn) for turn in trace.turns]
    return tuple(f"{step.action} {normal_program(step.program, step.language)}" for step in steps)


class Repeats:
    """Says of each episode whether an earlier one had the same tokens (`duplicate`) or, with `programs`, did the same work on the
    same task (`same_program`)."""

    def __init__(self, programs: bool) -> None:
        self._programs = programs
        self._ids: set[tuple[int, ...]] = set()
        self._work: set[tuple[str, ...]] = set()

    def __call__(self, episode: Tokenized) -> str:
        ids = tuple(episode.ids)
        if ids in self._ids:
            return "duplicate"
        self._ids.add(ids)
        if not self._programs:
            return ""
        done = (episode.trace.task_id, *work(episode.trace))
        if done in self._work:
            return "same_program"
        self._work.add(done)
        return ""


class NearPrompts:
    """Says of each episode whether the question of an earlier one, of another task of its dataset, is nearly the same
    (`near_prompt`).

    Two questions are as alike as their sets of three-word windows: |A and B| / |A or B| (Jaccard). Numbers count as words, so
    questions of one template about two patients differ in the windows that name them.

    Args:
        questions: task id -> question, with the text that belongs to it; a task that is missing counts as unlike any other.
        threshold: in (0, 1]; as alike as this, or more, is a repetition.
    """

    def __init__(self, episodes: Iterable[Tokenized], questions: Mapping[str, str], threshold: float) -> None:
        self._threshold = threshold
        self._sets = {task: frozenset(whole_grams(questions[task], SHINGLE).tolist())
                      for task in {episode.trace.task_id for episode in episodes} if task in questions}
        self._common = Counter(gram for grams in self._sets.values() for gram in grams)
        self._kept: dict[tuple[str, int], list[str]] = {}
        self._verdicts: dict[str, str] = {}

    def __call__(self, episode: Tokenized) -> str:
        task = episode.trace.task_id
        if task not in self._verdicts:
            self._verdicts[task] = self._judge(task, episode.trace.dataset)
        return self._verdicts[task]

    def _judge(self, task: str, dataset: str) -> str:
        own = self._sets.get(task)
        if not own:
            return ""
        # sets this alike share one of their first grams, when all are sorted by how rare they are
        first = sorted(own, key=lambda gram: (self._common[gram], gram))[: len(own) - ceil(self._threshold * len(own) - 1e-9) + 1]
        candidates = {other for gram in first for other in self._kept.get((dataset, gram), ())}
        if any(self._alike(own, self._sets[other]) for other in candidates):
            return "near_prompt"
        for gram in first:
            self._kept.setdefault((dataset, gram), []).append(task)
        return ""

    def _alike(self, one: frozenset[int], other: frozenset[int]) -> bool:
        shared = len(one & other)
        return shared >= self._threshold * (len(one) + len(other) - shared) - 1e-9
