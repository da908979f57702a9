"""`medcopilot export`: traces become training rows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

NAME = "export"


def run(
    kind: Annotated[str, typer.Argument(help="**sft** (successful episodes), **dpo** (success against failure "
                                           "of one task) or **verifier** (episodes and whether they succeeded).")],
    runs: Annotated[list[Path], typer.Argument(help="Run folders, or single trace files.", metavar="RUN...")],
    out: Annotated[Path, typer.Option(help="File to write: .jsonl or .parquet. A card is written beside it.")],
    tokenizer: Annotated[str, typer.Option(help="Folder of a tokenizer or of the checkpoint to be trained, or a hub name.")],
    new_tokenizer: Annotated[int | None, typer.Option(
        help="Fit a nano tokenizer of this many entries (2048) to these runs and save it in the --tokenizer folder first. "
             "A folder that exists is used as it is.")] = None,
    max_length: Annotated[int | None, typer.Option(
        help="Leave out episodes with more tokens; verifier: shorten them (full: 8192, nano: 768).")] = None,
    per_task: Annotated[int | None, typer.Option(help="Most rows per task (dpo: 2, else no limit).")] = None,
    limit: Annotated[int | None, typer.Option(help="Rows in all; datasets take turns.")] = None,
    profile: Annotated[str | None, typer.Option(help="Wording of the verifier's prompt, full or nano; default: the --tokenizer "
                                                     "checkpoint's, else full.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the choice.")] = 0,
    json_out: Annotated[Path | None, typer.Option("--json", help="Also write the card here.")] = None,
) -> None:
    """Turn traces into training rows: exact token ids with labels (sft), pairs with masks (dpo), or judged episodes (verifier).

    Only the training split is used, only graded episodes; observations never carry loss. Ids are those that were sampled when
    the traces hold them for this tokenizer; other traces (the scripted expert's, an endpoint's) are rendered once.

    Examples:

        medcopilot export sft runs/expert --out runs/demo/data/sft.jsonl --tokenizer runs/demo/tokenizer --new-tokenizer 2048

        medcopilot export dpo runs/own --out runs/demo/data/dpo.jsonl --tokenizer runs/demo/checkpoints/sft --limit 400

        medcopilot export verifier runs/own --out runs/demo/data/verifier.jsonl --tokenizer runs/demo/checkpoints/sft
    """
    from env.files import atomic_write
    from medcopilot.data.export import texts_for_tokenizer, write_selection
    from medcopilot.data.rows import check_suffix
    from medcopilot.data.sources import load_traces
    from medcopilot.train.tokenizer import load_tokenizer, save_tokenizer, train_tokenizer

    options = _options(kind, seed, tokenizer, {"max_length": max_length, "per_task": per_task, "limit": limit, "profile": profile})
    check_suffix(out)
    traces = load_traces(runs)
    if new_tokenizer is not None and not Path(tokenizer).exists():
        save_tokenizer(train_tokenizer(texts_for_tokenizer(traces, seed=seed), new_tokenizer), Path(tokenizer))
    card = write_selection(traces, out, load_tokenizer(tokenizer), options, runs=[str(path) for path in runs])
    if json_out is not None:
        atomic_write(json_out, card.model_dump_json(indent=2) + "\n")
    noun = "pairs" if kind == "dpo" else "rows"
    typer.echo(f"{card.rows:,} {noun}, {card.tokens:,} tokens ({card.trained_tokens:,} trained) -> {out}")
    for title, counts in (("datasets", card.datasets), ("licences", card.licences), ("left out", card.skipped)):
        if counts:
            typer.echo(f"  {title}: " + ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items())))


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
        name = str(first["loc"][0]).replace("_", "-")
        raise UserError(f"--{name} {first['input']}: {first['msg'].lower()}") from None
