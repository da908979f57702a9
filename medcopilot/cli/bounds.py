"""Values of command-line options: checked by the records that they fill, or split at their `=`; a wrong one is one sentence."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from env.errors import UserError

Model = TypeVar("Model", bound=BaseModel)


SAMPLE_OPTIONS = {"tasks_per_dataset": "n", "datasets": "dataset", "slices": "slice"}
"""Fields of a sampling run whose options in `sample` and `eval` are called otherwise."""


def check_request(record: type[Model], called: Mapping[str, str] | None = None, /, **values: Any) -> Model:
    """`record(**values)`.

    Args:
        called: fields whose options have another name than they.

    Raises:
        UserError: the first value that does not fit, by the name of its option.
    """
    try:
        return record(**values)
    except ValidationError as error:
        first = error.errors()[0]
        field, *inside = first["loc"]
        name = ".".join([(called or {}).get(str(field), str(field)), *(part for part in inside if isinstance(part, str))])
        message = first["msg"].removeprefix("Value error, ")
        raise UserError(f"option --{name.replace('_', '-')} {first['input']}: {message[0].lower()}{message[1:]}") from None


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
