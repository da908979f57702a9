"""Rows under an agreement and a cluster of other machines."""

import sys
from types import SimpleNamespace

import pytest

from env.errors import AgreementError
from medcopilot.rollout.backends import leaves_machine, play_ray
from medcopilot.rollout.settings import SampleConfig


@pytest.mark.parametrize(("address", "leaves"), [
    (None, False), ("", False), ("local", False), ("127.0.0.1:6379", False), ("ray://localhost:10001", False), ("auto", True),
    ("10.0.0.7:6379", True), ("ray://head.example:10001", True), ("127.0.0.1.example:6379", True)])
def test_which_addresses_may_be_elsewhere(address, leaves):
    assert leaves_machine(address) == leaves


@pytest.mark.parametrize(("joined", "address"), [(False, "head.example:6379"), (True, None)])
def test_rows_under_an_agreement_stay_here_without_a_permission(monkeypatch, tmp_path, joined, address):
    """Also where somebody has joined a cluster before: we do not know which."""
    monkeypatch.setenv("MEDCOPILOT_AGREEMENTS", str(tmp_path / "none.yaml"))
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(is_initialized=lambda: joined))
    if address:
        monkeypatch.setenv("RAY_ADDRESS", address)
    else:
        monkeypatch.delenv("RAY_ADDRESS", raising=False)
    job = SimpleNamespace(task=SimpleNamespace(dataset="mimic_iii", licence="PhysioNet Credentialed Health Data License"))
    with pytest.raises(AgreementError, match="exit: cluster"):
        play_ray(SampleConfig(out=tmp_path, policy="expert", backend="ray"), tmp_path, [job], 1, tally=None)
