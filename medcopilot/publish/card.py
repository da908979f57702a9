"""The card of a published model or data set: README.md with the hub's metadata above it.

Promises: every statement comes from a record (origin of the rows, recipe, runs, checks) or says that there is none; the metadata
goes through huggingface_hub's own types and is read back by its own parser before it is written. Paths of this machine, addresses
of servers and accounts are left out of the recipe.
Does not cover: the licence of the weights: the publisher says it with `--license`, or the card says that it is not stated.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from env.errors import UserError
from medcopilot.code_record import code_record

if TYPE_CHECKING:  # rows are published without torch
    from medcopilot.publish.metrics import Result
    from medcopilot.publish.verify import Check
    from medcopilot.train.provenance import Provenance

_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
_PRIVATE_KEYS = {"wandb", "servers", "threads", "rank_seconds", "tracking"}
"""Recipe keys that say something of the house and nothing of the weights."""


def public_recipe(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """A resolved configuration without paths, addresses and accounts: of a path its last two parts are left."""
    return {key: _public(value) for key, value in recipe.items() if key not in _PRIVATE_KEYS}


def _public(value: Any) -> Any:
    if isinstance(value, Mapping):
        return public_recipe(value)
    if isinstance(value, list | tuple):
        return [_public(item) for item in value]
    if isinstance(value, str) and (value.startswith(("/", "~", "../")) or re.match(r"[A-Za-z]:\\", value)):
        return "/".join(PurePosixPath(value.replace("\\", "/")).parts[-2:]).strip("/")
    return value


def model_card(name: str, *, record: Provenance | None, recipe: Mapping[str, Any], results: Sequence[Result],
               checks: Sequence[Check], parameters: int, dtype: str, how: str, profile: str, auto_tokenizer: bool,
               licence: str | None, verifier: bool = False) -> str:
    """README.md of a model.

    Args:
        name: of the repository, without its owner.
        how: from what form the weights come, in words.
        auto_tokenizer: whether `AutoTokenizer` reads the tokenizer as it was trained with.
        licence: the hub's identifier.
        verifier: it judges episodes and plays none.
    """
    from huggingface_hub import ModelCardData

    from medcopilot.publish.metrics import hub_results, percent

    bases = [base for base in record.bases if _HUB_NAME.fullmatch(base)] if record else []
    data = ModelCardData(base_model=bases or None, license=licence, library_name="transformers", pipeline_tag="text-generation",
                         language="en", tags=["medcopilot", "medical", "code-agent", "research"],
                         model_name=name, eval_results=hub_results(results) or None)
    seen = list(record.seen) if record else []
    text = _render("model_card.md.jinja", name=name, record=record, seen=seen, results=results, checks=checks, percent=percent,
                   parameters=parameters, dtype=dtype, how=how, profile=profile, auto_tokenizer=auto_tokenizer, licence=licence,
                   verifier=verifier, bases=bases, seed=recipe.get("seed"), stage=recipe.get("name"), code=code_record(),
                   recipe=yaml.safe_dump(public_recipe(recipe), sort_keys=False, allow_unicode=True) if recipe else "")
    return _card("ModelCard", data, text)


def data_card(name: str, *, kind: str, tags: Mapping[tuple[str, str], int], files: Mapping[str, int], facts: Mapping[str, Any],
              licence: str | None) -> str:
    """README.md of a data set.

    Args:
        kind: `sft`, `dpo`, `verifier` or `tasks`.
        tags: (dataset, licence) of the rows, counted.
        files: path -> split, each file that holds rows.
        facts: counted and recorded things, name -> value.
    """
    from huggingface_hub import DatasetCardData

    count = sum(tags.values())
    size = next(label for limit, label in ((1e3, "n<1K"), (1e4, "1K<n<10K"), (1e5, "10K<n<100K"), (1e6, "100K<n<1M"),
                                           (float("inf"), "n>1M")) if count < limit)
    splits = [{"split": split, "path": path} for path, split in files.items()]
    data = DatasetCardData(language="en", license=licence, pretty_name=name, size_categories=size,
                           task_categories=["text-generation"], tags=["medcopilot", "medical", "code-agent", "research", kind],
                           configs=[{"config_name": "default", "data_files": splits}] if splits else None)
    text = _render("data_card.md.jinja", name=name, kind=kind, tags=sorted(tags.items()), facts=facts, licence=licence, count=count,
                   code=code_record())
    return _card("DatasetCard", data, text)


def _render(template: str, **values: Any) -> str:
    environment = Environment(loader=PackageLoader("medcopilot.publish"), undefined=StrictUndefined, trim_blocks=True,
                              lstrip_blocks=True, keep_trailing_newline=True, autoescape=False)
    return environment.get_template(template).render(values)


def _card(kind: str, data: Any, text: str) -> str:
    """Metadata and text, read back by huggingface_hub's parser."""
    import huggingface_hub

    body = f"---\n{data.to_yaml()}\n---\n\n{text.strip()}\n"
    read = getattr(huggingface_hub, kind)(body)
    if read.data.to_dict() != data.to_dict():
        raise UserError("the card's metadata does not survive huggingface_hub's own parser: check names of runs and datasets for "
                        "odd characters")
    return body


def check_card(path: Path, kind: str) -> None:
    """Refuse a README.md that somebody else wrote and that the hub would not read.

    Raises:
        UserError: its metadata is not valid.
    """
    import huggingface_hub

    try:
        getattr(huggingface_hub, kind)(path.read_text(encoding="utf-8"))
    except (ValueError, TypeError, KeyError, yaml.YAMLError) as error:
        raise UserError(f"{path}: its metadata is not the hub's ({(str(error).splitlines() or ['?'])[0]}): correct the block "
                        "between the --- lines") from None
