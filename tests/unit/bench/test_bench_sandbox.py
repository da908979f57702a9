"""The benchmark measures what it says, on this machine's sandbox."""

from __future__ import annotations

import pytest

from env.errors import SandboxUnavailable
from env.sandbox import open_backend
from medcopilot.bench.sandbox import AT_ONCE, PROGRAMS, phases, throughput
from medcopilot.bench.show import show
from medcopilot.bench.timing import spread


def test_spread_is_median_and_95th_percentile_in_milliseconds():
    assert spread([k / 1000 for k in range(100, 0, -1)]) == pytest.approx({"p50_ms": 50.5, "p95_ms": 95.0})
    assert spread([0.25]) == {"p50_ms": 250.0, "p95_ms": 250.0}


def test_phases_and_throughput_of_boxes(capsys):
    try:
        backend = open_backend()
    except SandboxUnavailable as error:
        pytest.skip(str(error))
    try:
        rows = phases(backend, PROGRAMS["base"], 2)
        rates = throughput(backend, PROGRAMS["base"], 2)
        with pytest.raises(RuntimeError, match="ended with error"):
            phases(backend, "print(1 / 0)", 1)
    finally:
        backend.close()
    phase_names = ("start and first run", "execution", "execution 50 ms after the last", "stop")
    assert all(0 < rows[name]["p50_ms"] <= rows[name]["p95_ms"] for name in phase_names)
    assert len(rates) == len(AT_ONCE)
    assert all(row["episodes_per_s"] > 0 for row in rates.values())
    show({"sandbox": {"tier": "x"}, "cores": 2, **rows, **rates, "speedup_vs_reference": 12.34})
    printed = capsys.readouterr().out
    assert "64 at once" in printed
    assert "12.3 x" in printed
    assert "tier" not in printed


def test_sampling_beside_bare_boxes():
    from medcopilot.bench.sampling import measure

    try:
        open_backend().close()
    except SandboxUnavailable as error:
        pytest.skip(str(error))
    found = measure(tasks=4, rounds=1)
    for one, other, ratio in (("sampling, scripted policy", "the same programs in bare boxes", "sampling_over_bare_sandbox"),
                              ("sampling, repeated replies, fresh boxes", "the same programs in bare fresh boxes",
                               "sampling_over_bare_fresh_boxes")):
        assert found[ratio] == pytest.approx(found[one]["executions_per_s"] / found[other]["executions_per_s"])
    assert (found["episodes"], found["submissions_graded_in_a_box"]) == (8, 0)
