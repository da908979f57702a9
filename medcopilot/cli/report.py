"""`medcopilot report`: one HTML page about any number of runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medcopilot.cli import texts
from medcopilot.cli.places import no_folder

NAME = "report"


def run(
    runs: Annotated[list[str], typer.Argument(help="run folders in the order of training, or NAME=FOLDER; folders given "
                                                   "under one NAME (e.g. T = 0 and T = 1) are one run")],
    out: Annotated[Path | None, typer.Option(help="where the page goes (default: report.html, inside a single run)")] = None,
    title: Annotated[str, typer.Option(help="heading of the page")] = "Med-Copilot report",
    trajectories: Annotated[int, typer.Option(min=0, help="at most how many episodes are shown in full")] = 40,
    metrics: Annotated[list[str] | None, typer.Option(help="NAME=FILE of training metrics (JSON lines), for the curves")] = None,
    chance: Annotated[list[str] | None, typer.Option(help="DATASET=FRACTION: draw chance as a line")] = None,
    prices: Annotated[Path | None, typer.Option(help=texts.PRICES)] = None,
    seed: Annotated[int, typer.Option(min=0, help="of the choice of episodes")] = 0,
    json_file: Annotated[Path | None, typer.Option("--json", callback=no_folder,
                                                   help="also write where the page is and what was left out")] = None,
) -> None:
    """One self-contained page: leaderboard, success with intervals, differences, datasets and categories, curves, behaviour, cost,
    errors, the conditions of each run, and episodes to read.

    `medcopilot report base=runs/base SFT=runs/sft GRPO=runs/grpo --out report.html` compares three stages. The page makes no
    network request. Episodes of rows under a data-use agreement are shown only where the permission is recorded; otherwise the
    page says how many were left out.
    """
    import json
    import sys

    from env.files import atomic_write
    from medcopilot.cli.bounds import named_paths
    from medcopilot.prices import load_prices
    from medcopilot.report.build import build_report

    stages = _stages(runs)
    folders = [path for paths in stages.values() for path in paths]
    target = out or (folders[0] / "report.html" if len(folders) == 1 else Path("report.html"))
    left_out: list[str] = []
    extra = {"metrics": named_paths("--metrics", metrics or []), "chance": _fractions(chance or []), "prices": load_prices(prices)}
    build_report(stages, target, title, extra, trajectories=trajectories, seed=seed, tell=left_out.append)
    for sentence in left_out:
        print(f"medcopilot: {sentence}", file=sys.stderr)
    print(f"{target}: {len(stages)} {'stage' if len(stages) == 1 else 'stages'}, {target.stat().st_size / 1e6:.1f} MB")
    if json_file is not None:
        atomic_write(json_file, json.dumps({"report": str(target), "stages": list(stages), "left_out": left_out}, indent=2))


def _stages(items: list[str]) -> dict[str, list[Path]]:
    """Name -> folders, in the order given: folders without a name go by their own.

    Raises:
        UserError: a folder's own name is also a name that was given.
    """
    from env.errors import UserError
    from medcopilot.report.build import name_runs

    named = [(name, Path(folder)) if equals and name and folder and not Path(item).exists() else ("", Path(item))
             for item in items for name, equals, folder in [item.partition("=")]]
    own = {path: name for name, path in name_runs([path for name, path in named if not name]).items()}
    stages: dict[str, list[Path]] = {}
    for name, path in named:
        if not name and own[path] in {given for given, _ in named if given}:
            raise UserError(f"two runs are called {own[path]}: call {path} otherwise, NAME={path}")
        stages.setdefault(name or own[path], []).append(path)
    return stages


def _fractions(items: list[str]) -> dict[str, float]:
    """`NAME=0.05` texts.

    Raises:
        UserError: not a number in [0, 1].
    """
    from env.errors import UserError

    fractions = {}
    for item in items:
        name, _, text = item.partition("=")
        try:
            fractions[name] = float(text)
        except ValueError:
            fractions[name] = -1.0
        if not 0 <= fractions[name] <= 1:
            raise UserError(f"option --chance: {item!r} is not DATASET=FRACTION with a fraction in [0, 1]")
    return fractions
