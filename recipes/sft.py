"""Supervised fine-tuning: python recipes/sft.py recipes/nano/sft.yaml [--dry-run] [--max-steps N] [key=value ...]"""

import sys

from medcopilot.train.recipe import run_recipe


def main() -> int:
    from medcopilot.train.sft import SftConfig, run_sft

    return run_recipe(SftConfig, run_sft, __doc__ or "")


if __name__ == "__main__":
    sys.exit(main())
