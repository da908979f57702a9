"""The command line that every recipe shares.

Promises: `python recipes/<stage>.py FILE.yaml [--dry-run] [--max-steps N] [key=value ...]`; `--dry-run` prints the resolved
configuration and does nothing; bad input is one sentence on stderr and exit code 2.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from env.errors import UserError
from medcopilot.train.config import StageConfig, dump_config, load_config

S = TypeVar("S", bound=StageConfig)


def run_recipe(cls: type[S], train: Callable[[S], Any], doc: str, argv: Sequence[str] | None = None) -> int:
    """Parse, load, and call `train(config)`. Returns the exit code. `doc`: the recipe's docstring, shown by `--help`."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", help="YAML file of the run, e.g. recipes/nano/sft.yaml")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="replace single values, e.g. optimizer.lr=0.01")
    parser.add_argument("--dry-run", action="store_true", help="print the resolved configuration and stop")
    parser.add_argument("--max-steps", type=int, metavar="N", help="stop after N optimiser steps (same as max_steps=N)")
    args = parser.parse_intermixed_args(argv)
    overrides = [*args.overrides, *([f"max_steps={args.max_steps}"] if args.max_steps is not None else [])]
    try:
        config = load_config(cls, args.recipe, overrides)
        if args.dry_run:
            print(f"# {args.recipe}, digest {config.digest()}\n{dump_config(config)}", end="")
        else:
            train(config)
    except UserError as error:
        print(f"{os.path.basename(sys.argv[0])}: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        if error.errno != 28:
            raise
        print(f"no space left on the device while writing {error.filename or 'a file'}: free some space and run the same "
              "command again; it resumes", file=sys.stderr)
        return 2
    return 0
