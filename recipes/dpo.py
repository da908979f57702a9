"""Direct preference optimisation: python recipes/dpo.py recipes/nano/dpo.yaml [--dry-run] [--max-steps N] [key=value ...]"""

import sys

from medcopilot.train.recipe import run_recipe
from medcopilot.train.settings import DpoConfig


def train(config: DpoConfig) -> None:
    from medcopilot.train.dpo import run_dpo  # torch and TRL: only when there is something to train

    run_dpo(config)


if __name__ == "__main__":
    sys.exit(run_recipe(DpoConfig, train, __doc__ or ""))
