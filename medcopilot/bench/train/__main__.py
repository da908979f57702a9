"""`python -m medcopilot.bench.train`: the same as `medcopilot bench train`, on a machine that has little more than torch.

    python -m medcopilot.bench.train --json rows.jsonl                     # everything at 7b, PPO at 3b too
    python -m medcopilot.bench.train --json rows.jsonl --only sft,ppo --size 3b --option base,lora=on
    python -m medcopilot.bench.train --json rows.jsonl --tiny              # toy width, also without a GPU
    python -m medcopilot.bench.train --table rows.jsonl                    # the rows as Markdown

Needs torch 2.11 or later, transformers 5 and numpy; peft for adapters. Not typer, pydantic, TRL, datasets, vLLM or flash-attn.
`tests/gpu/README.md` says how to bring wheels to a machine without a network.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from env.errors import UserError
from medcopilot.bench.train.cases import OPTIONS, SIZES, STAGES, plan


def _names(text: str) -> tuple[str, ...]:
    return tuple(name for name in text.split(",") if name)


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 0; 1 when a case failed (not when it did not fit); 2 for bad input."""
    parser = argparse.ArgumentParser(prog="python -m medcopilot.bench.train", description=(__doc__ or "").splitlines()[0])
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--json", type=Path, metavar="FILE", help="rows are added here, one JSON object per line")
    what.add_argument("--table", type=Path, metavar="FILE", help="print the rows of FILE as Markdown")
    parser.add_argument("--only", type=_names, default=STAGES, help=f"stages, of {','.join(STAGES)}")
    parser.add_argument("--size", type=_names, default=(), help=f"of {','.join(SIZES)}; default: 7b, for PPO 3b too")
    parser.add_argument("--option", type=_names, default=(), help=f"of {','.join(OPTIONS)}; default: all")
    parser.add_argument("--tiny", action="store_true", help="toy width and short rows, on a CPU too")
    parser.add_argument("--steps", type=int, default=5, help="measured steps of every case")
    parser.add_argument("--warm", type=int, default=2, help="steps before them")
    args = parser.parse_args(argv)
    try:
        if args.table is not None:
            from medcopilot.bench.train.results import load, table

            print(table(load(args.table)), end="")
            return 0
        if args.steps < 1 or args.warm < 0:
            raise UserError("--steps must be at least 1 and --warm at least 0")
        cases = plan(args.only, args.size, args.option)
        from medcopilot.bench.train.run import run

        return 1 if run(args.json, cases, tiny=args.tiny, steps=args.steps, warm=args.warm) else 0
    except UserError as error:
        print(f"medcopilot: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
