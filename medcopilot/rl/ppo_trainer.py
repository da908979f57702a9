"""PPO on rounds of rollouts, live or replayed.

Promises: actor and critic are one module, called once per micro-step; losses are divided by the sampled tokens of the whole
minibatch over all ranks, so neither micro-batches nor ranks change them; observation tokens enter nothing. A step whose loss is
not finite, or whose ratio is beyond all reason, is not taken (`guard`). Resumable states are written between rounds only.
Does not cover: where rounds come from (`source`, `dumps`); the mathematics (`gae`, `ppo_loss`, `experience`).
"""

from __future__ import annotations

from collections import defaultdict, deque
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader
from transformers import Trainer, TrainingArguments

from medcopilot.policies.sync_probe import plainly
from medcopilot.rl.actor_critic import ActorCritic
from medcopilot.rl.batch import split_rows
from medcopilot.rl.experience import Credit, Experience, assign, collate, deal, pad
from medcopilot.rl.guard import StepGuard
from medcopilot.rl.ppo_loss import KlControl, clipped_share, k3, mismatch, policy_loss, value_loss
from medcopilot.rl.ppo_settings import PpoConfig
from medcopilot.rl.rounds import Row, Source
from medcopilot.rl.step_log import StepLog
from medcopilot.train import loop
from medcopilot.train.optim import RoleSchedule, joint_optimizer


class Endless(torch.utils.data.Dataset[int]):
    """Stands where the trainer wants data: rounds bring their own."""

    def __len__(self) -> int:
        return 2**40

    def __getitem__(self, index: int) -> int:
        return index


class PPOTrainer(loop.StageTrainer, Trainer):
    """transformers' Trainer on a `Source` of rounds.

    Args:
        reference: the starting policy, for the penalty; None without one, and where the actor has an adapter to switch off.
    """

    progress: loop.Progress | None = None

    def __init__(self, *, source: Source, config: PpoConfig, model: ActorCritic, args: TrainingArguments, processing_class: Any,
                 reference: Any = None) -> None:
        super().__init__(model=model, args=args, train_dataset=Endless(), processing_class=processing_class)
        self.model_accepts_loss_kwargs = False
        self.source, self.config = source, config
        self.pad_id = processing_class.pad_token_id
        loss = config.loss
        self.kl = KlControl(loss.kl, loss.kl_target, loss.kl_horizon)
        self.guard = StepGuard(loss.skip_ratio)
        self.add_callback(self.guard)
        self.reference = loop.prepare_frozen(self, reference) if reference is not None else None
        self.adapted = hasattr(model.actor, "peft_config")
        self._queue: deque[dict[str, Tensor]] = deque()
        self._metrics: dict[str, list[float]] = defaultdict(list)
        self._moved: Tensor | None = None
        """KL to the round's policy summed over tokens, and their number, in the present optimiser step."""
        self.step_log = StepLog(self._metrics)
        self.add_callback(self.step_log)

    def mid_round(self) -> bool:
        """Whether part of a round is still to be learnt from: not a moment to write a state."""
        return bool(self._queue)

    def round_state(self) -> dict[str, Any]:
        """Plain data for `restore_round`."""
        return {"kl": self.kl.weight, "skipped": self.guard.skipped}

    def restore_round(self, state: dict[str, Any]) -> None:
        """Go on from `round_state()`."""
        self.kl.weight, self.guard.skipped = float(state["kl"]), int(state["skipped"])

    def get_train_dataloader(self) -> DataLoader[Any]:
        return DataLoader(self.train_dataset, batch_size=1, collate_fn=lambda _: {})

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        if self.optimizer is None:
            self.optimizer = joint_optimizer(self.model if model is None else model,
                                             {"actor": self.possible(self.config.optimizer),
                                              "critic": self.possible(self.config.critic.optimizer)})
        return self.optimizer

    def policy(self) -> Any:
        return self.model.actor

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        if self.lr_scheduler is None:
            inner = loop.unwrapped(optimizer or self.optimizer)
            critic = self.config.critic
            self.lr_scheduler = RoleSchedule(inner, {"actor": self.config.optimizer, "critic": critic.optimizer},
                                             {"actor": critic.warmup_steps}, self.horizon.progress)
            self._created_lr_scheduler = True
        return self.lr_scheduler

    def _prepare_inputs(self, inputs: Any) -> Any:
        """The next micro-batch; a new round when the last one is used up. The argument is a placeholder."""
        if self._moved is not None and len(self._queue) % self.config.micro_batches == 0 and self._moved_too_far(self._moved):
            self._queue.clear()
        if not self._queue:
            self._next_round()
        return {name: tensor.to(self.args.device) for name, tensor in self._queue.popleft().items()}

    def _moved_too_far(self, moved: Tensor) -> bool:
        """Whether the last optimiser step's minibatch was already too far from the round's policy; the same on every rank."""
        total, tokens = self._sum(moved).tolist()
        self._moved = None
        distance = total / max(1.0, tokens)
        self._metrics["kl/round"].append(distance)
        return self.config.loss.stop_kl is not None and distance > self.config.loss.stop_kl

    def _sum(self, totals: Tensor) -> Tensor:
        """Over all ranks."""
        if self.accelerator.num_processes == 1:
            return totals
        return self.accelerator.reduce(totals.to(self.args.device), reduction="sum").to(totals.device)

    def _next_round(self) -> None:
        """A round with values, logprobs, advantages and returns, dealt out to micro-batches."""
        played = self.step_log.next_round(self.source, self.state.global_step)
        with self.step_log.phase("evaluate"):
            experiences = self._evaluate(played.rows)
        loss = self.config.loss
        credit = Credit(loss.gamma, loss.lam, loss.value_lam, loss.whiten, self.kl.weight)
        measured = assign(experiences, credit, self._sum)
        if "kl/start" in measured:
            self._metrics["kl/weight"].append(self.kl.weight)
            self.kl.update(measured["kl/start"], measured["tokens"])
        for name, value in measured.items():
            self._metrics[name].append(value)
        for epoch in range(loss.epochs):
            seed = (self.args.seed, self.state.global_step, epoch, self.args.process_index)
            for minibatch in deal(experiences, loss.minibatches, self.config.micro_batches, seed):
                self._enqueue(minibatch)
        self.step_log.ready()

    def _enqueue(self, minibatch: list[list[Experience]]) -> None:
        batches = [collate(part, self.pad_id) for part in minibatch]
        tokens = self._sum(torch.tensor([float(sum(int(batch["mask"].sum()) for batch in batches))]))
        self._queue.extend({**batch, "total": tokens} for batch in batches)

    @torch.no_grad()
    def _evaluate(self, rows: list[Row]) -> list[Experience]:
        """Values and logprobs of the present weights, and the starting policy's logprobs."""
        experiences = [Experience(row) for row in rows]
        known = {id(one.row): one for one in experiences}
        self.model_wrapped.eval()
        pairs = []
        for part in split_rows(rows, self.config.micro_batches * self.config.loss.minibatches):
            ids, mask = (pad([getattr(row, name) for row in part], fill).to(self.args.device)
                         for name, fill in (("ids", self.pad_id), ("mask", 0)))
            with self.compute_loss_context_manager():
                logprobs, _, values = (tensor.cpu() for tensor in self.model_wrapped(ids, mask))
                start = self._starting(ids, mask)
            for number, row in enumerate(part):
                if (one := known.get(id(row))) is not None:
                    length = len(row.ids)
                    one.trainer, one.values = logprobs[number, :length], values[number, :length]
                    one.start = start[number, :length] if start is not None else one.start
                    sampled = torch.tensor(row.mask).bool()
                    pairs.append(torch.stack([torch.tensor(row.logprobs)[sampled], one.trainer[sampled]]))
        self.model_wrapped.train()
        for name, value in mismatch(*torch.cat(pairs, 1)).items():  # before the round's first update
            self._metrics[name].append(value)
        return experiences

    def _starting(self, ids: Tensor, mask: Tensor) -> Tensor | None:
        """The starting policy's logprobs, where the penalty wants them."""
        if self.reference is not None:
            return torch.as_tensor(self.reference(ids, mask)).cpu()
        if self.adapted and self.config.loss.kl:
            return torch.as_tensor(self.model_wrapped(ids, mask, start=True)[0]).cpu()
        return None

    @torch.no_grad()
    def probe(self, rows: list[list[int]]) -> list[list[float]]:
        """See `sync_probe.trained_scores`, through the wrapper. Every rank must call it."""
        ids = torch.tensor(rows, device=self.args.device)
        mask = torch.ones_like(ids)
        mask[:, 0] = 0
        module: ActorCritic = self.accelerator.unwrap_model(self.model)
        before, module.temperature = module.temperature, 1.0
        try:
            with plainly(self.model_wrapped, ids.device.type, self.model):
                scores: list[list[float]] = self.model_wrapped(ids, mask)[0][:, 1:].tolist()
        finally:
            module.temperature = before
        return scores

    def compute_loss(self, model: Any, inputs: dict[str, Tensor], return_outputs: bool = False,
                     num_items_in_batch: Any = None) -> Any:
        """This micro-batch's part of the loss, scaled so that micro-batches and ranks add up to the minibatch's mean."""
        loss, mask = self.config.loss, inputs["mask"]
        if self.progress is not None:
            self.progress.tokens += inputs["ids"].numel() * self.accelerator.num_processes
        logprobs, entropy, values = model(inputs["ids"], mask)
        old = inputs["engine"] if loss.old == "engine" else inputs["trainer"]
        policy = policy_loss(logprobs, old, inputs["advantages"], loss.clip_low, loss.clip_high, loss.ratio_cap)
        if loss.old == "trainer":  # what the engine sampled is not quite what the trainer's policy would have sampled
            policy = policy * (inputs["trainer"] - inputs["engine"]).exp().clamp(max=loss.ratio_cap)
        value = value_loss(values, inputs["values"], inputs["returns"], loss.value_clip)
        share = self.accelerator.num_processes * self.current_gradient_accumulation_steps / inputs["total"].clamp(min=1)[0]
        parts = {name: (part * mask).sum() * share for name, part in (("policy", policy), ("value", value), ("entropy", entropy))}
        whole = parts["policy"] + loss.value_weight * parts["value"] - loss.entropy * parts["entropy"]
        chosen = mask.bool()
        with torch.no_grad():
            moved = k3(old, logprobs)[chosen]
            moved = torch.tensor([float(moved.sum()), float(len(moved))], dtype=torch.float64)
            self._moved = moved if self._moved is None else self._moved + moved
            clipped = (clipped_share(logprobs, old, inputs["advantages"], loss.clip_low, loss.clip_high) * mask).sum() * share
        for name, part in {**parts, "clipped": clipped}.items():
            self._metrics[f"sum/{name}"].append(float(part.detach()) / self.current_gradient_accumulation_steps)
        return self.guard.check(self, whole, (logprobs - inputs["engine"])[chosen])

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Adds what was measured since the last row: means, but for the parts of the loss, which add up over micro-batches."""
        if "loss" in logs:
            steps = max(1, len(self._metrics.get("sum/policy", [])) // self.config.micro_batches)
            for name, found in self._metrics.items():
                scale = steps if name.startswith("sum/") else len(found)
                logs[{"sum/policy": "policy/loss", "sum/value": "value/loss", "sum/entropy": "entropy",
                      "sum/clipped": "policy/clipped"}.get(name, name)] = sum(found) / scale
            self._metrics.clear()
            logs["skipped"] = float(self.guard.skipped)
        super().log(logs, start_time)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Actor and critic into a resumable state, the actor alone into a final checkpoint."""
        self._whole = _internal_call
        super().save_model(output_dir, _internal_call)

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Tensor] | None = None) -> None:
        module: ActorCritic = self.accelerator.unwrap_model(self.model)
        state = module.state_dict() if state_dict is None else state_dict
        if self._whole:  # what never changes is read from its checkpoint again
            frozen = {name for name, p in module.named_parameters(remove_duplicate=False) if not p.requires_grad}
            state = {name: tensor for name, tensor in state.items() if name not in frozen}
        folder = Path(output_dir or self.args.output_dir)
        folder.mkdir(parents=True, exist_ok=True)
        if self._whole:
            torch.save(state, folder / "pytorch_model.bin")  # unlike safetensors it keeps tied weights tied
        else:
            actor = {name.removeprefix("actor."): tensor for name, tensor in state.items() if name.startswith("actor.")}
            module.actor.save_pretrained(folder, state_dict=actor)
