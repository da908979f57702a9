"""`medcopilot eval`: numbers for finished runs, or for a checkpoint that is sampled first."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

NAME = "eval"


def run(
    runs: Annotated[list[Path] | None, typer.Argument(help="run folders that `medcopilot sample` wrote; later ones are compared "
                                                           "with the first")] = None,
    checkpoint: Annotated[str | None, typer.Option(help="sample this policy first: a checkpoint folder, expert, vllm:FOLDER, or "
                                                        "openai:MODEL@URL")] = None,
    dataset: Annotated[list[str] | None, typer.Option(help="with --checkpoint: dataset; repeat for several (default: all)")] = None,
    split: Annotated[str, typer.Option(help="with --checkpoint: train or test")] = "test",
    slices: Annotated[list[str] | None, typer.Option("--slice", help="with --checkpoint: seen, unseen, official or train")] = None,
    n: Annotated[int | None, typer.Option(help="with --checkpoint: tasks per dataset (default: all)")] = None,
    samples: Annotated[int, typer.Option(help="with --checkpoint: rollouts per task (pass@k needs several)")] = 1,
    temperature: Annotated[float, typer.Option(help="with --checkpoint: 0 is greedy")] = 0.0,
    profile: Annotated[str, typer.Option(help="with --checkpoint: full, or nano for the small policy of the demo")] = "full",
    protocol: Annotated[str, typer.Option(help="with --checkpoint: submit, or paper (any correct execution ends it)")] = "submit",
    seed: Annotated[int, typer.Option(help="of task choice, sampling and the bootstrap")] = 0,
    concurrency: Annotated[int, typer.Option(help="with --checkpoint: episodes open at once")] = 32,
    source: Annotated[list[str] | None, typer.Option(help="with --checkpoint: DATASET=PATH of real source files; otherwise the "
                                                          "synthetic twin")] = None,
    train: Annotated[int | None, typer.Option(help="with --checkpoint: training tasks of the twin (as it was built)")] = None,
    test: Annotated[int | None, typer.Option(help="with --checkpoint: test tasks of the twin (as it was built)")] = None,
    patients: Annotated[int, typer.Option(help="with --checkpoint: patients per database of the twin")] = 1000,
    build_seed: Annotated[int, typer.Option(help="with --checkpoint: seed of the twin")] = 0,
    out: Annotated[Path | None, typer.Option(help="with --checkpoint: run folder (default: a name made from the options)")] = None,
    root: Annotated[Path | None, typer.Option(help="with --checkpoint: data folder (default: $MEDCOPILOT_DATA or ./data)")] = None,
    resamples: Annotated[int, typer.Option(min=100, help="bootstrap resamples")] = 2000,
    json_file: Annotated[Path | None, typer.Option("--json", help="also write every number here")] = None,
) -> None:
    """Success rates with intervals, strict beside paper, and what the agent did.

    `medcopilot eval runs/sft runs/grpo` summarises two finished runs and prints their paired difference over the same tasks.
    `medcopilot eval --checkpoint runs/sft/checkpoint --dataset mimic_iii --n 400` samples first; the same command resumes.

    Rates leave out episodes that our own machinery failed to grade, and say how many. Intervals resample clusters (a template
    with a block of patients). A run that mixes temperatures is split by temperature. Numbers also go into each run's
    `summary.json`; `medcopilot report` draws them.
    """
    import json
    import sys

    from env.errors import UserError
    from env.files import atomic_write
    from medcopilot.evaluation.runs import against_first, load_runs, run_name, write_summary
    from medcopilot.evaluation.summary import summarise
    from medcopilot.report.terminal import print_summaries

    folders = list(runs or [])
    if checkpoint is not None:
        folders.append(_sample(checkpoint, {"datasets": dataset, "split": split, "slices": slices, "tasks_per_dataset": n,
                                            "samples": samples, "temperature": temperature, "profile": profile,
                                            "protocol": protocol, "seed": seed, "concurrency": concurrency},
                               {"sources": source or [], "train": train, "test": test, "patients": patients, "seed": build_seed},
                               out, root))
    elif any((dataset, slices, n, out, root, source)):
        raise UserError("eval: --dataset, --slice, --n, --out, --root and --source choose what is sampled: give --checkpoint too")
    if not folders:
        raise UserError("eval: nothing to evaluate: name run folders, or give --checkpoint to sample one")
    loaded = load_runs(folders, lambda sentence: print(f"medcopilot: {sentence}", file=sys.stderr))
    summaries = {name: summarise(cols, resamples=resamples, seed=seed) for name, cols in loaded.items()}
    comparisons = against_first(loaded, resamples=resamples, seed=seed)
    for folder in folders:
        name = run_name(folder, folders)
        write_summary(folder, {key: item for key, item in summaries.items() if key == name or key.startswith(f"{name}, T = ")})
    print_summaries(summaries, comparisons)
    if json_file is not None:
        body = {"runs": {name: item.model_dump() for name, item in summaries.items()},
                "comparisons": {name: item.model_dump() for name, item in comparisons.items()}}
        atomic_write(json_file, json.dumps(body, indent=2, ensure_ascii=False))


def _sample(checkpoint: str, chosen: dict[str, Any], build: dict[str, Any], out: Path | None, root: Path | None) -> Path:
    """Play the checkpoint; returns the run folder."""
    import hashlib
    import json
    import re

    from env.errors import UserError

    if chosen["samples"] > 1 and chosen["temperature"] == 0:
        raise UserError("eval: several --samples at --temperature 0 are all alike: give a temperature, e.g. 0.6")
    from env.datasets import BuildRequest, dataset_names
    from medcopilot.cli.bounds import check_request, named_paths
    from medcopilot.cli.progress import sampling_progress
    from medcopilot.rollout.sample import sample_run
    from medcopilot.rollout.settings import SampleConfig

    chosen = {**chosen, "datasets": tuple(chosen["datasets"] or dataset_names()), "slices": tuple(chosen["slices"] or ()),
              "greedy_first": chosen["temperature"] == 0}
    if out is None:
        tag = hashlib.blake2b(json.dumps([checkpoint, chosen, build], sort_keys=True).encode(), digest_size=4).hexdigest()
        out = Path("runs") / f"eval-{re.sub(r'[^A-Za-z0-9]+', '-', checkpoint).strip('-')[-40:]}-{tag}"
    sources = named_paths("--source", build.pop("sources"))
    builds = {name: check_request(BuildRequest, source=sources.get(name), **build) for name in chosen["datasets"]}
    config = check_request(SampleConfig, out=out, policy=checkpoint, builds=builds, **chosen)
    with sampling_progress(f"sampling into {out}") as (progress, _):
        return sample_run(config, progress, root=root)
