"""Real vLLM servers (its CPU build where there is no GPU): agreement with TransformersPolicy, weight sync, a killed server."""

import asyncio
import copy
import json
import os
import random
import threading

import pytest

for name, value in {"HF_HUB_OFFLINE": "1", "VLLM_CPU_KVCACHE_SPACE": "1", "OMP_NUM_THREADS": "1"}.items():
    os.environ.setdefault(name, value)

torch = pytest.importorskip("torch")
pytest.importorskip("vllm")


from env.datasets import BuildRequest, get_dataset  # noqa: E402
from env.gym import Gym  # noqa: E402
from env.sandbox import open_backend  # noqa: E402
from medcopilot.agent.render import ChatRenderer  # noqa: E402
from medcopilot.policies.base import Sampling  # noqa: E402
from medcopilot.policies.server_settings import ServerSettings  # noqa: E402
from medcopilot.policies.transformers_engine import TransformersPolicy  # noqa: E402
from medcopilot.policies.vllm_launch import VllmProcess  # noqa: E402
from medcopilot.policies.vllm_server import VllmServerPolicy  # noqa: E402
from medcopilot.rollout.engine import RolloutEngine  # noqa: E402
from medcopilot.rollout.jobs import Job  # noqa: E402
from medcopilot.rollout.settings import choose_tasks  # noqa: E402
from medcopilot.train.model import CheckpointMeta, NanoShape, new_nano, save_checkpoint  # noqa: E402
from medcopilot.train.tokenizer import train_tokenizer  # noqa: E402

pytestmark = [pytest.mark.vllm, pytest.mark.slow]
START_SECONDS = 300
POSITIONS = 1024


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer([f"question {n}: how many patients have value {n * 7}?" for n in range(200)], 400)


def fresh_model(tokenizer):
    built = new_nano(tokenizer, NanoShape(hidden=128, layers=2, heads=2, feed_forward=256, positions=POSITIONS), seed=0)
    with torch.no_grad():  # head size 64; spread the logits, so that greedy choices are not ties
        for parameter in built.parameters():
            if parameter.ndim == 2:
                parameter.mul_(3.0)
    return built.eval()


@pytest.fixture
def model(tokenizer):
    return fresh_model(tokenizer)


@pytest.fixture(scope="module")
def servers(tokenizer, tmp_path_factory):
    """One server for each way in, started together."""
    folder = tmp_path_factory.mktemp("servers")
    save_checkpoint(fresh_model(tokenizer), tokenizer, folder / "start", CheckpointMeta(profile="nano", policy_version=3))
    small = ("--max-num-seqs", "16", "--max-num-batched-tokens", "96")  # small: prefills are cut
    started = {sync: VllmProcess.start(folder / "start", sync=sync, dtype="float32", lora_rank=8, extra=small,
                                       output=folder / f"{sync}.log") for sync in ("gloo", "file", "lora")}
    try:
        for server in started.values():
            server.wait(START_SECONDS)
        yield {**started, "folder": folder, "flags": {"dtype": "float32", "extra": small}}
    finally:
        for server in started.values():
            server.kill()


def follow(servers, model, tokenizer, sync, where=None, **options):
    settings = ServerSettings(urls=(servers[where or sync].url,), sync=sync, **options)
    return VllmServerPolicy.from_model(model, tokenizer, ChatRenderer(tokenizer), settings, version=3)


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


def worst_gap(model, prompt, sampled, logprobs, temperature=1.0):
    with torch.no_grad():
        logits = model(torch.tensor([prompt + sampled])).logits[0] / temperature
    exact = torch.log_softmax(logits, -1)[range(len(prompt) - 1, len(prompt) + len(sampled) - 1), sampled]
    return (torch.tensor(logprobs) - exact).abs().max().item()


def shake(model):
    """Move every parameter, the tied output head included."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)) * 0.5 * parameter.std())


GREEDY = [(ids * 2, Sampling(max_tokens=16)) for ids in prompts(8)]  # long enough for the prefix cache to matter


def test_ids_and_logprobs_agree_with_transformers(servers, model, tokenizer) -> None:
    server = follow(servers, model, tokenizer, "gloo")
    ours = TransformersPolicy(model, tokenizer, ChatRenderer(tokenizer), slots=8)
    jobs = [(ids, Sampling(max_tokens=24)) for ids in prompts(12)]
    greedy, theirs = act(server, jobs), act(ours, jobs)
    assert [answer.ids for answer in greedy] == [answer.ids for answer in theirs]
    gaps = [torch.tensor(one.logprobs) - torch.tensor(other.logprobs) for one, other in zip(greedy, theirs, strict=True)]
    worst = torch.cat(gaps).abs().max().item()
    print(f"largest logprob difference to transformers, greedy: {worst:.2e}")
    assert worst < 1e-3
    jobs = [(ids, Sampling(temperature=0.8, max_tokens=24, seed=n)) for n, ids in enumerate(prompts(12))]
    first, again = act(server, jobs), act(server, jobs)
    other = act(server, [(ids, sampling.model_copy(update={"seed": sampling.seed + 1})) for ids, sampling in jobs])
    worst = max(worst_gap(model, ids, a.ids, a.logprobs, 0.8) for (ids, _), a in zip(jobs, first, strict=True))
    print(f"largest logprob difference, temperature 0.8: {worst:.2e}")
    assert worst < 1e-3
    assert [answer.ids for answer in first] == [answer.ids for answer in again]
    assert [answer.ids for answer in first] != [answer.ids for answer in other]
    server.close()
    ours.close()


@pytest.mark.parametrize(("sync", "where"), [("gloo", "gloo"), ("reload", "gloo"), ("file", "file")])
def test_new_weights_are_served_completely(servers, model, tokenizer, sync, where) -> None:
    policy = follow(servers, model, tokenizer, sync, where)
    before = act(policy, GREEDY)
    shake(model)
    assert policy.update() == 4
    metrics = policy.metrics()
    after = act(policy, GREEDY)
    worst = max(worst_gap(model, ids, a.ids, a.logprobs) for (ids, _), a in zip(GREEDY, after, strict=True))
    print(f"{sync}: probe {metrics['sync/probe_max']:.2e}, largest difference {worst:.2e}, sync {metrics['sync/seconds']:.3f} s")
    assert max(worst, metrics["sync/probe_max"]) < 1e-3
    assert [answer.ids for answer in before] != [answer.ids for answer in after]
    assert ({answer.policy_version for answer in before}, {answer.policy_version for answer in after}) == ({3}, {4})
    policy.close()


def test_adapters_are_served_exactly(servers, model, tokenizer) -> None:
    from peft import LoraConfig, get_peft_model

    adapted = get_peft_model(model, LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj", "down_proj"]))
    policy = follow(servers, adapted, tokenizer, "lora")
    before = act(policy, GREEDY)
    for version in (4, 5, 6):
        with torch.no_grad():
            for name, parameter in adapted.named_parameters():
                if "lora_" in name:
                    parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(version)) * 0.2)
        assert policy.update() == version
    after = act(policy, GREEDY)
    worst = max(worst_gap(adapted, ids, a.ids, a.logprobs) for (ids, _), a in zip(GREEDY, after, strict=True))
    print(f"lora: probe {policy.metrics()['sync/probe_max']:.2e}, largest difference {worst:.2e}")
    assert worst < 1e-3
    assert [answer.ids for answer in before] != [answer.ids for answer in after]
    assert {answer.policy_version for answer in after} == {6}
    policy.close()


def test_a_server_killed_in_mid_rollout_invents_nothing(servers, model, tokenizer, tmp_path) -> None:
    """It comes back with the weights of its checkpoint; what is recorded was sampled with the trainer's. The next sync meets a
    process that knows nothing of the last one."""
    try:
        backend = open_backend()
    except Exception as reason:
        pytest.skip(f"no sandbox on this machine: {reason}")
    built = get_dataset("medcalcbench").build(BuildRequest(seed=0, train=8, test=8, patients=50, options={"calculators": "core"}),
                                              tmp_path)
    shake(model)
    policy = follow(servers, model, tokenizer, "gloo", wait_seconds=120, turn_seconds=60)
    engine = RolloutEngine(policy, Gym(backend, [built]), concurrency=16, box_threads=2)
    tasks = choose_tasks(built, "train", (), 8, 0)
    jobs = [Job(task, sample, temperature=1.0, profile="nano") for task in tasks for sample in range(4)]
    enough = threading.Event()

    def kill_and_restart():
        enough.wait()
        port = int(servers["gloo"].url.rpartition(":")[2])
        servers["gloo"].kill()
        servers["gloo"] = VllmProcess.start(servers["folder"] / "start", sync="gloo", port=port,
                                            output=servers["folder"] / "again.log", **servers["flags"])

    killer = threading.Thread(target=kill_and_restart)
    killer.start()
    traces = []

    def keep(trace):
        traces.append(trace)
        if len(traces) == 4:
            enough.set()

    engine.run_sync(jobs, keep)
    killer.join()
    counts = policy.statistics()
    recorded = copy.deepcopy(model)
    shake(model)
    assert policy.update() == 4
    assert policy.metrics()["sync/probe_max"] < 1e-3
    policy.close()
    engine.close()
    backend.close()
    masked = [trace for trace in traces if trace.stop == "infrastructure"]
    print(f"{len(traces)} episodes, {len(masked)} masked, {counts}")
    assert sorted(trace.id for trace in traces) == sorted(job.trace_id(policy.name, "submit") for job in jobs)
    assert counts["outages"] == 1
    assert counts["retries"] > 0
    assert all(trace.grades["strict"].score is None for trace in masked)
    for trace in traces:
        if trace not in masked:
            tokens = trace.tokens
            start = tokens.mask.index(1)
            with torch.no_grad():
                exact = torch.log_softmax(recorded(torch.tensor([tokens.ids])).logits[0], -1)
            gap = max(abs(exact[place - 1, tokens.ids[place]].item() - tokens.logprobs[place])
                      for place in range(start, len(tokens.ids)) if tokens.mask[place])
            assert gap < 1e-3
            assert {version for version, sampled in zip(tokens.versions, tokens.mask, strict=True) if sampled} == {3}


def test_grpo_trains_over_two_servers(workshop, tmp_path) -> None:
    """The recipe as a user runs it; the servers hold the starting checkpoint until they are told otherwise."""
    started = [VllmProcess.start(workshop.folder / "start", sync="gloo", dtype="float32", output=tmp_path / f"{n}.log")
               for n in range(2)]
    try:
        urls = [server.wait(START_SECONDS) for server in started]
        engine = json.dumps({"kind": "vllm_server", "servers": {"urls": urls, "sync": "gloo"}})
        workshop.run("grpo", "served", "max_steps=3", f"engine={engine}", "keep_traces=true")
    finally:
        for server in started:
            server.kill()
    metrics = workshop.rows("grpo", "served")
    print({name: [round(row[name], 6) for row in metrics] for name in ("sync/probe_max", "sync/seconds", "mismatch/max", "reward")})
    assert [row["step"] for row in metrics] == [1, 2, 3]
    assert all(row["rollouts/infrastructure"] == 0 and row["sync/servers"] == 2 for row in metrics)
    assert all(row["sync/probe_max"] < 1e-3 for row in metrics)
    assert all(row["mismatch/mean"] < 0.02 for row in metrics)
    assert all(row["engine/serving"] == 2 and row["engine/retries"] == 0 for row in metrics)
