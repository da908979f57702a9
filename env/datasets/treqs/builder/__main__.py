"""`python -m env.datasets.treqs.builder RAW_FOLDER mimic.db`: the database alone, and what every filter left.

Promises: nothing is written where it fails. Does not cover: tasks (`medcopilot data build treqs --source FOLDER`).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from env.datasets.mimic_iii.builder.command import build_beside
from env.datasets.treqs.builder.build import CHOICES, BuildOptions, build_database, find_names


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m env.datasets.treqs.builder", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("source", type=Path, help="folder with the raw CSVs of MIMIC-III and TREQS's id2name.csv")
    parser.add_argument("target", type=Path, help="SQLite file to write")
    parser.add_argument("--admissions", choices=CHOICES["admissions"], default="sample", help="TREQS's hundred, or all")
    parser.add_argument("--names", choices=CHOICES["names"], default="treqs", help="of patients: those of id2name.csv, or made up")
    args = parser.parse_args(argv)
    options = BuildOptions.parse({"admissions": args.admissions, "names": args.names})
    return build_beside(args.source, args.target,
                        lambda target: build_database(args.source, target, options, find_names(args.source)))


if __name__ == "__main__":
    sys.exit(main())
