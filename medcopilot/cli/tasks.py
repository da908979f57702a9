"""`medcopilot tasks`: which datasets there are, what is built, and what their tasks look like."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from medcopilot.cli.places import no_folder

if TYPE_CHECKING:
    from env.datasets import Built, Dataset
    from env.task import Task

class _ShowByDefault(TyperGroup):
    """`medcopilot tasks mimic_iii` is short for `medcopilot tasks show mimic_iii`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args or (args[0] not in self.commands and args[0] != "--help"):
            args = ["show", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(cls=_ShowByDefault, help="List the datasets, look at tasks, count them, or start a dataset of your own.")


@app.command("show")
def show(
    dataset: Annotated[str | None, typer.Argument(help="show tasks of this dataset; without it: list all datasets")] = None,
    split: Annotated[str, typer.Option(help="train or test")] = "test",
    limit: Annotated[int, typer.Option(help="how many tasks to show", min=1)] = 5,
    category: Annotated[str | None, typer.Option(help="only tasks of this category")] = None,
    keys: Annotated[bool, typer.Option("--keys", help="show reference and gold program too")] = False,
    folder: Annotated[str | None, typer.Option(help="name of the built folder (default: the newest)")] = None,
    root: Annotated[Path | None, typer.Option(help="data folder (default: $MEDCOPILOT_DATA or ./data)")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", callback=no_folder, help="also write what is shown here")] = None,
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


@app.command("stats")
def stats(
    dataset: Annotated[list[str] | None, typer.Argument(metavar="DATASET...", help="datasets (default: all built ones)")] = None,
    root: Annotated[Path | None, typer.Option(help="data folder (default: $MEDCOPILOT_DATA or ./data)")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", callback=no_folder, help="also write everything counted here")] = None,
    picture_file: Annotated[Path | None, typer.Option("--picture", help="also draw it: a .png or .svg file")] = None,
) -> None:
    """Count tasks, categories and templates, and what of the test split training has seen.

    Of each dataset the newest built folder is read. `exact`: test questions that training asks too; `masked`: the same but for
    their numbers; `10-grams`: mean share of a question's ten-word windows that occur in training.
    """
    import json

    from env.datasets import dataset_names, get_dataset, other_names
    from env.datasets.base import data_root
    from env.errors import UserError
    from env.files import atomic_write
    from medcopilot.cli.console import table_console
    from medcopilot.cli.stages import stage_progress
    from medcopilot.inventory.stats import dataset_stats, newest, picture, summary

    base = root or data_root()
    known = {name: get_dataset(name) for name in dataset or [*dataset_names(), *other_names()]}
    builts = newest(base, known)
    if missing := [name for name in dataset or [] if name not in builts]:
        raise UserError(f"dataset {missing[0]!r} is not built under {base}: run `medcopilot data build {missing[0]}` first")
    if not builts:
        raise UserError(f"nothing is built under {base}: run `medcopilot data build --all` first")
    rows = {}
    with stage_progress("counting tasks") as progress:
        for done, (name, built) in enumerate(builts.items(), start=1):
            rows[name] = dataset_stats(known[name], built)
            progress(name, done, len(builts))
    document = summary(rows)
    table_console().print(_stats_table(document))
    if json_file is not None:
        atomic_write(json_file, json.dumps(document, indent=2))
    if picture_file is not None:
        picture(rows, picture_file)


def _stats_table(document: dict[str, Any]) -> Any:
    from rich.table import Table

    table = Table(title=f"{document['total_tasks']:,} distinct tasks, {document['total_categories']} categories, "
                        f"{document['total_datasets']} datasets",
                  caption="last three, in % of the test slices in the order of their names: what training knows of them")
    for column in ("dataset", "train / test", "paper", "categories", "templates", "top answer", "exact", "masked", "10-grams"):
        table.add_column(column, justify="left" if column == "dataset" else "right", no_wrap=True)
    for name, row in document["datasets"].items():
        shares = [" / ".join(f"{100 * part[field]:.0f}" for _, part in sorted(row["overlap"].items()))
                  for field in ("exact", "masked", "mean_grams")]
        counts, paper = (" / ".join(f"{row[key][split]:,}" for split in ("train", "test")) for key in ("counts", "paper_counts"))
        table.add_row(name, counts, paper, str(len(row["categories"])), f"{row['templates']:,}",
                      f"{max(row['largest_answer_share'].values()):.1%}", *shares)
    return table


@app.command("init")
def init(
    name: Annotated[str, typer.Argument(help="of the new dataset: lower-case letters, digits and _")],
    family: Annotated[str | None, typer.Option(help="sql, calc, text, code, ml or fhir (default: sql)")] = None,
    python: Annotated[bool, typer.Option("--python", help="a Python class instead of a YAML file")] = False,
    folder: Annotated[Path, typer.Option(help="where it is written")] = Path("datasets"),
) -> None:
    """Write a small working dataset to start from: its rows, its description and a test.

    A dataset is one YAML file and its rows; `medcopilot` finds it in ./datasets, or in the folders that MEDCOPILOT_DATASETS
    names. What needs more than rows is one Python file, registered by an entry point of your own package.
    """
    from env.errors import UserError
    from medcopilot.starter import write_starter

    if python and family is not None:
        raise UserError("option --family: is for a YAML file, so leave out --python, or leave out --family")
    for path in write_starter(name, folder, python=python, family=family or "sql"):
        print(path)


def _built_folders(base: Path, name: str) -> list[Path]:
    """Complete folders of a dataset, newest first."""
    found = [path.parent for path in (base / name).glob("*/manifest.json")]
    return sorted(found, key=lambda path: (path / "manifest.json").stat().st_mtime, reverse=True)


def _list_datasets(base: Path) -> list[dict[str, Any]]:
    from rich.table import Table

    from env.datasets import Built, dataset_names, get_dataset, other_names
    from medcopilot.cli.console import table_console

    table = Table(title=f"Datasets (built under {base})")
    for column in ("dataset", "what", "train / test in the paper", "licence of the source", "built here: train / test"):
        table.add_column(column, overflow="fold", no_wrap=column == "dataset")
    rows = []
    for name in [*dataset_names(), *other_names()]:
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
        lines.append("\ndata: " + ", ".join(f"/data/{file.name}" for file in task.view.data if file.kind != "fhir"))
    lines.append(("" if task.view.data else "\n") + f"may submit: {', '.join(task.view.answer_kind)}")
    if keys:
        lines.append(f"\nreference: {json.dumps(task.key.reference, ensure_ascii=False)}  (grader {task.key.grader} "
                     f"{json.dumps(task.key.args, ensure_ascii=False)})")
        if task.key.gold:
            lines.append(f"gold ({task.key.gold_language}): {task.key.gold}")
    title = f"{task.id} · {task.category} · {task.template} · {task.slice}"
    table_console().print(Panel(Text("\n".join(lines)), title=title, title_align="left"))
