"""From run folders to files of training rows.

Promises: one call reads the runs, chooses rows, writes them whole with their card, and returns the card; runs without a single
usable row are an error with the reasons counted.
Does not cover: which rows are chosen (`sft`, `pairs`, `medcopilot.verifier.rows`) and the folder that `datasets` reads
(`hf_folder`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from env.agreement import restricted
from env.errors import UserError
from medcopilot.agent.render import ChatRenderer
from medcopilot.data.choose import shuffled
from medcopilot.data.contamination import SLICES, THRESHOLD, Questions
from medcopilot.data.funnel import Funnel
from medcopilot.data.hf_folder import write_hf
from medcopilot.data.pairs import PairOptions, Rollout, pair_rows
from medcopilot.data.rows import Card, check_suffix, rows_digest, tokenizer_digest, write_rows
from medcopilot.data.sft import IGNORE, SftOptions, sft_rows
from medcopilot.data.sources import Source, describe, load_traces, unusable
from medcopilot.runs import distinct
from medcopilot.trace import Trace
from medcopilot.verifier.rows import VerifierOptions, verifier_rows

Options = SftOptions | PairOptions | VerifierOptions


@dataclass(frozen=True)
class Material:
    """What rows are made of."""

    runs: dict[str, list[Trace]]
    """Run -> its episodes."""
    chosen: dict[str, list[Trace]] = field(default_factory=dict)
    """Of pairs, runs whose successes are chosen; `runs` then give the rejected sides."""
    scores: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Run -> trace id -> the verifier's score."""
    questions: Questions | None = None
    """For the check against the test split and for `near`."""
    threshold: float = THRESHOLD
    unchecked: str = "not checked"
    """What the card says without questions."""
    sources: tuple[Source, ...] = ()

    @property
    def traces(self) -> list[Trace]:
        return [trace for part in (self.runs, self.chosen) for traces in part.values() for trace in traces]


def spellings(*parts: Sequence[Path]) -> list[list[Path]]:
    """Each part of an export's runs with every run once, and one run under the same name in all parts.

    Raises:
        UserError: a trace file of a run that is named as well: its episodes would count twice.
    """
    names = {place.resolve(): place for place in distinct([place for part in parts for place in part])}
    for place, name in names.items():
        if place.parent.name == "traces" and (run := names.get(place.parent.parent)) is not None:
            raise UserError(f"{name} is a part of {run}: its episodes would count twice: name one of them")
    return [[names[place.resolve()] for place in distinct(part)] for part in parts]


def read_material(runs: Sequence[Path], *, chosen: Sequence[Path] = (), threshold: float | None = None,
                  slices: Sequence[Any] = SLICES, root: Path | None = None, needs_questions: bool = False,
                  scores: Mapping[str, Mapping[str, float]] | None = None) -> Material:
    """Traces of run folders or single shards, with the questions of their tasks.

    Args:
        runs, chosen: a run counts once, however often and in whatever spelling it is named.
        threshold: of the check against the test split; None: the default, where the runs' data are there to be read.
        slices: of the test split that is checked against.
        needs_questions: the choice of rows asks for them.

    Raises:
        UserError: a folder without traces; no data for a check that was asked for; a run and a file of it.
    """
    runs, chosen = spellings(runs, chosen)
    read = {str(run): load_traces([run]) for run in dict.fromkeys([*runs, *chosen])}
    parts = [{str(run): read[str(run)] for run in part} for part in (runs, chosen)]
    sources = tuple(describe(Path(run), traces) for run, traces in read.items())
    questions, unchecked = None, "not checked"
    if threshold is None or threshold < 1 or needs_questions:
        try:
            questions = Questions.of([Path(run) for run in read], (trace for traces in read.values() for trace in traces), root,
                                     slices)
        except UserError as error:
            if threshold is not None or needs_questions:
                raise
            unchecked = f"not checked: {error}"
    return Material(*parts, scores=scores or {}, questions=questions, threshold=THRESHOLD if threshold is None else threshold,
                    unchecked=unchecked, sources=sources)


def export_rows(runs: Sequence[Path], out: Path, tokenizer: Any, options: Options) -> Card:
    """Write SFT rows, preference pairs or verifier rows of `runs`, by the type of `options`.

    Raises:
        UserError: no traces, no usable row, unknown file ending.
    """
    check_suffix(out)
    return write_material(read_material(runs), out, tokenizer, options)


def write_selection(traces: Iterable[Trace], out: Path, tokenizer: Any, options: Options) -> Card:
    """As `export_rows`, from traces in memory."""
    return write_material(Material({"": list(traces)}), out, tokenizer, options)


def write_material(material: Material, out: Path, tokenizer: Any, options: Options, *, hf: bool = False) -> Card:
    """Choose rows and write them with their card.

    Args:
        out: a file; with `hf`, a folder for `datasets.load_dataset`.

    Raises:
        UserError: no usable row; `AgreementError`: `hf`, and rows under an agreement without permission for the exit `hub`.
    """
    funnel, renderer = Funnel(), ChatRenderer(tokenizer)
    rows = _choose(material, renderer, options, funnel)
    if not rows:
        reasons = ", ".join(f"{reason} {count}" for reason, count in funnel.skipped.most_common()) or "the runs are empty"
        raise UserError(f"{out}: nothing to export ({reasons}): sample more episodes of the training split")
    card = _card(rows, options, funnel, tokenizer_digest(tokenizer), material)
    if hf:
        write_hf(out, rows, card, tokenizer)
    else:
        write_rows(out, rows, card)
    return card


def texts_for_tokenizer(traces: Iterable[Trace], *, most: int = 4000, seed: int = 0) -> list[str]:
    """Message texts of successful training episodes, to fit a tokenizer to; at most `most` episodes."""
    good = [trace for trace in shuffled((trace for trace in traces if not unusable(trace)), seed) if trace.success]
    return [message["content"] for trace in good[:most] for message in trace.messages]


def _choose(material: Material, renderer: ChatRenderer, options: Options, funnel: Funnel) -> list[dict[str, Any]]:
    """Rows of the kind that the options are for, from the episodes whose questions the test split does not hold."""
    questions = material.questions
    clean = material.traces
    if questions is not None and material.threshold < 1:
        clean = questions.clean(clean, material.threshold, funnel)
    if isinstance(options, SftOptions):
        return sft_rows(clean, renderer, options, funnel, questions.train if questions else None)
    if isinstance(options, VerifierOptions):
        return verifier_rows(clean, renderer, options, funnel)
    kept = {id(trace) for trace in clean}
    rollouts = []
    for part, role in ((material.runs, "rejected" if material.chosen else "either"), (material.chosen, "chosen")):
        rollouts += [Rollout(trace, run, role, material.scores.get(run, {}).get(trace.id))
                     for run, traces in part.items() for trace in traces if id(trace) in kept]
    return pair_rows(rollouts, renderer, options, funnel)


def _card(rows: list[dict[str, Any]], options: Options, funnel: Funnel, tokenizer: str, material: Material) -> Card:
    if isinstance(options, SftOptions | VerifierOptions):
        kind = "sft" if isinstance(options, SftOptions) else "verifier"
        tokens = sum(len(row["input_ids"]) for row in rows)
        trained = sum(label != IGNORE for row in rows for label in row["labels"])
    else:
        kind = "dpo"
        tokens = sum(2 * len(row["prompt_ids"]) + len(row["chosen_ids"]) + len(row["rejected_ids"]) for row in rows)
        trained = sum(sum(row["chosen_mask"]) + sum(row["rejected_mask"]) for row in rows)
    checked = material.questions is not None and material.threshold < 1
    licences = Counter(row["licence"] for row in rows)
    return Card(kind=kind, digest=rows_digest(rows), rows=len(rows), tokens=tokens, trained_tokens=trained, tokenizer=tokenizer,
                datasets=dict(Counter(row["dataset"] for row in rows)), licences=dict(licences), skipped=dict(funnel.skipped),
                runs=[source.run for source in material.sources], options=options.model_dump(mode="json"),
                sources=list(material.sources), categories=dict(Counter(f"{row['dataset']}/{row['category']}" for row in rows)),
                difficulties=dict(Counter(row["difficulty"] for row in rows if "difficulty" in row)),
                sides=dict(Counter("on_policy" if row["on_policy"] else "off_policy" for row in rows if "on_policy" in row)),
                filters=funnel.filters, agreements=sorted(licence for licence in licences if restricted(licence)),
                contamination=material.questions.told(material.threshold) if checked else material.unchecked)
