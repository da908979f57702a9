"""Several processes that train one model: what is really in force, and whole weights out of parts.

Promises: before the first step every launch with more than one process, or with a sharding configuration, looks at the wrapped
model and says in one line what it found (`sft: 2 processes, ZeRO-3 (30 of 30 parameters partitioned)`); anything else than what the
launch asked for ends the run with exit code 2. `whole_weights` gathers a model however it is sharded. What only one process may do
happens on rank 0, and its refusals reach all.
Does not cover: tensor, pipeline and context parallelism; FSDP in its first version.
"""

from __future__ import annotations

import atexit
import copy
import datetime
import os
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar

import torch
from torch.nn.parallel import DistributedDataParallel
from transformers import TrainerCallback

from env.errors import UserError
from medcopilot.train import launch as start
from medcopilot.train.config import StageConfig
from medcopilot.train.launch import Launch, read_launch

T = TypeVar("T")


class InForce(NamedTuple):
    """What a wrapped model is."""

    wrapper: str
    """As in `Launch.wrapper`."""
    parts: int
    """Parameters (ZeRO-1 and 2: weights whose optimiser state) lie partly elsewhere."""
    total: int
    what: str
    """What `parts` counts."""


def prepare(config: StageConfig) -> Launch:
    """Once per process, before anything of TRL or accelerate is made: the group on CPUs, and what CPUs need."""
    launch = read_launch()
    cpu = config.device == "cpu" or not torch.cuda.is_available()
    if cpu:
        os.environ.setdefault("DS_ACCELERATOR", "cpu")  # DeepSpeed looks for a device, and warns when it finds none
    if launch.plain:
        return launch
    if launch.processes > 1:
        start.end_with_launcher()
    # said at every gather by DeepSpeed's calls of torch
    warnings.filterwarnings("ignore", message=r"`torch\.distributed\.\w+` is deprecated", category=FutureWarning)
    if cpu and launch.wrapper.startswith("ZeRO"):
        _without_compiling()
    if cpu and launch.wrapper == "FSDP2":
        from medcopilot.train import fsdp_cpu

        fsdp_cpu.apply()
    if cpu:
        os.environ.setdefault("ACCELERATE_TORCH_DEVICE", "cpu")  # not cpu:0 and cpu:1, where torch cannot restore a state to
    if cpu and launch.processes > 1 and not torch.distributed.is_initialized():
        # on accelerators accelerate makes it, with the same limit
        torch.distributed.init_process_group("gloo", timeout=datetime.timedelta(seconds=config.rank_seconds))
    return launch


def _without_compiling() -> None:
    """DeepSpeed would compile a shared-memory reduction for inference when it starts: half a minute, a compiler, and a lock file
    that a killed process leaves behind. Training does not use it."""
    import deepspeed

    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False


def stay_on_one_gpu(arguments: Any) -> None:
    """One process that sees several GPUs trains on the first, and says so. transformers would spread it over all by
    `nn.DataParallel`, which TRL refuses and an actor-critic does not survive: several GPUs want a process each."""
    if arguments.n_gpu > 1:
        print(f"one process trains on the first of {arguments.n_gpu} GPUs: to use them all, start it with `accelerate launch "
              "--config_file accelerate_configs/...`, as the recipe's header says", file=sys.stderr, flush=True)
        arguments._n_gpu = 1


class SayWhatIsInForce(TrainerCallback):
    """Checks and prints the wrapper when the trainer has wrapped the model."""

    def __init__(self, trainer: Any, name: str) -> None:
        self.trainer, self.name = trainer, name

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        launch = read_launch()
        if launch.plain:
            return
        found = in_force(self.trainer.model_wrapped)
        check(launch, found)
        if launch.rank == 0:
            counted = f" ({found.parts:,} of {found.total:,} {found.what})" if found.what else ""
            print(f"{self.name}: {launch}{counted}", file=sys.stderr, flush=True)


def keep_precision(trainer: Any) -> None:
    """FSDP2 under bfloat16: compute in it, but add gradients in float32 and leave the loss as it is; accelerate rounds both."""
    plugin = getattr(trainer.accelerator.state, "fsdp_plugin", None)
    if plugin is not None and plugin.mixed_precision_policy is not None:
        from torch.distributed.fsdp import MixedPrecisionPolicy

        plugin.mixed_precision_policy = MixedPrecisionPolicy(param_dtype=plugin.mixed_precision_policy.param_dtype,
                                                             reduce_dtype=torch.float32)


def shard_frozen(model: Any, accelerator: Any) -> Any:
    """A model that is only evaluated, under FSDP2, layer by layer as accelerate shards the trained one. TRL's `prepare_fsdp` alone
    makes one unit of it: every forward pass would gather all of its weights at once, twice over while they are copied out.

    Args:
        model: its `_no_split_modules` name the classes of its layers.
    """
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
    from trl.models import prepare_fsdp

    plugin, mesh = accelerator.state.fsdp_plugin, getattr(accelerator, "torch_device_mesh", None)
    layers = [part for part in model.modules() if type(part).__name__ in (model._no_split_modules or ())]
    for module in layers if plugin.fsdp_version == 2 else ():
        fully_shard(module, reshard_after_forward=plugin.reshard_after_forward, offload_policy=plugin.cpu_offload,
                    mp_policy=plugin.mixed_precision_policy or MixedPrecisionPolicy(),
                    mesh=mesh[tuple(accelerator.parallelism_config.fsdp_dim_names)] if mesh is not None else None)
    return prepare_fsdp(model, accelerator)  # what lies outside the layers


def shard_references(trainer: Any) -> None:
    """The reference that TRL's trainer makes and wraps itself (GRPO with a KL term, DPO without an adapter) is sharded so too."""
    if getattr(trainer, "is_fsdp_enabled", False):
        for module in {sys.modules[parent.__module__] for parent in type(trainer).__mro__}:
            if hasattr(module, "prepare_fsdp"):
                module.prepare_fsdp = shard_frozen  # type: ignore[attr-defined]


def in_force(model: Any) -> InForce:
    """What the wrapped model really is, read from its parameters."""
    if hasattr(model, "zero_optimization_stage"):
        return _zero(model)
    from torch.distributed.tensor import DTensor

    if isinstance(model, DistributedDataParallel):
        return InForce("DDP", 0, 0, "")
    parameters = list(model.parameters())
    tensors = [p for p in parameters if isinstance(p, DTensor)]
    if tensors:
        parts = sum(any(place.is_shard() for place in p.placements) and p.to_local().numel() < p.numel() for p in tensors)
        return InForce("FSDP2", parts, len(parameters), "parameters sharded")
    return InForce("none", 0, 0, "")


def _zero(engine: Any) -> InForce:
    """A DeepSpeed engine: its stage, and that something is really partitioned."""
    stage = int(engine.zero_optimization_stage())
    parameters = list(engine.module.parameters())
    if stage == 3:
        parts = sum(hasattr(p, "ds_id") and p.ds_tensor is not None and p.ds_tensor.numel() < p.ds_numel for p in parameters)
        return InForce("ZeRO-3", parts, len(parameters), "parameters partitioned")
    if stage:
        mine = sum(part.numel() for part in engine.optimizer.single_partition_of_fp32_groups)
        total = sum(p.numel() for p in parameters if p.requires_grad)
        return InForce(f"ZeRO-{stage}", total - min(mine, total), total, "weights' optimiser state elsewhere")
    return InForce("ZeRO-0", 0, 0, "")


def check(launch: Launch, found: InForce) -> None:
    """Refuse to train under anything else than what was asked for.

    Raises:
        UserError: another wrapper, nothing in parts, or another number of processes.
    """
    group = torch.distributed
    processes = group.get_world_size() if group.is_available() and group.is_initialized() else 1
    if found.wrapper != launch.wrapper or processes != launch.processes:
        raise UserError(f"the launch asked for {launch}, but {processes} process{'es' if processes > 1 else ''} with "
                        f"{found.wrapper} came of it: correct the accelerate configuration")
    if launch.processes > 1 and found.what and not found.parts:
        raise UserError(f"the launch asked for {launch}, but no parameter is in parts: correct the accelerate configuration")


def leave(code: int) -> None:
    """End this process with an exit code if it is one of several, when a recipe is done. Left to Python's own exit, threads that
    the libraries have not joined end one such process in twenty with SIGABRT (seen with ZeRO-3 on CPUs), and so the job."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return
    if not code:  # else another process may be gone, and the group's own end would wait for it
        torch.distributed.destroy_process_group()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def on_first(act: Callable[[], T]) -> T:
    """Let rank 0 alone act; every rank gets what it returned, or the `UserError` that it raised. The value must pickle."""
    group = torch.distributed
    if not (group.is_available() and group.is_initialized()):
        return act()
    box: list[Any] = [None, None]
    if group.get_rank() == 0:
        try:
            box[0] = act()
        except UserError as error:
            box[1] = str(error)
    group.broadcast_object_list(box, src=0)
    if box[1] is not None:
        raise UserError(box[1])
    return box[0]  # type: ignore[no-any-return]


def from_all(value: T) -> list[T]:
    """What every rank gives, in their order; all must call it. The value must pickle."""
    group = torch.distributed
    if not (group.is_available() and group.is_initialized()):
        return [value]
    found: list[Any] = [None] * group.get_world_size()
    group.all_gather_object(found, value)
    return found


def whole_model(model: Any, dtype: str) -> Any:
    """The trained model with whole weights, ready to be saved: on rank 0; None elsewhere. All ranks must call it.

    A model that is not in parts is given back as it is; otherwise it is a copy on the CPU in `dtype`, adapters included.
    """
    rank = torch.distributed.get_rank() if torch.distributed.is_initialized() else 0
    if not any(_in_parts(p) for p in model.parameters()):
        return model if rank == 0 else None
    adapters = getattr(model, "peft_config", None)
    base = model.get_base_model() if adapters else model
    weights = whole_weights(model, getattr(torch, dtype))
    if rank:
        return None
    with torch.device("meta"):
        whole = plain_class(base)(base.config)
        if adapters:
            from peft import PeftModel, get_peft_model

            assert isinstance(model, PeftModel)
            whole = get_peft_model(whole, model.active_peft_config)
    missing, unexpected = whole.load_state_dict(weights, strict=False, assign=True)
    if missing or unexpected:
        raise RuntimeError(f"the gathered weights do not fit the model: {missing or unexpected}")
    (whole.get_base_model() if adapters else whole).tie_weights()
    return whole


def empty_copy(model: Any) -> Any:
    """A model of transformers of the same class and buffers, never trained, whose weights are still to be assigned.

    Where `model` is in parts, the copy is not.
    """
    with torch.device("meta"):
        made = plain_class(model)(copy.deepcopy(model.config))
    for name, buffer in model.named_buffers():
        owner, _, leaf = name.rpartition(".")
        setattr(made.get_submodule(owner), leaf, buffer.detach().clone())
    made.generation_config = copy.deepcopy(model.generation_config)
    return made.eval().requires_grad_(False)


def plain_class(model: Any) -> type[Any]:
    """The model's class before FSDP2 put its own in front."""
    from torch.distributed.fsdp import FSDPModule

    return next(cls for cls in type(model).__mro__ if not issubclass(cls, FSDPModule))


def whole_weights(model: torch.nn.Module, dtype: torch.dtype | None = None, *, everywhere: bool = False,
                  only: Callable[[str], bool] = lambda _: True) -> dict[str, torch.Tensor]:
    """Every parameter and saved buffer of an unwrapped model by its name, whole, on the CPU: on rank 0 (or `everywhere`), else {}.

    All ranks must call it. Tied weights appear under every name. ZeRO trains float32 originals of bfloat16 weights: those are what
    comes out, as `dtype` (None: as they are).

    Args:
        only: which names are wanted.
    """
    return dict(gathered(model, dtype, everywhere=everywhere, only=only))


def gathered(model: torch.nn.Module, dtype: torch.dtype | None = None, *, everywhere: bool = False,
             only: Callable[[str], bool] = lambda _: True) -> Iterator[tuple[str, torch.Tensor]]:
    """What `whole_weights` holds, one at a time; every rank must go through to the end."""
    keep = everywhere or not torch.distributed.is_initialized() or torch.distributed.get_rank() == 0
    wanted = {name: tensor for name, tensor in model.state_dict(keep_vars=True).items() if only(name)}
    uses = Counter(id(tensor) for tensor in wanted.values())
    tied: dict[int, torch.Tensor] = {}
    for name, tensor in wanted.items():
        whole = tied.get(id(tensor))
        if whole is None:
            value = _gather(tensor)
            kept = dtype if dtype is not None and value.is_floating_point() else value.dtype
            whole = value.to("cpu", kept) if keep else value.new_empty(0)
            if uses[id(tensor)] > 1:
                tied[id(tensor)] = whole
        if keep:
            yield name, whole


def _in_parts(tensor: Any) -> bool:
    return any(hasattr(tensor, name) for name in ("ds_id", "_hp_mapping", "full_tensor"))


def _gather(tensor: Any) -> torch.Tensor:
    """The whole tensor, copied; of a trained weight under ZeRO its float32 original."""
    if hasattr(tensor, "_z3_optimizer") or hasattr(tensor, "_hp_mapping"):  # ZeRO-3 parts weights before there is an optimiser
        import deepspeed

        original = deepspeed.utils.safe_get_full_fp32_param(tensor)
        if original is not None:
            return original.detach().clone().view(getattr(tensor, "ds_shape", tensor.shape))
    if hasattr(tensor, "ds_id"):
        import deepspeed

        with deepspeed.zero.GatheredParameters([tensor]):
            return tensor.detach().clone()
    return (tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor).detach().clone()
