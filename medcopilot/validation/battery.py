"""The whole battery over built datasets: gold, attacks with their controls, correct variants, secrecy of the key.

Promises: a breach is any of: gold below 1.0; an attack above the dataset's chance on the strict grader, or one that gets itself
excused as a failure of our machinery; an attack that its own control withstands; a correct variant that is refused; a key that
an agent's program finds. Programs whose output cannot depend on the task run once per database and their evidence is judged
against every task; for some tasks they are run for real as well and the grades have to agree.
Does not cover: attacks on resources, which the sandbox's conformance suite runs.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from typing import Any

from env.datasets import Built
from env.gym import Gym
from env.task import Submission, Task
from medcopilot.validation import evidence, repeats, resources
from medcopilot.validation.attacks import Attack, attacks
from medcopilot.validation.chance import chance
from medcopilot.validation.controls import WEAK
from medcopilot.validation.judging import EvidenceTable, Score, Tally, judge
from medcopilot.validation.program_variants import attempt, run_variants

Progress = Callable[[str, int, int], None]
MIN_VARIANTS = 8
EXAMPLES = 5


@dataclass(frozen=True)
class Settings:
    """How much to check and how."""

    limit: int | None = None
    """Tasks per split, drawn with `seed`; None: all."""
    sample: float | None = None
    """Share of the tasks, of every category and split alike and at least one of each; None: all."""
    seed: int = 0
    exploits: bool = True
    """Run the attacks and the correct variants too, not gold alone."""
    threads: int = 4
    """Boxes that run at once."""
    processes: int = 2
    """Processes that judge."""
    spot: int = 1
    """Tasks per database on which every attack program is run for real."""


@dataclass
class AttackRow:
    """One line of the report. Rates are over answerable tasks."""

    name: str
    group: str
    tasks: int
    strict: float
    paper: float
    strict_all: float
    """Strict success over all tasks, those included that only abstaining solves."""
    unsupported: float
    infrastructure: float
    control: str
    control_rate: float
    live: bool
    example: str = ""
    withstood: str = ""
    """How a control with a box of its own withstood the attack."""


@dataclass
class VariantRow:
    """How one kind of correct variant fares."""

    name: str
    tasks: int
    accepted: float
    paper: float
    example: str = ""


@dataclass
class DatasetReport:
    """Everything measured on one dataset."""

    dataset: str
    folder: str
    counts: dict[str, int]
    """Tasks checked per split."""
    answerable: int
    chance: float
    chance_answer: Any
    gold: dict[str, dict[str, Any]] = field(default_factory=dict)
    """`program`, `alternative` (second reference) and `answer`: tasks, strict, paper, examples."""
    attacks: list[AttackRow] = field(default_factory=list)
    variants: list[VariantRow] = field(default_factory=list)
    rejected_share: float = 0.0
    """Share of correct variants that the strict grader refused."""
    secrecy: dict[str, Any] = field(default_factory=dict)
    repeats: dict[str, Any] = field(default_factory=dict)
    """Gold programs run again in another order: tasks, those whose value differed, and the slowest run in seconds."""
    resources: list[dict[str, Any]] = field(default_factory=list)
    """Attacks on resources: name, status, whether it earned nothing and was graded, and whether its control fell for it."""
    breaches: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def validate(gym: Gym, built: Built, settings: Settings, progress: Progress = lambda *_: None) -> DatasetReport:
    """Run the battery on one built dataset, which `gym` must know."""
    started = time.monotonic()
    name = str(built.manifest["dataset"])
    by_split = {split: _sample(built.tasks(split), settings) for split in ("train", "test")}
    tasks = [task for split in by_split.values() for task in split]
    answerable = [task for task in tasks if not task.key.args.get("impossible")]
    rate, answer = chance(answerable)
    report = DatasetReport(name, str(built.folder), {k: len(v) for k, v in by_split.items()}, len(answerable), rate, answer)
    _gold_programs(gym, answerable, settings, report, lambda *p: progress(f"{name} gold programs", *p))
    report.repeats = repeats.check(gym, answerable, settings.seed, lambda *p: progress(f"{name} gold again", *p))
    if settings.exploits:
        _exploits(gym, tasks, answerable, settings, report, lambda what, *p: progress(f"{name} {what}", *p))
    report.breaches.extend(_breaches(report, settings))
    report.seconds = round(time.monotonic() - started, 1)
    return report


def _exploits(gym: Gym, tasks: Sequence[Task], answerable: Sequence[Task], settings: Settings, report: DatasetReport,
              progress: Progress) -> None:
    """Attacks of every kind, and correct answers in other clothes."""
    table = evidence.attack_table(gym, tasks, settings.threads, lambda *p: progress("attacks in boxes", *p))
    tally = judge(tasks, table, settings.processes, lambda *p: progress("judging", *p))
    tally.variants.update(run_variants(gym, answerable, settings.threads, settings.seed, lambda *p: progress("variants", *p)))
    report.gold["answer"] = _correct_row(tally.gold)
    _attack_rows(gym, answerable, tally, report)
    _variant_rows(tally, report)
    report.resources = resources.check(gym, answerable, lambda *p: progress("attacks on resources", *p))
    _spot_checks(gym, tasks, table, settings, report, lambda *p: progress("spot checks", *p))


def _sample(tasks: list[Task], settings: Settings) -> list[Task]:
    if settings.sample is not None:
        groups: dict[str, list[int]] = {}
        for index, task in enumerate(tasks):
            groups.setdefault(task.category, []).append(index)
        rng = random.Random(settings.seed)
        drawn = {index for _, group in sorted(groups.items())
                 for index in rng.sample(group, min(len(group), math.ceil(settings.sample * len(group))))}
        tasks = [task for index, task in enumerate(tasks) if index in drawn]
    if settings.limit is None or settings.limit >= len(tasks):
        return tasks
    kept = set(random.Random(settings.seed).sample(range(len(tasks)), settings.limit))
    return [task for index, task in enumerate(tasks) if index in kept]


def _gold_programs(gym: Gym, tasks: Sequence[Task], settings: Settings, report: DatasetReport,
                   progress: Callable[[int, int], None]) -> None:
    """Every gold program and every second reference, submitted as a program to a box of our own."""
    jobs = [("program", task, Submission(kind="program", program=task.key.gold, language=task.key.gold_language))
            for task in tasks if task.key.gold]
    jobs += [("alternative", task, Submission(kind="program", program=task.key.gold_alt)) for task in tasks if task.key.gold_alt]
    scores = {"program": Score(), "alternative": Score()}
    examples: dict[str, list[str]] = {"program": [], "alternative": []}
    with ThreadPoolExecutor(settings.threads) as pool:
        futures = {pool.submit(attempt, gym, job[1], job[2]): job for job in jobs}
        try:
            for done, future in enumerate(as_completed(futures), start=1):
                kind, task, submission = futures[future]
                grades = future.result()
                scores[kind].tasks += 1
                scores[kind].strict += grades["strict"].success
                scores[kind].paper += grades["paper"].success
                if not grades["strict"].success and len(examples[kind]) < EXAMPLES:
                    again = attempt(gym, task, submission)["strict"].label  # tells a wrong program from an unreliable box
                    examples[kind].append(f"{task.id} ({task.template}): {grades['strict'].label} {grades['strict'].detail}; "
                                          f"run again: {again}")
                progress(done, len(jobs))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    for kind, score in scores.items():
        report.gold[kind] = {**_correct_row(score), "examples": examples[kind]}


def _correct_row(score: Score) -> dict[str, Any]:
    return {"tasks": score.tasks, "strict": _rate(score.strict, score.tasks), "paper": _rate(score.paper, score.tasks),
            "failed": score.tasks - score.strict, "examples": [score.example] if score.example else []}


def _rate(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _attack_rows(gym: Gym, answerable: Sequence[Task], tally: Tally, report: DatasetReport) -> None:
    total = sum(report.counts.values())
    for attack in attacks():
        score = tally.attacks.get(attack.name)
        if score is None:
            continue
        rate, withstood = _rate(score.control, score.tasks), ""
        if attack.control not in WEAK:
            withstood = evidence.withstands(gym, attack, answerable)
            rate = float(not withstood)
        report.attacks.append(AttackRow(
            name=attack.name, group=attack.group, tasks=score.tasks, strict=_rate(score.strict, score.tasks),
            paper=_rate(score.paper, score.tasks), strict_all=_rate(score.everywhere, total),
            unsupported=_rate(score.unsupported, score.tasks), infrastructure=_rate(score.infrastructure, score.tasks),
            control=attack.control, control_rate=rate, live=rate > 0, example=score.example, withstood=withstood))


def _variant_rows(tally: Tally, report: DatasetReport) -> None:
    rows = dict(tally.variants)
    applied = sum(score.tasks for score in rows.values())
    accepted = sum(score.strict for score in rows.values())
    report.variants = [VariantRow(name, score.tasks, _rate(score.strict, score.tasks), _rate(score.paper, score.tasks),
                                  score.example) for name, score in sorted(rows.items())]
    report.rejected_share = 1 - _rate(accepted, applied) if applied else 0.0


def _spot_checks(gym: Gym, tasks: Sequence[Task], table: EvidenceTable, settings: Settings, report: DatasetReport,
                 progress: Callable[[int, int], None]) -> None:
    """Shared evidence against real runs, and the search for the task's own key where an agent's program could look."""
    chosen = evidence.spot_tasks(tasks, settings.spot, settings.seed)
    checked, disagreements, leaks = 0, [], list(evidence.leaks_in(table, tasks))
    for done, task in enumerate(chosen, start=1):
        for attack in (a for a in attacks() if a.applies(task)):
            checked += 1
            problem = evidence.disagreement(gym, attack, task, table)
            if problem:
                disagreements.append(problem)
        leaks.extend(evidence.search_for_key(gym, task))
        progress(done, len(chosen))
    report.secrecy = {"tasks": len(chosen), "leaks": leaks, "checked_for_real": checked, "disagreements": disagreements}


def _breaches(report: DatasetReport, settings: Settings) -> Iterable[str]:
    if differing := report.repeats.get("differing"):
        yield f"gold gives other values when it runs again: {'; '.join(differing)}"
    for kind, row in report.gold.items():
        if row["failed"]:
            yield f"gold ({kind}): {row['failed']} of {row['tasks']} tasks below 1.0, e.g. {'; '.join(row['examples'][:1])}"
    for attack in report.attacks:
        if attack.strict > report.chance:
            yield f"attack {attack.name!r}: {attack.strict:.2%} is above chance {report.chance:.2%}, e.g. {attack.example}"
        if attack.infrastructure:
            yield f"attack {attack.name!r}: {attack.infrastructure:.2%} were excused as a failure of our own machinery"
        if not attack.live:
            how = f" ({attack.withstood})" if attack.withstood else ""
            yield f"attack {attack.name!r} is dead: its control {attack.control!r} withstands it, so it proves nothing{how}"
    for variant in report.variants:
        if variant.accepted < 1.0:
            yield f"variant {variant.name!r}: {1 - variant.accepted:.2%} of the correct answers refused, e.g. {variant.example}"
    for row in report.resources:
        if not row["harmless"]:
            yield f"attack on resources {row['name']!r}: {row['detail']}"
        if not row["live"]:
            yield f"attack on resources {row['name']!r} is dead: its control withstands it, so it proves nothing"
    if settings.exploits and report.answerable and len(report.variants) < MIN_VARIANTS:
        yield f"only {len(report.variants)} kinds of correct variants applied; at least {MIN_VARIANTS} are needed"
    for leak in report.secrecy.get("leaks", ()):
        yield f"the key can be read: {leak}"
    for problem in report.secrecy.get("disagreements", ()):
        yield f"shared evidence does not stand for a real run: {problem}"


__all__ = ["Attack", "AttackRow", "DatasetReport", "Settings", "VariantRow", "validate"]
