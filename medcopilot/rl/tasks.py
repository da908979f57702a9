"""Which task the next group works on.

Promises: draws depend on the seed, the number of the draw and (when prioritised) the outcomes reported so far; the state is
plain JSON, so that a resumed run draws what the interrupted one would have drawn.
Does not cover: how many rollouts a group has.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Literal

from env.task import Task

Priority = Literal["uniform", "intermediate"]
FLOOR = 0.1
"""Weight that a template keeps even when it is always or never solved."""
MEMORY = 0.8
"""Weight of the past in a template's moving success rate."""


class TaskSampler:
    """Draws tasks with replacement.

    Args:
        priority: `uniform`: every task alike. `intermediate`: first a template, with weight 4 p (1 - p) + 0.1 for its moving
            success rate p (0.5 until it is known), then one of its tasks.
    """

    def __init__(self, tasks: Sequence[Task], *, seed: int = 0, priority: Priority = "uniform") -> None:
        if not tasks:
            raise ValueError("no tasks to draw from")
        self.tasks = list(tasks)
        self.seed = seed
        self.priority = priority
        self.draws = 0
        self.success: dict[str, float] = {}
        self._templates: dict[str, list[Task]] = defaultdict(list)
        for task in self.tasks:
            self._templates[f"{task.dataset}/{task.template}"].append(task)

    def draw(self) -> tuple[int, Task]:
        """The number of the draw (it seeds the group's rollouts) and a task."""
        number, self.draws = self.draws, self.draws + 1
        rng = random.Random(f"{self.seed}/tasks/{number}")
        if self.priority == "uniform":
            return number, rng.choice(self.tasks)
        names = sorted(self._templates)
        rates = [self.success.get(name, 0.5) for name in names]
        name = rng.choices(names, [4 * rate * (1 - rate) + FLOOR for rate in rates])[0]
        return number, rng.choice(self._templates[name])

    def report(self, task: Task, rate: float) -> None:
        """Success rate of a group that worked on `task`."""
        name = f"{task.dataset}/{task.template}"
        known = self.success.get(name)
        self.success[name] = rate if known is None else MEMORY * known + (1 - MEMORY) * rate

    def state(self) -> dict[str, Any]:
        """Plain data for `restore`."""
        return {"draws": self.draws, "success": dict(self.success)}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state()`."""
        self.draws, self.success = int(state["draws"]), {name: float(rate) for name, rate in state["success"].items()}
