"""What every training stage shares around its trainer: threads, horizon, progress, metrics, resuming, the final checkpoint.

Promises: running a finished stage again does nothing, running an interrupted one resumes from its last complete state, and
changing the settings under either is refused with one sentence; the checkpoint appears whole; every log goes to
`metrics/<name>.jsonl` and from there to the trackers of the recipe; nothing is sent anywhere unless the recipe says so.
With several processes files are written by rank 0 alone, and the checkpoint has whole weights however the model was sharded.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from transformers import Trainer, TrainerCallback, set_seed
from transformers.trainer_callback import PrinterCallback
from transformers.utils.logging import disable_progress_bar, set_verbosity_error

from env.errors import UserError
from env.files import atomic_write
from medcopilot.jsonl import append_row
from medcopilot.train import parallel, provenance
from medcopilot.train.adapters import merged
from medcopilot.train.config import StageConfig, dump_config
from medcopilot.train.flops import FlopMeter, decoders, peak_flops
from medcopilot.train.folders import hold
from medcopilot.train.launch import Preempted, read_launch
from medcopilot.train.model import META, CheckpointMeta, read_meta
from medcopilot.train.optim import HorizonSchedule, make_optimizer
from medcopilot.train.preempt import MakeRoom
from medcopilot.train.settings import OptimizerConfig
from medcopilot.train.tracking import Tracker, check_tracking, forget

STATE = "complete.json"
"""Written last into a resumable state: without it the state is torn and is ignored."""


class StageResult(NamedTuple):
    """What a stage did."""

    checkpoint: Path
    steps: int
    tokens: int
    """Padded tokens of this start; a resumed stage counts from its resumption."""
    seconds: float
    loss: float | None
    """Last logged training loss; None when the stage had finished before."""

    @property
    def tokens_per_second(self) -> float:
        return self.tokens / self.seconds if self.seconds else 0.0


def prepare_torch(config: StageConfig) -> None:
    """Processes, threads and seeds. More threads than free cores are slower than one: the default is `OMP_NUM_THREADS`, else 1.

    Raises:
        UserError: a tracker is asked for that is not installed, or a launch that would become something else.
    """
    parallel.prepare(config)
    check_tracking(config)
    torch.set_num_threads(config.threads or int(os.environ.get("OMP_NUM_THREADS") or 1))
    disable_progress_bar()
    set_verbosity_error()  # it warns of tied weights as missing whenever a run resumes
    set_seed(config.seed)


class Horizon:
    """How far a run is: by steps, by seconds, or by whichever ends it first."""

    def __init__(self, steps: int | None, seconds: float | None) -> None:
        self.steps, self.seconds = steps, seconds
        self.share: Callable[[], float] | None = None
        """Fraction of the run that is done by a measure of its own, e.g. episodes; None: by steps and seconds only."""
        self.before = 0.0
        """Seconds that earlier starts of the run used."""
        self.started: float | None = None

    def start(self, before: float = 0.0) -> None:
        self.before, self.started = before, time.monotonic()

    def elapsed(self) -> float:
        """Seconds of training by this rank's clock, earlier starts included."""
        return self.before + (time.monotonic() - self.started if self.started is not None else 0.0)

    def progress(self, step: int, elapsed: float | None = None) -> float:
        """Fraction of the run that is done after `step` steps. Without `elapsed`, every rank must call it together."""
        by_steps = step / self.steps if self.steps else 0.0
        by_time = self._by_time(elapsed) if elapsed is not None or not self.timed else self._agreed()
        return min(1.0, max(by_steps, by_time))

    @property
    def timed(self) -> bool:
        """Whether something else than the number of steps ends the run."""
        return self.seconds is not None or self.share is not None

    def _by_time(self, elapsed: float | None = None) -> float:
        by_seconds = (self.elapsed() if elapsed is None else elapsed) / self.seconds if self.seconds else 0.0
        return max(by_seconds, self.share() if self.share is not None else 0.0)

    def _agreed(self) -> float:
        """What rank 0 says, so that all ranks stop and anneal alike."""
        if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
            return self._by_time()
        box = [self._by_time()]
        torch.distributed.broadcast_object_list(box, src=0)
        return box[0]


class Progress(TrainerCallback):
    """Progress line with time to go and output path, metric rows, time budget, completeness of saved states."""

    def __init__(self, config: StageConfig, horizon: Horizon) -> None:
        self.config, self.horizon = config, horizon
        self.tokens = 0
        """Padded tokens of this start."""
        self.tokens_before = 0
        """Those of earlier starts."""
        self.loss: float | None = None
        self.tracker: Tracker | None = None
        """Of the process that writes; None elsewhere and before training."""
        self._meters: list[FlopMeter] = []
        self._peak: float | None = None
        self._last = (0, 0.0, 0)
        """Step, seconds and tokens at the last row."""
        self._shown = 0.0

    def start(self, tracker: Tracker | None, model: Any, device: torch.device, step: int) -> None:
        """Training begins after `step` steps, on this device."""
        self.tracker, self._peak = tracker, peak_flops(device)
        self._last = (step, self.horizon.before, 0)
        self._meters = [FlopMeter(part) for part in decoders(model)] if tracker is not None else []  # of the one that writes

    def close(self) -> None:
        """Training has ended, one way or another."""
        for meter in self._meters:
            meter.close()
        if self.tracker is not None:
            self.tracker.close()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self.horizon.timed and self.horizon.progress(state.global_step) >= 1.0:
            control.should_training_stop = True

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        if not state.is_world_process_zero or not logs or "loss" not in logs:
            return
        self.loss = float(logs["loss"])
        if not math.isfinite(self.loss):
            raise UserError(f"{self.config.name}: the loss is not finite at step {state.global_step}: lower optimizer.lr and start "
                            "again")
        elapsed = self.horizon.elapsed()
        row = {"step": state.global_step, "seconds": round(elapsed, 2), "tokens": self.tokens_before + self.tokens,
               "progress": round(self.horizon.progress(state.global_step, elapsed), 4),
               **{key: value for key, value in logs.items() if key not in ("epoch", "num_tokens")},
               **self._speed(state.global_step, elapsed, logs.get("time/update"))}
        append_row(self.config.metrics, row)
        if self.tracker is not None:
            self.tracker.log(row)
        self._show(state.global_step, elapsed)

    def _speed(self, step: int, elapsed: float, update: float | None) -> dict[str, float]:
        """Tokens per second and MFU since the last row: over all of the time, and over that of updates where it is known.

        Args:
            update: mean seconds of an update in these steps.
        """
        before, seconds, tokens = self._last
        self._last = (step, elapsed, self.tokens)
        taken = [meter.take() for meter in self._meters]
        flops, hardware = sum(part[0] for part in taken), sum(part[1] for part in taken)
        found = {}
        for kind, spent in (("", elapsed - seconds), ("update_", (update or 0.0) * (step - before))):
            if spent > 0:
                found[f"speed/{kind}tokens_per_second"] = (self.tokens - tokens) / spent
                if self._peak:
                    found[f"speed/{kind}mfu"] = flops / spent / self._peak
                    found[f"speed/{kind}hfu"] = hardware / spent / self._peak
        return found

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.barrier()  # complete when every rank has written its part
        if state.is_world_process_zero:
            folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            atomic_write(folder / STATE, json.dumps({"seconds": self.horizon.elapsed(),
                                                       "tokens": self.tokens_before + self.tokens}))

    def _show(self, step: int, elapsed: float) -> None:
        tty = sys.stderr.isatty()
        now = time.monotonic()
        if not tty and now - self._shown < 10:
            return
        self._shown = now
        done = self.horizon.progress(step, elapsed)
        here = elapsed - self.horizon.before
        left = elapsed / done - elapsed if done else 0.0
        speed = self.tokens / here if here else 0.0
        line = (f"{self.config.name} {done:4.0%} step {step} loss {self.loss:.4f} {speed:,.0f} tok/s "
                f"{int(left) // 60}:{int(left) % 60:02d} left -> {self.config.checkpoint}")
        print(f"\r\x1b[2K{line}" if tty else line, end="" if tty else "\n", file=sys.stderr, flush=True)


class AllDone(Exception):
    """The state that was resumed is of the last step."""


class NothingLeft(TrainerCallback):
    """A run that was stopped between its last step and its checkpoint has no step to make; the library would make one more."""

    def __init__(self, horizon: Horizon) -> None:
        self.horizon = horizon

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step and self.horizon.progress(state.global_step) >= 1.0:
            raise AllDone


class StageTrainer(Trainer):
    """Mixed in before a TRL trainer: our optimiser and schedule, one GPU per process, no telemetry, no model cards."""

    stage_optimizer: OptimizerConfig
    horizon: Horizon

    def create_accelerator_and_postprocess(self) -> None:
        """Called before models are placed and before anything is wrapped, a reference included."""
        parallel.stay_on_one_gpu(self.args)
        super().create_accelerator_and_postprocess()
        parallel.keep_precision(self)
        parallel.shard_references(self)

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        if self.optimizer is None:
            self.optimizer = make_optimizer(self.model if model is None else model, self.possible(self.stage_optimizer))
        return self.optimizer

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        if self.lr_scheduler is None:
            inner = unwrapped(optimizer or self.optimizer)
            self.lr_scheduler = HorizonSchedule(inner, self.stage_optimizer, self.horizon.progress)
            self._created_lr_scheduler = True
        return self.lr_scheduler

    def possible(self, settings: OptimizerConfig) -> OptimizerConfig:
        """The settings, or what stands in for them where the wrapper rules them out, which is said."""
        if settings.name != "muon" or not self.is_deepspeed_enabled:
            return settings
        if self.is_world_process_zero():
            print(f"ZeRO hands the optimiser flat pieces, and muon needs whole matrices: adamw trains all weights at lr "
                  f"{settings.lr:g} instead", file=sys.stderr)
        return settings.model_copy(update={"name": "adamw"})

    def policy(self) -> Any:
        """The part of the trained module that the checkpoint holds."""
        return self.model

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """None: the card of a run is its report."""

    def _send_telemetry(self) -> None:
        """None: nothing leaves the machine."""


def unwrapped(optimizer: Any) -> torch.optim.Optimizer:
    """The optimiser inside accelerate's and DeepSpeed's wrappers."""
    while hasattr(optimizer, "optimizer"):
        optimizer = optimizer.optimizer
    return optimizer


def trainer_arguments(config: StageConfig, optimizer: OptimizerConfig, *, accumulation: int = 1) -> dict[str, Any]:
    """Arguments that every TRL config of ours shares."""
    return {
        "output_dir": str(config.work), "seed": config.seed, "data_seed": config.seed, "report_to": "none", "disable_tqdm": True,
        "bf16": config.bf16, "use_cpu": config.device == "cpu" or not torch.cuda.is_available(),
        "max_grad_norm": optimizer.clip, "gradient_accumulation_steps": accumulation,
        "learning_rate": optimizer.lr, "logging_steps": config.log_steps, "logging_nan_inf_filter": False,
        "save_strategy": "steps" if config.save_steps else "no", "save_steps": config.save_steps or 500, "save_total_limit": 2,
        "remove_unused_columns": False, "dataloader_pin_memory": torch.cuda.is_available(),
        "ddp_timeout": int(config.rank_seconds), "ddp_find_unused_parameters": False,
        "log_level_replica": "error",
    }


def prepare_frozen(trainer: Any, model: Any) -> Any:
    """A model that is only evaluated, on the trainer's device and sharded as its wrapper shards."""
    accelerator = trainer.accelerator
    if trainer.is_deepspeed_enabled:
        from trl.models import prepare_deepspeed

        return prepare_deepspeed(model, accelerator)
    if trainer.is_fsdp_enabled:
        return parallel.shard_frozen(model, accelerator)
    return accelerator.prepare_model(model, evaluation_mode=True)


def finished(config: StageConfig, recipe: str) -> bool:
    """Whether the stage's checkpoint is there already.

    Raises:
        UserError: it is there, but from other settings, data or parent.
    """
    return parallel.on_first(lambda: _finished(config, recipe))


def _finished(config: StageConfig, recipe: str) -> bool:
    if not (config.checkpoint / META).is_file():
        return False
    if read_meta(config.checkpoint).recipe != recipe:
        raise UserError(f"{config.checkpoint}: this stage has finished with other settings, data or parent: set another `name` or "
                        "`run`, or delete that folder to train again")
    if config.trial:
        shutil.rmtree(config.checkpoint)
        return False
    print(f"{config.name}: finished before -> {config.checkpoint}", file=sys.stderr)
    return True


def resumable(config: StageConfig, recipe: str) -> Path | None:
    """The last complete state of an interrupted stage, None for a fresh start.

    Raises:
        UserError: the interrupted stage had other settings or other processes, or another process is at it.
    """
    return parallel.on_first(lambda: _resumable(config, recipe))


def _resumable(config: StageConfig, recipe: str) -> Path | None:
    hold(config.work)
    record = config.work / "recipe.json"
    launch = str(read_launch())
    if record.is_file():
        before = json.loads(record.read_text(encoding="utf-8"))
        if before.get("recipe") != recipe:
            raise UserError(f"{config.work}: a run with other settings, data or parent was interrupted here: set another `name` or "
                            "`run`, or delete that folder to start again")
        states = [path for path in config.work.glob("checkpoint-*") if (path / STATE).is_file()]
        if states and before.get("launch", launch) != launch:
            raise UserError(f"{config.work}: the run that was interrupted here had {before['launch']}, and this one has {launch}: "
                            "start it as before, or delete that folder to start again")
        if states:
            return max(states, key=lambda path: int(path.name.split("-")[1]))
    forget(config, 0)
    shutil.rmtree(config.work, ignore_errors=True)
    atomic_write(record, json.dumps({"recipe": recipe, "launch": launch}))
    return None


def train(trainer: Any, config: StageConfig, horizon: Horizon, progress: Progress, state: Path | None) -> None:
    """Run the trainer to the end of the horizon, from `state` when the stage was interrupted.

    Raises:
        Preempted: it was told to make room, and has saved a state.
    """
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(parallel.SayWhatIsInForce(trainer, config.name))
    trainer.add_callback(progress)
    used = json.loads((state / STATE).read_text(encoding="utf-8")) if state else {"seconds": 0.0, "tokens": 0}
    step = int(state.name.split("-")[1]) if state else 0
    progress.tokens_before = used["tokens"]
    tracker = None
    if trainer.is_world_process_zero():
        forget(config, step)
        tracker = Tracker(config, used["seconds"])
    horizon.start(used["seconds"])
    progress.start(tracker, trainer.model, trainer.args.device, step)
    room = MakeRoom(config.grace_seconds)
    trainer.callback_handler.callbacks.insert(0, room)
    trainer.add_callback(NothingLeft(horizon))
    try:
        with room, contextlib.suppress(AllDone):
            trainer.train(resume_from_checkpoint=str(state) if state else None)
            if room.saved_at is not None:
                trainer.accelerator.wait_for_everyone()  # the end of one process ends the others: not before all have saved
    finally:
        progress.close()
    if sys.stderr.isatty():
        print(file=sys.stderr)
    if room.saved_at is not None and horizon.progress(room.saved_at) < 1.0:
        raise Preempted(f"{config.name}: told to make room, and stopped with a saved state after step {room.saved_at}; the same "
                        "command goes on from there")


def finish(trainer: Any, tokenizer: Any, config: Any, meta: CheckpointMeta) -> None:
    """Write the final checkpoint, whole and in `config.model.dtype`, and clear the resumable state. All ranks call it; rank 0
    writes."""
    with MakeRoom(config.grace_seconds):
        _write(trainer, tokenizer, config, meta)
    trainer.accelerator.wait_for_everyone()


def _write(trainer: Any, tokenizer: Any, config: Any, meta: CheckpointMeta) -> None:
    final = config.work / "final"
    model = parallel.whole_model(trainer.policy(), config.model.dtype)
    if model is not None:
        shutil.rmtree(final, ignore_errors=True)
        if hasattr(model, "merge_and_unload"):
            model = merged(model, config.model, config.work)
        model.save_pretrained(final)
        tokenizer.save_pretrained(final)
        atomic_write(final / "recipe.yaml", dump_config(config))
        atomic_write(final / META, meta.model_dump_json(indent=2) + "\n")
        record = provenance.read_provenance(config.work)
        if record is not None:
            provenance.seal(record, final)
        final.rename(config.checkpoint)
        shutil.rmtree(config.work)
        print(f"{config.name}: done -> {config.checkpoint}", file=sys.stderr)
