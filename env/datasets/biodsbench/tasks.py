"""Tasks of the twin: questions by category, the second program run, the gold program checked against it, answers kept diverse.

Promises: both programs of every task agree under the strict grader, or the build stops; every category is asked for in turn; no
result makes up more than 5 % of a split, none is undefined or empty; no question appears twice in a split; templates of the slice
`unseen` never appear in training.
"""

from __future__ import annotations

import json
import math
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from env.datasets.base import Disagreement, Progress
from env.datasets.biodsbench import clinical, copynumber, expression, mutations, survival
from env.datasets.biodsbench.designs import Design
from env.datasets.biodsbench.golds import plain, run_golds
from env.datasets.biodsbench.studies import Frames
from env.datasets.biodsbench.template import Draft, Scene, Template
from env.datasets.biodsbench.variants import variants
from env.errors import UserError
from env.grading.harness.collect import collect
from env.task import DataFile, Slice, Split, Task, TaskKey, TaskView, make_task
from rewards import assertions, records
from rewards.types import Evidence

TEMPLATES: tuple[Template, ...] = (*survival.TEMPLATES, *mutations.TEMPLATES, *clinical.TEMPLATES, *expression.TEMPLATES,
                                   *copynumber.TEMPLATES)
UNSEEN = frozenset(("curve/restricted_mean", "comparison/median_split", "cox/arms", "frequency/hotspot", "together/exclusive",
                    "burden/spectrum", "summary/bands", "association/odds", "expression/how_many", "structure/signature",
                    "copies/dosage", "oncoprint/pathway"))
"""Held out: one template of each category."""
SETS = ("survival",)
ANSWER_CAP = 0.045
UNSEEN_SHARE = 0.22
PATIENCE = 400
BATCH = 200
"""Gold programs that are checked at a time."""
_BLOCKS = 8
DESCRIPTION = (
    "Study $name ($cancer) in /data/$name, tables as in cBioPortal: data_clinical_patient.csv (a row per patient; OS_STATUS and "
    "PFS_STATUS begin with 1 for an event, 0 for censored; months), data_clinical_sample.csv (a row per sample), "
    "data_mutations.csv "
    "(a row per mutation; its sample is Tumor_Sample_Barcode), data_cna.csv (genes x samples; -2 deep deletion, -1, 0, 1, 2 "
    "amplification; empty: not profiled), data_mrna_seq.csv (genes x samples, log2 of TPM + 1), data_gene_panel.csv (the genes "
    "of each "
    "panel), data_gene_panel_matrix.csv (the panel of each sample). Conventions: a mutation is nonsynonymous unless its "
    "Variant_Classification is Silent; a sample is mutated in a gene if it has a nonsynonymous mutation in it, a patient if any of "
    "their samples is; rows that lack a value which the analysis needs are left out; tests are two-sided; results are not rounded. "
    "Submit a Python program (pandas, numpy, scipy, statsmodels, sklearn, lifelines) that leaves the variables asked for behind; "
    "it is "
    "run on its own, so it has to read the tables itself.")


class Planned(NamedTuple):
    """A question with its reference, its gold program not yet checked."""

    template: Template
    draft: Draft
    study: str
    part: Slice
    reference: dict[str, Any]


class Maker:
    """Makes the tasks of one split over its studies."""

    def __init__(self, studies: list[tuple[Design, Frames]], folder: Path, split: Split, total: int, seed: int) -> None:
        """`folder`: where the studies lie, each in a folder of its name."""
        self._studies, self._folder, self._split, self._seed = studies, folder, split, seed
        self._rng = np.random.default_rng((seed, zlib.crc32(split.encode()), 11))
        self._cap = max(1, math.floor(ANSWER_CAP * total))
        self._answers: Counter[str] = Counter()
        self._asked: set[str] = set()
        self._scenes = [Scene(design, frames, self._rng) for design, frames in studies]

    def plan(self, part: Slice, size: int, progress: Progress) -> list[Planned]:
        """`size` questions of a slice.

        Raises:
            UserError: the studies are too small for so many different questions.
        """
        turns = self._turns(part)
        planned: list[Planned] = []
        while len(planned) < size:
            planned.append(self._plan(turns, part, len(planned), size))
            progress(f"biodsbench {self._split} questions ({part})", len(planned), size)
        return planned

    def _turns(self, part: Slice) -> Iterator[Template]:
        """Templates of a slice without end: category by category, each category's in an order of its own."""
        chosen: dict[str, list[Template]] = {}
        for template in TEMPLATES:
            if (template.name in UNSEEN) == (part == "unseen"):
                chosen.setdefault(template.category, []).append(template)
        for group in chosen.values():
            self._rng.shuffle(group)
        groups = list(chosen.values())
        self._rng.shuffle(groups)
        place = 0
        while True:
            for group in groups:
                yield group[place % len(group)]
            place += 1

    def _plan(self, turns: Iterator[Template], part: Slice, made: int, size: int) -> Planned:
        for _ in range(PATIENCE):
            template = next(turns)
            for _ in range(4):  # a category keeps its turn where one draw does not fit
                planned = self._try(template, part)
                if planned is not None:
                    return planned
        raise UserError(f"biodsbench: only {made} of {size} different {part} questions fit these studies: "
                        "ask for fewer tasks or for more patients")

    def _try(self, template: Template, part: Slice) -> Planned | None:
        scene = self._scenes[int(self._rng.integers(len(self._scenes)))]
        draft = template.make(scene)
        if draft is None or draft.gold in self._asked:
            return None
        reference = self._reference(draft)
        if reference is None:
            return None
        answer = json.dumps(list(reference.values()), sort_keys=True)
        if self._answers[answer] >= self._cap:
            return None
        self._answers[answer] += 1
        self._asked.add(draft.gold)
        return Planned(template, draft, scene.name, part, reference)

    def _reference(self, draft: Draft) -> dict[str, Any] | None:
        """The results of the second program as plain values; None where one of them is no good question."""
        names: dict[str, Any] = {"__name__": "alt"}
        try:
            exec(compile(draft.alt.replace('"/data/', f'"{self._folder}/'), "alt.py", "exec"), names)
        except (AssertionError, ZeroDivisionError, IndexError, ValueError, np.linalg.LinAlgError):
            return None  # a tie, an empty group, a model without a fit
        found = plain(collect(names, list(draft.rules)))
        reference = {name: read(found[name], rule) for name, rule in draft.rules.items()}
        return reference if all(_is_good(reference[name], rule) for name, rule in draft.rules.items()) else None

    def task(self, planned: Planned) -> Task:
        """The task of a question."""
        draft, study = planned.draft, planned.study
        cancer = next(design.cancer for design, _ in self._studies if design.name == study)
        view = TaskView(dataset="biodsbench", family="code", question=draft.text,
                        description=DESCRIPTION.replace("$name", study).replace("$cancer", cancer),
                        data=(DataFile(name=study, path=study, kind="folder"),), answer_kind=("program",))
        key = TaskKey(reference=planned.reference, grader="assertions", args={"variables": draft.rules}, gold=draft.gold,
                      gold_alt=draft.alt, hints={"tables": list(draft.tables), "columns": {}, "values": [],
                                                 "variants": variants(draft)})
        block = zlib.crc32(draft.gold.encode()) % _BLOCKS
        return make_task(view, key, seed=self._seed, category=planned.template.category, template=planned.template.name,
                         split=self._split, slice=planned.part, cluster=f"{planned.template.name}/{study}/{block}",
                         licence="synthetic")


def check(tasks: list[Task], folder: Path) -> None:
    """Run the gold programs and compare what they leave with the references.

    Raises:
        Disagreement: the two programs of a question differ.
        UserError: a package set is not installed.
    """
    programs = [(task.key.gold, list(task.key.args["variables"])) for task in tasks]
    for task, found in zip(tasks, run_golds(programs, folder, SETS), strict=True):
        grade = assertions.judge(Evidence(kind="program", checks=({"variables": found},)), task.key)
        if not grade.success:
            raise Disagreement(f"{task.template}: {grade.label} {grade.detail}\nreference {task.key.reference}\n"
                               f"gold {json.dumps(found)[:2000]}\n{task.key.gold}")


def read(record: Any, rule: dict[str, Any]) -> Any:
    """A record as the reference that the grader compares with.

    Raises:
        Malformed: the program left something else than its rule says.
    """
    kind = rule["kind"]
    if kind in ("list", "set"):
        return records.sequence(record)
    if kind == "mapping":
        return records.mapping(record)
    if kind == "table":
        columns = records.table(record)
        if not columns:  # an empty list of records names no columns
            return []
        return [list(row) for row in zip(*(columns[name] for name in rule["columns"]), strict=True)]
    value = records.scalar(record)
    return float(value) if kind == "number" and isinstance(value, int | float) else value


def _is_good(value: Any, rule: dict[str, Any]) -> bool:
    """Defined, not empty, not so small that nothing would be as right."""
    if rule["kind"] == "number":
        return isinstance(value, float) and math.isfinite(value) and (value == 0.0 or abs(value) > 1e-7)
    if isinstance(value, list | dict):
        return 0 < len(value) <= 80
    return value is not None
