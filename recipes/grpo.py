"""GRPO on live episodes: python recipes/grpo.py recipes/nano/grpo.yaml [--dry-run] [--max-steps N] [key=value ...]"""

import sys

from medcopilot.train.recipe import run_recipe


def main() -> int:
    from medcopilot.rl.grpo import GrpoConfig, run_grpo

    return run_recipe(GrpoConfig, run_grpo, __doc__ or "")


if __name__ == "__main__":
    sys.exit(main())
