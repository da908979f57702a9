"""The templates of our pages, set up once for the report, the leaderboard and the viewer.

Promises: everything that is not `Markup` is escaped; a name that a template does not get is an error, never an empty place.
"""

from __future__ import annotations

import jinja2

from medcopilot.report.format import duration, interval, number, of_fewer, percent, points
from medcopilot.report.text import prose


def environment() -> jinja2.Environment:
    """With the filters `pct`, `num`, `points`, `interval`, `duration`, `of_fewer` and `prose`."""
    made = jinja2.Environment(loader=jinja2.PackageLoader("medcopilot.report", "templates"), autoescape=True,
                              undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    made.filters.update(pct=percent, num=number, points=points, interval=interval, duration=duration, of_fewer=of_fewer,
                        prose=prose)
    return made
