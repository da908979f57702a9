"""The outcome verifier: python recipes/verifier.py recipes/nano/verifier.yaml [--dry-run] [--max-steps N] [key=value ...]"""

import sys

from medcopilot.train.recipe import run_recipe
from medcopilot.train.settings import VerifierConfig


def train(config: VerifierConfig) -> None:
    from medcopilot.verifier.train import run_verifier  # torch and TRL: only when there is something to train

    run_verifier(config)


if __name__ == "__main__":
    sys.exit(run_recipe(VerifierConfig, train, __doc__ or ""))
