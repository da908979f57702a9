"""Batches by token budget."""

from __future__ import annotations

import itertools

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medcopilot.train.batches import PadRight, SftRows, TokenBatches, round_up

lengths = st.lists(st.integers(1, 60), min_size=1, max_size=80)


@settings(deadline=None)
@given(lengths, st.integers(20, 300), st.integers(0, 3), st.integers(0, 5), st.sampled_from([1, 8]))
def test_an_epoch_visits_every_row_once_within_the_budget(sizes: list[int], budget: int, seed: int, epoch: int,
                                                          multiple: int) -> None:
    batches = TokenBatches(sizes, budget, epochs=1, seed=seed, multiple=multiple).epoch(epoch)
    assert sorted(itertools.chain.from_iterable(batches)) == list(range(len(sizes)))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * round_up(max(sizes[i] for i in batch), multiple) <= budget


@settings(deadline=None)
@given(lengths, st.integers(20, 300), st.integers(1, 4), st.integers(1, 3), st.integers(1, 9))
def test_ranks_together_train_on_what_one_process_accumulates(sizes: list[int], budget: int, world: int, accumulation: int,
                                                              steps: int) -> None:
    ranks = [list(TokenBatches(sizes, budget, total=steps * accumulation, seed=3, rank=rank, world=world)) for rank in range(world)]
    alone = list(TokenBatches(sizes, budget, total=steps * accumulation * world, seed=3))
    for step in range(steps):
        together = [batch for rank in ranks for batch in rank[step * accumulation : (step + 1) * accumulation]]
        size = accumulation * world
        assert sorted(together) == sorted(alone[step * size : (step + 1) * size])


@settings(deadline=None)
@given(lengths, st.integers(20, 300), st.integers(1, 4))
def test_ranks_get_equally_many_batches_and_miss_nothing(sizes: list[int], budget: int, world: int) -> None:
    ranks = [TokenBatches(sizes, budget, epochs=1, seed=3, rank=rank, world=world) for rank in range(world)]
    assert len({len(rank) for rank in ranks}) == 1
    assert {i for rank in ranks for batch in rank for i in batch} == set(range(len(sizes)))


def test_order_is_seeded_and_changes_between_epochs() -> None:
    sizes = [i % 37 + 5 for i in range(300)]
    first, again, other = (TokenBatches(sizes, 100, epochs=2, seed=seed) for seed in (1, 1, 2))
    assert list(first) == list(again)
    assert list(first) != list(other)
    assert first.epoch(0) != first.epoch(1)


def test_total_and_fractions_of_epochs() -> None:
    sizes = [10] * 40
    assert len(TokenBatches(sizes, 100, epochs=2.5)) == 10
    assert len(list(TokenBatches(sizes, 100, total=11))) == 11
    assert all(len(batch) == 1 for batch in TokenBatches(sizes, 100, epochs=1, most_rows=1))


def test_little_is_padded() -> None:
    sizes = [20 + i * 7 % 180 for i in range(2000)]
    padded = sum(len(batch) * max(sizes[i] for i in batch) for batch in TokenBatches(sizes, 2048, epochs=1))
    assert sum(sizes) / padded > 0.9


def test_padding_goes_right_and_carries_nothing() -> None:
    rows = SftRows([{"input_ids": [5, 6, 7], "labels": [-100, 6, 7]}, {"input_ids": [8], "labels": [8]}])
    batch = PadRight(0)([rows[0], rows[1]])
    assert batch["input_ids"].tolist() == [[5, 6, 7], [8, 0, 0]]
    assert batch["labels"].tolist() == [[-100, 6, 7], [8, -100, -100]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]


def test_few_shapes() -> None:
    rows = SftRows([{"input_ids": [1] * n, "labels": [1] * n} for n in (3, 5, 7)])
    shapes = {tuple(PadRight(0, multiple=8, budget=32)([rows[i]])["input_ids"].shape) for i in range(3)}
    assert shapes == {(4, 8)}
    assert torch.equal(PadRight(0, multiple=8, budget=32)([rows[0]])["attention_mask"].sum(1), torch.tensor([3, 0, 0, 0]))
