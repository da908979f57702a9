"""Self-improvement: python recipes/self_improve.py recipes/nano/self-improve.yaml [--dry-run] [key=value ...]"""

import sys

from medcopilot.improve import main

if __name__ == "__main__":
    sys.exit(main(__doc__ or ""))
