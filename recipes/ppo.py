"""PPO on live episodes: python recipes/ppo.py recipes/nano/ppo.yaml [--dry-run] [--max-steps N] [key=value ...]"""

import sys

from medcopilot.rl.ppo_settings import PpoConfig
from medcopilot.train.recipe import run_recipe


def train(config: PpoConfig) -> None:
    from medcopilot.rl.ppo import run_ppo  # torch and transformers: only when there is something to train

    run_ppo(config)


if __name__ == "__main__":
    sys.exit(run_recipe(PpoConfig, train, __doc__ or ""))
