"""New weights on their way to servers: order, versions, failures, restarts, the probe. Real sockets, a double of the server."""

from __future__ import annotations

import asyncio
import sys
import threading
import warnings
from types import ModuleType, SimpleNamespace

import pytest
import torch
from server_field import OneNumber, act, until
from vllm_double import logprob

from env.errors import EngineError, UserError
from medcopilot.policies import sync_probe
from medcopilot.policies.base import Sampling
from medcopilot.policies.vllm_plugin import gloo
from medcopilot.policies.vllm_server import LoopThread
from medcopilot.policies.weight_broadcast import NcclTransport, both, in_thread

IDS = [3, 4, 5]
FILE_ROUTES = ["/pause?mode=keep", "/start_weight_update", "/update_weights", "/finish_weight_update",
               "/reset_prefix_cache?reset_running_requests=true", "/resume"]


def served(sampled, weights):
    return sampled.logprobs == pytest.approx([logprob(weights, IDS, sampled.ids[0])] * len(sampled.ids), abs=1e-6)


def test_a_sync_goes_through_the_routes_in_order_and_is_probed(field, model):
    double = field.double()
    policy = field.trained(model)
    model.become(0.5)
    double.seen.clear()
    assert policy.update() == 1
    posts = [path for path in double.paths() if not path.startswith(("/health", "/v1", "/server_info"))]
    assert posts == FILE_ROUTES
    assert double.weights == 0.5
    assert not double.paused
    [sampled] = act(policy, [IDS])
    assert sampled.policy_version == 1
    assert served(sampled, 0.5)
    metrics = policy.metrics()
    assert metrics["sync/probe_max"] < 1e-5
    assert (metrics["sync/servers"], metrics["sync/servers_lost"], metrics["engine/failed_syncs"]) == (1.0, 0.0, 0.0)
    assert policy.describe()["servers"][0]["version"] == 1


def test_the_trained_model_keeps_its_modes(field, model):
    field.double()
    model.head = torch.nn.Dropout()
    model.train()
    model.head.eval()
    field.trained(model)
    assert (model.training, model.head.training) == (True, False)


def test_autocast_around_the_trained_model_is_left_out():
    """Of the caller's, and what accelerate puts around `forward` itself."""
    tiny = torch.nn.Linear(1, 8)
    product = torch.nn.functional.linear
    tiny.forward = lambda input_ids, use_cache: SimpleNamespace(logits=product(input_ids[..., None] / 7, tiny.weight))
    rows = [[1, 2, 3], [4, 5, 6]]
    exact = sync_probe.trained_scores(tiny, rows)
    tiny._original_forward = tiny.forward
    tiny.forward = wrapped = torch.autocast("cpu", torch.bfloat16)(tiny.forward)
    with torch.autocast("cpu", torch.bfloat16):
        assert sync_probe.trained_scores(tiny, rows) == exact
    assert tiny.forward is wrapped
    del tiny._original_forward
    assert sync_probe.trained_scores(tiny, rows) != exact


def test_a_server_that_does_not_take_the_weights_is_not_used_until_it_does(field, model):
    broken = threading.Event()
    field.double()
    other = field.double(lambda method, path, body: (500, {"error": "no"})
                         if broken.is_set() and path in ("/update_weights", "/collective_rpc") else None)
    policy = field.trained(model)
    model.become(0.5)
    broken.set()
    with pytest.warns(UserWarning, match=f"{other.url} got no new weights.*HTTP 500"):
        assert policy.update() == 1
    assert policy.metrics()["sync/servers_lost"] == 1.0
    sampled = act(policy, [IDS] * 6)
    assert all(served(answer, 0.5) and answer.policy_version == 1 for answer in sampled)
    assert other.prompts() == []
    until(lambda: not other.paused)  # it is being given them again and again, each time paused and resumed
    broken.clear()
    model.become(0.75)
    assert policy.update() == 2
    sampled = act(policy, [IDS] * 6)
    assert all(served(answer, 0.75) and answer.policy_version == 2 for answer in sampled)
    assert len(other.prompts()) == 3


def test_a_server_that_missed_a_sync_is_given_the_written_weights(field, model):
    """Between two syncs, from the folder; it does not have to wait for the next one."""
    one, other = field.double(), field.double()
    policy = field.trained(model)
    field.thread.run(other.stop())
    model.become(0.5)
    with pytest.warns(UserWarning, match="got no new weights"):
        policy.update()
    model.become(99.0)  # training goes on
    field.thread.run(other.restart())
    until(lambda: policy.statistics()["serving"] == 2)
    assert (one.weights, other.weights) == (0.5, 0.5)
    assert {server.version for server in policy.pool.servers} == {1}


def test_a_restart_between_two_turns_is_noticed(field, model):
    """Nobody saw the server die; it answers, with the weights that it was started with."""
    double = field.double()
    policy = field.trained(model)
    assert served(act(policy, [IDS])[0], 0.25)
    field.thread.run(double.restart())
    assert double.weights == 0.0
    [sampled] = act(policy, [IDS])
    assert served(sampled, 0.25)
    assert (sampled.policy_version, policy.statistics()["outages"]) == (0, 1)


def test_an_answer_from_before_the_weights_came_back_is_not_used(field, model):
    """Two turns at a restarted server: the first to end has it repaired, the second was sampled under its old weights."""
    double = field.double()
    policy = field.trained(model, snapshot=True)
    field.thread.run(double.restart())
    double.gate = asyncio.Event()

    def release():
        until(lambda: double.open == 2)
        field.thread.loop.call_soon_threadsafe(double.gate.set)

    watcher = threading.Thread(target=release)
    watcher.start()
    sampled = act(policy, [IDS, IDS])
    watcher.join()
    assert all(served(answer, 0.25) for answer in sampled)


def test_without_written_weights_a_restarted_server_waits_for_the_next_sync(field, model):
    double = field.double()
    policy = field.trained(model, wait_seconds=1.5)
    policy.weight_sync.present = policy.weight_sync.present.__class__(**{**vars(policy.weight_sync.present), "folder": None})
    field.thread.run(double.restart())
    with pytest.raises(EngineError, match="was restarted and waits for the next weight sync"):
        act(policy, [IDS])
    assert policy.update() == 1
    assert served(act(policy, [IDS])[0], 0.25)


def test_a_sync_waits_for_turns_in_flight(field, model):
    double = field.double()
    policy = field.trained(model)
    double.gate = asyncio.Event()

    async def main():
        session = policy.session(None)
        turn = asyncio.ensure_future(session.act(IDS, Sampling(max_tokens=4)))
        while not double.open:
            await asyncio.sleep(0.005)
        model.become(0.5)
        update = asyncio.ensure_future(asyncio.to_thread(policy.update))
        while policy.pool._open:
            await asyncio.sleep(0.005)
        late = asyncio.ensure_future(policy.session(None).act(IDS, Sampling(max_tokens=4)))
        field.thread.loop.call_soon_threadsafe(double.gate.set)
        return await turn, await late, await update

    early, late, version = asyncio.run(main())
    assert (early.policy_version, late.policy_version, version) == (0, 1, 1)
    assert served(early, 0.25)
    assert served(late, 0.5)


def test_weights_that_are_said_to_be_loaded_and_are_not_end_the_update(field, model):
    """What the stock CPU build does with a tied head: HTTP 200, and stale."""
    double = field.double()
    policy = field.trained(model, wait_seconds=1.0)
    double._read = lambda folder: 0.25
    model.become(0.5)
    with (pytest.warns(UserWarning, match="got no new weights"),
          pytest.raises(EngineError, match=r"version 1 .*does not compute with the weights that it was given: .*probe_limit 0.01")):
        policy.update()
    with pytest.raises(EngineError, match="no server"):
        act(policy, [IDS])


def test_the_limit_of_the_probe_is_a_setting_and_generous_in_bfloat16(field, model):
    double = field.double()
    double.dtype = "torch.bfloat16"
    double._read = lambda folder: 0.26
    with pytest.warns(UserWarning, match="computes in bfloat16, the trainer's weights are float32"):
        policy = field.trained(model)
    assert 0.01 < policy.metrics()["sync/probe_max"] < 1.0
    policy.settings = policy.weight_sync.settings = policy.settings.model_copy(update={"probe_limit": 1e-3})
    with pytest.warns(UserWarning, match="got no new weights"), pytest.raises(EngineError, match=r"probe_limit 0\.001"):
        policy.update()


def test_weights_that_are_not_finite_are_not_served(field, model):
    field.double()
    policy = field.trained(model)
    model.become(float("nan"))
    with pytest.warns(UserWarning, match="got no new weights"), pytest.raises(EngineError, match="not finite"):
        policy.update()


def test_an_adapter_has_a_name_for_each_version_and_two_are_kept(field):
    one, other = field.double(), field.double()
    model = OneNumber(adapter=True)
    policy = field.trained(model, sync="lora")
    for version in (1, 2, 3):
        model.become(version / 10)
        assert policy.update() == version
    assert set(one.adapters) == set(other.adapters) == {"policy-v2", "policy-v3"}
    sampled = act(policy, [IDS] * 4)
    assert all(served(answer, 0.3) and answer.policy_version == 3 for answer in sampled)
    assert {body["model"] for path, body in one.seen if path == "/v1/completions" and "seed" in body} == {"policy-v3"}
    assert "/pause" not in one.paths()
    field.thread.run(one.restart())
    sampled = act(policy, [IDS] * 4)
    assert all(served(answer, 0.3) for answer in sampled)
    until(lambda: policy.statistics()["serving"] == 2)
    assert one.adapters == {"policy-v3": pytest.approx(0.3)}


@pytest.mark.parametrize("sync", ["file", "lora"])
def test_weights_and_scores_may_come_from_elsewhere(field, sync):
    """Of a model in parts: what it holds itself is neither sent nor scored."""
    double = field.double()
    model, whole = (OneNumber(adapter=sync == "lora") for _ in range(2))
    policy = field.trained(model, sync=sync)
    whole.become(0.75)
    policy.follow(model, lambda: [("weight", whole.weight)], lambda rows: sync_probe.trained_scores(whole, rows))
    assert policy.update() == 1
    assert served(act(policy, [IDS])[0], 0.75)
    assert policy.metrics()["sync/probe_max"] < 1e-5
    assert (double.adapters == {"policy-v0": 0.25, "policy-v1": 0.75}) == (sync == "lora")


def test_an_adapter_of_an_earlier_run_is_replaced(field):
    double = field.double()
    double.adapters["policy-v0"] = 42.0
    policy = field.trained(OneNumber(adapter=True), sync="lora")
    assert served(act(policy, [IDS])[0], 0.25)
    assert "/reset_prefix_cache" in double.paths()


def test_servers_that_were_started_for_something_else_are_refused(field, model):
    double = field.double()
    with pytest.raises(UserError, match=r"takes weights by file, engine.servers.sync is gloo: start it with `medcopilot serve"):
        field.trained(model, sync="gloo")
    double.behave = lambda method, path, body: (404, {}) if path == "/server_info" else None
    with pytest.raises(UserError, match="does not take weights"):
        field.trained(model)
    double.behave = lambda method, path, body: None
    with pytest.raises(UserError, match="has no LoRA adapter"):
        field.trained(model, sync="lora")
    with pytest.raises(UserError, match="has a LoRA adapter: choose lora"):
        field.trained(OneNumber(adapter=True))
    with pytest.raises(UserError, match="weights cannot change"):
        field.policy().update()


def test_written_weights_are_removed_again(field, model, tmp_path):
    field.double()
    policy = field.trained(model, folder=tmp_path / "weights")
    for _ in range(3):
        policy.update()
    assert sorted(path.name.split("-")[1] for path in (tmp_path / "weights").iterdir()) == ["v2", "v3"]
    temporary = field.trained(model)
    folder = temporary.weight_sync.present.folder
    assert folder.is_dir()
    temporary.close()
    assert not folder.exists()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int64])
def test_tensors_cross_a_gloo_group_bit_for_bit(dtype):
    address = gloo.local_address("127.0.0.1", 1)
    store = gloo.open_store(address, 10.0)
    sent = [("a", (torch.randn(3, 5) * 100).to(dtype).t()), ("b", torch.arange(4).to(dtype))]
    got = [torch.empty(5, 3, dtype=dtype), torch.empty(4, dtype=dtype)]

    def worker():
        group = gloo.open_group(gloo.join_store(address, store.port, 10.0), address, 1, 2, 10.0)
        for tensor in got:
            gloo.broadcast(group, tensor)

    thread = threading.Thread(target=worker)
    thread.start()
    gloo.send(gloo.open_group(store, address, 0, 2, 10.0), sent)
    thread.join()
    assert all(torch.equal(tensor, other) for (_, tensor), other in zip(sent, got, strict=True))


def test_a_broadcast_whose_other_side_fails_or_hangs_is_given_up():
    loop = LoopThread("test")
    never = threading.Event()

    async def refused():
        raise OSError("refused")

    async def fails():
        await both(refused(), in_thread(never.wait), 5.0, "sending")

    async def hangs():
        await both(asyncio.sleep(0), in_thread(never.wait), 0.05, "sending")

    async def raises():
        await both(asyncio.sleep(9), in_thread(lambda: 1 // 0 or torch.ones(2) + torch.ones(3)), 5.0, "sending")

    for work, reason in ((fails, "sending: OSError: refused"), (hangs, "sending: not done within 0.05 s")):
        with pytest.raises(Exception, match=reason):
            loop.run(work())
    with pytest.raises(ZeroDivisionError):
        loop.run(raises())
    never.set()
    loop.close()


class Communicator:
    """A double of vLLM's `PyNcclCommunicator`."""

    def __init__(self, available=True):
        self.available = available
        self.disabled = not available
        self.device, self.comm, self.nccl = "cuda:3", "comm", self
        self.aborted: list[tuple[str, bool]] = []
        self.gone = threading.Event()

    def ncclCommAbort(self, comm):
        self.aborted.append((comm, self.disabled))
        self.gone.set()


@pytest.fixture
def third_gpu(monkeypatch):
    """torch and vLLM as a trainer of rank 3 sees them; of each communicator that is made, its thread's device and its size."""
    here = threading.local()
    here.device = 3
    made = []

    def meet(info):
        made.append((here.device, info["world_size"]))
        return Communicator()

    common = ModuleType("vllm.distributed.weight_transfer.nccl_common")
    common.trainer_init = meet
    for name in ("vllm", "vllm.distributed", "vllm.distributed.weight_transfer"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, common.__name__, common)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: getattr(here, "device", 0))
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: setattr(here, "device", device))
    return SimpleNamespace(made=made, common=common)


def test_nccl_takes_the_trainers_gpu_whichever_thread_meets_the_server(third_gpu):
    transport = NcclTransport(5.0)
    loop = LoopThread("test")

    async def meet():
        port, join = transport.rendezvous("127.0.0.1", 2)
        assert port
        return await in_thread(join)

    loop.run(meet())
    assert third_gpu.made == [(3, 2)]
    third_gpu.common.trainer_init = lambda info: Communicator(available=False)
    with pytest.raises(RuntimeError, match="no NCCL library"):
        loop.run(meet())
    loop.close()


def test_a_broadcast_over_nccl_that_is_given_up_is_taken_off_the_gpu(third_gpu):
    """Disabled first: whoever is sending must not send on through a communicator that is gone."""
    transport, group, server = NcclTransport(5.0), Communicator(), object()
    transport._groups[server] = group
    transport.forget(server)
    assert group.gone.wait(10)
    assert group.aborted == [("comm", True)]
    transport.forget(server)
    assert not transport._groups


def test_no_warning_when_all_is_well(field, model):
    field.double()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        field.trained(model).update()
