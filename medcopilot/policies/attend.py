"""`attend.c`, compiled for this machine on first use.

Promises: `load()` returns the compiled function or None (no C compiler, another platform, `MEDCOPILOT_COMPILE=0`), never an
error: `kv_decoder` then does the same in torch, about twice as slowly. The library is kept in the user's cache folder under a
name that depends on source, compiler and processor.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from torch import Tensor

SOURCE = Path(__file__).with_name("attend.c")
# fast arithmetic for our loops only: given to the linker too, it would switch off denormals in the whole process
_COMPILE = ("-O3", "-march=native", "-ffast-math", "-fPIC", "-c")
Attend = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]


@functools.cache
def load() -> Attend | None:
    """The function `attend(query, key, value, keys, values, slots, positions) -> out`; shapes as in `attend.c`."""
    if os.environ.get("MEDCOPILOT_COMPILE", "1") == "0":
        return None
    try:
        function = ctypes.CDLL(str(_library())).attend
    except (OSError, subprocess.SubprocessError):
        return None
    function.restype = None
    function.argtypes = [ctypes.c_void_p] * 9 + [ctypes.c_long] * 5

    def attend(query: Tensor, key: Tensor, value: Tensor, keys: Tensor, values: Tensor, slots: Tensor, positions: Tensor) -> Tensor:
        rows, heads, size = query.shape
        query, key, value = query.contiguous(), key.contiguous(), value.contiguous()
        out, scratch = query.new_empty(query.shape), query.new_empty(keys.shape[2])
        tensors = (query, key, value, keys, values, slots, positions, out, scratch)
        function(*(tensor.data_ptr() for tensor in tensors), rows, heads, keys.shape[1], keys.shape[2], size)
        return out

    return attend


def _library() -> Path:
    """Path of the compiled library, compiled if it is not there yet."""
    compiler = shutil.which(os.environ.get("CC", "cc")) or shutil.which("gcc")
    if compiler is None:
        raise OSError("no C compiler")
    version = subprocess.run([compiler, "--version"], capture_output=True, check=True, timeout=20).stdout
    identity = SOURCE.read_bytes() + version + _processor() + " ".join(_COMPILE).encode()
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "medcopilot"
    library = folder / f"attend-{hashlib.blake2b(identity, digest_size=8).hexdigest()}.so"
    if not library.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as work:
            built = Path(work) / "attend.o"
            subprocess.run([compiler, *_COMPILE, str(SOURCE), "-o", str(built)], capture_output=True, check=True, timeout=60)
            shared = built.with_suffix(".so")
            subprocess.run([compiler, "-shared", str(built), "-o", str(shared), "-lm"], capture_output=True, check=True, timeout=60)
            shared.replace(library)
    return library


def _processor() -> bytes:
    """What `-march=native` goes by."""
    try:
        lines = Path("/proc/cpuinfo").read_bytes().split(b"\n")
    except OSError:
        return b""
    return b"\n".join(sorted({line for line in lines if line.startswith((b"flags", b"model name"))}))
