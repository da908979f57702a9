"""`python -m env.datasets.mimic_iii.builder RAW_FOLDER mimic_iii.sqlite`: the database alone, and what every filter left.

Promises: nothing is written where it fails. Does not cover: tasks (`medcopilot data build mimic_iii --source FOLDER`).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from env.datasets.mimic_iii.builder.build import BuildOptions, build_database
from env.datasets.mimic_iii.builder.command import build_beside


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m env.datasets.mimic_iii.builder", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("source", type=Path, help="folder with the raw CSVs of MIMIC-III")
    parser.add_argument("target", type=Path, help="SQLite file to write")
    parser.add_argument("--patients", type=int, default=1000)
    parser.add_argument("--deid", choices=["yes", "no"], default="yes", help="exchange values between patients, as EHRSQL does")
    parser.add_argument("--timeshift", choices=["yes", "no"], default="yes")
    args = parser.parse_args(argv)
    options = BuildOptions.parse({"sample": str(args.patients), "deid": args.deid, "timeshift": args.timeshift})
    return build_beside(args.source, args.target, lambda target: build_database(args.source, target, options))


if __name__ == "__main__":
    sys.exit(main())
