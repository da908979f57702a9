"""Values of command-line options: checked by the records that they fill, or split at their `=`; a wrong one is one sentence."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from env.errors import UserError

Model = TypeVar("Model", bound=BaseModel)


def check_request(record: type[Model], **values: Any) -> Model:
    """`record(**values)`.

    Raises:
        UserError: the first value that does not fit, by the name of its option.
    """
    try:
        return record(**values)
    except ValidationError as error:
        first = error.errors()[0]
        option = ".".join(map(str, first["loc"])).replace("_", "-")
        raise UserError(f"option --{option}: {first['msg']}, not {first['input']!r}") from None


def options(items: list[str]) -> dict[str, str]:
    """`NAME=VALUE` texts as a dict.

    Raises:
        UserError: one that has no name or no value.
    """
    parsed = {}
    for item in items:
        name, equals, value = item.partition("=")
        if not (name and equals and value):
            raise UserError(f"option --option: {item!r} is not NAME=VALUE, e.g. `--option labels=corrected`")
        parsed[name] = value
    return parsed


def named_paths(option: str, items: list[str]) -> dict[str, Path]:
    """`DATASET=PATH` texts as a dict.

    Raises:
        UserError: one that is not of that form.
    """
    parsed = {}
    for item in items:
        name, equals, path = item.partition("=")
        if not (name and equals and path):
            raise UserError(f"option {option}: {item!r} is not DATASET=PATH, e.g. `{option} medcalcbench=/data/medcalc`")
        parsed[name] = Path(path)
    return parsed


def source_paths(items: list[str], datasets: Collection[str]) -> dict[str, Path]:
    """The `--source DATASET=PATH` options of a command that plays or checks `datasets`.

    Raises:
        UserError: one that is not of that form, or of none of these datasets: its synthetic twin would be taken unnoticed.
    """
    sources = named_paths("--source", items)
    if unknown := sorted(set(sources) - set(datasets)):
        raise UserError(f"option --source: {unknown[0]} is not among the datasets ({', '.join(datasets)}): correct the "
                        "name, or add --dataset")
    return sources
