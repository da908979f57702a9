"""What a model's tokens cost, as far as the user has said: prices change too often for us to ship any.

Promises: a model without an entry has no price, and what it costs is unknown, never 0.
Does not cover: discounts for cached prompts or batches.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from env.errors import UserError


class Price(BaseModel):
    """US dollars per million tokens."""

    model_config = ConfigDict(extra="forbid")

    input: float = Field(ge=0)
    output: float = Field(ge=0)
    source: str = ""
    """Where the figure is from, and of which day."""

    def of(self, prompt_tokens: int, completion_tokens: int) -> float:
        """US dollars."""
        return (prompt_tokens * self.input + completion_tokens * self.output) / 1e6


def price_of(prices: Mapping[str, Price], policy: str) -> Price | None:
    """A policy's price, by its name with or without the kind before its colon."""
    return prices.get(policy) or prices.get(policy.partition(":")[2])


_TABLE = TypeAdapter(dict[str, Price])


def load_prices(path: Path | None) -> dict[str, Price]:
    """Prices by the model's name, e.g. `gpt-x: {input: 2.5, output: 10, source: "list price, 2026-01-05"}`.

    Raises:
        UserError: the file cannot be read, or an entry is wrong.
    """
    if path is None:
        return {}
    try:
        return _TABLE.validate_python(yaml.safe_load(path.read_text(encoding="utf-8")) or {})
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): check the path of the prices") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}; write `MODEL: {{input: 2.5, output: 10}}` "
                        "in US dollars per million tokens") from None
