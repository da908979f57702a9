"""Whether training questions say what the test split says: word 10-grams of the tasks that runs played against their test tasks.

Promises: questions come from the built data that a run names in its record, never from a prompt, whose fixed wording and data
descriptions all tasks share; the text that belongs to a question (a patient note) counts as its part on both sides; a text of
fewer than ten words counts as one gram. A task over the threshold is dropped with all its episodes. Nothing is built for it.
By default the slices `unseen` and `official` are checked: those of `seen` repeat training's wording by design.
Does not cover: programs and paraphrases.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from env.datasets import BuildRequest, Built, get_dataset
from env.datasets.base import data_root
from env.errors import UserError
from env.task import Slice
from medcopilot.data.funnel import Funnel
from medcopilot.inventory.overlap import N, Seen, text_of
from medcopilot.runs import RunFolder
from medcopilot.trace import Trace

THRESHOLD = 0.8
"""Largest share of a task's 10-grams that the test split may hold."""
SLICES: tuple[Slice, ...] = ("unseen", "official")


class Questions:
    """What was asked of the tasks of some runs, and of the test split beside them.

    Args:
        train: task id -> question, with the text that belongs to it.
        test: the test tasks that are checked against.
        slices: which those are, in words.
    """

    def __init__(self, train: Mapping[str, str], test: Seen, slices: Sequence[str] = SLICES) -> None:
        self.train, self.test, self.slices = train, test, tuple(slices)

    @classmethod
    def of(cls, runs: Iterable[Path], traces: Iterable[Trace], root: Path | None = None, slices: Sequence[Slice] = SLICES
           ) -> Questions:
        """From the data that run folders were sampled from.

        Args:
            traces: of those runs; every one of the training split must be found in the data.

        Raises:
            UserError: a run without a record, data that are not built, or other data than the run's.
        """
        builts = {built.folder: built for run in runs for built in _builts(run, root)}
        wanted = {trace.task_id for trace in traces if trace.split == "train"}
        train = {task.id: text_of(task) for built in builts.values() for task in built.iter_tasks("train") if task.id in wanted}
        if missing := len(wanted - train.keys()):
            raise UserError(f"{missing} of {len(wanted)} tasks of the runs are not in the data under {root or data_root()}: give "
                            "--root the data folder that they were sampled from")
        test = Seen(task for built in builts.values() for task in built.iter_tasks("test") if task.slice in slices)
        return cls(train, test, slices)

    def clean(self, traces: Iterable[Trace], threshold: float, funnel: Funnel) -> list[Trace]:
        """The traces of tasks whose share of known 10-grams is at most `threshold`; those of the test split pass, they are
        dropped elsewhere."""
        shares: dict[str, float] = {}

        def reason(trace: Trace) -> str:
            if trace.split != "train":
                return ""
            if trace.task_id not in shares:
                shares[trace.task_id] = self.test.share(self.train[trace.task_id])
            return "contaminated" if shares[trace.task_id] > threshold else ""

        return funnel.keep(f"{N}-grams of test questions", traces, reason)

    def told(self, threshold: float) -> str:
        """What the card says of the check."""
        return f"at most {threshold:g} of a task's {N}-grams in test questions of the slices {', '.join(self.slices)}"


def _builts(run: Path, root: Path | None) -> list[Built]:
    config = RunFolder.open(run).config
    found = []
    for name in config.get("datasets", ()):
        try:
            request = BuildRequest.model_validate(config.get("builds", {}).get(name, {}))
        except ValidationError as error:
            raise UserError(f"{run / 'config.json'}: builds.{name} is no build request ({error.error_count()} fields are wrong): "
                            "sample the run again") from None
        built = get_dataset(name).find(request, root)
        if built is None:
            raise UserError(f"{run}: its data ({name}, {request.folder_name()}) are not built under {root or data_root()}: give "
                            "--root, or build them with the same options of `medcopilot data build`")
        found.append(built)
    if not found:
        raise UserError(f"{run / 'config.json'}: names no datasets: sample the run again")
    return found
