"""`medcopilot data`: where sources come from, task folders made of them or as synthetic twins, and whether files are unharmed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from medcopilot.cli.places import no_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from env.datasets import BuildRequest

app = typer.Typer(no_args_is_help=True, help="Obtain, build and verify datasets.")


@app.callback()
def group() -> None:
    """Obtain, build and verify datasets."""


@app.command(name="sources")
def sources(
    datasets: Annotated[list[str] | None, typer.Argument(metavar="DATASET...", help="datasets (default: all)")] = None,
) -> None:
    """Where the real source of a dataset comes from, under which terms, and what its folder has to hold.

    Nothing is downloaded: credentialed sources need your own account and signature. docs/data.md has the same on one page.
    """
    from env.datasets import get_dataset
    from env.datasets.access import ACCESS
    from env.errors import UserError

    for name in datasets or list(ACCESS):
        if name not in ACCESS:
            raise UserError(f"{get_dataset(name).name}: a dataset of your own has no published source")
        access = ACCESS[name]
        print(f"{name}")
        for what, where in access.fetch:
            print(f"  fetch: {what}\n         {where}")
        print(f"  terms: {access.terms}\n  folder: {access.folder}")
        if access.open_part:
            print(f"  without an agreement: {access.open_part}")


@app.command(name="verify")
def verify(
    datasets: Annotated[list[str] | None, typer.Argument(metavar="DATASET...", help="datasets (default: all built ones)")] = None,
    source: Annotated[Path | None, typer.Option(help="instead: a folder with a fetched source and its checksum files")] = None,
    root: Annotated[Path | None, typer.Option(help="data folder (default: $MEDCOPILOT_DATA or ./data)")] = None,
) -> None:
    """Compare files with their digests: built folders with their manifests, or a fetched source with its published checksums.

    Exit code 1 when a file differs or is missing.
    """
    from env.datasets.base import data_root
    from env.datasets.verify import verify_built, verify_source
    from env.errors import UserError
    from medcopilot.cli.progress import tell

    if source is not None:
        if datasets:
            raise UserError(f"option --source: is about fetched files, so leave out {datasets[0]}")
        found = [verify_source(source, lambda name: tell(f"checking {name}"))]
    else:
        base = root or data_root()
        built = {name: sorted(base.glob(f"{name}/*/manifest.json")) for name in datasets or ["*"]}
        if missing := [name for name, found_there in built.items() if not found_there]:
            raise UserError(f"{base}: no dataset is built there: run `medcopilot data build` first" if missing == ["*"] else
                            f"{base}: {missing[0]} is not built there: run `medcopilot data build {missing[0]}` first")
        folders = [path.parent for paths in built.values() for path in paths]
        found = [verify_built(folder, lambda name, folder=folder: tell(f"checking {folder.parent.name}/{name}"))
                 for folder in folders]
    for item in found:
        verdict = f"{len(item.problems)} problems" if item.problems else "unharmed"
        print(f"{item.folder}: {item.checked:,} files compared, {verdict}")
        if item.unlisted:
            print(f"  without a checksum: {len(item.unlisted):,}, e.g. {', '.join(item.unlisted[:3])}")
        for problem in item.problems:
            print(f"  {problem}")
    if any(item.problems for item in found):
        raise typer.Exit(1)


@app.command(name="build")
def build(
    datasets: Annotated[list[str] | None, typer.Argument(metavar="DATASET...", help="datasets (default: all)")] = None,
    every: Annotated[bool, typer.Option("--all", help="all datasets, which is what no name means, too")] = False,
    source: Annotated[Path | None, typer.Option(help="file or folder of the real source; without it: the synthetic twin")] = None,
    seed: Annotated[int, typer.Option(help="of the twin: same seed, same tasks")] = 0,
    train: Annotated[int | None, typer.Option(help="training tasks of the twin (default: the paper's count)")] = None,
    test: Annotated[int | None, typer.Option(help="test tasks of the twin (default: the paper's count)")] = None,
    patients: Annotated[int, typer.Option(help="patients per database of the twin; train and test have one each")] = 1000,
    option: Annotated[list[str] | None, typer.Option(help="NAME=VALUE, a choice of this dataset; repeat for several")] = None,
    root: Annotated[Path | None, typer.Option(help="data folder (default: $MEDCOPILOT_DATA or ./data)")] = None,
    jobs: Annotated[int, typer.Option(help="datasets built at once (0: one per core)", min=0)] = 0,
    json_file: Annotated[Path | None, typer.Option("--json", callback=no_folder, help="also write the manifests here")] = None,
) -> None:
    """Build datasets: databases, questions and, apart from them, the keys that only graders read.

    `medcopilot data build mimic_iii` makes the synthetic twin: 1,000 patients per database and as many tasks as the paper has.
    `medcopilot data build medcalcbench --source DIR` reads the real files instead; they stay where they are and nothing is
    downloaded. It says their terms, and compares them with the publisher's checksums where these lie beside them. A folder is
    complete or absent, so a build that was stopped is simply run again; what is there is not rebuilt.
    """
    import json
    import sys

    from env.datasets import BuildRequest, dataset_names, get_dataset
    from env.datasets.access import notice
    from env.errors import UserError
    from env.files import atomic_write
    from medcopilot.cli.bounds import check_request, options

    if every and datasets:
        raise UserError(f"option --all: means all datasets, so leave out {datasets[0]}, or leave out --all")
    names = datasets or dataset_names()
    if source is not None and len(names) != 1:
        raise UserError("option --source: belongs to one dataset, so name exactly one, "
                        "e.g. `medcopilot data build mimic_iii --source DIR`")
    known = [get_dataset(name) for name in names]  # unknown names are refused before anything is built
    request = check_request(BuildRequest, source=source, seed=seed, train=train, test=test, patients=patients,
                            options=options(option or []))
    if source is not None:
        if said := notice(names[0]):
            print(said, file=sys.stderr)
        if known[0].find(request, root) is None:
            _compare(names[0], source)
    manifests = []
    for manifest in _build([dataset.name for dataset in known], request, root, jobs):
        counts = manifest["counts"]
        print(f"{manifest['dataset']}: {counts['train']:,} train and {counts['test']:,} test tasks "
              f"({manifest['licence']}) in {manifest['folder']}", flush=True)
        manifests.append(manifest)
    if json_file is not None:
        atomic_write(json_file, json.dumps(manifests, indent=2))


def _compare(name: str, source: Path) -> None:
    """Say whether a source is what its publisher made, before it is built of.

    Raises:
        UserError: a file differs, or a checksum file is torn.
    """
    import sys

    from env.datasets.verify import checksum_files, verify_source
    from env.errors import UserError
    from medcopilot.cli.progress import tell

    if not source.is_dir() or not checksum_files(source):
        print(f"{name}: no checksum file (SHA256SUMS.txt, *.sha256, *.md5) lies in {source}: nothing was compared", file=sys.stderr)
        return
    found = verify_source(source, lambda file: tell(f"checking {file}"))
    if found.problems:
        more = f" ({len(found.problems) - 1} more like it)" if len(found.problems) > 1 else ""
        raise UserError(f"{name}: {found.problems[0]}{more}, or take the checksum file out of {source} to build of what is there")
    print(f"{name}: {found.checked:,} files compared with their published checksums, unharmed; {len(found.unlisted):,} without one",
          file=sys.stderr)


def _build(names: list[str], request: BuildRequest, root: Path | None, jobs: int) -> Iterator[dict[str, Any]]:
    """Manifests, with their folders, as they are finished; several datasets are built in processes of their own."""
    import multiprocessing
    import os
    from concurrent.futures import ProcessPoolExecutor, as_completed

    from medcopilot.cli.stages import stage_progress

    jobs = min(jobs or os.cpu_count() or 1, len(names))
    if jobs < 2:
        for name in names:
            with stage_progress(f"building {name}") as progress:
                yield build_one(name, request, root, progress)
        return
    context = multiprocessing.get_context("spawn")
    with (ProcessPoolExecutor(jobs, mp_context=context, initializer=_end_with_parent) as pool,
          stage_progress("building datasets") as progress):
        futures = [pool.submit(build_one, name, request, root) for name in names]
        try:
            for done, future in enumerate(as_completed(futures), start=1):
                progress("datasets", done, len(names))
                yield future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _end_with_parent() -> None:
    """A build whose command is killed ends too: nobody would wait for it."""
    import multiprocessing
    import os
    import threading

    def watch() -> None:
        parent = multiprocessing.parent_process()
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def build_one(name: str, request: BuildRequest, root: Path | None, progress: Any = lambda *_: None) -> dict[str, Any]:
    """Build one dataset, in whatever process this is; its manifest, with its folder."""
    from env.datasets import get_dataset

    built = get_dataset(name).build(request, root, progress)
    return {**built.manifest, "folder": str(built.folder)}
