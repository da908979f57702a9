"""Our traces as Inspect logs: one log per run and dataset, one sample per task, one epoch per rollout.

Promises: messages, actions with their programs and observations, both grades, tokens, times, policy and config of every trace, in a
log that Inspect's own classes accept and its viewer opens; metrics are Inspect's own, over the graded samples alone: a masked
trace is a sample with an error and no score. The data-use gate (`log_export`) is asked for every dataset before anything of it is
written. The same traces give the same log under the same name.
Does not cover: token ids, masks and log-probabilities, which Inspect has no place for; the model calls' raw requests.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Literal, NamedTuple

from inspect_ai.log import EvalDataset, EvalLog, EvalPlan, EvalPlanStep, EvalSpec, EvalStats, recompute_metrics, write_eval_log
from inspect_ai.model import GenerateConfig, ModelUsage

from env.agreement import check
from env.errors import UserError
from medcopilot import __version__
from medcopilot.interop.samples import eval_sample
from medcopilot.runs import RunFolder, config_digest
from medcopilot.trace import Trace

Format = Literal["eval", "json"]
_METRICS = [{"name": "inspect_ai/accuracy"}, {"name": "inspect_ai/stderr", "options": {"cluster": "cluster"}}]


class Written(NamedTuple):
    """One log."""

    path: Path
    samples: int
    errors: int
    """Samples without a score: our machinery failed."""
    strict: float | None
    """Inspect's accuracy under the strict grader; None where nothing was graded."""
    paper: float | None


def export_run(folder: Path, out: Path, form: Format = "eval", datasets: tuple[str, ...] = ()) -> list[Written]:
    """Write the logs of one run. One dataset is held in memory at a time.

    Args:
        folder: run folder.
        out: folder of logs, made if needed.
        form: `eval` (compressed) or `json`.
        datasets: only these; empty: all.

    Raises:
        UserError: no run folder, no trace, or a dataset that it does not hold.
        AgreementError: a dataset's rows are under an agreement; nothing of it was written.
    """
    run = RunFolder.open(folder)
    if out.exists() and not out.is_dir():
        raise UserError(f"{out} is a file: give a folder for logs")
    run.index.refresh()
    held = sorted({row["dataset"] for row in run.index.rows()})
    if unknown := sorted(set(datasets) - set(held)):
        raise UserError(f"{folder} holds no trace of {', '.join(unknown)}: it has {', '.join(held) or 'none at all'}")
    if not held:
        raise UserError(f"{folder} holds no trace: let `medcopilot sample` play some first")
    written = []
    for dataset in datasets or held:
        traces = list(_traces(run, dataset))
        check("log_export", {(trace.dataset, trace.licence) for trace in traces})
        log = eval_log(run, dataset, traces)
        samples = log.samples or []
        written.append(Written(_write(log, out, form), len(samples), sum(sample.error is not None for sample in samples),
                               _accuracy(log, "strict"), _accuracy(log, "paper")))
    return written


def eval_log(run: RunFolder, dataset: str, traces: list[Trace]) -> EvalLog:
    """The log of one dataset's traces, with Inspect's metrics over them."""
    samples = [eval_sample(trace) for trace in traces]
    started, ended = min(trace.started for trace in traces), max(trace.started + trace.seconds for trace in traces)
    usage = [one for sample in samples for one in sample.model_usage.values()]
    policy = traces[0].policy
    step = EvalPlanStep(solver="medcopilot/play_episode", params={"dataset": dataset}, params_passed={"dataset": dataset})
    log = EvalLog(
        status="success", eval=_spec(run, dataset, traces), plan=EvalPlan(steps=[step], config=_sampling(run.config, traces)),
        stats=EvalStats(started_at=moment(started), completed_at=moment(ended),
                        model_usage={policy: sum(usage, ModelUsage())} if usage else {}), samples=samples)
    recompute_metrics(log)
    return log


def moment(seconds: float) -> str:
    """Unix time as ISO 8601, UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _accuracy(log: EvalLog, scorer: str) -> float | None:
    values = [score.metrics["accuracy"].value for score in (log.results.scores if log.results else ()) if score.name == scorer]
    return values[0] if values and math.isfinite(values[0]) else None


def _spec(run: RunFolder, dataset: str, traces: list[Trace]) -> EvalSpec:
    config, policy = run.config, traces[0].policy
    digest, name = config_digest(config), run.path.absolute().name
    made = config_digest({"config": digest, "run": name, "dataset": dataset})
    ids = list(dict.fromkeys(trace.task_id for trace in traces))
    about = {"run": name, "config": config, "config digest": digest, **_provenance(run)}
    return EvalSpec(
        created=moment(min(trace.started for trace in traces)), eval_id=made[:22], run_id=digest[:22],
        task_id=made[:22], task=f"medcopilot/{dataset}", task_registry_name=f"medcopilot/{dataset}", task_args=_plain(config),
        model=policy, model_generate_config=_sampling(config, traces),
        dataset=EvalDataset(name=dataset, samples=len(ids), sample_ids=ids),
        config={"epochs": max(trace.sample for trace in traces) + 1, "epochs_reducer": ["mean"]}, metadata=about,
        scorers=[{"name": name, "metrics": _METRICS} for name in ("strict", "paper")],
        packages={"inspect_ai": metadata.version("inspect_ai"), "medcopilot": __version__})


def _sampling(config: dict[str, Any], traces: list[Trace]) -> GenerateConfig:
    """The temperature at which all were sampled; none where there are several (each sample's own stands beside it): the setting
    is that of all rollouts but the first."""
    used = {trace.temperature for trace in traces}
    return GenerateConfig(temperature=used.pop() if len(used) == 1 else None, top_p=config.get("top_p"), seed=config.get("seed"))


def _plain(config: dict[str, Any]) -> dict[str, Any]:
    """The settings that an Inspect task of ours takes too."""
    return {name: config[name] for name in ("split", "slices", "seed", "profile", "protocol", "turns", "without", "stateful",
                                            "loop_guard", "sandbox") if config.get(name) not in (None, [], False)}


def _provenance(run: RunFolder) -> dict[str, Any]:
    try:
        summary = json.loads((run.path / "summary.json").read_text())
    except (OSError, ValueError):
        return {}
    return {name: summary[name] for name in ("version", "gym", "builds") if isinstance(summary, dict) and name in summary}


def _traces(run: RunFolder, dataset: str) -> Iterator[Trace]:
    """One dataset's traces by task and rollout, each from where the index says it lies."""
    for row in run.index.rows("dataset = ?", (dataset,), order="task_id, sample"):
        with (run.traces_dir / row["shard"]).open("rb") as handle:
            handle.seek(row["offset"])
            yield Trace.model_validate_json(handle.read(row["size"]))


def _write(log: EvalLog, out: Path, form: Format) -> Path:
    """Write beside and rename. The name has Inspect's form, TIME_TASK_ID, by which it lists logs."""
    stamp = re.sub(r"[:+]", "-", log.eval.created)
    path = out / f"{stamp}_{log.eval.task.replace('/', '-').replace('_', '-')}_{log.eval.task_id}.{form}"
    out.mkdir(parents=True, exist_ok=True)
    partial = out / f".{path.name}.partial"
    try:
        write_eval_log(log, partial, format=form)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path
