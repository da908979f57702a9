"""Direct preference optimisation: python recipes/dpo.py recipes/nano/dpo.yaml [--dry-run] [--max-steps N] [key=value ...]"""

import sys

from medcopilot.train.recipe import run_recipe


def main() -> int:
    from medcopilot.train.dpo import DpoConfig, run_dpo

    return run_recipe(DpoConfig, run_dpo, __doc__ or "")


if __name__ == "__main__":
    sys.exit(main())
