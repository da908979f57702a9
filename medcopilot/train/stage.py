"""One run of a stage that trains on rows of a file: what SFT and DPO have in common.

Promises: a finished run is found and not done again, an interrupted one resumes, and the checkpoint records its parent, its recipe,
how much it was trained on and under which licence tags.
Does not cover: reading rows, and what the trainer is (`sft`, `dpo`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from medcopilot.train import loop, provenance
from medcopilot.train.model import CheckpointMeta
from medcopilot.train.policy import check_tokenizer, load_policy, recipe_digest

Rows = list[dict[str, Any]]


def train_on_rows(config: Any, rows: Rows, arguments: Any, *, unit: str, fitting: Callable[..., Rows],
                  build: Callable[..., Any]) -> loop.StageResult:
    """Train, or resume, or find that it was done.

    Args:
        unit: what the checkpoint's record calls the rows.
        fitting: `(config, rows, source)`, the rows that are trained on.
        build: `(config, arguments, source, rows)`, trainer, horizon and progress.
    """
    source = load_policy(config.model, config.seed)
    check_tokenizer(config.data, source.tokenizer)
    recipe = recipe_digest(config, rows, source.digest)
    if loop.finished(config, recipe):
        return loop.StageResult(config.checkpoint, 0, 0, 0.0, None)
    kept = fitting(config, rows, source)
    state = loop.resumable(config, recipe)
    provenance.note(config, provenance.row_tags(rows), [("policy", config.model.checkpoint)])
    trainer, horizon, progress = build(config, arguments, source, kept)
    loop.train(trainer, config, horizon, progress, state)
    meta = CheckpointMeta(profile=source.meta.profile, policy_version=source.meta.policy_version + 1, stage=config.name,
                          parent=source.digest, recipe=recipe, details={"steps": trainer.state.global_step, unit: len(kept),
                                                                        "seconds": round(horizon.elapsed(), 1)})
    loop.finish(trainer, source.tokenizer, config, meta)
    return loop.StageResult(config.checkpoint, trainer.state.global_step, progress.tokens, horizon.elapsed() - horizon.before,
                            progress.loss)
