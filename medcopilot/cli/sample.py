"""`medcopilot sample`: play episodes and keep the traces."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from medcopilot.cli import texts
from medcopilot.cli.given import given, refuse, refuse_twin
from medcopilot.cli.places import no_folder

NAME = "sample"
_BESIDE_FILE = {"config_file", "changes", "estimate", "root", "json_file"}
"""What `--config` leaves to say."""


def run(
    policy: Annotated[str | None, typer.Argument(help="expert, a checkpoint folder, vllm:FOLDER, or openai:MODEL@URL")] = None,
    out: Annotated[Path | None, typer.Option(help="run folder; the same command again resumes")] = None,
    config_file: Annotated[Path | None, typer.Option("--config", help="YAML file with all of it, e.g. recipes/nano/sample.yaml; "
                                                     "only --set, --estimate, --root and --json go with it")] = None,
    changes: Annotated[list[str] | None, typer.Option("--set", help="with --config: key=value; repeat for several")] = None,
    dataset: Annotated[list[str] | None, typer.Option(help="dataset; repeat for several (default: all)")] = None,
    split: Annotated[str, typer.Option(help="train or test")] = "test",
    slices: Annotated[list[str] | None, typer.Option("--slice", help="train, seen, unseen or official; repeat for several")] = None,
    n: Annotated[int | None, typer.Option(help="tasks per dataset (default: all)")] = None,
    samples: Annotated[int, typer.Option(help="rollouts per task; the first is greedy")] = 1,
    temperature: Annotated[float, typer.Option(help="of the rollouts after the first")] = 0.6,
    greedy_first: Annotated[bool, typer.Option(help="first rollout at temperature 0")] = True,
    profile: Annotated[str, typer.Option(help="full, or nano for the small policy of the demo")] = "full",
    protocol: Annotated[str, typer.Option(help="submit, or paper (any correct execution ends the episode)")] = "submit",
    without: Annotated[list[str] | None, typer.Option(help=texts.WITHOUT)] = None,
    turns: Annotated[int | None, typer.Option(help=texts.TURNS)] = None,
    seed: Annotated[int, typer.Option(help="of task choice and sampling")] = 0,
    detours: Annotated[float, typer.Option(help="expert: share of episodes with exploration or a repaired error")] = 0.3,
    concurrency: Annotated[int, typer.Option(help="episodes open at once")] = 32,
    source: Annotated[list[str] | None, typer.Option(help="DATASET=PATH of real files; otherwise the synthetic twin")] = None,
    train: Annotated[int | None, typer.Option(help="training tasks of a twin that is not built yet")] = None,
    test: Annotated[int | None, typer.Option(help="test tasks of a twin that is not built yet")] = None,
    patients: Annotated[int, typer.Option(help="patients per database of the twin")] = 1000,
    build_seed: Annotated[int, typer.Option(help="seed of the twin")] = 0,
    sandbox: Annotated[str, typer.Option(help=texts.SANDBOX)] = "auto",
    stateful: Annotated[bool, typer.Option("--stateful", help="Python programs of an episode share their variables")] = False,
    loop_guard: Annotated[bool, typer.Option("--loop-guard", help=texts.LOOP_GUARD)] = False,
    backend: Annotated[str, typer.Option(help="local, joblib (processes of this machine) or ray (a cluster)")] = "local",
    workers: Annotated[int, typer.Option(help="processes of joblib or ray")] = 2,
    max_seconds: Annotated[float | None, typer.Option(help="stop in good order after so long; the same command goes on")] = None,
    max_tokens: Annotated[int | None, typer.Option(help="stop after so many sampled tokens")] = None,
    max_cost: Annotated[float | None, typer.Option(help="stop after so many US dollars; needs --prices")] = None,
    prices: Annotated[Path | None, typer.Option(help="YAML, MODEL: {input: 2.5, output: 10}, dollars per million tokens")] = None,
    cache: Annotated[Path | None, typer.Option(help="file that keeps an endpoint's replies, and gives them again")] = None,
    estimate: Annotated[bool, typer.Option("--estimate", help="say what it would take, and play nothing")] = False,
    root: Annotated[Path | None, typer.Option(help="data folder (default: $MEDCOPILOT_DATA or ./data)")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", callback=no_folder, help="also write the outcome here")] = None,
    context: typer.Context = None,  # type: ignore[assignment]  # given by typer; a caller in Python has typed no options
) -> None:
    """Play episodes of a policy in the gym and keep every trace.

    `medcopilot sample expert --split train --n 200 --out runs/expert` plays the scripted expert on 200 training tasks of each
    dataset. Traces go to `OUT/traces/`; `medcopilot eval OUT` summarises them, `medcopilot report OUT` draws them.
    """
    from env.errors import UserError
    from medcopilot.rollout.settings import SampleConfig
    from medcopilot.train.config import load_config

    if config_file is not None:
        if policy or out:
            raise UserError("sample: --config names policy and run folder itself: change them with --set policy=... --set out=...")
        refuse(context, NAME, given(context) - _BESIDE_FILE, "would change nothing: with --config the file says it, and --set "
                                                             "key=value changes it")
        config = load_config(SampleConfig, config_file, changes or ())
    elif policy is None or out is None:
        raise UserError("sample: give a policy and --out, e.g. `medcopilot sample expert --out runs/expert`, or --config")
    else:
        _refuse_idle(context, policy, dataset, source, backend, lone=samples == 1 and greedy_first,
                     asked={"workers": workers, "detours": detours, "temperature": temperature})
        chosen = {"out": out, "policy": policy, "datasets": dataset, "split": split, "slices": tuple(slices or ()),
                  "tasks_per_dataset": n, "samples": samples, "temperature": temperature, "greedy_first": greedy_first,
                  "without": tuple(without or ()), "turns": turns,
                  "profile": profile, "protocol": protocol, "seed": seed, "detours": detours, "concurrency": concurrency,
                  "sandbox": sandbox, "stateful": stateful, "loop_guard": loop_guard, "backend": backend,
                  "workers": 1 if backend == "local" else workers,
                  "max_seconds": max_seconds, "max_tokens": max_tokens, "max_cost": max_cost, "prices": prices, "cache": cache}
        config = _from_options(source, {"seed": build_seed, "train": train, "test": test, "patients": patients}, chosen)
    (_say if estimate else _play)(config, root, json_file)


def _play(config: Any, root: Path | None, json_file: Path | None) -> None:
    """Sample, and say what is there and what is new."""
    import json

    from env.files import atomic_write
    from medcopilot.cli.progress import sampling_progress
    from medcopilot.rollout.sample import sample_run

    with sampling_progress(f"sampling into {config.out}") as (progress, outcome):
        sample_run(config, progress, root=root)
    rate = "none is graded" if outcome["success"] is None else f"strict success {outcome['success']:.1%}"
    new = f"of the {outcome['played']} new ones {outcome['infrastructure']} masked, {rate}" if outcome["played"] else "none is new"
    print(f"{config.out}: {outcome['done']} of {outcome['total']} traces; {new}")
    if outcome["stopped"]:
        print(f"the budget {outcome['stopped']} is used up: the same command with a larger one goes on")
    if json_file is not None:
        atomic_write(json_file, json.dumps({"run": str(config.out), **outcome}, indent=2))


def _refuse_idle(context: typer.Context | None, policy: str, dataset: list[str] | None, source: list[str] | None, backend: str, *,
                 lone: bool, asked: dict[str, float]) -> None:
    """Refuse options that would change nothing here, unless they say what happens anyway.

    Args:
        lone: every rollout is the first of its task, and greedy.
        asked: values of the options that may say so.
    """
    refuse(context, NAME, {"changes"}, "changes keys of a file: give --config too")
    if backend == "local" and asked["workers"] != 1:
        refuse(context, NAME, {"workers"}, "would change nothing: --backend local is one process: choose joblib or ray")
    if policy != "expert" and asked["detours"] != 0:
        refuse(context, NAME, {"detours"}, "would change nothing: only the scripted expert makes detours: leave it out")
    if not policy.startswith("openai:"):
        refuse(context, NAME, {"cache"}, "would change nothing: only replies of openai:MODEL@URL are kept: leave it out")
    if lone and asked["temperature"] != 0:
        refuse(context, NAME, {"temperature"}, "is of the rollouts after the first, which is greedy, and there is only that: add "
                                               "--samples 2 or --no-greedy-first, or leave it out")
    refuse_twin(context, NAME, dataset, source)


def _say(config: Any, root: Path | None, json_file: Path | None) -> None:
    """`--estimate`."""
    import json

    from env.files import atomic_write
    from medcopilot.rollout.estimate import estimate

    found = estimate(config, root)
    known = found["from_traces"]
    print(f"{found['owed']:,} of {found['episodes']:,} episodes are owed; the limits allow "
          f"{found['at_most']['sampled_tokens']:,} sampled tokens")
    basis = f"from the {known:,} traces that are there" if known else "no trace is there yet: play a few with --max-seconds first"
    print(f"expected: {expected_words(found)} ({basis})")
    if json_file is not None:
        atomic_write(json_file, json.dumps(found, indent=2))


def expected_words(found: dict[str, Any]) -> str:
    """An estimate's tokens, seconds and dollars, each with its unit; what is not known is said to be unknown."""
    units = {"prompt_tokens": "{:,.0f} prompt tokens", "sampled_tokens": "{:,.0f} sampled tokens", "seconds": "{:,.0f} seconds",
             "usd": "{:,.2f} US dollars"}
    expected = found["expected"]
    return ", ".join(form.format(expected[name]) if expected[name] is not None else f"{form.partition(' ')[2]} unknown"
                     for name, form in units.items())


def _from_options(source: list[str] | None, build: dict[str, Any], chosen: dict[str, Any]) -> Any:
    """What is sampled, as the options say."""
    from env.datasets import BuildRequest, dataset_names
    from medcopilot.cli.bounds import SAMPLE_OPTIONS, check_request, source_paths
    from medcopilot.rollout.settings import SampleConfig

    names = tuple(chosen["datasets"] or dataset_names())
    sources = source_paths(source or [], names)
    builds = {name: check_request(BuildRequest, source=sources.get(name), **build) for name in names}
    return check_request(SampleConfig, SAMPLE_OPTIONS, **{**chosen, "datasets": names, "builds": builds})
