"""TransformersPolicy: what it samples is what the model says, whoever else is in the batch."""

import asyncio
import random

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from env.errors import EngineError
from medcopilot.policies import compiled
from medcopilot.policies.base import Sampled, Sampling
from medcopilot.policies.kv_decoder import KvDecoder, Piece
from medcopilot.policies.slot_engine import as_key, shared_prefix
from medcopilot.policies.transformers_engine import TransformersPolicy

ENGINES = ["slots", "generate"]


def full_logprobs(model, ids, start, temperature=1.0):
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0].float() / temperature
    return torch.log_softmax(logits, -1)[range(start - 1, len(ids) - 1), ids[start:]]


def prompt(length, seed):
    rng = random.Random(seed)
    return [rng.randrange(256) for _ in range(length)]


async def episode(policy, ids, turns, sampling, gap=4):
    """Several turns of one conversation; the sampled pieces and where each began."""
    session = policy.session(None)
    pieces = []
    for turn in range(turns):
        sampled = await session.act(ids, sampling)
        pieces.append((len(ids), sampled))
        ids = ids + sampled.ids + prompt(gap, turn)
    await session.close()
    return ids, pieces


def play(policy, episodes):
    async def main():
        return await asyncio.gather(*(episode(policy, *arguments) for arguments in episodes))

    return asyncio.run(main())


@pytest.fixture(params=ENGINES)
def policy(request, tiny_model, byte_tokenizer):
    built = TransformersPolicy(tiny_model, byte_tokenizer, None, engine=request.param, slots=8, capacity=16)
    yield built
    built.close()


@pytest.mark.parametrize("kv_heads", [4, 2, 1])
def test_greedy_ids_equal_generate(byte_tokenizer, make_qwen2, kv_heads) -> None:
    model = make_qwen2(byte_tokenizer, kv_heads)
    policy = TransformersPolicy(model, byte_tokenizer, None, engine="slots", slots=4, capacity=16)
    prompts = [prompt(length, length) for length in (3, 17, 40, 9, 25)]
    results = play(policy, [(ids, 1, Sampling(max_tokens=30)) for ids in prompts])
    policy.close()
    for ids, (_, pieces) in zip(prompts, results, strict=True):
        expected = model.generate(torch.tensor([ids]), attention_mask=torch.ones(1, len(ids)), max_new_tokens=30, do_sample=False)
        assert pieces[0][1].ids == expected[0, len(ids):].tolist()


@pytest.mark.parametrize("temperature", [0.0, 1.0, 0.6])
def test_logprobs_equal_a_full_forward(policy, tiny_model, temperature) -> None:
    sampling = Sampling(temperature=temperature, max_tokens=12, seed=5)
    for ids, pieces in play(policy, [(prompt(5 + 7 * n, n), 3, sampling) for n in range(12)]):
        for start, sampled in pieces:
            expected = full_logprobs(tiny_model, ids[: start + len(sampled.ids)], start, temperature or 1.0)
            assert torch.allclose(torch.tensor(sampled.logprobs), expected, atol=1e-4)


def test_samples_do_not_depend_on_company(policy) -> None:
    wanted = (prompt(20, 1), 3, Sampling(temperature=1.0, max_tokens=20, seed=11))
    alone = play(policy, [wanted])[0]
    crowd = [(prompt(3 + 11 * n, n), 2, Sampling(temperature=1.0, max_tokens=9, seed=n)) for n in range(11)]
    together = play(policy, [*crowd[:6], wanted, *crowd[6:]])[6]
    assert [sampled.ids for _, sampled in alone[1]] == [sampled.ids for _, sampled in together[1]]


def test_seeds_make_different_samples_and_repeat(policy) -> None:
    def runs(seeds):
        jobs = [(prompt(10, 0), 1, Sampling(temperature=1.0, max_tokens=15, seed=seed)) for seed in seeds]
        return [pieces[0][1].ids for _, pieces in play(policy, jobs)]

    first = runs(range(6))
    assert len({tuple(ids) for ids in first}) == 6
    assert runs(range(6)) == first


def test_a_turn_ends_at_the_stop_token_or_the_limit(policy, tiny_model, byte_tokenizer) -> None:
    ends = [pieces[0][1] for _, pieces in play(policy, [(prompt(6, n), 1, Sampling(temperature=3.0, max_tokens=200, seed=n))
                                                        for n in range(16)])]
    assert {sampled.finish for sampled in ends} >= {"stop"}
    for sampled in ends:
        assert (sampled.ids[-1] == byte_tokenizer.eos_token_id) == (sampled.finish == "stop")
        assert byte_tokenizer.eos_token_id not in sampled.ids[:-1]
        assert len(sampled.ids) == len(sampled.logprobs) <= 200


def test_the_model_context_bounds_a_turn(policy) -> None:
    [(_, [(start, sampled)])] = play(policy, [(prompt(505, 3), 1, Sampling(temperature=0.2, max_tokens=100, seed=1))])
    assert start + len(sampled.ids) <= 512
    with pytest.raises(EngineError, match="512 tokens given"):
        play(policy, [(prompt(512, 3), 1, Sampling())])


def test_new_weights_are_seen_after_update_only(tiny_model, byte_tokenizer) -> None:
    policy = TransformersPolicy(tiny_model, byte_tokenizer, None, version=3, slots=4)
    job = (prompt(10, 0), 1, Sampling(max_tokens=8))
    before = play(policy, [job])[0][1][0][1]
    with torch.no_grad():
        for parameter in tiny_model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)) * parameter.std())
    still = play(policy, [job])[0][1][0][1]
    assert (still.ids, still.logprobs) == (before.ids, pytest.approx(before.logprobs, abs=1e-5))
    assert policy.update() == 4
    ids, [(start, after)] = play(policy, [job])[0]
    policy.close()
    assert (before.policy_version, after.policy_version) == (3, 4)
    assert torch.allclose(torch.tensor(after.logprobs), full_logprobs(tiny_model, ids[: start + len(after.ids)], start), atol=1e-4)


def test_shared_prompts_are_computed_once(tiny_model, byte_tokenizer) -> None:
    policy = TransformersPolicy(tiny_model, byte_tokenizer, None, slots=8)
    play(policy, [(prompt(100, 0), 2, Sampling(temperature=1.0, max_tokens=5, seed=n)) for n in range(8)])
    counts = policy.statistics()
    policy.close()
    assert counts["computed_tokens"] < 100 + 8 * (2 * 5 + 2 * 4 + 4)
    assert counts["reused_tokens"] > 7 * 99


def test_more_conversations_than_slots(tiny_model, byte_tokenizer) -> None:
    policy = TransformersPolicy(tiny_model, byte_tokenizer, None, slots=2, capacity=8)
    results = play(policy, [(prompt(15 + n, n), 4, Sampling(temperature=1.0, max_tokens=6, seed=n)) for n in range(9)])
    policy.close()
    for ids, pieces in results:
        for start, sampled in pieces:
            assert torch.allclose(torch.tensor(sampled.logprobs), full_logprobs(tiny_model, ids[: start + len(sampled.ids)], start),
                                  atol=1e-4)


def test_other_architectures_run_through_generate(byte_tokenizer) -> None:
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(vocab_size=len(byte_tokenizer), hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
                                         intermediate_size=48, max_position_embeddings=128, bos_token_id=None,
                                         eos_token_id=byte_tokenizer.eos_token_id, pad_token_id=byte_tokenizer.pad_token_id)).eval()
    policy = TransformersPolicy(model, byte_tokenizer, None)
    assert policy.describe()["engine"] == "generate"
    for ids, pieces in play(policy, [(prompt(4 + n, n), 2, Sampling(temperature=1.0, max_tokens=6 + n, seed=n)) for n in range(5)]):
        for start, sampled in pieces:
            assert torch.allclose(torch.tensor(sampled.logprobs), full_logprobs(model, ids[: start + len(sampled.ids)], start),
                                  atol=1e-4)
    policy.close()


def test_bfloat16_is_close_but_not_exact(tiny_model, byte_tokenizer) -> None:
    policy = TransformersPolicy(tiny_model, byte_tokenizer, None, slots=4, dtype="bfloat16")
    ids, [(start, sampled)] = play(policy, [(prompt(30, 0), 1, Sampling(temperature=1.0, max_tokens=40, seed=1))])[0]
    policy.close()
    difference = torch.tensor(sampled.logprobs) - full_logprobs(tiny_model, ids[: start + len(sampled.ids)], start)
    assert 0 < difference.abs().mean() < 0.2


def test_a_cancelled_request_leaves_the_engine_working(tiny_model, byte_tokenizer) -> None:
    policy = TransformersPolicy(tiny_model, byte_tokenizer, None, slots=2)

    async def main() -> Sampled:
        slow = asyncio.create_task(policy.session(None).act(prompt(5, 0), Sampling(temperature=0.1, max_tokens=500)))
        await asyncio.sleep(0.05)
        slow.cancel()
        with pytest.raises(asyncio.CancelledError):
            await slow
        return await policy.session(None).act(prompt(5, 1), Sampling(max_tokens=3))

    assert len(asyncio.run(main()).ids) <= 3
    policy.close()


def test_a_broken_engine_fails_every_request(tiny_model, byte_tokenizer, monkeypatch) -> None:
    policy = TransformersPolicy(tiny_model, byte_tokenizer, None, slots=2)
    monkeypatch.setattr(KvDecoder, "extend", lambda *_: 1 / 0)
    with pytest.raises(EngineError, match="ZeroDivisionError"):
        play(policy, [(prompt(5, 0), 1, Sampling())])
    with pytest.raises(EngineError):
        play(policy, [(prompt(5, 0), 1, Sampling())])


def test_a_closed_engine_says_so(tiny_model, byte_tokenizer) -> None:
    policy = TransformersPolicy(tiny_model, byte_tokenizer, None, slots=2)
    policy.close()
    with pytest.raises(EngineError, match="closed"):
        play(policy, [(prompt(5, 0), 1, Sampling())])


def test_long_contexts_are_fed_in_chunks(byte_tokenizer, make_qwen2, monkeypatch) -> None:
    monkeypatch.setattr("medcopilot.policies.kv_decoder.CHUNK", 16)
    monkeypatch.setattr("medcopilot.policies.kv_decoder.SHORT", 8)
    model = make_qwen2(byte_tokenizer)
    decoder = KvDecoder(model, slots=3, capacity=8)
    ids = prompt(100, 0)
    logits = decoder.extend([Piece(0, 0, ids), Piece(2, 0, ids[:50]), Piece(1, 0, ids[:7])])
    with torch.no_grad():
        expected = model(torch.tensor([ids])).logits[0, [99, 49, 6]]
    assert torch.allclose(logits, expected, atol=1e-4)


def test_shared_prefix_is_exact() -> None:
    rng = random.Random(0)
    for _ in range(300):
        one = [rng.randrange(300) for _ in range(rng.randrange(40))]
        other = one[: rng.randrange(len(one) + 1)] + [rng.randrange(300) for _ in range(rng.randrange(10))]
        expected = next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
        assert shared_prefix(as_key(one), as_key(other)) == expected


@pytest.mark.parametrize("kv_heads", [4, 2])
def test_compiled_and_torch_decoding_agree(byte_tokenizer, make_qwen2, kv_heads, monkeypatch) -> None:
    if compiled.load() is None:
        pytest.skip("no C compiler on this machine: only the torch form exists")
    model = make_qwen2(byte_tokenizer, kv_heads)
    fast = KvDecoder(model, slots=6, capacity=64)
    monkeypatch.setattr(compiled, "load", lambda: None)
    plain = KvDecoder(model, slots=6, capacity=64)
    pieces = [Piece(slot, 0, prompt(3 + 9 * slot, slot)) for slot in range(6)]
    assert torch.allclose(fast.extend(pieces), plain.extend(pieces), atol=1e-5)
    for step in range(30):
        slots = [n for n in range(6) if step < 20 or n == 5]  # all rows, then one far from the start of the cache
        where = [3 + 9 * slot + (step if step < 20 or slot == 5 else 20) for slot in slots]
        one, other = (decoder.decode(slots, [7 + slot for slot in slots], where) for decoder in (fast, plain))
        assert torch.allclose(one, other, atol=1e-4)


def test_without_a_compiler_torch_decodes(monkeypatch) -> None:
    monkeypatch.setenv("MEDCOPILOT_COMPILE", "0")
    assert compiled.load.__wrapped__() is None
    monkeypatch.delenv("MEDCOPILOT_COMPILE")
    monkeypatch.setattr(compiled.shutil, "which", lambda name: None)
    assert compiled.load.__wrapped__() is None


def test_defaults_of_torch_that_another_thread_changes_do_not_matter(tiny_model) -> None:
    """transformers sets the default dtype of the whole process while it loads a model."""
    decoder = KvDecoder(tiny_model, slots=2, capacity=16)
    torch.set_default_dtype(torch.bfloat16)
    try:
        other = KvDecoder(tiny_model, slots=2, capacity=16)
        other.grow(64)
    finally:
        torch.set_default_dtype(torch.float32)
    pieces = [Piece(0, 0, list(range(5, 40))), Piece(1, 0, [7, 8, 9])]
    decoder.grow(64)
    assert torch.equal(decoder.extend(pieces), other.extend(pieces))
