"""Caches and heap of long runs on a CPU."""

import os

from medcopilot.train.memory import few_kernels, give_back


def test_a_size_that_the_user_named_stands(monkeypatch):
    monkeypatch.setenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "7")
    monkeypatch.setenv("LRU_CACHE_CAPACITY", "")  # so that the environment is as before afterwards
    monkeypatch.delenv("LRU_CACHE_CAPACITY")
    few_kernels()
    assert os.environ["ONEDNN_PRIMITIVE_CACHE_CAPACITY"] == "7"
    assert 0 < int(os.environ["LRU_CACHE_CAPACITY"]) < 1024


def resident() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_free_pages_between_blocks_in_use_go_back():
    """200 MB in small blocks, every hundredth of which stays: the heap cannot shrink from its end."""
    blocks = [bytes(20_000) for _ in range(10_000)]
    kept = blocks[::100]
    give_back()
    full = resident()
    del blocks
    give_back()
    assert full - resident() > 100e6
    assert len(kept) == 100
