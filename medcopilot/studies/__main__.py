"""`make study NAME`: a resumable study; its conclusion is computed from the traces, whatever it says."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from env.errors import UserError
from medcopilot import steps
from medcopilot.studies import nano, nano_rl, nano_scaling
from medcopilot.studies.common import RESULTS


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `make study`."""
    parser = argparse.ArgumentParser(prog="python -m medcopilot.studies", description=__doc__)
    parser.add_argument("name", choices=["nano", "nano-rl", "nano-scaling"])
    parser.add_argument("--out", type=Path, default=None,
                        help="run folder (default: runs/study-nano, for all: they share data and the expert set)")
    parser.add_argument("--tiny", action="store_true", help="a minute or two, learns nothing; results stay in the run folder")
    parser.add_argument("--seconds", type=int, help="nano: wall-clock of each GRPO run and control")
    parser.add_argument("--episodes", type=int, help="nano-rl: episodes of each GRPO and PPO run")
    parser.add_argument("--expert", type=int, help="expert trajectories in all")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--results", type=Path, default=None,
                        help="folder of the summaries (default: docs/results; a run whose summary lies there is not done again)")
    parser.add_argument("--commit", action="store_true", help="commit each summary to git as its run finishes")
    args = parser.parse_args(argv)
    steps.end_on_sigterm()
    out = args.out or Path("runs") / "study-nano"
    design = nano.TINY if args.tiny else nano.Design()
    design = replace(design, **{name: getattr(args, name) for name in ("seconds", "expert") if getattr(args, name) is not None})
    results = args.results or (out / "results" if args.tiny else RESULTS)
    commit = args.commit and results == RESULTS
    base = nano.NanoStudy(out, design, args.threads, results, commit)
    try:
        if args.name == "nano":
            base.run()
        elif args.name == "nano-scaling":
            nano_scaling.NanoScalingStudy(base, nano_scaling.TINY if args.tiny else nano_scaling.Plan()).run()
        else:
            budget = nano_rl.TINY if args.tiny else nano_rl.Budget()
            nano_rl.NanoRlStudy(base, replace(budget, episodes=args.episodes or budget.episodes)).run()
    except UserError as error:
        print(f"study: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
