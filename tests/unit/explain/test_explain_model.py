"""A second model may explain; when it fails, the grounded words stand; the agreement gate is passed first."""

from __future__ import annotations

import pytest

from env.errors import AgreementError
from env.sandbox.base import Execution, Program
from medcopilot.agent.explainer import ModelExplainer

PROGRAM = Program(source="print(1 / 0)")
FAILED = Execution(status="error", exit_code=1, stderr='  File "/workspace/p.py", line 1\nZeroDivisionError: division by zero\n')


@pytest.fixture(autouse=True)
def _no_record(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDCOPILOT_AGREEMENTS", str(tmp_path / "none.yaml"))


def test_the_models_words_are_used_and_it_sees_the_facts():
    seen = []
    explainer = ModelExplainer(lambda prompt: seen.append(prompt) or "The divisor is zero.", ["synthetic"])
    assert explainer.explain(PROGRAM, FAILED, ()) == "The divisor is zero."
    assert "print(1 / 0)" in seen[0]
    assert "a count or sum found nothing" in seen[0]


@pytest.mark.parametrize("reply", ["", "   ", RuntimeError("down")])
def test_failures_fall_back_and_are_counted(reply):
    def ask(prompt: str) -> str:
        if isinstance(reply, Exception):
            raise reply
        return reply

    explainer = ModelExplainer(ask, ["synthetic"])
    assert explainer.explain(PROGRAM, FAILED, ()).startswith("ZeroDivisionError at line 1")
    assert explainer.failures == 1


def test_long_replies_are_cut():
    explainer = ModelExplainer(lambda prompt: "x" * 5000, ["synthetic"], max_chars=100)
    assert len(explainer.explain(PROGRAM, FAILED, ())) == 100


def test_rows_under_an_agreement_do_not_reach_a_second_model():
    rows = [("mimic_iii", "PhysioNet-credentialed")]
    with pytest.raises(AgreementError, match="second_model"):
        ModelExplainer(lambda prompt: "", rows, url="https://api.example.com/v1")
    ModelExplainer(lambda prompt: "", rows, url="http://127.0.0.1:8000/v1")
