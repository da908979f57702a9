"""Rollouts on servers of other machines: the gate knows the tags of the tasks that are played."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from env.datasets import BuildRequest, get_dataset
from medcopilot.policies import vllm_server
from medcopilot.rl import engines, source


def test_a_run_hands_the_tags_of_its_tasks_to_the_policy_of_its_servers(tmp_path, monkeypatch):
    class Stop(Exception):
        pass

    def from_model(*_, licences, **__):
        raise Stop(licences)

    built = get_dataset("medcalcbench").build(BuildRequest(train=4, test=2), tmp_path)
    monkeypatch.setattr(vllm_server.VllmServerPolicy, "from_model", from_model)
    monkeypatch.setattr(engines, "ChatRenderer", lambda tokenizer: None)
    monkeypatch.setattr(source, "build_all", lambda *_: {"medcalcbench": built})
    servers = SimpleNamespace(share=lambda: None)
    config = SimpleNamespace(
        name="grpo", seed=0, sandbox="auto", datasets=("medcalcbench",), builds={}, tasks_per_dataset=None,
        rollouts=SimpleNamespace(), engine=SimpleNamespace(kind="vllm_server", dtype="float32", options={}, servers=servers))
    checkpoint = SimpleNamespace(tokenizer=None, meta=SimpleNamespace(profile="nano", policy_version=0))
    live = SimpleNamespace(only_adapter=False, copied=False, model=None)
    with pytest.raises(Stop) as stopped, source.open_source(config, checkpoint, live):
        pass
    assert stopped.value.args == ({"medcalcbench": "synthetic"},)
