"""p(YES): the two-token softmax, whatever the batch; and which folders are verifiers."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers.integrations import deepspeed

from env.errors import EngineError, UserError
from medcopilot.agent.render import ChatRenderer
from medcopilot.rl.shaped import open_scorer
from medcopilot.trace import Trace, Turn
from medcopilot.train.model import CheckpointMeta, NanoShape, new_nano, save_checkpoint
from medcopilot.verifier import Verifier
from medcopilot.verifier.prompt import VerifierPrompt
from medcopilot.verifier.score import VerifierRecord, batches_by_length, p_yes, whole_weights, write_record

SHAPE = NanoShape(hidden=32, layers=2, heads=2, feed_forward=48, positions=512)


@pytest.fixture(scope="module")
def model(tokenizer: Any) -> Any:
    return new_nano(tokenizer, SHAPE, seed=3).eval()


def test_the_score_is_the_softmax_over_the_two_answers(model: Any, renderer: ChatRenderer, traces: list[Trace]) -> None:
    prompt = VerifierPrompt(renderer, "nano")
    scores = Verifier(model, prompt).score(traces[:6])
    for trace, score in zip(traces, scores, strict=False):
        with torch.no_grad():
            logprobs = model(input_ids=torch.tensor([prompt.ids(trace)])).logits[0, -1].log_softmax(-1)
        yes, no = logprobs[prompt.answers.yes].exp(), logprobs[prompt.answers.no].exp()
        assert score == pytest.approx((yes / (yes + no)).item(), abs=1e-6)


def test_neighbours_and_order_do_not_change_a_score(model: Any, renderer: ChatRenderer, traces: list[Trace], trace_of: Any,
                                                    turn_of: Callable[..., Turn]) -> None:
    mixed = [*traces[:5], trace_of("long", turn_of("x=1\n" * 40, "1")), *traces[5:8]]
    verifier = Verifier(model, VerifierPrompt(renderer, "nano"))
    together = verifier.score(mixed)
    verifier.batch_tokens = 1
    assert verifier.score(mixed[::-1]) == pytest.approx(together[::-1], abs=1e-6)
    assert verifier.score([]) == []
    assert len(set(together)) > 1


@given(st.lists(st.integers(1, 90), max_size=40), st.integers(1, 200))
def test_batches_hold_every_row_once_within_the_budget(lengths: list[int], budget: int) -> None:
    batches = batches_by_length(lengths, budget)
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or max(lengths[i] for i in batch) * len(batch) <= budget


def test_broken_weights_are_an_error_not_a_score(tokenizer: Any, renderer: ChatRenderer) -> None:
    broken = new_nano(tokenizer, SHAPE)
    with torch.no_grad():
        broken.model.norm.weight.fill_(float("nan"))
    with pytest.raises(EngineError, match="not a number"):
        p_yes(broken, [[1, 2, 3]], VerifierPrompt(renderer, "nano").answers)


class ZeroThree:
    """Stands for the settings that transformers keeps while a model is trained in shards."""

    def is_zero3(self) -> bool:
        return True


def test_a_verifier_is_whole_on_every_rank_of_sharded_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deepspeed, "_hf_deepspeed_config_weak_ref", None)
    monkeypatch.setenv("FSDP_CPU_RAM_EFFICIENT_LOADING", "true")
    kept = ZeroThree()
    deepspeed.set_hf_deepspeed_config(kept)
    with whole_weights():
        assert not deepspeed.is_deepspeed_zero3_enabled()
        assert os.environ["FSDP_CPU_RAM_EFFICIENT_LOADING"] == "false"
    assert deepspeed.is_deepspeed_zero3_enabled()
    assert os.environ["FSDP_CPU_RAM_EFFICIENT_LOADING"] == "true"


def test_a_verifier_is_loaded_with_the_prompts_it_was_trained_on(model: Any, tokenizer: Any, renderer: ChatRenderer, tmp_path: Path,
                                                                 traces: list[Trace]) -> None:
    folder = save_checkpoint(model, tokenizer, tmp_path / "verifier", CheckpointMeta(profile="nano", stage="verifier"))
    with pytest.raises(UserError, match="this is no verifier"):
        Verifier.from_checkpoint(folder)
    untrained = Verifier.from_checkpoint(folder, device="cpu", record=VerifierRecord(profile="full", max_length=700))
    assert (untrained.prompt.profile, untrained.prompt.max_tokens) == ("full", 700)
    write_record(folder, VerifierRecord(profile="nano", max_length=400))
    loaded = Verifier.from_checkpoint(folder, device="cpu")
    assert (loaded.prompt.profile, loaded.prompt.max_tokens) == ("nano", 400)
    expected = Verifier(model, VerifierPrompt(renderer, "nano", 400)).score(traces[:4])
    assert loaded.score(traces[:4]) == pytest.approx(expected, abs=1e-5)
    scorer = open_scorer(str(folder))
    assert scorer is not None
    assert scorer(traces[:4]) == pytest.approx(expected, abs=2e-2)  # bfloat16 where there is a GPU
    assert open_scorer(None) is None
    (folder / "verifier.json").write_text("{")
    with pytest.raises(UserError, match=r"verifier\.json: not a verifier's record"):
        Verifier.from_checkpoint(folder)
