"""Real vLLM in this process (its CPU build where there is no GPU) against TransformersPolicy and the model itself."""

import asyncio
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

for name, value in {"HF_HUB_OFFLINE": "1", "VLLM_CPU_KVCACHE_SPACE": "1", "OMP_NUM_THREADS": "1"}.items():
    os.environ.setdefault(name, value)

torch = pytest.importorskip("torch")
pytest.importorskip("vllm")

from medcopilot.agent.render import ChatRenderer  # noqa: E402
from medcopilot.policies.base import Sampling  # noqa: E402
from medcopilot.policies.transformers_engine import TransformersPolicy  # noqa: E402
from medcopilot.policies.vllm_offline import VllmPolicy  # noqa: E402
from medcopilot.train.model import CheckpointMeta, NanoShape, new_nano, save_checkpoint  # noqa: E402
from medcopilot.train.tokenizer import train_tokenizer  # noqa: E402

pytestmark = [pytest.mark.vllm, pytest.mark.slow]
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer([f"question {n}: how many patients have value {n * 7}?" for n in range(200)], 400)


@pytest.fixture(scope="module")
def model(tokenizer):
    built = new_nano(tokenizer, NanoShape(hidden=128, layers=2, heads=2, feed_forward=256, positions=512), seed=0)
    with torch.no_grad():  # head size 64; spread the logits, so that greedy choices are not ties
        for parameter in built.parameters():
            if parameter.ndim == 2:
                parameter.mul_(3.0)
    return built.eval()


@pytest.fixture(scope="module")
def policies(model, tokenizer):
    renderer = ChatRenderer(tokenizer)
    ours = TransformersPolicy(model, tokenizer, renderer, slots=8)
    vllm = VllmPolicy.from_model(model, tokenizer, renderer, dtype="float32", max_model_len=512, max_num_seqs=16,
                                 max_num_batched_tokens=96)  # small: prefills are cut
    yield ours, vllm
    ours.close()
    vllm.close()


def prompts(count):
    rng = random.Random(0)
    return [[rng.randrange(300) for _ in range(rng.randrange(4, 150))] for _ in range(count)]


def act(policy, jobs):
    async def one(ids, sampling):
        session = policy.session(None)
        try:
            return await session.act(ids, sampling)
        finally:
            await session.close()

    async def main():
        return await asyncio.gather(*(one(ids, sampling) for ids, sampling in jobs))

    return asyncio.run(main())


def full_logprobs(model, ids, sampled, temperature):
    with torch.no_grad():
        logits = model(torch.tensor([ids + sampled])).logits[0] / temperature
    return torch.log_softmax(logits, -1)[range(len(ids) - 1, len(ids) + len(sampled) - 1), sampled]


def agree(policies, model, jobs):
    ours, theirs = (act(policy, jobs) for policy in policies)
    worst = 0.0
    for (ids, sampling), one, other in zip(jobs, ours, theirs, strict=True):
        if sampling.temperature == 0.0:
            assert one.ids == other.ids
        exact = full_logprobs(model, ids, other.ids, sampling.temperature or 1.0)
        worst = max(worst, (torch.tensor(other.logprobs) - exact).abs().max().item())
    return worst


def test_greedy_ids_and_logprobs_agree(policies, model) -> None:
    worst = agree(policies, model, [(ids, Sampling(max_tokens=24)) for ids in prompts(12)])
    print(f"largest logprob difference, greedy: {worst:.2e}")
    assert worst < 1e-3


def test_sampled_logprobs_are_those_of_the_sampling_distribution(policies, model) -> None:
    jobs = [(ids, Sampling(temperature=0.8, max_tokens=24, seed=n)) for n, ids in enumerate(prompts(12))]
    worst = agree(policies, model, jobs)
    print(f"largest logprob difference, temperature 0.8: {worst:.2e}")
    assert worst < 1e-3
    _, vllm = policies
    again = [(ids, sampling.model_copy(update={"seed": sampling.seed + 1})) for ids, sampling in jobs]
    first, same, other = (act(vllm, batch) for batch in (jobs, jobs, again))
    assert [sampled.ids for sampled in first] == [sampled.ids for sampled in same]
    assert [sampled.ids for sampled in first] != [sampled.ids for sampled in other]


def test_a_live_weight_update_is_seen_completely(policies, model) -> None:
    """All parameters move, the tied output head included; prompts are long enough for the prefix cache to matter."""
    jobs = [(ids * 2, Sampling(max_tokens=16)) for ids in prompts(8)]
    before = act(policies[1], jobs)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)) * 0.5 * parameter.std())
    for policy in policies:
        version = policy.version
        assert policy.update() == version + 1
    worst = agree(policies, model, jobs)
    print(f"largest logprob difference after an update: {worst:.2e}")
    assert worst < 1e-3
    after = act(policies[1], jobs)
    assert [sampled.ids for sampled in before] != [sampled.ids for sampled in after]
    assert {sampled.policy_version for sampled in after} == {policies[1].version}


def test_a_checkpoint_folder_loads(model, tokenizer, tmp_path) -> None:
    save_checkpoint(model, tokenizer, tmp_path / "sft", CheckpointMeta(profile="nano", policy_version=3))
    policy = VllmPolicy.from_checkpoint(tmp_path / "sft", dtype="float32", max_model_len=256)
    [sampled] = act(policy, [(prompts(1)[0], Sampling(max_tokens=8))])
    about = policy.describe()
    policy.close()
    assert sampled.policy_version == 3
    assert (about["kind"], about["name"]) == ("vllm", "sft")


RANK = r"""
import gc, os, sys
import torch
from pathlib import Path
from medcopilot.agent.render import ChatRenderer
from medcopilot.policies.vllm_offline import VllmPolicy
from medcopilot.train.model import load_checkpoint
from tests.e2e.test_vllm_offline import act, full_logprobs, prompts
from medcopilot.policies.base import Sampling

torch.distributed.init_process_group("gloo")
rank = torch.distributed.get_rank()
model, tokenizer, *_ = load_checkpoint(sys.argv[1])
policy = VllmPolicy.from_model(model, tokenizer, ChatRenderer(tokenizer), dtype="float32", max_model_len=512, max_num_seqs=16,
                               distributed_executor_backend="external_launcher")
for update in range(2):
    if update:
        torch.manual_seed(rank)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.5 * parameter.std())
        policy.update()
    jobs = [(ids, Sampling(temperature=1.0, max_tokens=16, seed=n)) for n, ids in enumerate(prompts(12)[rank * 4:])]
    if rank == update:  # no engine waits for another
        for (ids, sampling), sampled in zip(jobs, act(policy, jobs)):
            gap = torch.tensor(sampled.logprobs) - full_logprobs(model, ids, sampled.ids, 1.0)
            assert gap.abs().max() < 1e-3
    torch.distributed.barrier()
worker = policy.thread.order(lambda engine: engine._llm.llm_engine.model_executor.driver_worker.worker)
told = [f"rank {rank} of {torch.distributed.get_world_size()} on device {worker.local_rank}"]
torch.distributed.barrier()
policy.close()
del policy, worker
gc.collect()
ranks = torch.ones(1)
torch.distributed.all_reduce(ranks)  # training goes on in its group when the engine is gone
told.append(f"ranks {int(ranks)}")
Path(sys.argv[2], f"told-{rank}").write_text("\n".join(told))  # not printed: vLLM's output and the other rank's go between
os._exit(0)
"""


def test_two_ranks_have_an_engine_each(model, tokenizer, tmp_path) -> None:
    """By the launcher that GPUs take: the device is the rank's own, and what one rank samples is no matter of the other's."""
    save_checkpoint(model, tokenizer, tmp_path / "start", CheckpointMeta(profile="nano"))
    (tmp_path / "rank.py").write_text(RANK)
    done = subprocess.run([sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
                           str(tmp_path / "rank.py"), str(tmp_path / "start"), str(tmp_path)], cwd=ROOT, timeout=600, check=False,
                          capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stderr[-3000:]
    assert [(tmp_path / f"told-{rank}").read_text().splitlines() for rank in (0, 1)] == [
        ["rank 0 of 2 on device 0", "ranks 2"], ["rank 1 of 2 on device 1", "ranks 2"]]
