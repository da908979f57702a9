"""`medcopilot plan`: what a recipe needs, before it is started."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medcopilot.cli.places import no_folder

NAME = "plan"


def run(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="a file of recipes/")],
    changes: Annotated[list[str] | None, typer.Argument(metavar="key=value", help="overrides, as of the recipe itself")] = None,
    gpus: Annotated[int | None, typer.Option(help="how many; default: what the recipe's header says")] = None,
    gpu: Annotated[str | None, typer.Option(help="a100-80, h100 or h200, in small or large letters; default: what the recipe's "
                                                 "header says")] = None,
    launch: Annotated[str | None, typer.Option(help="accelerate configuration: single, ddp, zero2, zero3, fsdp2; default: the "
                                                    "header's, and single for one GPU")] = None,
    model: Annotated[str | None, typer.Option(help="whose shape to take, where the recipe's checkpoint is not there: a folder or a "
                                                   "name such as Qwen/Qwen2.5-7B-Instruct")] = None,
    rows: Annotated[int | None, typer.Option(min=1, help="rows of the data, where the file is not there")] = None,
    tokens: Annotated[float | None, typer.Option(min=1, help="mean tokens of a trajectory, where the file is not there")] = None,
    calibration: Annotated[Path | None, typer.Option(help="measured speed and memory: a file of `medcopilot bench train`")] = None,
    measure: Annotated[bool, typer.Option("--measure", help="run two steps at toy width here, and compare planned bytes with real "
                                                            "ones")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", callback=no_folder, help="also write the plan here")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="exit code 1 when it does not fit")] = False,
) -> None:
    """Memory per GPU by part, seconds per step and hours of a recipe, and what would fit when it does not.

    `medcopilot plan recipes/qwen2.5-7b/grpo.yaml --gpus 8 --gpu h100`. Nothing is loaded or downloaded. Memory is counted tensor by
    tensor; speed rests on assumptions that are named, or on a file that was measured.
    """
    import json
    import sys

    from env.files import atomic_write
    from medcopilot.plan.assumptions import Assumptions
    from medcopilot.plan.calibration import read_calibration
    from medcopilot.plan.estimate import hardware_of, plan
    from medcopilot.plan.recipe import read_recipe
    from medcopilot.plan.search import suggestions
    from medcopilot.plan.show import document, tell

    overrides = tuple(changes or ())
    read = read_recipe(recipe, overrides)
    if measure:
        from medcopilot.plan.compare import compare

        sys.exit(compare(read))
    assumed = Assumptions()._replace(**({"tokens": tokens} if tokens else {}))
    hardware = hardware_of(read, gpu, gpus, launch)
    measured = read_calibration(calibration, hardware.gpu) if calibration else None
    found = plan(read, hardware, assumed, calibration=measured, model=model, rows=rows)
    offers = [] if found.fits else suggestions(found, assumed, calibration=measured, overrides=overrides)
    tell(found, assumed, offers)
    if json_file is not None:
        atomic_write(json_file, json.dumps(document(found, assumed, offers), indent=2) + "\n")
    if strict and not found.fits:
        sys.exit(1)
