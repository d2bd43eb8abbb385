"""Cores, devices and dtypes of this machine. torch is imported only by the calls that need it."""

import ctypes
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal, cast

from iterhead.errors import UserError, shortened

if TYPE_CHECKING:
    import torch

DEVICES = ("auto", "cpu", "cuda", "mps")  # auto takes a GPU where there is one
MAX_THREADS = 1024  # of PyTorch, and processes at a time
LEAST_WIDTH_FOR_BFLOAT16 = 64  # a single narrower network is no faster in it, or slower

Precision = Literal["float32", "float64", "bfloat16"]

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # glibc's numbers for what mallopt sets


def free_cores() -> int:
    """Return how many cores this process may use: those it is bound to, within its container's quota, rounded up.

    LOKY_MAX_CPU_COUNT in the environment lowers it.
    """
    from joblib import cpu_count  # type: ignore[import-untyped]

    return int(cpu_count())


def check_compiler(device: str) -> None:
    """Raise UserError where torch.compile cannot work: on a CPU it needs a C++ compiler."""
    names = ("c++", "g++", "clang++")
    if device == "cpu" and not any(map(shutil.which, names)):
        raise UserError(f"compiled=True: no C++ compiler found: expected one of {', '.join(names)} on the PATH")


def check_count(name: str, count: int | None) -> None:
    """Raise UserError unless a count of threads or processes is absent or sensible."""
    if count is not None and not 1 <= count <= MAX_THREADS:
        raise UserError(f"{name}={shortened(count)}: expected 1 to {MAX_THREADS:,}")


@contextmanager
def torch_threads(count: int) -> Iterator[int]:
    """Let PyTorch use `count` threads within the block; UserError if fewer than one, or too many."""
    import torch

    check_count("threads", count)
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield count
    finally:
        torch.set_num_threads(before)


def keep_freed_memory() -> None:
    """Let glibc keep the memory that training frees from step to step, for the life of this process.

    By default it returns every large block to the system, so each step pays thousands of page faults for the same
    activations. Other C libraries are left alone.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_TRIM_THRESHOLD, 2**31 - 1)
        mallopt(_MMAP_THRESHOLD, 2**30)


def find_device(name: str) -> str:
    """Return the device that `name` means here: cpu, cuda or mps; UserError if there is none."""
    import torch

    if name not in DEVICES:
        raise UserError(f"device={name}: expected one of {', '.join(DEVICES)}")
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return next(device for device in ("cuda", "mps", "cpu") if available[device])
    if not available[name]:
        devices = ", ".join(device for device, is_available in available.items() if is_available)
        raise UserError(f"device={name}: PyTorch finds none here: expected one of auto, {devices}")
    return name


def find_precision(wanted: str, device: str, width: int) -> Precision:
    """Return the dtype that `wanted` means for networks of a width on a device.

    auto is bfloat16 if the device is fast at it and the network wide enough to gain (docs/benchmarks.md), else float32.
    """
    if wanted == "auto":
        return "bfloat16" if width >= LEAST_WIDTH_FOR_BFLOAT16 and has_fast_bfloat16(device) else "float32"
    return cast(Precision, wanted)


def weights_dtype(precision: str) -> "torch.dtype":
    """Return the dtype of the weights: bfloat16 is for the steps only."""
    import torch

    return torch.float64 if precision == "float64" else torch.float32


def has_fast_bfloat16(device: str) -> bool:
    """Return whether the device multiplies matrices of bfloat16 faster than of float32."""
    import torch

    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device != "cpu" or not hasattr(torch.cpu, "get_capabilities"):  # not in every PyTorch that we take
        return False
    return bool(torch.cpu.get_capabilities().get("avx512_bf16"))
