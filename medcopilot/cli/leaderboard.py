"""`medcopilot leaderboard`: many policies on the same tasks, ranked as far as the data can tell."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

NAME = "leaderboard"


def run(
    config_file: Annotated[Path, typer.Argument(metavar="CONFIG", help="YAML: out, sample, entries (docs/evaluation.md)")],
    changes: Annotated[list[str] | None, typer.Option("--set", help="key=value; repeat for several")] = None,
    estimate: Annotated[bool, typer.Option("--estimate", help="say what it would take, and play nothing")] = False,
    tables_only: Annotated[bool, typer.Option("--tables-only", help="of what is there; nothing is sampled")] = False,
    resamples: Annotated[int, typer.Option(min=100, help="bootstrap resamples")] = 2000,
    root: Annotated[Path | None, typer.Option(help="data folder (default: $MEDCOPILOT_DATA or ./data)")] = None,
) -> None:
    """Sample every entry of a list, then write `leaderboard.json`, `.md` and `.html` and print the table.

    The same command again resumes. An entry is a policy to sample or a run that is there; one that fails is told of, the others go
    on, and the exit code is 1. Published figures stand below, for reference only.
    """
    import sys
    from contextlib import ExitStack

    from env.errors import UserError
    from medcopilot.cli.progress import sampling_progress, tell
    from medcopilot.cli.sample import expected_words
    from medcopilot.leaderboard.show import print_board, write
    from medcopilot.leaderboard.sweep import SweepConfig, estimates, sweep
    from medcopilot.train.config import load_config

    config = load_config(SweepConfig, config_file, changes or ())
    if estimate:
        wrong = False
        for name, found in estimates(config, root):
            if isinstance(found, UserError):
                tell(f"{name}: {found}")
                wrong = True
            else:
                print(f"{name}: {found['owed']:,} of {found['episodes']:,} episodes owed; expected: {expected_words(found)}")
        if wrong:
            sys.exit(1)
        return
    broken: dict[str, str] = {}
    if not tables_only:
        with ExitStack() as stack:
            def progress(name: str) -> Any:
                return stack.enter_context(sampling_progress(f"sampling {name}"))[0]

            broken = sweep(config, progress, tell, root)
    board = _board(config, broken, resamples)
    write(board, config.out)
    print_board(board)
    print(f"{config.out / 'leaderboard.html'}")
    if broken:
        sys.exit(1)


def _board(config: Any, broken: dict[str, str], resamples: int) -> Any:
    from env.errors import UserError
    from medcopilot.cli.progress import tell
    from medcopilot.evaluation.columns import columns
    from medcopilot.leaderboard.board import make_board
    from medcopilot.leaderboard.sweep import drift
    from medcopilot.prices import load_prices
    from medcopilot.report.comparable import folder_notes
    from medcopilot.runs import RunFolder

    runs = {}
    notes = [f"{name} is not whole: {reason}" for name, reason in broken.items()]
    for entry in config.entries:
        folder = config.folder(entry)
        if entry.policy and not (folder / "config.json").exists():
            if entry.name not in broken:
                notes.append(f"{entry.name} has not been sampled yet.")
            continue
        run = RunFolder.open(folder)
        if entry.policy and run.config.get("policy") != entry.policy:  # its numbers would stand under the new policy's name
            notes.append(f"{entry.name} is left out: {folder} holds a run of {run.config.get('policy')}, not of {entry.policy}.")
            continue
        cols = columns(run.scan())
        if not len(cols):
            notes.append(f"{entry.name} has no episode yet.")
            continue
        if entry.policy and entry.name not in broken and (changed := drift(config, entry, run.config)):
            notes.append(f"{entry.name} was sampled under other settings than the list asks for now (different: "
                         f"{', '.join(changed)}): its row is of the old ones. Delete {folder} to sample it anew.")
        runs[entry.name] = cols
    if not runs:
        raise UserError(f"leaderboard: no entry has an episode: see above, or sample without --tables-only ({config.out})")
    # the board itself tells of what it reads from the episodes
    notes += folder_notes(runs, {entry.name: config.folder(entry) for entry in config.entries if entry.name in runs},
                          ("masked", "tasks", "temperature", "protocol"))
    for note in notes:
        tell(note)
    return make_board(runs, prices=load_prices(config.prices), notes=notes, reference=config.reference, resamples=resamples)
