"""A policy from a checkpoint folder speaks with the tokens that it was trained with."""

import asyncio

from medcopilot.policies.base import Sampling
from medcopilot.policies.load import load_policy
from medcopilot.train.model import CheckpointMeta, NanoShape, load_checkpoint, new_nano, save_checkpoint
from medcopilot.train.tokenizer import train_tokenizer

TEXT = '{"action":"submit","params":{"answer":413.61}} select count(*) from patients where age > 40'


def saved(tmp_path):
    tokenizer = train_tokenizer([TEXT] * 20 + [f"row {n}" for n in range(50)], 400)
    model = new_nano(tokenizer, NanoShape(hidden=32, layers=1, heads=2, feed_forward=32, positions=128))
    return tokenizer, save_checkpoint(model, tokenizer, tmp_path / "sft", CheckpointMeta(profile="nano", policy_version=4))


def test_the_tokenizer_of_a_checkpoint_gives_the_same_ids(tmp_path) -> None:
    """Beside a Qwen2 config.json, transformers' automatic choice would split words like Qwen2: other ids, same text."""
    tokenizer, folder = saved(tmp_path)
    assert load_checkpoint(folder).tokenizer.encode(TEXT) == tokenizer.encode(TEXT)


def test_a_checkpoint_policy_knows_its_name_version_and_digest(tmp_path) -> None:
    _, folder = saved(tmp_path)
    policy = load_policy(str(folder), threads=1)
    ids = policy.renderer.prompt([{"role": "user", "content": "row 3"}])
    sampled = asyncio.run(policy.session(None).act(ids, Sampling(max_tokens=5)))
    about = policy.describe()
    policy.close()
    assert (policy.name, sampled.policy_version) == ("sft", 4)
    assert about["digest"] == load_checkpoint(folder).digest
    assert about == load_policy(str(folder), threads=1).describe()
