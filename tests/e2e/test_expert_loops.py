"""The loop guard is silent where nobody goes round in circles: the scripted expert's episodes of every dataset."""

from __future__ import annotations

import pytest

from env.datasets import BuildRequest, dataset_names
from medcopilot.loops import looping_turns
from medcopilot.rollout.sample import sample_run
from medcopilot.rollout.settings import SampleConfig
from medcopilot.runs import RunFolder

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("sandbox")]


@pytest.mark.parametrize("name", dataset_names())
def test_the_expert_never_loops(name, tmp_path):
    """Half of the episodes with a detour: exploration, or an error and its repair."""
    config = SampleConfig(out=tmp_path / "run", policy="expert", datasets=(name,), detours=0.5, loop_guard=True,
                          builds={name: BuildRequest(train=12, test=12, patients=100)})
    traces = list(RunFolder.open(sample_run(config, root=tmp_path / "data")).traces())
    print(f"{name}: {len(traces)} episodes, {sum(len(trace.turns) for trace in traces)} turns")
    assert len(traces) >= 10
    assert [trace.id for trace in traces if trace.stop == "infrastructure"] == []
    assert {trace.id: found for trace in traces if (found := looping_turns(trace))} == {}
    assert [trace.id for trace in traces if trace.stop == "loop" or any(turn.guard for turn in trace.turns)] == []
