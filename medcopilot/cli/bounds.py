"""Values of command-line options, checked by the records that they fill; a wrong one is one sentence."""

from __future__ import annotations

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
