"""`medcopilot publish`: a checkpoint or a data set goes to the hub, checked, with its card."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from medcopilot.cli.places import no_folder

NAME = "publish"


def run(
    path: Annotated[Path, typer.Argument(metavar="CHECKPOINT|DATA", help=(
        "folder of a finished stage, of a LoRA adapter or of a resumable state (STAGE.work); with --type dataset: a file of rows, "
        "a folder with README.md, or a built task set"))],
    repo_id: Annotated[str | None, typer.Option(help="OWNER/NAME on the hub; without it nothing is sent")] = None,
    kind: Annotated[str, typer.Option("--type", help="**model** or **dataset**")] = "model",
    results: Annotated[list[Path] | None, typer.Option(help="run folder of `medcopilot sample` with this very checkpoint, for the "
                                                            "card; may be repeated")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="stage, check and show the exact tree; send nothing")] = False,
    public: Annotated[bool, typer.Option("--public", help="visible to everybody (default: private)")] = False,
    licence: Annotated[str | None, typer.Option("--license", help="of what is published, by the hub's identifier, e.g. "
                                                                  "apache-2.0")] = None,
    out: Annotated[Path | None, typer.Option(help="the staged folder (default: beside the source)")] = None,
    base: Annotated[str | None, typer.Option(help="parent of an adapter: folder or hub name")] = None,
    check_vllm: Annotated[bool | None, typer.Option("--check-vllm/--no-check-vllm", help="also ask vLLM (default: where it is "
                                                                                         "installed)")] = None,
    tolerance: Annotated[float | None, typer.Option(min=0, help="largest difference of logprobs in nats (default: by type and "
                                                                "program)")] = None,
    message: Annotated[str, typer.Option(help="of the commit")] = "",
    json_file: Annotated[Path | None, typer.Option("--json", callback=no_folder,
                                                   help="also write the tree and the commit's address here")] = None,
) -> None:
    """Merge, convert, check, write the card, and put it on the hub in one commit.

    `medcopilot publish runs/demo/checkpoints/grpo --results runs/demo/eval/grpo-t0` stages and shows what would be sent;
    `--repo-id OWNER/NAME` sends it. The token is the one of `hf auth login` or HF_TOKEN. What is derived from rows under a data
    agreement is refused unless the permission is recorded.
    """
    import json

    from env.errors import UserError
    from env.files import atomic_write
    from medcopilot.publish.places import check_data, check_model

    if kind not in ("model", "dataset"):
        raise UserError(f"--type {kind}: choose model or dataset")
    (check_model if kind == "model" else check_data)(path)
    if repo_id is not None:
        from medcopilot.publish.hub import check_name

        check_name(repo_id)
    own = path.stem if path.is_file() else path.resolve().name.removesuffix(".work")
    name = repo_id.partition("/")[2] if repo_id else own
    target = out or _beside(path)
    if kind == "model":
        from medcopilot.publish.model_folder import ModelOptions, stage_model

        options = ModelOptions(name=name, results=tuple(results or ()), base=base, licence=licence, vllm=check_vllm,
                               tolerance=tolerance)
        files = stage_model(path, target, options, typer.echo)
    else:
        from medcopilot.publish.data_folder import stage_data

        if results or base or check_vllm or tolerance is not None:
            raise UserError("--results, --base, --check-vllm and --tolerance are for models: leave them out")
        files = stage_data(path, target, name, licence)
    from medcopilot.publish.tree import show

    typer.echo(f"{target}:\n{show(files)}")
    address = None
    if repo_id is not None and not dry_run:
        address = _send(target, files, repo_id, kind, public, message)
    else:
        typer.echo("nothing was sent" + ("" if repo_id else ": --repo-id OWNER/NAME sends it"))
    if json_file is not None:
        atomic_write(json_file, json.dumps({"folder": str(target), "files": [file._asdict() for file in files], "repo_id": repo_id,
                                            "commit": address}, indent=2) + "\n")


def _send(folder: Path, files: list[Any], repo_id: str, kind: str, public: bool, message: str) -> str:
    """Put the staged folder on the hub. Returns the commit's address."""
    from medcopilot.publish.hub import upload

    sent = upload(folder, files, repo_id, kind="dataset" if kind == "dataset" else "model", public=public, message=message,
                  tell=lambda text: typer.echo(text, err=True))
    typer.echo(f"{repo_id} ({'private' if sent.private else 'public'}): {sent.address}")
    return sent.address


def _beside(path: Path) -> Path:
    """`RUN/publish/STAGE` for `RUN/checkpoints/STAGE`, else `PATH.publish`."""
    path = path.resolve()
    for folder in (path, path.parent):
        if folder.parent.name == "checkpoints":
            return folder.parent.parent / "publish" / folder.name.removesuffix(".work")
    return path.with_name(f"{path.name}.publish")
