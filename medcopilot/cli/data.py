"""`medcopilot data build`: make task folders from the real source's files or as a synthetic twin."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Build the tasks of a dataset.")


@app.callback()
def group() -> None:
    """Build the tasks of a dataset."""


@app.command(name="build")
def build(
    datasets: Annotated[list[str] | None, typer.Argument(metavar="DATASET...", help="datasets (default: all)")] = None,
    source: Annotated[Path | None, typer.Option(help="file or folder of the real source; without it: the synthetic twin")] = None,
    seed: Annotated[int, typer.Option(help="of the twin: same seed, same tasks")] = 0,
    train: Annotated[int | None, typer.Option(help="training tasks of the twin (default: the paper's count)")] = None,
    test: Annotated[int | None, typer.Option(help="test tasks of the twin (default: the paper's count)")] = None,
    patients: Annotated[int, typer.Option(help="patients per database of the twin; train and test have one each")] = 1000,
    option: Annotated[list[str] | None, typer.Option(help="NAME=VALUE, a choice of this dataset; repeat for several")] = None,
    root: Annotated[Path | None, typer.Option(help="data folder (default: $MEDCOPILOT_DATA or ./data)")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="also write the manifests here")] = None,
) -> None:
    """Build datasets: databases, questions and, apart from them, the keys that only graders read.

    `medcopilot data build mimic_iii` makes the synthetic twin: 1,000 patients per database and as many tasks as the paper has.
    `medcopilot data build medcalcbench --source DIR` reads the real files instead; they stay where they are and nothing is
    downloaded. A folder is complete or absent, so a build that was stopped is simply run again; what is there is not rebuilt.
    """
    import json

    from env.datasets import BuildRequest, dataset_names, get_dataset
    from env.errors import UserError
    from env.files import atomic_write
    from medcopilot.cli.bounds import check_request, options
    from medcopilot.cli.stages import stage_progress

    names = datasets or dataset_names()
    if source is not None and len(names) != 1:
        raise UserError("option --source: belongs to one dataset, so name exactly one, "
                        "e.g. `medcopilot data build mimic_iii --source DIR`")
    known = [get_dataset(name) for name in names]  # unknown names are refused before anything is built
    request = check_request(BuildRequest, source=source, seed=seed, train=train, test=test, patients=patients,
                            options=options(option or []))
    manifests = []
    for dataset in known:
        with stage_progress(f"building {dataset.name}") as progress:
            built = dataset.build(request, root, progress)
        counts = built.manifest["counts"]
        print(f"{dataset.name}: {counts['train']:,} train and {counts['test']:,} test tasks "
              f"({built.manifest['licence']}) in {built.folder}")
        manifests.append({**built.manifest, "folder": str(built.folder)})
    if json_file is not None:
        atomic_write(json_file, json.dumps(manifests, indent=2))

