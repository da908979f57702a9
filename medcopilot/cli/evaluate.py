"""`medcopilot eval`: numbers for finished runs, or for a checkpoint that is sampled first."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from medcopilot.cli import texts
from medcopilot.cli.given import given, refuse, refuse_twin
from medcopilot.cli.places import no_folder

NAME = "eval"
_OF_RUNS = {"runs", "seed", "verifier", "at", "pictures", "resamples", "json_file"}
"""What can be said of runs that are there; everything else chooses what `--checkpoint` samples."""


def run(
    runs: Annotated[list[Path] | None, typer.Argument(help="run folders that `medcopilot sample` wrote; later ones are compared "
                                                           "with the first")] = None,
    checkpoint: Annotated[str | None, typer.Option(help="sample this policy first: a checkpoint folder, expert, vllm:FOLDER, or "
                                                        "openai:MODEL@URL")] = None,
    dataset: Annotated[list[str] | None, typer.Option(help="with --checkpoint: dataset; repeat for several (default: all)")] = None,
    split: Annotated[str, typer.Option(help="with --checkpoint: train or test")] = "test",
    slices: Annotated[list[str] | None, typer.Option("--slice", help="with --checkpoint: seen, unseen, official or train")] = None,
    n: Annotated[int | None, typer.Option(help="with --checkpoint: tasks per dataset (default: all)")] = None,
    samples: Annotated[int, typer.Option(help="with --checkpoint: rollouts per task (curves over K need several)")] = 1,
    temperature: Annotated[float, typer.Option(help="with --checkpoint: 0 is greedy")] = 0.0,
    profile: Annotated[str, typer.Option(help="with --checkpoint: full, or nano for the small policy of the demo")] = "full",
    protocol: Annotated[str, typer.Option(help="with --checkpoint: submit, or paper (any correct execution ends it)")] = "submit",
    without: Annotated[list[str] | None, typer.Option(help=f"with --checkpoint: {texts.WITHOUT}")] = None,
    turns: Annotated[int | None, typer.Option(help=f"with --checkpoint: {texts.TURNS}")] = None,
    seed: Annotated[int, typer.Option(min=0, help="of task choice, sampling and the bootstrap")] = 0,
    concurrency: Annotated[int, typer.Option(help="with --checkpoint: episodes open at once")] = 32,
    source: Annotated[list[str] | None, typer.Option(help="with --checkpoint: DATASET=PATH of real source files; otherwise the "
                                                          "synthetic twin")] = None,
    train: Annotated[int | None, typer.Option(help="with --checkpoint: training tasks of the twin (as it was built)")] = None,
    test: Annotated[int | None, typer.Option(help="with --checkpoint: test tasks of the twin (as it was built)")] = None,
    patients: Annotated[int, typer.Option(help="with --checkpoint: patients per database of the twin")] = 1000,
    build_seed: Annotated[int, typer.Option(help="with --checkpoint: seed of the twin")] = 0,
    loop_guard: Annotated[bool, typer.Option("--loop-guard", help=f"with --checkpoint: {texts.LOOP_GUARD}")] = False,
    out: Annotated[Path | None, typer.Option(help="with --checkpoint: run folder (default: a name made from the options)")] = None,
    root: Annotated[Path | None, typer.Option(help="with --checkpoint: data folder (default: $MEDCOPILOT_DATA or ./data)")] = None,
    verifier: Annotated[Path | None, typer.Option(help="for Best@K: a verifier's checkpoint folder, which scores every episode "
                                                       "once, or JSON lines of id and score")] = None,
    at: Annotated[list[float] | None, typer.Option(help="training step, or share of the data, of each run in their order: success "
                                                        "over training")] = None,
    pictures: Annotated[Path | None, typer.Option(help="folder for the curves as .png files")] = None,
    resamples: Annotated[int, typer.Option(min=100, help="bootstrap resamples")] = 2000,
    json_file: Annotated[Path | None, typer.Option("--json", callback=no_folder, help="also write every number here")] = None,
    context: typer.Context = None,  # type: ignore[assignment]  # given by typer; a caller in Python has typed no options
) -> None:
    """Success rates with intervals, strict beside paper, curves over K rollouts, and what the agent did.

    `medcopilot eval runs/sft runs/grpo` summarises two finished runs and prints their paired difference over the same tasks.
    `medcopilot eval --checkpoint runs/sft/checkpoint --dataset mimic_iii --n 400` samples first; the same command resumes.

    Rates leave out episodes that our own machinery failed to grade, and say how many. Intervals resample clusters (a template
    with a block of patients). Plain rates of a run that mixes temperatures are split by temperature. Runs with several rollouts
    per task get Pass@K, majority@K and, with `--verifier`, Best@K (docs/evaluation.md). Numbers also go into each run's
    `summary.json`; `medcopilot report` draws them.
    """
    from env.errors import UserError
    from medcopilot.runs import distinct

    folders = list(runs or [])
    if checkpoint is not None:
        refuse_twin(context, NAME, dataset, source)
        folders.append(_sample(checkpoint, {"datasets": dataset, "split": split, "slices": slices, "tasks_per_dataset": n,
                                            "samples": samples, "temperature": temperature, "profile": profile,
                                            "protocol": protocol, "seed": seed, "concurrency": concurrency,
                                            **({"without": tuple(without)} if without else {}),
                                            **({"turns": turns} if turns is not None else {}),
                                            **({"loop_guard": True} if loop_guard else {})},
                               {"sources": source or [], "train": train, "test": test, "patients": patients, "seed": build_seed},
                               out, root))
    else:
        refuse(context, NAME, given(context) - _OF_RUNS, "would change nothing: it chooses what is sampled: give --checkpoint too")
    folders = distinct(folders)
    if not folders:
        raise UserError("eval: nothing to evaluate: name run folders, or give --checkpoint to sample one")
    _evaluate(folders, verifier, at or [], pictures, json_file, {"resamples": resamples, "seed": seed})


def _evaluate(folders: list[Path], verifier: Path | None, at: list[float], pictures: Path | None, json_file: Path | None,
              numbers: dict[str, int]) -> None:
    """Say, draw and write what there is to say of these runs."""
    import re

    from env.errors import UserError
    from env.files import atomic_write
    from medcopilot.cli.progress import tell
    from medcopilot.evaluation.runs import evaluate, load_records, load_runs, run_name, write_summary
    from medcopilot.report.comparable import folder_notes
    from medcopilot.report.scaling import curve_figure, draw, training_figure
    from medcopilot.report.tables import print_evaluation
    from medcopilot.verifier.scores import refuse_shared

    whole, records = load_runs(folders, tell), load_records(folders)
    refuse_shared(verifier, whole)
    notes = folder_notes(whole, {name: record.folder for name, record in records.items()}, ("temperature",))
    found = evaluate(whole, verifier_scores(folders, verifier), at=at, records=records, notes=notes, **numbers)
    print_evaluation(found)
    if pictures is not None:
        for name, item in found.scaling.items():
            for curve in item.overall:
                file = re.sub(r"[^A-Za-z0-9.]+", "-", f"{name}-{curve.scheme}-T{curve.temperature:g}").strip("-")
                draw(curve_figure(curve, name), pictures / f"{file}.png")
        if found.training:
            draw(training_figure(found.training, "training", "Success over training"), pictures / "training.png")
    if json_file is not None:
        atomic_write(json_file, found.model_dump_json(indent=2))
    for folder in folders:
        try:
            write_summary(folder, run_name(folder, folders), found)
        except (OSError, UserError) as error:  # somebody else's run can be read all the same
            tell(f"{folder}: these numbers were not kept in its summary.json ({error})")


def verifier_scores(folders: list[Path], verifier: Path | None) -> dict[str, dict[str, float]] | None:
    """Every run's scores by the verifier; None without one."""
    if verifier is None:
        return None
    from medcopilot.cli.progress import tell
    from medcopilot.evaluation.runs import run_name
    from medcopilot.verifier.scores import scores_of

    return {run_name(folder, folders): scores_of(folder, verifier, lambda done, total, folder=folder: tell(
        f"{folder}: {done} of {total} episodes scored")) for folder in dict.fromkeys(folders)}


def _sample(checkpoint: str, chosen: dict[str, Any], build: dict[str, Any], out: Path | None, root: Path | None) -> Path:
    """Play the checkpoint; returns the run folder."""
    import hashlib
    import json
    import re

    from env.errors import UserError

    if chosen["samples"] > 1 and chosen["temperature"] == 0:
        raise UserError("eval: several --samples at --temperature 0 are all alike: give a temperature, e.g. 0.6")
    from env.datasets import BuildRequest, dataset_names
    from medcopilot.cli.bounds import SAMPLE_OPTIONS, check_request, source_paths
    from medcopilot.cli.progress import sampling_progress
    from medcopilot.rollout.sample import sample_run
    from medcopilot.rollout.settings import SampleConfig

    chosen = {**chosen, "datasets": tuple(chosen["datasets"] or dataset_names()), "slices": tuple(chosen["slices"] or ()),
              "greedy_first": chosen["temperature"] == 0}
    if out is None:
        tag = hashlib.blake2b(json.dumps([checkpoint, chosen, build], sort_keys=True).encode(), digest_size=4).hexdigest()
        out = Path("runs") / f"eval-{re.sub(r'[^A-Za-z0-9]+', '-', checkpoint).strip('-')[-40:]}-{tag}"
    sources = source_paths(build.pop("sources"), chosen["datasets"])
    builds = {name: check_request(BuildRequest, source=sources.get(name), **build) for name in chosen["datasets"]}
    config = check_request(SampleConfig, SAMPLE_OPTIONS, out=out, policy=checkpoint, builds=builds, **chosen)
    with sampling_progress(f"sampling into {out}") as (progress, _):
        return sample_run(config, progress, root=root)
