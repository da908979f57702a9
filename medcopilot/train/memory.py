"""Memory of long runs on CPUs, where every step has other shapes than the last.

Promises: oneDNN and torch keep the kernels and plans of a few shapes, not of a thousand (a plan takes 260 KB, a kernel as much and
more); what was freed goes back to the system when asked to. Neither changes a result. Without oneDNN or glibc nothing happens.
Does not cover: memory of GPUs.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from functools import cache

_SHAPES = 64
_CACHES = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY")
"""oneDNN's kernels, and the plans for them in torch's bridge to it."""


def few_kernels() -> None:
    """Bound the caches, unless the environment names a size. To be called before the first matrix product."""
    for name in _CACHES:
        os.environ.setdefault(name, str(_SHAPES))


def give_back() -> None:
    """Return free pages of the heap to the system: glibc keeps them between blocks that are in use. Takes milliseconds."""
    _trim()(0)


@cache
def _trim() -> Callable[[int], int]:
    try:
        found: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError):
        return lambda _: 0
    return found
