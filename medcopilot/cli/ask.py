"""`medcopilot ask`: the agent on your own data."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medcopilot.cli import texts
from medcopilot.cli.places import no_folder

if TYPE_CHECKING:
    from medcopilot.ask import Answer
    from medcopilot.policies.base import Policy

NAME = "ask"
_SHOWN_LINES = 20


def run(
    question: Annotated[str, typer.Argument(help="what you want to know, in one sentence")],
    db: Annotated[Path, typer.Option(help="SQLite file, CSV file, or folder of CSV files")],
    checkpoint: Annotated[str | None, typer.Option(help="checkpoint folder of a trained agent (or vllm:FOLDER)")] = None,
    endpoint: Annotated[str | None, typer.Option(help="instead: address of an OpenAI-compatible server, up to /v1")] = None,
    model: Annotated[str | None, typer.Option(help="with --endpoint: the model's name there")] = None,
    allow_endpoint: Annotated[bool, typer.Option("--allow-endpoint", help="permit an --endpoint on another machine")] = False,
    profile: Annotated[str, typer.Option(help="full, nano, or auto (what the checkpoint was trained with)")] = "auto",
    temperature: Annotated[float, typer.Option(help="0 = greedy", min=0)] = 0.0,
    seed: Annotated[int, typer.Option(help="of sampling")] = 0,
    licence: Annotated[str | None, typer.Option(help="licence tag of the data, e.g. PhysioNet-credentialed")] = None,
    sandbox: Annotated[str, typer.Option(help=texts.SANDBOX)] = "auto",
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="show every turn")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", callback=no_folder, help="also write answer and trace here")] = None,
) -> None:
    """Ask your own data a question; the agent writes and runs code to answer it.

    `medcopilot ask --checkpoint runs/demo/checkpoints/grpo --db my.sqlite "How many patients are older than 80?"`

    The program, its output and the answer are shown. Nothing is graded, so check the program. Your files are only read, and
    nothing leaves this machine, unless you name an endpoint elsewhere and permit it with --allow-endpoint.
    """
    import tempfile

    from env.errors import UserError
    from env.gym import Gym
    from env.sandbox import open_backend
    from medcopilot.ask import DATASET, ask, build_task
    from medcopilot.own_data import licence_of, prepare_data

    if not question.strip():
        raise UserError("the question is empty: write what you want to know in one sentence")
    if profile not in ("auto", "full", "nano"):
        raise UserError(f"--profile {profile!r}: choose auto, full or nano")
    with tempfile.TemporaryDirectory(prefix="medcopilot-ask-") as name:
        work = Path(name)
        work.chmod(0o755)  # the sandbox drops to another user, who has to reach the files
        tag = licence or licence_of(db)
        task = build_task(question, prepare_data(db, work), tag)
        policy = _policy(checkpoint, endpoint, model, allow_endpoint, tag)
        chosen = _profile(profile, checkpoint)
        backend = open_backend(sandbox)
        try:
            gym = Gym(backend)
            gym.add_folder(DATASET, work)
            answer = ask(task, policy, gym, profile=chosen, seed=seed, temperature=temperature)
        finally:
            backend.close()
    _show(answer, verbose)
    if json_file is not None:
        _write(answer, json_file)
    if answer.kind == "none":
        raise typer.Exit(1)


def _policy(checkpoint: str | None, endpoint: str | None, model: str | None, allowed: bool, licence: str) -> Policy:
    """The policy that the options name; refuses an endpoint elsewhere that was not permitted."""
    from env.errors import UserError
    from medcopilot.ask import DATASET
    from medcopilot.policies import load_policy

    if (checkpoint is None) == (endpoint is None):
        raise UserError("give exactly one of --checkpoint FOLDER and --endpoint URL")
    if checkpoint is not None:
        if checkpoint == "expert" or checkpoint.startswith("openai:"):
            raise UserError(f"--checkpoint {checkpoint!r} is not a checkpoint: give a folder, or use --endpoint URL --model NAME")
        os.environ.setdefault("HF_HUB_OFFLINE", "1")  # read by the model libraries when they are first imported
        return load_policy(checkpoint)
    if not model:
        raise UserError("--endpoint needs --model NAME: the model's name on that server")
    policy = load_policy(f"openai:{model}@{endpoint}", licences={DATASET: licence})
    if not policy.local:
        from rich.console import Console

        if not allowed:
            raise UserError(f"--endpoint {endpoint} is another machine and would see your question and what programs print from "
                            "your data: add --allow-endpoint if that is permitted")
        warning = f"Warning: your question and what programs print from your data go to {endpoint}."
        Console(stderr=True).print(warning, style="yellow", markup=False)
    return policy


def _profile(profile: str, checkpoint: str | None) -> str:
    """`auto`: what the checkpoint was trained with; full for endpoints."""
    if profile != "auto":
        return profile
    if checkpoint is None:
        return "full"
    from medcopilot.train.model import read_meta

    return read_meta(Path(checkpoint.removeprefix("vllm:"))).profile


def _show(answer: Answer, verbose: bool) -> None:
    import json

    from rich.console import Console, Group
    from rich.panel import Panel
    from rich.syntax import Syntax
    from rich.text import Text

    console = Console()
    if verbose:
        for number, turn in enumerate(answer.trace.turns, start=1):
            body = Group(Text(turn.reply.strip()), Text(turn.observation.strip(), style="dim"))
            console.print(Panel(body, title=f"turn {number}", title_align="left", border_style="dim"))
    if answer.program:
        console.print(Panel(Syntax(answer.program, answer.language, word_wrap=True), title=f"program ({answer.language})",
                            title_align="left"))
        lines = answer.output.split("\n")
        rest = [f"... {len(lines) - _SHOWN_LINES} more lines"] if len(lines) > _SHOWN_LINES else []
        console.print(Panel(Text("\n".join([*lines[:_SHOWN_LINES], *rest]) or "(no output)"), title="output", title_align="left"))
    if answer.kind in ("answer", "program"):
        text = answer.value if isinstance(answer.value, str) else json.dumps(answer.value, ensure_ascii=False)
        console.print(Panel(Text(text or "(nothing)", style="bold"), title="answer", title_align="left", border_style="green"))
    if answer.note:
        console.print(Text(f"No answer: {answer.note}." if answer.kind != "program" else f"Note: {answer.note}.", style="yellow"))
    console.print(Text("Not graded: read the program before you rely on the answer.", style="dim"))


def _write(answer: Answer, path: Path) -> None:
    import json

    from env.files import atomic_write

    record = {"question": answer.question, "kind": answer.kind, "answer": answer.value, "program": answer.program,
              "language": answer.language, "output": answer.output, "note": answer.note,
              "trace": answer.trace.model_dump(mode="json")}
    atomic_write(path, json.dumps(record, indent=2, ensure_ascii=False))
