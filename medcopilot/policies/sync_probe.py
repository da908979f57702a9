"""Does a server compute with the weights that it was given? A probe batch, scored by both sides.

Promises: the same few rows of text in every sync; scores are natural logs at temperature 1; the trained model is left in the
mode (train or eval) in which it was found.
Does not cover: what is done about a difference (`weight_sync`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch

from medcopilot.policies.vllm_protocol import TryElsewhere, VllmClient, read_scores, scoring_body

_TEXTS = ("How many patients older than 65 were admitted with sepsis?",
          "Calculate the MELD score: bilirubin 2.3 mg/dL, INR 1.6, creatinine 1.9 mg/dL.",
          "SELECT COUNT(DISTINCT subject_id) FROM admissions WHERE hospital_expire_flag = 1;",
          "import pandas as pd\nframe = pd.read_csv('labs.csv')\nprint(frame.describe())")
ROW_TOKENS = 48


class Difference(NamedTuple):
    """Between served and trained logprobs, in nats."""

    largest: float
    mean: float


def probe_rows(renderer: Any, tokens: int = ROW_TOKENS) -> list[list[int]]:
    """Rows of equal length, at most `tokens` each."""
    rows = [renderer.prompt([{"role": "user", "content": text}, {"role": "user", "content": text}]) for text in _TEXTS]
    length = min(tokens, *(len(row) for row in rows))
    return [row[:length] for row in rows]


@torch.no_grad()
def trained_scores(model: Any, rows: list[list[int]], inner: Any = None) -> list[list[float]]:
    """Logprob of each token but the first of every row, under the model in this process, in the arithmetic of its own dtype.

    Args:
        inner: the model inside, where `model` is what a launch has wrapped around it.
    """
    ids = torch.tensor(rows, device=next(model.parameters()).device)
    with plainly(model, ids.device.type, inner):
        logits = model(input_ids=ids[:, :-1], use_cache=False).logits.float()
    scores: list[list[float]] = logits.log_softmax(-1).gather(-1, ids[:, 1:, None])[..., 0].tolist()
    return scores


@contextlib.contextmanager
def plainly(model: Any, device: str, inner: Any = None) -> Iterator[None]:
    """Inside, the model is in mode eval and without autocast; afterwards as it was."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.autocast(device, enabled=False), _without_autocast(model if inner is None else inner):
            yield
    finally:
        for module, training in modes:
            module.training = training


@contextlib.contextmanager
def _without_autocast(model: Any) -> Iterator[None]:
    """accelerate wraps `forward` in autocast, inside whatever the caller sets; it keeps the plain one."""
    wrapped, plain = model.__dict__.get("forward"), model.__dict__.get("_original_forward")
    if wrapped is None or plain is None:
        yield
        return
    model.forward = plain
    try:
        yield
    finally:
        model.forward = wrapped


async def served_scores(client: VllmClient, model: str, rows: list[list[int]], seconds: float) -> list[list[float]]:
    """The same from a server."""
    scores = []
    for row in rows:
        scores.append(read_scores(await client.post("/v1/completions", scoring_body(model, row), seconds), row))
    return scores


def difference(served: list[list[float]], trained: list[list[float]]) -> Difference:
    """How far two scorings of the same rows are apart.

    Raises:
        TryElsewhere: a score is not a number.
    """
    gap = (torch.tensor(served, dtype=torch.float64) - torch.tensor(trained, dtype=torch.float64)).abs()
    if not torch.isfinite(gap).all():
        raise TryElsewhere("a logprob of the probe batch is not finite: the weights hold inf or nan, on one of the two sides")
    return Difference(gap.max().item(), gap.mean().item())
