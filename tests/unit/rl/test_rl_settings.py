"""What the online recipes refuse, and what a run may change between two starts."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from medcopilot.rl.grpo import GrpoConfig
from medcopilot.rl.ppo_settings import PpoConfig

SERVED = {"kind": "vllm_server", "servers": {"urls": ["http://127.0.0.1:8001"], "sync": "gloo"}}


def recipe(kind=GrpoConfig, **changes):
    return kind.model_validate({"run": "runs/x", "model": {"checkpoint": "start"}, "max_steps": 2, **changes})


def served(**changes):
    return recipe(engine={**SERVED, "servers": {**SERVED["servers"], **changes}})


@pytest.mark.parametrize("changes", [
    {"urls": ["http://127.0.0.1:9001"]}, {"urls": ["http://node7:8001", "http://node8:8001"]}, {"folder": "/scratch/weights"},
    {"api_key_env": "KEY"}])
def test_a_run_goes_on_with_its_engines_elsewhere(changes) -> None:
    assert served(**changes).digest() == served().digest()


@pytest.mark.parametrize("changes", [{"sync": "file"}, {"probe_limit": 0.5}, {"turn_seconds": 9.0}])
def test_how_engines_are_used_is_part_of_a_run(changes) -> None:
    assert served(**changes).digest() != served().digest()


@pytest.mark.parametrize("kind", [GrpoConfig, PpoConfig])
def test_a_run_without_servers_has_the_digest_of_all_its_keys(kind) -> None:
    plain = recipe(kind)
    assert plain.engine.servers is None
    assert plain.digest() == recipe(kind, keep_traces=True).digest()
    assert plain.digest() != recipe(kind, engine={"dtype": "bfloat16"}).digest()


def test_a_run_on_servers_has_no_engine_options_of_its_own() -> None:
    """They would reach a constructor that knows none of them, hours after the recipe was read."""
    with pytest.raises(ValidationError, match=r"set options: \{\} and start them with .*-- --max-model-len"):
        recipe(engine={**SERVED, "options": {"max_model_len": 32768}})
