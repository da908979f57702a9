"""The console that commands print tables to."""

from __future__ import annotations

import sys

from rich.console import Console

LOG_COLUMNS = 120


def table_console() -> Console:
    """As wide as the terminal; a log or a pipe has no width of its own and gets 120 columns."""
    return Console() if sys.stdout.isatty() else Console(width=LOG_COLUMNS)
