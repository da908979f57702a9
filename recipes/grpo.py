"""GRPO on live episodes: python recipes/grpo.py recipes/nano/grpo.yaml [--dry-run] [--max-steps N] [key=value ...]"""

import sys

from medcopilot.rl.grpo_settings import GrpoConfig
from medcopilot.train.recipe import run_recipe


def train(config: GrpoConfig) -> None:
    from medcopilot.rl.grpo import run_grpo  # torch and TRL: only when there is something to train

    run_grpo(config)


if __name__ == "__main__":
    sys.exit(run_recipe(GrpoConfig, train, __doc__ or ""))
