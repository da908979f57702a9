"""The plan of a recipe on given hardware: bytes per GPU by part, whether that fits, seconds per step, hours.

Promises: `plan` is a pure function of recipe, hardware and assumptions; it needs neither torch nor a GPU nor the network. What
fits is a layout that the commands really start: sampling has one engine on one GPU, and a trainer has a server for each rank.
Does not cover: what would fit instead (`search`).
"""

from __future__ import annotations

from typing import NamedTuple

from env.errors import UserError
from medcopilot.plan import memory, speed
from medcopilot.plan.assumptions import ASSUMED, GIB, NODE, Assumptions, Gpu, gpu
from medcopilot.plan.calibration import Calibration
from medcopilot.plan.memory import Parts, Wrapper
from medcopilot.plan.recipe import IMPROVE, SAMPLED, WRAPPERS, Recipe, device_of
from medcopilot.plan.sampling import idle
from medcopilot.plan.speed import Seconds
from medcopilot.plan.workload import Engine, Workload, workload


class Hardware(NamedTuple):
    """What a plan is for."""

    gpu: str
    """Key of `assumptions.GPUS`."""
    gpus: int
    launch: str
    """Key of `recipe.WRAPPERS`: the accelerate configuration."""


class Plan(NamedTuple):
    """What a recipe needs."""

    recipe: Recipe
    hardware: Hardware
    world: int
    """Processes that train, one per GPU."""
    servers: int
    """GPUs that only generate."""
    load: Workload
    parts: Parts
    capacity: float
    """Bytes of one GPU."""
    problems: tuple[str, ...]
    """Why it does not fit; none: it does."""
    seconds: Seconds | None
    steps: float | None
    hours: float | None
    sequences: float | None
    """At full length that the engine's cache holds."""
    calibrated: bool
    spread: float
    before: float = 0.0
    """Of the hours, those before the first step."""
    commands: tuple[tuple[str, Plan], ...] = ()
    """Of self-improvement: its steps by their names. Hours are their sum, everything else is that of the heaviest."""

    @property
    def fits(self) -> bool:
        return not self.problems


def hardware_of(recipe: Recipe, gpu_name: str | None = None, gpus: int | None = None, launch: str | None = None) -> Hardware:
    """The header's, or what is asked for. One GPU trains alone unless a launch is named; several never do.

    Raises:
        UserError: an unknown name, or no GPU.
    """
    count = recipe.gpus if gpus is None else gpus
    if count < 1:
        raise UserError("--gpus must be at least 1")
    if launch is not None and launch not in WRAPPERS:
        raise UserError(f"--launch {launch}: choose among {', '.join(WRAPPERS)} (accelerate_configs/*.yaml)")
    if launch is None:
        launch = "single" if count == 1 else recipe.launch if recipe.launch != "single" else "ddp"
    elif launch == "single" and count > 1:
        raise UserError(f"--launch single trains on one GPU and --gpus says {count}: choose ddp, zero2, zero3 or fsdp2")
    name = device_of(gpu_name or recipe.gpu)
    gpu(name)
    return Hardware(name, count, launch)


def plan(recipe: Recipe, hardware: Hardware, assumed: Assumptions = ASSUMED, *, calibration: Calibration | None = None,
         model: str | None = None, rows: int | None = None) -> Plan:
    """Everything about one recipe on one kind of machine.

    Raises:
        UserError: a model whose shape is not known, or fewer GPUs than servers and a trainer need.
    """
    if recipe.stage == IMPROVE:
        from medcopilot.plan.improvement import improvement

        return improvement(recipe, hardware, assumed, calibration=calibration, model=model, rows=rows)
    if recipe.stage in SAMPLED:
        asked, hardware = hardware.gpus, Hardware(hardware.gpu, 1, "single")
    else:
        asked = 1
    device, wrapper = gpu(hardware.gpu), WRAPPERS[hardware.launch]
    servers = getattr(getattr(recipe.config, "engine", None), "servers", None)
    apart = len(servers.urls) if servers is not None else 0
    world = hardware.gpus - apart
    if world < 1:
        raise UserError(f"{recipe.path}: engine.servers.urls names {apart} servers, each with a GPU of its own, and --gpus "
                        f"{hardware.gpus} leaves none to train on")
    load = workload(recipe, wrapper, world, assumed, model=model, rows=rows)
    if load.engine is not None:
        load = load._replace(notes=(*load.notes, *idle(asked)))
    found = memory.parts(load.roles, wrapper, world) if load.roles else Parts(*[0.0] * 7)
    if calibration is not None:
        found = found._replace(activations=found.activations * calibration.memory, working=found.working * calibration.memory)
    found, sequences, problems = _with_engine(load, found, device, wrapper, apart, assumed)
    contexts = int(load.engine is not None and not apart) + bool(load.roles)
    found = found._replace(reserve=contexts * assumed.context + assumed.fragments * found.tensors)
    if 0 < apart < world:
        problems = (f"engine.servers.urls names {apart} servers for {world} ranks, and each rank needs one of its own: name at "
                    f"least {-(-hardware.gpus // 2)} with --gpus {hardware.gpus}, or take --gpus {2 * apart}", *problems)
    if found.total > device.memory:
        problems = (f"needs {found.total / GIB:.1f} GiB of {device.memory / GIB:.1f} GiB on each GPU", *problems)
    seconds, hours, before = _time(load, device, wrapper, world, apart, sequences, assumed, calibration, recipe.stage)
    return Plan(recipe, hardware, world, apart, load, found, device.memory, problems, seconds, load.steps, hours, sequences,
                calibration is not None, 1.25 if calibration is not None else assumed.spread, before)


def _with_engine(load: Workload, found: Parts, device: Gpu, wrapper: Wrapper, apart: int, assumed: Assumptions
                 ) -> tuple[Parts, float | None, tuple[str, ...]]:
    """An engine beside the trainer or on GPUs of its own, and how many sequences its cache holds at full length."""
    engine = load.engine
    if engine is None:
        return found, None, ()
    weights = float(load.arch.parameters() * engine.weights)
    each = float(2 * load.arch.layers * load.arch.keys * engine.weights * engine.context)
    if engine.kind == "transformers":
        own = wrapper in ("ZeRO-3", "FSDP2") or load.roles[0].numbers.trained == "lora"
        own = own or load.roles[0].numbers.weights != engine.weights
        cache = min(engine.slots, 128) * each
        return found._replace(engine_weights=weights if own else 0.0, engine_cache=cache), float(engine.slots), ()
    share = engine.share * device.memory
    sequences = (share - weights - assumed.engine) / each
    problems = () if sequences >= 1 else (
        f"the engine's share of {share / GIB:.1f} GiB does not hold its weights ({weights / GIB:.1f} GiB), "
        f"{assumed.engine / GIB:.0f} GiB to compute in and one sequence of {engine.context:,} tokens ({each / GIB:.1f} GiB)",)
    if engine.copies > 1:
        problems = (f"workers: {engine.copies} processes load an engine each, all on the same GPU, of which each wants "
                    f"{engine.share:.0%}: set backend=local, or sample from servers (served:FOLDER@URL,URL,...)", *problems)
    if apart:
        return found, max(0.0, sequences), problems
    return found._replace(engine_weights=weights, engine_cache=max(0.0, share - weights)), max(0.0, sequences), problems


def _time(load: Workload, device: Gpu, wrapper: Wrapper, world: int, apart: int, sequences: float | None, assumed: Assumptions,
          calibration: Calibration | None, stage: str) -> tuple[Seconds | None, float | None, float]:
    """Of a step, of the run in hours, and those of them before its first step, which the clock of `max_seconds` does not count."""
    engine, rollouts = load.engine, load.rollouts
    if engine is not None and rollouts is not None:
        if sequences is not None and engine.kind != "transformers":
            slots = int(max(1.0, min(float(engine.slots), sequences * engine.context / load.lengths.mean)))
            engine = engine._replace(slots=slots)
        if apart:
            rollouts = rollouts._replace(episodes=rollouts.episodes * world / apart,
                                         concurrency=rollouts.concurrency * world // apart)
        load = load._replace(engine=engine, rollouts=rollouts)
    if load.work is None:
        return None, _sampling_hours(load, device, engine, assumed), 0.0
    share = calibration.utilisation.get(stage) if calibration is not None else None
    if share is None:
        share = device.utilisation * (assumed.online if load.rollouts is not None else 1.0)
    found = speed.seconds(load, device, wrapper, world, assumed, share)
    hours = None if load.steps is None else load.steps * found.step / 3600
    if load.seconds is not None:
        hours = min(hours if hours is not None else load.seconds / 3600, load.seconds / 3600)
    before = speed.evaluation(load, device.flops * share) / 3600
    return found, hours if hours is None else hours + before, before


def _sampling_hours(load: Workload, device: Gpu, engine: Engine | None, assumed: Assumptions) -> float | None:
    if engine is None or load.rollouts is None:
        return None
    return speed.generation(load.arch, engine, device, load.rollouts, load.lengths, assumed, assumed.wait) / 3600


def nodes(hardware: Hardware) -> int:
    """Machines of eight GPUs."""
    return -(-hardware.gpus // NODE)
