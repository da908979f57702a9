"""Supervised fine-tuning: python recipes/sft.py recipes/nano/sft.yaml [--dry-run] [--max-steps N] [key=value ...]"""

import sys

from medcopilot.train.recipe import run_recipe
from medcopilot.train.settings import SftConfig


def train(config: SftConfig) -> None:
    from medcopilot.train.sft import run_sft  # torch and TRL: only when there is something to train

    run_sft(config)


if __name__ == "__main__":
    sys.exit(run_recipe(SftConfig, train, __doc__ or ""))
