"""The command line that every recipe shares.

Promises: `python recipes/<stage>.py FILE.yaml [--dry-run] [--shrink] [--max-steps N] [key=value ...]`, or `--config FILE.yaml` in
place of the first word; `--dry-run` prints the resolved configuration and does nothing, `--shrink` runs two steps at toy width; bad
input is one sentence on stderr and exit code 2. One of several processes says when another is gone (exit code 1). A run that was
told to make room (SIGTERM) saves a state and ends with exit code 75; the file that `MEDCOPILOT_PREEMPTED` names then exists.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from env.errors import UserError
from medcopilot.train.config import StageConfig, dump_config, load_config
from medcopilot.train.launch import Preempted, lost_process
from medcopilot.train.prepare import make_inputs

S = TypeVar("S", bound=StageConfig)


def run_recipe(cls: type[S], train: Callable[[S], Any], doc: str, argv: Sequence[str] | None = None) -> int:
    """Parse, load, and call `train(config)`. Returns the exit code. `doc`: the recipe's docstring, shown by `--help`."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter,
                                     usage="%(prog)s (FILE.yaml | --config FILE.yaml) [--dry-run | --shrink] [--max-steps N] "
                                           "[key=value ...]")
    parser.add_argument("words", nargs="*", metavar="FILE.yaml key=value",
                        help="the YAML file of the run, e.g. recipes/nano/sft.yaml, and single values, e.g. optimizer.lr=0.01")
    parser.add_argument("--config", metavar="FILE.yaml", help="the same as FILE.yaml as the first word")
    parser.add_argument("--dry-run", action="store_true", help="print the resolved configuration and stop")
    parser.add_argument("--shrink", action="store_true", help="two steps at toy width on random weights and a few synthetic tasks")
    parser.add_argument("--max-steps", type=int, metavar="N", help="a trial: max_steps=N, run again even if it ended before")
    args = parser.parse_intermixed_args(argv)
    recipe, words = (args.config, args.words) if args.config else (args.words[0], args.words[1:]) if args.words else (None, [])
    if recipe is None:
        parser.error("a recipe is missing: name its file, e.g. recipes/nano/sft.yaml")
    overrides = [*words, *([f"max_steps={args.max_steps}"] if args.max_steps is not None else [])]
    code = 0
    try:
        config = load_config(cls, recipe, overrides)
        if args.max_steps is not None:
            config = config.model_copy(update={"trial": True, "log_steps": min(config.log_steps, max(1, args.max_steps // 3))})
        if args.dry_run:
            if _first():
                print(f"# {recipe}, digest {config.digest()}\n{dump_config(config)}", end="")
        elif args.shrink:
            from medcopilot.train.shrink import shrink  # it knows every kind of recipe, and how to make data for it

            train(shrink(config))
        else:
            make_inputs(config)
            train(config)
    except UserError as error:
        code = _refuse(str(error))
    except Preempted as error:
        if _first():
            print(f"{os.path.basename(sys.argv[0])}: {error}", file=sys.stderr)
            if mark := os.environ.get("MEDCOPILOT_PREEMPTED"):  # launchers of several processes hide exit codes from job scripts
                Path(mark).touch()
        code = Preempted.exit_code
    except RuntimeError as error:
        lost = lost_process(error)
        if lost is None:
            raise
        print(f"{os.path.basename(sys.argv[0])}: {lost}", file=sys.stderr)
        code = 1
    except OSError as error:
        if error.errno != 28:
            raise
        code = _refuse(f"no space left on the device while writing {error.filename or 'a file'}: free some space and run the same "
                       "command again; it resumes")
    if parallel := sys.modules.get("medcopilot.train.parallel"):  # not imported for its own sake: that costs seconds
        parallel.leave(code)
    return code


def _first() -> bool:
    """Whether this is the process that speaks for all."""
    return os.environ.get("RANK", "0") == "0"


def _refuse(sentence: str) -> int:
    """Say one sentence. Returns the exit code."""
    if not _first():
        time.sleep(3)  # what is wrong for all is said once: the launcher ends this process when rank 0 has said it
    print(f"{os.path.basename(sys.argv[0])}: {sentence}", file=sys.stderr)
    return 2
