"""One self-contained HTML page about any number of runs.

Promises: no request leaves the page and none can (its content policy forbids it); all text from traces is escaped and no script
but the page's own may run; numbers come from `medcopilot.evaluation` alone; rows under a data-use agreement are shown only with
the recorded permission, otherwise they are left out and the page says how many.
Does not cover: what the numbers mean (see the page's own notes) and the terminal's view (`terminal`).
"""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from markupsafe import Markup

from env.errors import AgreementError, UserError
from env.files import atomic_write
from medcopilot.code_record import code_record
from medcopilot.evaluation.records import refuse_strangers
from medcopilot.leaderboard.board import make_board
from medcopilot.report import provenance, sections
from medcopilot.report.comparable import conditions, warnings
from medcopilot.report.cost import costs
from medcopilot.report.pages import environment
from medcopilot.report.stage import Source, Stage, headline_group, headline_slice, read_stage
from medcopilot.report.trajectories import card, share_out
from medcopilot.runs import RunFolder

EXTRAS = ("metrics", "chance", "comparisons", "notes", "provenance", "prices")


def build_report(runs: Sequence[Path] | Mapping[str, Source], out: Path, title: str = "Med-Copilot report",
                 extra: Mapping[str, Any] | None = None, *, trajectories: int = 40, seed: int = 0,
                 tell: Callable[[str], None] = lambda _: None) -> Path:
    """Write the page to `out`.

    Args:
        runs: run folders (each a stage under its folder's name), or stage name -> run folder(s) or traces. The order of stages
            is the order of training: each is compared with the one before it.
        extra: any of `metrics` (label -> JSON-lines file, folder, or rows), `chance` (dataset, or `all` -> fraction),
            `comparisons` (label -> row as from `evaluation.stages.comparison`; replaces the computed ones), `notes` (sentences),
            `provenance` (name -> value), `prices` (model -> `medcopilot.prices.Price`).
        trajectories: at most how many episodes are shown in full.
        tell: called with a sentence for each dataset whose episodes are left out, and with the cure.

    Raises:
        UserError: a folder is not a run, is given twice or holds no traces, or folders under one name are not one run.
    """
    given = dict(extra or {})
    if unknown := set(given) - set(EXTRAS):
        raise UserError(f"report: unknown extra {sorted(unknown)[0]!r}: give {', '.join(EXTRAS[:-1])} or {EXTRAS[-1]}")
    named = dict(runs) if isinstance(runs, Mapping) else name_runs(runs)
    if not named:
        raise UserError("report: no runs given: name at least one run folder")
    _check(named)
    stages = [read_stage(name, source, trajectories, seed) for name, source in named.items()]
    atomic_write(out, _render(stages, title, given, trajectories, tell))
    return out


def name_runs(paths: Sequence[Path]) -> dict[str, Path]:
    """Each folder's name, with its parent's or as a whole path where two would be called alike.

    Raises:
        UserError: one folder is there twice.
    """
    forms = [(path.name, path.name and f"{path.parent.name}/{path.name}", str(path)) for path in paths]
    named = {}
    for path, own in zip(paths, forms, strict=True):
        name = next((form for level, form in enumerate(own) if form and [other[level] for other in forms].count(form) == 1), None)
        if name is None:
            raise UserError(f"{path} is given twice: name every run once")
        named[name] = path
    return named


def _check(named: Mapping[str, Source]) -> None:
    """No folder counts twice, every folder is a run, and those under one name are one run's, before the first is read."""
    seen: dict[Path, Path] = {}
    for name, source in named.items():
        folders = []
        for path in [source] if isinstance(source, Path) else source if isinstance(source, Sequence) else []:
            if not isinstance(path, Path):
                continue
            RunFolder.open(path)
            folders.append(path)
            if path.resolve() in seen:
                raise UserError(f"{path} and {seen[path.resolve()]} are the same run, given twice: name every run once")
            seen[path.resolve()] = path
        refuse_strangers(name, folders)


def _render(stages: list[Stage], title: str, extra: dict[str, Any], trajectories: int,
            tell: Callable[[str], None]) -> str:
    folder = files("medcopilot.report") / "templates"
    style, script = ((folder / name).read_text(encoding="utf-8") for name in ("report.css", "report.js"))
    datasets = sorted({name for stage in stages for name in stage.summary.datasets})
    chance, prices = extra.get("chance", {}), extra.get("prices", {})
    if strange := sorted(set(chance) - {*datasets, "all"}):
        raise UserError(f"--chance {strange[0]}: no run has this dataset: choose from {', '.join([*datasets, 'all'])}")
    cards, withheld = _cards(stages, trajectories, tell)
    records = {stage.name: [(str(path), provenance.run_record(path)) for path in stage.folders] for stage in stages}
    found = conditions(stages, records)
    return environment().get_template("report.html.jinja").render(
        title=title, created=time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()), stages=stages, datasets=datasets,
        episodes=sum(len(stage.columns) + sum(map(len, stage.hotter.values())) for stage in stages),
        slices=sections.slices(stages), rows=sections.headline_rows(stages), headline=headline_slice(stages),
        group_of=headline_group, protocols=sorted(set().union(*(stage.facts["protocol"] for stage in stages))),
        # our own two files, the only text of the page that is not escaped
        style=Markup(style), script=Markup(script), script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        panels=sections.panels(stages, datasets, chance), chance=chance, heat=sections.heat(stages, datasets),
        scaled=sections.scaled(stages), together=sections.scaled_together(stages), costs=costs(stages, prices),
        board=make_board({stage.name: stage.everything for stage in stages}, prices=prices, reference=False)
        if len(stages) > 1 else None, conditions=found, warnings=warnings(stages, found),
        comparisons=extra["comparisons"] if "comparisons" in extra else sections.comparisons(stages),
        curves=sections.curves(stages, extra), breakdowns=sections.breakdowns(stages),
        errors=sections.errors(stages, datasets), notes=list(extra.get("notes", [])),
        cards=cards, withheld=withheld, code=code_record(),
        given=dict(provenance.flatten(extra["provenance"])) if extra.get("provenance") else {},
        records=records)


def _cards(stages: list[Stage], limit: int, tell: Callable[[str], None]) -> tuple[list[dict[str, Any]], list[str]]:
    """Chosen episodes as the template shows them, and a sentence for each dataset whose rows may not be shown."""
    from env import agreement

    cards: list[dict[str, Any]] = []
    refused: dict[str, int] = {}
    for name, trace in share_out({stage.name: stage.picker for stage in stages}, limit):
        try:
            agreement.check("report", [trace])
        except AgreementError as error:
            if trace.dataset not in refused:
                tell(f"episodes are left out of the report: {error}")
            refused[trace.dataset] = refused.get(trace.dataset, 0) + 1
            continue
        cards.append(card(name, trace, len(cards) + 1))
    # the page travels: it does not name the file on this machine in which permissions are kept
    return cards, [f"{count} episodes of {name} are not shown: its rows are under a data-use agreement and no permission to put "
                   "them into a report is recorded." for name, count in sorted(refused.items())]
