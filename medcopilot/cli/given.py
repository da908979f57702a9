"""Which options somebody typed, as against those that keep their defaults: one that would change nothing is refused, not ignored.

Does not cover: values that are wrong (`medcopilot.cli.bounds`).
"""

from __future__ import annotations

from collections.abc import Collection

import typer

from env.errors import UserError

TWIN = frozenset({"train", "test", "patients", "build_seed"})
"""Parameters of `sample` and `eval` that only synthetic twins have."""


def given(context: typer.Context | None) -> set[str]:
    """Names of the parameters whose options or arguments were typed; none without a command line."""
    if context is None:
        return set()
    sources = {name: context.get_parameter_source(name) for param in context.command.params if (name := param.name)}
    return {name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"}


def refuse(context: typer.Context | None, command: str, names: Collection[str], why: str) -> None:
    """Refuse those of these parameters that were typed.

    Raises:
        UserError: `COMMAND: OPTIONS WHY`.
    """
    if context is not None and (typed := given(context) & set(names)):
        words = [param.opts[0] for param in context.command.params if param.name in typed]
        raise UserError(f"{command}: {', '.join(words)} {why}")


def refuse_twin(context: typer.Context | None, command: str, datasets: Collection[str] | None, sources: list[str] | None) -> None:
    """Refuse the options of synthetic twins where every dataset has a real source.

    Raises:
        UserError: as of `refuse`.
    """
    if datasets and set(datasets) <= {item.partition("=")[0] for item in sources or ()}:
        refuse(context, command, TWIN, "would change nothing: they are of synthetic twins, and every dataset has a --source: leave "
                                       "them out")
