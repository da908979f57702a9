"""`decode.c`, compiled for this machine on first use.

Promises: `load()` returns the compiled functions or None (no C compiler, another platform, `MEDCOPILOT_COMPILE=0`), never an
error: `kv_decoder` then does the same in torch, about half as fast. The library is kept in the user's cache folder under a name
that depends on source, compiler and processor.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from torch import Tensor

SOURCE = Path(__file__).with_name("decode.c")
# fast arithmetic for our loops only: given to the linker too, it would switch off denormals in the whole process
_COMPILE = ("-O3", "-march=native", "-ffast-math", "-fPIC", "-c")
_POINTER, _LONG = ctypes.c_void_p, ctypes.c_long


class Compiled:
    """The functions of `decode.c` on float32 CPU tensors; shapes as written there."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._norm, self._gate, self._attend = library.norm, library.gate, library.attend
        self._norm.argtypes = [_POINTER] * 3 + [_LONG] * 2 + [ctypes.c_float]
        self._gate.argtypes = [_POINTER] * 2 + [_LONG] * 2
        self._attend.argtypes = [_POINTER] * 9 + [_LONG] * 5
        for function in (self._norm, self._gate, self._attend):
            function.restype = None

    def norm(self, x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
        """(rows, width), normalised and scaled."""
        x = x.contiguous()
        out = x.new_empty(x.shape)
        self._norm(x.data_ptr(), weight.data_ptr(), out.data_ptr(), *x.shape, epsilon)
        return out

    def gate(self, packed: Tensor) -> Tensor:
        """(rows, 2 * width) -> (rows, width)."""
        packed = packed.contiguous()
        out = packed.new_empty(len(packed), packed.shape[1] // 2)
        self._gate(packed.data_ptr(), out.data_ptr(), *out.shape)
        return out

    def attend(self, packed: Tensor, cosine: Tensor, sine: Tensor, keys: Tensor, values: Tensor, slots: Tensor, positions: Tensor,
               heads: int) -> Tensor:
        """(rows, (heads + 2 * kv_heads) * d) -> (rows, heads * d). `packed` is overwritten."""
        _, kv_heads, capacity, size = keys.shape
        packed = packed.contiguous()
        out, scratch = packed.new_empty(len(packed), heads * size), packed.new_empty(capacity)
        tensors = (packed, cosine, sine, keys, values, slots, positions, out, scratch)
        self._attend(*(tensor.data_ptr() for tensor in tensors), len(packed), heads, kv_heads, capacity, size)
        return out


@functools.cache
def load() -> Compiled | None:
    """The compiled functions, None where there are none."""
    if os.environ.get("MEDCOPILOT_COMPILE", "1") == "0":
        return None
    try:
        return Compiled(ctypes.CDLL(str(_library())))
    except (OSError, subprocess.SubprocessError):
        return None


def _library() -> Path:
    """Path of the compiled library, compiled if it is not there yet."""
    compiler = shutil.which(os.environ.get("CC", "cc")) or shutil.which("gcc")
    if compiler is None:
        raise OSError("no C compiler")
    version = subprocess.run([compiler, "--version"], capture_output=True, check=True, timeout=20).stdout
    identity = SOURCE.read_bytes() + version + _processor() + " ".join(_COMPILE).encode()
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "medcopilot"
    library = folder / f"decode-{hashlib.blake2b(identity, digest_size=8).hexdigest()}.so"
    if not library.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as work:
            built = Path(work) / "decode.o"
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
