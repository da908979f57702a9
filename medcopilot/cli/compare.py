"""`medcopilot compare`: is run B better than run A, where, and by how much?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from medcopilot.cli.places import no_folder

NAME = "compare"


def run(
    run_a: Annotated[Path, typer.Argument(help="run folder: what it is compared with")],
    run_b: Annotated[Path, typer.Argument(help="run folder: positive differences are its gains")],
    temperature: Annotated[float | None, typer.Option(help="compare the rollouts of this temperature (default: the lowest that "
                                                           "both have)")] = None,
    verifier: Annotated[Path | None, typer.Option(help="for Best@K: a verifier's checkpoint folder, or JSON lines of id and "
                                                       "score")] = None,
    resamples: Annotated[int, typer.Option(min=100, help="bootstrap resamples")] = 10_000,
    seed: Annotated[int, typer.Option(min=0, help="of the bootstrap")] = 0,
    json_file: Annotated[Path | None, typer.Option("--json", callback=no_folder, help="also write every number here")] = None,
) -> None:
    """Paired differences of two runs: overall, per slice, suite and dataset, and over K rollouts.

    `medcopilot compare runs/sft runs/grpo --json difference.json`. Only tasks that both runs graded count; the interval resamples
    the clusters that both share, and McNemar's exact test looks at each task's first rollout. Runs of one policy under both
    protocols also get the inflation by protocol and by grader. Whatever else differs between the runs is said below.
    """
    import json

    import numpy as np

    from env.errors import UserError
    from env.files import atomic_write
    from medcopilot.cli.evaluate import verifier_scores
    from medcopilot.cli.progress import tell
    from medcopilot.evaluation.compare import compare
    from medcopilot.evaluation.protocols import inflation, protocol_pairs
    from medcopilot.evaluation.runs import load_records, load_runs
    from medcopilot.evaluation.scaling import scaling_gain
    from medcopilot.report.comparable import folder_notes
    from medcopilot.report.tables import print_comparison
    from medcopilot.verifier.scores import refuse_shared

    folders = [run_a, run_b]
    if run_a.resolve() == run_b.resolve():
        raise UserError(f"compare: {run_a} and {run_b} are one run: name two")
    whole, records = load_runs(folders, tell), load_records(folders)
    refuse_shared(verifier, whole)
    (name_a, a), (name_b, b) = whole.items()
    shared = np.intersect1d(a.temperature, b.temperature)
    chosen = temperature if temperature is not None else float(shared[0]) if len(shared) else None
    if chosen is None or chosen not in shared:
        raise UserError(f"compare: the runs share no rollouts of temperature {'any' if chosen is None else f'{chosen:g}'} "
                        f"({name_a}: {_temperatures(a)}; {name_b}: {_temperatures(b)}): sample one of them again")
    one, two = a.where(a.temperature == chosen), b.where(b.temperature == chosen)
    found = compare(one, two, resamples=resamples, seed=seed)
    scores = verifier_scores(folders, verifier) or {}
    gains = scaling_gain(a, b, scores.get(name_a), scores.get(name_b), resamples=resamples, seed=seed)
    parts, policies = {name_a: one, name_b: two}, {name: record.policy for name, record in records.items()}
    pairs = {f"{second} against {first}": item for first, second in protocol_pairs(parts, policies)
             if (item := inflation(parts[first], parts[second], resamples=resamples, seed=seed))}
    notes = folder_notes(whole, {name: record.folder for name, record in records.items()}, ("temperature",))
    if len(alone := np.setxor1d(a.temperature, b.temperature)):
        temperatures = ", ".join(f"{value:g}" for value in alone)
        notes.append(f"Only one of the runs has rollouts of temperature {temperatures}: no difference is of them.")
    print_comparison(name_a, name_b, found, gains, pairs, notes)
    if json_file is not None:
        body = {"a": str(run_a), "b": str(run_b), "temperature": chosen, "resamples": resamples, "seed": seed,
                "comparison": found.model_dump(), "scaling": [item.model_dump() for item in gains],
                "inflation": {name: item.model_dump() for name, item in pairs.items()}, "notes": notes}
        atomic_write(json_file, json.dumps(body, indent=2, ensure_ascii=False))


def _temperatures(cols: Any) -> str:
    return ", ".join(f"{value:g}" for value in sorted(set(cols.temperature.tolist())))
