"""From traces to token sequences: which traces may train, and their exact ids.

Promises: only the training split, only episodes that our machinery completed and graded; ids are the sampled ones when the
trace has them and they belong to this tokenizer, else the messages are rendered once; turns that were refused (no valid
action) carry no loss.
Does not cover: choosing successes (`medcopilot.data.sft`) and pairs (`medcopilot.data.pairs`).
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from env.errors import UserError
from env.files import file_digest
from medcopilot.trace import Trace, read_traces

if TYPE_CHECKING:
    from medcopilot.agent.render import ChatRenderer


@dataclass(frozen=True)
class Tokenized:
    """One episode as tokens, cut after its last sampled token."""

    trace: Trace
    ids: list[int]
    mask: list[int]
    """1 = carries loss."""
    spans: tuple[tuple[int, int], ...]
    """Where each turn of the policy begins and ends."""
    exact: bool
    """The ids are those that were sampled."""

    @property
    def starts(self) -> tuple[int, ...]:
        """Positions at which a turn of the policy begins."""
        return tuple(start for start, _ in self.spans)


class Source(BaseModel):
    """A run that rows came from."""

    model_config = ConfigDict(extra="forbid")
    run: str
    digest: str
    """The run's own, of its settings; of a single shard, that of its bytes."""
    policies: list[str]
    traces: int


def describe(run: Path, traces: Iterable[Trace]) -> Source:
    """What a card says of a run."""
    digest = run / "digest"
    found = file_digest(run) if run.is_file() else digest.read_text().strip() if digest.is_file() else ""
    traces = list(traces)
    return Source(run=str(run), digest=found, policies=sorted({trace.policy for trace in traces}), traces=len(traces))


def load_traces(runs: Sequence[Path]) -> list[Trace]:
    """Traces of run folders (`<run>/traces/*.jsonl`) or of single shards, in a fixed order.

    Raises:
        UserError: a folder without traces, or a malformed line that is not the torn last one.
    """
    traces: list[Trace] = []
    torn: list[str] = []
    for run in runs:
        shards = [run] if run.is_file() else sorted((run / "traces").glob("*.jsonl"))
        if not shards:
            raise UserError(f"{run}: there are no traces (no {run / 'traces'}/*.jsonl): sample with `medcopilot sample` first, or "
                            "check the name of the run folder")
        for shard in shards:
            traces.extend(read_traces(shard, torn))
    for where in torn:
        print(f"left out a torn last line: {where}", file=sys.stderr)
    return traces


def unusable(trace: Trace) -> str:
    """Why a trace may not train; empty when it may."""
    if trace.split != "train":
        return "test_split"
    if trace.stop == "infrastructure":
        return "infrastructure"
    if not trace.graded:
        return "ungraded"
    return "" if trace.turns else "no_turns"


def unfit(episode: Tokenized, max_length: int | None) -> str:
    """Why an episode's tokens cannot be a row; empty when they can."""
    if max_length is not None and len(episode.ids) > max_length:
        return "too_long"
    return "" if any(episode.mask) else "nothing_to_learn"


def tokenize(trace: Trace, renderer: ChatRenderer) -> Tokenized:
    """The episode's ids and loss mask."""
    ids, mask, exact = _exact(trace, renderer)
    spans = turn_spans(mask)
    if len(spans) == len(trace.turns):
        for (start, end), turn in zip(spans, trace.turns, strict=True):
            if turn.problem:
                mask[start:end] = [0] * (end - start)
    last = spans[-1][1] if spans else len(ids)
    return Tokenized(trace, ids[:last], mask[:last], tuple(spans), exact)


def turn_spans(mask: Sequence[int]) -> list[tuple[int, int]]:
    """Start and end of every run of ones."""
    edges = [i for i in range(len(mask) + 1) if (mask[i] if i < len(mask) else 0) != (mask[i - 1] if i else 0)]
    return list(zip(edges[::2], edges[1::2], strict=True))


def _exact(trace: Trace, renderer: ChatRenderer) -> tuple[list[int], list[int], bool]:
    tokens = trace.tokens
    if tokens is not None and tokens.ids and max(tokens.ids) < len(renderer.tokenizer):
        said = [renderer.decode(tokens.ids[start:end]) for start, end in turn_spans(tokens.mask)]
        if said == [turn.reply for turn in trace.turns]:  # ids of another vocabulary decode to something else
            return list(tokens.ids), list(tokens.mask), True
    ids, mask = renderer.trace(trace.messages)
    return ids, mask, False
