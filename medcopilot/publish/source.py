"""From what training left on disk to one plain model: finished checkpoints, LoRA adapters, resumable states of any wrapper.

Promises: `load_source` gives the model as it was trained (with its adapter applied, not merged), tokenizer, record, recipe and
origin; `merged` puts the adapter into the weights and keeps their type. An adapter is put only onto the parent that it was trained
on, as far as the records know it, and what that parent's own record says of it counts too; weights that do not fit their model are
an error, never left out.
Does not cover: adapters on 4-bit parents other than by their parent as it was stored (`train.adapters`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from pydantic import ValidationError

from env.errors import UserError
from medcopilot.publish.places import check_model
from medcopilot.publish.shards import Form, form_of, read_weights, state_digest
from medcopilot.train.adapter_switch import adapted_layers
from medcopilot.train.adapters import ADAPTER, lora_config
from medcopilot.train.loop import STATE
from medcopilot.train.model import META, CheckpointMeta, checkpoint_digest, load_checkpoint, new_nano, read_meta
from medcopilot.train.provenance import FILE, RECIPE, Provenance, own_record, read_provenance, trace_back
from medcopilot.train.settings import ModelConfig
from medcopilot.train.tokenizer import load_tokenizer


@dataclass
class Loaded:
    """A trained policy, wherever it came from."""

    folder: Path
    form: Form
    model: Any
    """A model of transformers, or peft's around one."""
    tokenizer: Any
    meta: CheckpointMeta
    recipe: dict[str, Any]
    """The stage's resolved configuration; empty where there is none."""
    record: Provenance | None
    digest: str
    """Of the weights on disk."""

    @property
    def adapted(self) -> bool:
        """Whether an adapter is still to be merged."""
        return hasattr(self.model, "peft_config")


def settle(path: Path) -> Path:
    """The folder that holds the weights: of a stage under way, its newest complete state.

    Raises:
        UserError: no such folder, or no complete state in it.
    """
    check_model(path)
    states = [state for state in path.glob("checkpoint-*") if state.name.partition("-")[2].isdigit()]
    if not states:
        if (path.parent / "recipe.json").is_file() and path.name.startswith("checkpoint-") and not (path / STATE).is_file():
            raise UserError(f"{path}: this state was not written to its end (no {STATE}): take an older checkpoint-N")
        return path
    whole = [state for state in states if (state / STATE).is_file()]
    if not whole:
        raise UserError(f"{path}: none of its states was written to its end (no {STATE}): let the stage run on, or finish it")
    return max(whole, key=lambda state: int(state.name.partition("-")[2]))


def origin(folder: Path, base: str | None = None) -> tuple[Provenance | None, str]:
    """What the weights in a folder lead back to, and their digest, without loading them.

    Args:
        base: for an adapter: folder or hub name of its parent, in place of what its configuration says.

    Raises:
        UserError: the parent is not the one that the adapter was trained on.
    """
    form = form_of(folder)
    if form == "checkpoint" and not (folder / STATE).is_file():
        return own_record(folder), checkpoint_digest(folder)
    record = read_provenance(folder) or read_provenance(folder.parent)
    if record is not None and record.checkpoint:  # of a finished checkpoint: not of what lies beside it
        record = None
    recipe = _recipe(folder)
    if form == "adapter":
        place = _parent(folder, recipe, base)
        record = _on_unrecorded(folder, place) if record is None else _on_parent(record, folder, place)
    elif record is not None and _model_part(recipe).get("lora") and _model_part(recipe).get("checkpoint"):
        record = _on_parent(record, folder, str(_model_part(recipe)["checkpoint"]))
    return record, state_digest(folder)


def _on_unrecorded(folder: Path, parent: str) -> Provenance:
    """What an adapter without a record leads back to: its parent, and rows that nobody knows."""
    before = trace_back(folder.name, 0, {}, [("policy", parent)])
    return before.model_copy(update={"unknown": (*before.unknown, f"the rows of the adapter {folder.name} are not recorded")})


def _on_parent(record: Provenance, folder: Path, parent: str) -> Provenance:
    """An adapter's record together with that of the parent that it is put on.

    Raises:
        UserError: it was trained on another parent.
    """
    place, known = Path(parent), [one for one in record.parents if one.role == "policy"]
    before = trace_back(folder.name, 0, {}, [("policy", parent)])
    if not place.is_dir():  # a name on the hub, or nothing, which loading it says
        return _both(record, before) if before.bases else record
    own = own_record(place)
    if any(one.digest for one in known):
        _check_parent(parent, before.parents[0].digest, record)
        return _both(record, before) if own is not None else record  # without one, the adapter's record has said so
    names = [one.name for one in known]
    if names and own is not None and (own.seen or not set(names) & set(own.bases)):
        raise UserError(f"{parent}: the adapter was trained on {names[0]} of the hub, and the record in this folder is that of a "
                        f"model trained from {', '.join(own.bases) or 'unknown weights'}: give --base {names[0]}")
    plain = names and not any((place / name).is_file() for name in (META, FILE, RECIPE, STATE, f"../{FILE}"))
    return record if plain else _both(record, before)  # plain: a download of the hub's model, which has no record


def _both(record: Provenance, before: Provenance) -> Provenance:
    """One record that says all that two say."""
    return record.model_copy(update={name: tuple(dict.fromkeys([*getattr(record, name), *getattr(before, name)]))
                                     for name in ("bases", "seen", "unknown")})


def _parent(folder: Path, recipe: dict[str, Any], base: str | None) -> str:
    """Where the parent of an adapter lies."""
    return str(base or _model_part(recipe).get("checkpoint") or _adapter_parent(folder))


def _model_part(recipe: dict[str, Any]) -> dict[str, Any]:
    part = recipe.get("model")
    return part if isinstance(part, dict) else {}


def load_source(folder: Path, base: str | None = None) -> Loaded:
    """The model as it was trained.

    Args:
        folder: as `settle` gives it.
        base: for an adapter: folder or hub name of its parent, in place of what its configuration says.

    Raises:
        UserError: torn or foreign files, a missing recipe, or another parent than the adapter's.
    """
    form, recipe = form_of(folder), _recipe(folder)
    record, digest = origin(folder, base)
    if form == "checkpoint":
        model, tokenizer, meta, _ = load_checkpoint(folder, dtype="auto")
    elif form == "adapter":
        model, tokenizer, meta = _adapter(folder, _parent(folder, recipe, base), record)
    else:
        settings = _model_settings(folder, recipe)
        own = (folder / "tokenizer.json").is_file()
        tokenizer = load_tokenizer(folder if own else settings.checkpoint or settings.tokenizer or "")
        model = assemble(read_weights(folder, form), settings, tokenizer, int(recipe.get("seed") or 0), record)
    if form not in ("checkpoint", "adapter") or (folder / STATE).is_file():
        meta = _stage_meta(_model_settings(folder, recipe), recipe)
    return Loaded(folder, form, model, tokenizer, meta, recipe, record, digest)


def merged(loaded: Loaded) -> Any:
    """The plain model, in the type of the parent's weights. An adapter is merged in place."""
    return loaded.model.merge_and_unload() if loaded.adapted else loaded.model


def assemble(weights: dict[str, torch.Tensor], settings: ModelConfig, tokenizer: Any, seed: int,
             record: Provenance | None = None) -> Any:
    """A model with these whole weights, in the recipe's type; with an adapter in place where they hold one.

    Raises:
        UserError: they do not fit the recipe's model.
    """
    dtype = getattr(torch, settings.dtype)
    if any(".lora_" in name for name in weights):
        return _with_adapter(weights, settings, tokenizer, seed, record)
    shell = _shell(settings, tokenizer, seed, dtype)
    known = {name: tensor.to(dtype) if tensor.is_floating_point() else tensor for name, tensor in weights.items()}
    missing, unexpected = shell.load_state_dict(known, strict=False)
    tied = {"lm_head.weight"} if shell.config.tie_word_embeddings else set()
    if set(missing) - tied or unexpected:
        names = sorted({*missing, *unexpected} - tied)
        raise UserError(f"the state's weights are not those of the recipe's model (first of {len(names)}: {names[0]}): was it "
                        "written by another recipe?")
    return shell.eval()


def _shell(settings: ModelConfig, tokenizer: Any, seed: int, dtype: torch.dtype) -> Any:
    """The architecture; whatever its weights are, all are replaced."""
    if settings.checkpoint is None:
        return new_nano(tokenizer, settings.shape, seed=seed).to(dtype)
    from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig

    try:
        shell = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(settings.checkpoint), dtype=dtype)
    except (OSError, ValueError) as error:
        raise UserError(f"{settings.checkpoint}: the state's parent is not there ({str(error).splitlines()[0]}): put it where "
                        "recipe.yaml says, for its architecture") from None
    if (Path(settings.checkpoint) / "generation_config.json").is_file():
        shell.generation_config = GenerationConfig.from_pretrained(settings.checkpoint)
    return shell


def _with_adapter(weights: dict[str, torch.Tensor], settings: ModelConfig, tokenizer: Any, seed: int,
                  record: Provenance | None) -> Any:
    """The parent with the adapter that the weights hold."""
    if settings.lora is None:
        raise UserError("the state holds a LoRA adapter, and its recipe has no model.lora: was it written by another recipe?")
    if settings.checkpoint is None:
        parent = new_nano(tokenizer, settings.shape, seed=seed)
    else:
        parent, _, _, digest = load_checkpoint(settings.checkpoint, dtype=settings.dtype)
        _check_parent(settings.checkpoint, digest, record)
    from peft import get_peft_model

    model = get_peft_model(parent, lora_config(settings.lora))
    # as peft writes adapters, accelerate's too, their own name is left out
    weights = {re.sub(r"(\.lora_[AB])\.weight$", rf"\1.{ADAPTER}.weight", name): tensor for name, tensor in weights.items()}
    inner = dict(parent.named_parameters())
    wanted = {name for name in inner if ".lora_" in name}
    given = {name for name in weights if ".lora_" in name}
    if wanted != given:
        odd = sorted(wanted ^ given)
        raise UserError(f"the state's adapter is not that of the recipe (first of {len(odd)}: {odd[0]}): was it written by another "
                        "recipe?")
    with torch.no_grad():
        for name, tensor in weights.items():
            if name in given:
                inner[name].copy_(tensor)
            elif name in inner and not torch.equal(tensor.to(inner[name].dtype), inner[name]):
                raise UserError(f"{settings.checkpoint}: the adapter was trained on other weights than those that lie there now "
                                f"({name} differs): restore the parent checkpoint")
    assert all(ADAPTER in layer.scaling for _, layer in adapted_layers(parent))
    return model.eval()


def _check_parent(parent: str, digest: str, record: Provenance | None) -> None:
    """Refuse to put an adapter onto other weights than its own parent's, where those are recorded."""
    known = {one.digest for one in record.parents if one.role == "policy" and one.digest} if record else set()
    if Path(parent).is_dir() and known and digest not in known:
        raise UserError(f"{parent}: the adapter was trained on other weights than those that lie there now: restore the parent "
                        "checkpoint")


def _adapter(folder: Path, parent: str, record: Provenance | None) -> tuple[Any, Any, CheckpointMeta]:
    """A folder as peft writes it, on its parent."""
    from peft import PeftModel

    whole = load_checkpoint(parent, dtype="auto")
    _check_parent(parent, whole.digest, record)
    try:
        model = PeftModel.from_pretrained(whole.model, str(folder)).eval()
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{folder}: the adapter does not load on {parent} ({reason}): name its parent with --base") from None
    return model, whole.tokenizer, whole.meta


def _adapter_parent(folder: Path) -> str:
    body = yaml.safe_load((folder / "adapter_config.json").read_text(encoding="utf-8"))  # JSON is YAML
    parent = body.get("base_model_name_or_path") if isinstance(body, dict) else None
    if not parent:
        raise UserError(f"{folder}/adapter_config.json does not name the adapter's parent: say it with --base")
    return str(parent)


def _recipe(folder: Path) -> dict[str, Any]:
    """The stage's resolved configuration, beside the weights or, of a resumable state, one folder up."""
    for path in (folder / RECIPE, folder.parent / RECIPE):
        if path.is_file() and (path.parent == folder or (folder.parent / FILE).is_file()):
            body = yaml.safe_load(path.read_text(encoding="utf-8"))
            if not isinstance(body, dict):
                raise UserError(f"{path}: not a recipe: copy the folder again")
            return body
    return {}


def _model_settings(folder: Path, recipe: dict[str, Any]) -> ModelConfig:
    if not recipe:
        raise UserError(f"{folder}: a resumable state needs the recipe.yaml that its stage wrote beside it, for its architecture: "
                        "there is none, so run the stage to its end and publish its checkpoint")
    try:
        return ModelConfig.model_validate(recipe.get("model"))
    except ValidationError as error:
        raise UserError(f"{folder.parent / RECIPE}: model: {error.errors()[0]['msg']}: restore the file") from None


def _stage_meta(settings: ModelConfig, recipe: dict[str, Any]) -> CheckpointMeta:
    """What the finished checkpoint's record would say of the prompt profile."""
    if settings.checkpoint is None:
        before = CheckpointMeta(profile="nano")
    else:
        before = read_meta(Path(settings.checkpoint)) if Path(settings.checkpoint).is_dir() else CheckpointMeta()
    return CheckpointMeta(profile=settings.profile or before.profile, policy_version=before.policy_version + 1,
                          stage=str(recipe.get("name") or ""))
