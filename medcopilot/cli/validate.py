"""`medcopilot validate`: are the tasks and graders of a dataset to be trusted?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medcopilot.cli import texts
from medcopilot.cli.places import no_folder

NAME = "validate"


def run(
    dataset: Annotated[list[str] | None, typer.Option(help="dataset; repeat for several (default: all)")] = None,
    source: Annotated[list[str] | None, typer.Option(help="DATASET=PATH of real files; otherwise the synthetic twin")] = None,
    every: Annotated[bool, typer.Option("--all", help="all datasets, which is what no --dataset means, too")] = False,
    sample: Annotated[float | None, typer.Option(help="check this share of the tasks of every category and split", min=0.0001,
                                                 max=1.0)] = None,
    limit: Annotated[int | None, typer.Option(help="check at most so many tasks per split, drawn by seed", min=1)] = None,
    seed: Annotated[int, typer.Option(help="of that draw")] = 0,
    train: Annotated[int | None, typer.Option(help="training tasks of a twin that is not built yet")] = None,
    test: Annotated[int | None, typer.Option(help="test tasks of a twin that is not built yet")] = None,
    patients: Annotated[int, typer.Option(help="patients per database of the twin")] = 1000,
    build_seed: Annotated[int, typer.Option(help="seed of the twin")] = 0,
    option: Annotated[list[str] | None, typer.Option(help="NAME=VALUE, a choice of this dataset; repeat for several")] = None,
    threads: Annotated[int, typer.Option(help="boxes that run at once", min=1)] = 4,
    sandbox: Annotated[str, typer.Option(help=texts.SANDBOX)] = "auto",
    exploits: Annotated[bool, typer.Option("--exploits/--gold-only", help="attacks and correct variants, or gold alone")] = True,
    details: Annotated[bool, typer.Option("--details", help="print every attack, not the worst of each group")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="check again what an earlier run with the same data and code has")] = False,
    root: Annotated[Path | None, typer.Option(help="data folder (default: $MEDCOPILOT_DATA or ./data)")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", callback=no_folder,
                                                   help="also write everything measured here")] = None,
) -> None:
    """Check that gold earns 1.0, exploits earn at most chance and correct variants earn 1.0.

    `medcopilot validate --dataset mimic_iii --dataset medcalcbench --json out.json` builds the synthetic twins if they are
    missing and runs the whole battery on them: every gold program, about forty attacks, each with a control that proves it
    live, and every task's correct answer in other formats. The released gym's grader is measured beside the strict one.
    Exit code 1 on any breach. A dataset that an earlier run has finished, with the same data, code and choices, is not run again.
    """
    import json
    import os

    from env.datasets import BuildRequest, dataset_names, get_dataset
    from env.errors import UserError
    from env.files import atomic_write
    from env.gym import Gym
    from env.sandbox import open_backend
    from medcopilot.cli.bounds import check_request, options, source_paths
    from medcopilot.cli.console import table_console
    from medcopilot.cli.stages import stage_progress
    from medcopilot.validation.battery import Settings, validate
    from medcopilot.validation.finished import recall, remember
    from medcopilot.validation.show import show, show_matrix

    if every and dataset:
        raise UserError(f"option --all: means all datasets, so leave out --dataset {dataset[0]}, or leave out --all")
    names = dataset or dataset_names()
    sources = source_paths(source or [], names)
    console = table_console()
    settings = Settings(limit=limit, sample=sample, exploits=exploits, seed=seed, threads=threads, processes=os.cpu_count() or 1)
    datasets = [get_dataset(name) for name in names]
    requests = {name: check_request(BuildRequest, source=sources.get(name), seed=build_seed, train=train, test=test,
                                    patients=patients, options=options(option or [])) for name in names}
    backend = open_backend(sandbox)
    reports = []
    try:
        for known in datasets:
            with stage_progress(f"building {known.name}") as progress:
                built = known.build(requests[known.name], root, progress)
            gym = Gym(backend, [built])
            report = None if fresh else recall(built, settings, backend.name)
            if report is None:
                with stage_progress("validating") as progress:
                    report = validate(gym, built, settings, progress)
                remember(report, built, settings, backend.name)
            show(report, console, every=details)
            reports.append(report)
    finally:
        backend.close()
    if len(reports) > 1 and exploits:
        show_matrix([report.as_json() for report in reports], console)
    breaches = [breach for report in reports for breach in report.breaches]
    if json_file is not None:
        document = {"breaches": len(breaches), "sandbox": gym.describe()["sandbox"], "limit": limit, "sample": sample,
                    "exploits": exploits, "seed": seed,
                    "datasets": [report.as_json() for report in reports]}
        atomic_write(json_file, json.dumps(document, indent=2, default=str))
    if breaches:
        raise typer.Exit(1)
