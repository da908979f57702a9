"""`medcopilot tasks`: which datasets there are, what is built, and what their tasks look like."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from env.datasets import Built, Dataset
    from env.task import Task

NAME = "tasks"


def run(
    dataset: Annotated[str | None, typer.Argument(help="show tasks of this dataset; without it: list all datasets")] = None,
    split: Annotated[str, typer.Option(help="train or test")] = "test",
    limit: Annotated[int, typer.Option(help="how many tasks to show", min=1)] = 5,
    category: Annotated[str | None, typer.Option(help="only tasks of this category")] = None,
    keys: Annotated[bool, typer.Option("--keys", help="show reference and gold program too")] = False,
    folder: Annotated[str | None, typer.Option(help="name of the built folder (default: the newest)")] = None,
    root: Annotated[Path | None, typer.Option(help="data folder (default: $MEDCOPILOT_DATA or ./data)")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="also write what is shown here")] = None,
) -> None:
    """List the datasets, or look at tasks of one of them.

    `medcopilot tasks` lists every dataset with its size in the paper, its licence and what is built here.
    `medcopilot tasks medcalcbench --split test --limit 5` shows five tasks as an agent sees them; `--keys` adds what only
    graders see.
    """
    import json

    from env.datasets.base import data_root
    from env.files import atomic_write

    base = root or data_root()
    rows = _list_datasets(base) if dataset is None else _show_tasks(base, dataset, split, limit, category, keys, folder)
    if json_file is not None:
        atomic_write(json_file, json.dumps(rows, indent=2, ensure_ascii=False))


def _built_folders(base: Path, name: str) -> list[Path]:
    """Complete folders of a dataset, newest first."""
    found = [path.parent for path in (base / name).glob("*/manifest.json")]
    return sorted(found, key=lambda path: (path / "manifest.json").stat().st_mtime, reverse=True)


def _list_datasets(base: Path) -> list[dict[str, Any]]:
    from rich.table import Table

    from env.datasets import Built, dataset_names, get_dataset
    from medcopilot.cli.console import table_console

    table = Table(title=f"Datasets (built under {base})")
    for column in ("dataset", "what", "train / test in the paper", "licence of the source", "built here: train / test"):
        table.add_column(column, overflow="fold", no_wrap=column == "dataset")
    rows = []
    for name in dataset_names():
        dataset: Dataset = get_dataset(name)
        builts: list[Built] = [Built(path) for path in _built_folders(base, name)]
        rows.append({"dataset": name, "family": dataset.family, "title": dataset.title, "paper_counts": dataset.paper_counts,
                     "licence": dataset.licence, "reference": dataset.reference,
                     "built": [{"folder": str(built.folder), "counts": built.manifest["counts"],
                                "licence": built.manifest["licence"]} for built in builts]})
        here = "\n".join(f"{built.folder.name}: {built.manifest['counts']['train']:,} / {built.manifest['counts']['test']:,}"
                         for built in builts)
        table.add_row(name, dataset.title,
                      f"{dataset.paper_counts['train']:,} / {dataset.paper_counts['test']:,}", dataset.licence,
                      here or f"no: `medcopilot data build {name}`")
    table_console().print(table)
    return rows


def _show_tasks(base: Path, name: str, split: str, limit: int, category: str | None, keys: bool,
                folder: str | None) -> list[dict[str, Any]]:
    from itertools import islice

    from env.datasets import Built, get_dataset
    from env.errors import UserError

    get_dataset(name)  # an unknown name is refused with the list of names
    if split not in ("train", "test"):
        raise UserError(f"option --split: {split!r} is neither train nor test")
    folders = {path.name: path for path in _built_folders(base, name)}
    if not folders:
        raise UserError(f"dataset {name!r} is not built under {base}: run `medcopilot data build {name}` first")
    if folder is not None and folder not in folders:
        raise UserError(f"option --folder: {folder!r} is not there; choose from {', '.join(folders)}")
    built = Built(folders[folder] if folder else next(iter(folders.values())))
    tasks = built.iter_tasks("train" if split == "train" else "test")
    chosen = list(islice((task for task in tasks if category is None or task.category == category), limit))
    if not chosen:
        raise UserError(f"{built.folder} has no {split} task" + (f" of category {category!r}" if category else ""))
    print(f"{built.folder} ({split})")
    for task in chosen:
        _print_task(task, keys)
    return [_as_row(task, keys) for task in chosen]


def _as_row(task: Task, keys: bool) -> dict[str, Any]:
    row = task.model_dump(mode="json", exclude={"key"})
    if keys:
        row["key"] = task.key.model_dump(mode="json", exclude={"canary"})
    return row


def _print_task(task: Task, keys: bool) -> None:
    import json

    from rich.panel import Panel
    from rich.text import Text

    from medcopilot.cli.console import table_console

    lines = [task.view.question]
    if task.view.context:
        lines.append(f"\n{task.view.context}")
    if task.view.data:
        lines.append("\ndata: " + ", ".join(f"/data/{file.name}" for file in task.view.data))
    lines.append(("" if task.view.data else "\n") + f"may submit: {', '.join(task.view.answer_kind)}")
    if keys:
        lines.append(f"\nreference: {json.dumps(task.key.reference, ensure_ascii=False)}  (grader {task.key.grader} "
                     f"{json.dumps(task.key.args, ensure_ascii=False)})")
        if task.key.gold:
            lines.append(f"gold ({task.key.gold_language}): {task.key.gold}")
    title = f"{task.id} · {task.category} · {task.template} · {task.slice}"
    table_console().print(Panel(Text("\n".join(lines)), title=title, title_align="left"))
