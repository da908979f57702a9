"""What the demo and the studies are made of: the product's own commands, recipes and sampling, one after another.

Promises: every step is a command or recipe that a person could type; a step that finished is marked with its seconds and not
done again; a step ends with whoever waits for it, however that ends.
Does not cover: what the steps are (`medcopilot.demo`, `medcopilot.studies`, `medcopilot.improve`).
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from env.datasets import BuildRequest
from env.errors import UserError
from env.files import atomic_write
from medcopilot import project
from medcopilot.train.launch import end_with_launcher

ROOT = project.checkout() or Path.cwd()
"""The checkout; where medcopilot is installed, the folder in which the command was given."""
DATASETS = ("mimic_iii", "medcalcbench")
OPTIONS = {"mimic_iii": {"templates": "core"}, "medcalcbench": {"calculators": "core"}}
"""Choices of a dataset: 76 templates and 39 calculators are what a policy of two million parameters can learn, and what published
runs used."""
TOKENIZER_ENTRIES = 2048


_kept: list[int] = []
"""Open files that a step inherits: the locks of `alone`."""


def run_step(folder: Path, name: str, label: str, step: Callable[[], object]) -> float:
    """Do `step` unless `folder/<name>.json` says that it was done. Returns its seconds."""
    mark = folder / f"{name}.json"
    if mark.exists():
        print(f"{label}: done before", flush=True)
        return float(json.loads(mark.read_text())["seconds"])
    print(f"{label} ...", flush=True)
    clock = time.monotonic()
    step()
    seconds = round(time.monotonic() - clock, 1)
    atomic_write(mark, json.dumps({"step": name, "seconds": seconds}))
    print(f"{label}: {seconds:.0f} s", flush=True)
    return seconds


def claim(path: Path, settings: dict[str, Any]) -> None:
    """Write the settings of a run, or refuse to go on under others.

    Raises:
        UserError: the file holds other settings.
    """
    text = json.dumps(settings, indent=2, sort_keys=True)
    if path.exists() and path.read_text() != text:
        raise UserError(f"{path} was written with other settings: delete {path.parent} or give another --out")
    atomic_write(path, text)


@contextmanager
def alone(folder: Path, patience: float = 60.0) -> Iterator[None]:
    """Nobody else does steps in this folder, the last step of one who was killed included: it inherits the lock.

    Args:
        patience: seconds to wait for such a step to end.

    Raises:
        UserError: somebody else still does.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".steps.lock").open("a") as handle:
        deadline = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise UserError(f"{folder}: another process is at work here: wait for it, or stop it and run again") from None
                time.sleep(0.2)
        _kept.append(handle.fileno())
        try:
            yield
        finally:
            _kept.remove(handle.fileno())


def requests(**counts: Any) -> dict[str, BuildRequest]:
    """What to build of each dataset of the demo and the studies (see `BuildRequest` for `counts`)."""
    return {name: BuildRequest(options=OPTIONS.get(name, {}), **counts) for name in DATASETS}


def build_datasets(builds: Mapping[str, BuildRequest]) -> None:
    """Build every dataset that is not there."""
    from env.datasets import get_dataset
    from medcopilot.cli.stages import stage_progress

    for name, request in builds.items():
        with stage_progress(name) as progress:
            built = get_dataset(name).build(request, progress=progress)
        print(f"    {name}: {built.manifest['counts']} in {built.folder}", flush=True)


def sample(out: Path, policy: str | Path, builds: Mapping[str, BuildRequest], **options: Any) -> Path:
    """Play episodes in the nano profile (see `medcopilot.rollout.sample.SampleConfig` for `options`)."""
    from medcopilot.cli.progress import sampling_progress
    from medcopilot.rollout.sample import sample_run
    from medcopilot.rollout.settings import SampleConfig

    config = SampleConfig(out=out, policy=str(policy), datasets=tuple(builds), builds=dict(builds), profile="nano",
                          **{"concurrency": 64, "threads": 1, **options})
    with sampling_progress(f"    {out.name}") as (progress, _):
        return sample_run(config, progress)


def validate(out: Path, builds: Mapping[str, BuildRequest], limit: int, seed: int) -> None:
    """`medcopilot validate` on each dataset, their results as one document."""
    documents = []
    for name, request in builds.items():
        part = out.with_name(f"{out.stem}-{name}.json")
        options = [word for key, value in request.options.items() for word in ("--option", f"{key}={value}")]
        command("validate", "--dataset", name, *options, "--limit", limit, "--train", request.train, "--test", request.test,
                "--patients", request.patients, "--seed", seed, "--build-seed", request.seed, "--json", part)
        documents.append(json.loads(part.read_text()))
        part.unlink()
    whole = {**documents[0], "breaches": sum(document["breaches"] for document in documents),
             "datasets": [row for document in documents for row in document["datasets"]]}
    atomic_write(out, json.dumps(whole, indent=2))


def expert_rows(out: Path) -> None:
    """The expert's episodes under `out` as SFT rows, with a nano tokenizer fitted to them."""
    command("export", "sft", out / "expert", "--out", out / "data" / "sft.jsonl", "--tokenizer", out / "tokenizer",
            "--new-tokenizer", TOKENIZER_ENTRIES)


def random_weights(tokenizer: Path, checkpoint: Path, seed: int) -> None:
    """The nano policy before any training: the weights that SFT with this seed starts from."""
    from medcopilot.train.model import CheckpointMeta, new_nano, save_checkpoint
    from medcopilot.train.provenance import Provenance, seal
    from medcopilot.train.tokenizer import load_tokenizer

    loaded = load_tokenizer(tokenizer)
    save_checkpoint(new_nano(loaded, seed=seed), loaded, checkpoint, CheckpointMeta(profile="nano", stage="base"))
    seal(Provenance(bases=(f"random weights, seed {seed}",)), checkpoint)


def command(*words: object) -> None:
    """One `medcopilot` command in a process of its own."""
    call(command_words(*words), 1)


def command_words(*words: object) -> list[str]:
    """A `medcopilot` command as a process is started with it."""
    return [sys.executable, "-m", "medcopilot.cli.main", *map(str, words)]


def recipe(stage: str, threads: int, *overrides: str) -> None:
    """One training recipe with its nano settings, in a process of its own."""
    words = recipe_words(stage, project.shared() / "recipes" / "nano" / f"{stage}.yaml")
    call([*words, f"threads={threads}", "prepare=null", *overrides], threads)


def recipe_words(stage: str, file: Path, launch: Sequence[str] = ()) -> list[str]:
    """The command of a training recipe. `launch`: the words before it, in place of this interpreter."""
    return [*(launch or [sys.executable]), str(project.shared() / "recipes" / f"{stage}.py"), "--config", str(file)]


def grpo(threads: int, builds: Mapping[str, BuildRequest], checkpoint: Path, *overrides: str) -> None:
    """The recipe of GRPO on these data, from this checkpoint."""
    data = json.dumps({name: request.model_dump(mode="json") for name, request in builds.items()})
    recipe("grpo", threads, f"builds={data}", f"model.checkpoint={checkpoint}", *overrides)


def end_on_sigterm() -> None:
    """Let SIGTERM end this process as an exception would, the step that it waits for included."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def call(words: Sequence[str], threads: int) -> None:
    """One process, to its end.

    Raises:
        UserError: it failed; its own message stands above.
    """
    # PASSIVE: OpenMP threads that spin while they wait take the cores from sandboxes
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE", "HF_HUB_OFFLINE": "1",
                   "TOKENIZERS_PARALLELISM": "false"}
    with subprocess.Popen(words, env=environment, pass_fds=_kept, preexec_fn=end_with_launcher) as process:
        try:
            code = process.wait()
        except BaseException:  # whoever stops us means the step, too
            process.terminate()
            raise
    if code:
        raise UserError(f"`{' '.join(words[1:4])} ...` stopped with exit code {code}: see its message above; running again resumes")
