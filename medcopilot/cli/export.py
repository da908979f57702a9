"""`medcopilot export`: traces become training rows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from medcopilot.cli.places import no_folder

NAME = "export"
Kind = Annotated[str, typer.Argument(help="**sft** (successful episodes), **dpo** (success against failure of one task) or "
                                          "**verifier** (episodes and whether they succeeded).")]
Runs = Annotated[list[Path], typer.Argument(help="Run folders, or single trace files.", metavar="RUN...")]
Out = Annotated[Path, typer.Option(help="File to write, .jsonl or .parquet, with a card beside it; with --format hf, a folder.")]
Tokenizer = Annotated[str, typer.Option(help="Folder of a tokenizer or of the checkpoint to be trained, or a hub name.")]
NewTokenizer = Annotated[int | None, typer.Option(
    help="Fit a nano tokenizer of this many entries (2048) to these runs and save it in the --tokenizer folder first. A folder "
         "that exists is used as it is.")]
Form = Annotated[str | None, typer.Option("--format", help="jsonl, parquet, or hf: a folder that `datasets.load_dataset` reads, "
                                                           "with a dataset card. Default: by the ending of --out.")]
MaxLength = Annotated[int | None, typer.Option(help="Leave out episodes with more tokens; verifier: shorten them (full: 8192, "
                                                    "nano: 768).")]
PerTask = Annotated[int | None, typer.Option(help="Most rows per task (dpo: 2, else no limit).")]
Limit = Annotated[int | None, typer.Option(help="Rows in all; datasets, or the groups of --balance, take turns.")]
Balance = Annotated[list[str] | None, typer.Option(help="sft, dpo: groups by category, by difficulty, or (given twice) by both; "
                                                        "with --cap or --limit.")]
Cap = Annotated[int | None, typer.Option(help="sft, dpo: most rows of each dataset, or of each group of --balance.")]
Temperature = Annotated[float | None, typer.Option(help="With --balance: shares of the limit follow group size ** (1 / "
                                                        "temperature): 1 as they come; default: equal.")]
SameProgram = Annotated[bool, typer.Option("--same-program", help="sft: keep episodes of a task that do the same work.")]
Near = Annotated[float | None, typer.Option(help="sft: leave out questions this similar (0 to 1) to another task's.")]
Contamination = Annotated[float | None, typer.Option(
    help="Leave out tasks of whose 10-grams more than this share (0 to 1) is in test questions; 1: no check. Default: 0.8, where "
         "the runs' data are there.")]
Against = Annotated[list[str] | None, typer.Option(help="Slice of the test split to check against: unseen, official (default: "
                                                        "both) or seen; repeat for several.")]
Root = Annotated[Path | None, typer.Option(help="Data folder of the runs (default: $MEDCOPILOT_DATA or ./data).")]
Level = Annotated[str | None, typer.Option(help="dpo: trajectory (two episodes), or step (of one success, its final program "
                                                "against an earlier wrong one).")]
Chosen = Annotated[list[Path] | None, typer.Option(help="dpo, off-policy: run whose successes are chosen; RUN... then give the "
                                                        "rejected sides. Repeat for several.")]
OnPolicy = Annotated[bool, typer.Option("--on-policy", help="dpo: both sides of a pair from one run.")]
BestWorst = Annotated[bool, typer.Option("--best-worst", help="dpo: the verifier's best success against its worst failure.")]
Scores = Annotated[Path | None, typer.Option(help="For --best-worst: a verifier's checkpoint folder, or JSON lines of id and "
                                                  "score. Default: the scores that lie beside each run.")]
Profile = Annotated[str | None, typer.Option(help="Wording of the verifier's prompt, full or nano; default: the --tokenizer "
                                                  "checkpoint's, else full.")]
Seed = Annotated[int, typer.Option(help="Seed of the choice.")]
Json = Annotated[Path | None, typer.Option("--json", callback=no_folder, help="Also write the card here.")]


def run(
    kind: Kind, runs: Runs, out: Out, tokenizer: Tokenizer, new_tokenizer: NewTokenizer = None, form: Form = None,
    max_length: MaxLength = None, per_task: PerTask = None, limit: Limit = None, balance: Balance = None, cap: Cap = None,
    temperature: Temperature = None, same_program: SameProgram = False, near: Near = None, contamination: Contamination = None,
    against: Against = None, root: Root = None, level: Level = None, chosen: Chosen = None, on_policy: OnPolicy = False,
    best_worst: BestWorst = False, verifier: Scores = None, profile: Profile = None, seed: Seed = 0, json_out: Json = None,
) -> None:
    """Turn traces into training rows: exact token ids with labels (sft), pairs with masks (dpo), or judged episodes (verifier).

    Only the training split is used, only graded episodes; observations never carry loss. Ids are those that were sampled when
    the traces hold them for this tokenizer; other traces (the scripted expert's, an endpoint's) are rendered once. Every filter
    says how many rows went in and out; the card beside the rows keeps it (docs/data-building.md).

    Examples:

        medcopilot export sft runs/expert --out runs/demo/data/sft.jsonl --tokenizer runs/demo/tokenizer --new-tokenizer 2048

        medcopilot export sft runs/own --out runs/sft-hf --format hf --tokenizer runs/demo/tokenizer --balance category --cap 50

        medcopilot export dpo runs/own --out runs/demo/data/dpo.jsonl --tokenizer runs/demo/checkpoints/sft --limit 400

        medcopilot export verifier runs/own --out runs/demo/data/verifier.jsonl --tokenizer runs/demo/checkpoints/sft
    """
    from env.files import atomic_write
    from medcopilot.data.export import texts_for_tokenizer, write_material
    from medcopilot.train.tokenizer import load_tokenizer, save_tokenizer, train_tokenizer

    given = {"max_length": max_length, "per_task": per_task, "limit": limit, "profile": profile, "cap": cap, "near": near,
             "temperature": temperature, "balance": tuple(balance) if balance else None, "same_program": same_program or None,
             "level": level, "on_policy": on_policy or None, "best_worst": best_worst or None}
    options = _options(kind, seed, tokenizer, given)
    _check_words(kind, out, form, contamination, {"chosen": chosen, "verifier": verifier}, best_worst, level)
    material = _material(runs, chosen or [], options, contamination, against, root, verifier)
    if new_tokenizer is not None and not Path(tokenizer).exists():
        save_tokenizer(train_tokenizer(texts_for_tokenizer(material.traces, seed=seed), new_tokenizer), Path(tokenizer))
    card = write_material(material, out, load_tokenizer(tokenizer), options, hf=form == "hf")
    if json_out is not None:
        atomic_write(json_out, card.model_dump_json(indent=2) + "\n")
    _say(card, out)


def _say(card: Any, out: Path) -> None:
    """What was kept and dropped."""
    for step in card.filters:
        typer.echo(f"  {step}")
    typer.echo(f"  test questions: {card.contamination}")
    noun = "pairs" if card.kind == "dpo" else "rows"
    typer.echo(f"{card.rows:,} {noun}, {card.tokens:,} tokens ({card.trained_tokens:,} trained) -> {out}")
    for title, counts in (("datasets", card.datasets), ("licences", card.licences), ("difficulty", card.difficulties),
                          ("sides", card.sides)):
        if counts:
            typer.echo(f"  {title}: " + ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items())))


def _check_words(kind: str, out: Path, form: str | None, contamination: float | None, sides: dict[str, Any], best_worst: bool,
                 level: str | None) -> None:
    """Options that no record of a kind holds."""
    from env.errors import UserError
    from medcopilot.data.hf_folder import check_folder
    from medcopilot.data.rows import check_suffix

    if form not in (None, "jsonl", "parquet", "hf"):
        raise UserError(f"--format {form}: choose jsonl, parquet or hf")
    if form == "hf":
        check_folder(out)
    else:
        check_suffix(out)
        if form is not None and out.suffix != f".{form}":
            raise UserError(f"--format {form} and --out {out} do not fit: let the file end with .{form}")
    if contamination is not None and not 0 <= contamination <= 1:
        raise UserError(f"--contamination {contamination:g}: a share of 10-grams lies between 0 and 1")
    for name, value in sides.items():
        if value and kind != "dpo":
            raise UserError(f"--{name} is about the two sides of a pair, and {kind} rows have none: leave it out")
    if sides["verifier"] and not best_worst:
        raise UserError("--verifier gives the scores for --best-worst: add that option, or leave it out")
    if sides["chosen"] and level == "step":
        raise UserError("--chosen names another run for one side, and a step level pair lies within one episode: leave it out")


def _material(runs: list[Path], chosen: list[Path], options: Any, contamination: float | None, against: list[str] | None,
              root: Path | None, verifier: Path | None) -> Any:
    """Traces, questions and scores."""
    from dataclasses import replace
    from typing import get_args

    from env.errors import UserError
    from env.task import Slice
    from medcopilot.cli.progress import tell
    from medcopilot.data.contamination import SLICES
    from medcopilot.data.export import read_material, spellings
    from medcopilot.verifier.scores import kept_scores, scores_of

    for name in against or ():
        if name not in get_args(Slice)[1:]:
            raise UserError(f"--against {name}: the test split has the slices {', '.join(get_args(Slice)[1:])}")
    runs, chosen = spellings(runs, chosen)
    material = read_material(runs, chosen=chosen, threshold=contamination, slices=tuple(against or SLICES), root=root,
                             needs_questions=getattr(options, "near", None) is not None)
    if not getattr(options, "best_worst", False):
        return material
    scores: dict[str, dict[str, float]] = {}
    for run in dict.fromkeys([*runs, *chosen]):
        found = kept_scores(run) if verifier is None else scores_of(run, verifier, lambda done, total, run=run: tell(
            f"{run}: {done} of {total} episodes scored"))
        if not found:
            raise UserError(f"{run}: no scores of exactly one verifier lie beside it ({run / 'scores'}): name the verifier with "
                            "--verifier")
        scores[str(run)] = found
    return replace(material, scores=scores)


def _options(kind: str, seed: int, tokenizer: str, values: dict[str, Any]) -> Any:
    from pydantic import ValidationError

    from env.errors import UserError
    from medcopilot.data.pairs import PairOptions
    from medcopilot.data.sft import SftOptions
    from medcopilot.train.model import META, read_meta
    from medcopilot.verifier.rows import VerifierOptions

    kinds = {"sft": SftOptions, "dpo": PairOptions, "verifier": VerifierOptions}
    if kind not in kinds:
        raise UserError(f"cannot export {kind!r}: choose sft, dpo or verifier")
    given = {name: value for name, value in values.items() if value is not None}
    if kind != "verifier" and "profile" in given:
        raise UserError(f"--profile is the wording of the verifier's prompt, and {kind} rows hold episodes as they were: leave it "
                        "out")
    if kind == "verifier" and "profile" not in given and (Path(tokenizer) / META).is_file():
        given["profile"] = read_meta(Path(tokenizer)).profile
    try:
        return kinds[kind](seed=seed, **given)
    except ValidationError as error:
        first = error.errors()[0]
        message = first["msg"].removeprefix("Value error, ")
        if not first["loc"]:
            raise UserError(f"export {kind}: {message}") from None
        name = str(first["loc"][0]).replace("_", "-")
        if first["type"] == "extra_forbidden":
            raise UserError(f"--{name} is no option of `medcopilot export {kind}`: leave it out") from None
        raise UserError(f"--{name} {first['input']}: {message.lower()}") from None
