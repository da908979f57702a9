"""From run folders to files of training rows.

Promises: one call reads the runs, chooses rows, writes them whole with their card, and returns the card; runs without a single
usable row are an error with the reasons counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from env.errors import UserError
from medcopilot.agent.render import ChatRenderer
from medcopilot.data.choose import shuffled
from medcopilot.data.pairs import PairOptions, pair_rows
from medcopilot.data.rows import Card, check_suffix, rows_digest, tokenizer_digest, write_rows
from medcopilot.data.sft import IGNORE, SftOptions, sft_rows
from medcopilot.data.sources import load_traces, usable
from medcopilot.trace import Trace
from medcopilot.verifier.rows import VerifierOptions, verifier_rows

Options = SftOptions | PairOptions | VerifierOptions


def export_rows(runs: Sequence[Path], out: Path, tokenizer: Any, options: Options) -> Card:
    """Write SFT rows, preference pairs or verifier rows of `runs`, by the type of `options`.

    Raises:
        UserError: no traces, no usable row, unknown file ending.
    """
    check_suffix(out)
    return write_selection(load_traces(runs), out, tokenizer, options, runs=[str(run) for run in runs])


def write_selection(traces: Iterable[Trace], out: Path, tokenizer: Any, options: Options, *,
                    runs: Sequence[str] = ()) -> Card:
    """As `export_rows`, from traces in memory."""
    renderer = ChatRenderer(tokenizer)
    skipped: Counter[str] = Counter()
    if isinstance(options, SftOptions):
        rows = sft_rows(traces, renderer, options, skipped)
    elif isinstance(options, VerifierOptions):
        rows = verifier_rows(traces, renderer, options, skipped)
    else:
        rows = pair_rows(traces, renderer, options, skipped)
    if not rows:
        reasons = ", ".join(f"{reason} {count}" for reason, count in skipped.most_common()) or "the runs are empty"
        raise UserError(f"{out}: nothing to export ({reasons}): sample more episodes of the training split")
    card = _card(rows, options, skipped, tokenizer_digest(tokenizer), runs)
    write_rows(out, rows, card)
    return card


def texts_for_tokenizer(traces: Iterable[Trace], *, most: int = 4000, seed: int = 0) -> list[str]:
    """Message texts of successful training episodes, to fit a tokenizer to; at most `most` episodes."""
    good = [trace for trace in shuffled(usable(traces, Counter()), seed) if trace.success]
    return [message["content"] for trace in good[:most] for message in trace.messages]


def _card(rows: list[dict[str, Any]], options: Options, skipped: Counter[str], tokenizer: str,
          runs: Sequence[str]) -> Card:
    if isinstance(options, SftOptions | VerifierOptions):
        kind = "sft" if isinstance(options, SftOptions) else "verifier"
        tokens = sum(len(row["input_ids"]) for row in rows)
        trained = sum(label != IGNORE for row in rows for label in row["labels"])
    else:
        kind = "dpo"
        tokens = sum(2 * len(row["prompt_ids"]) + len(row["chosen_ids"]) + len(row["rejected_ids"]) for row in rows)
        trained = sum(sum(row["chosen_mask"]) + sum(row["rejected_mask"]) for row in rows)
    return Card(kind=kind, digest=rows_digest(rows), rows=len(rows), tokens=tokens, trained_tokens=trained, tokenizer=tokenizer,
                datasets=dict(Counter(row["dataset"] for row in rows)), licences=dict(Counter(row["licence"] for row in rows)),
                skipped=dict(skipped), runs=list(runs), options=options.model_dump(mode="json"))
