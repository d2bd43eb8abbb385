"""The machine, and how fast it multiplies matrices, which the other results are compared with."""

import os
import platform
from importlib.metadata import version
from statistics import median
from typing import Any

import torch

from iterhead.bench.timing import Turn, in_turns
from iterhead.machine import free_cores, has_fast_bfloat16

SIZE = 1024
PRODUCT_OPERATIONS = 2 * SIZE**3
"""Floating-point operations of the product that is timed, of two square matrices of this size."""


def product(dtype: torch.dtype, device: str = "cpu") -> Turn:
    """Return a turn that multiplies two large square matrices."""
    a, b, out = (torch.randn(SIZE, SIZE, device=device).to(dtype) for _ in range(3))
    return lambda: torch.mm(a, b, out=out)


def product_rate(dtype: torch.dtype, device: str = "cpu") -> float:
    """Return the rate of products of large square matrices, in 1e9 floating-point operations a second."""
    (seconds,) = in_turns({"": product(dtype, device)}, rounds=5, turns=8).values()
    return PRODUCT_OPERATIONS / median(seconds) / 1e9


def describe_machine(device: str) -> dict[str, Any]:
    """Return a description of the machine, as JSON values."""
    described: dict[str, Any] = {
        "processor": _processor(),
        "cores": free_cores(),
        "threads": torch.get_num_threads(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": version("torch"),
        "device": torch.cuda.get_device_name() if device == "cuda" else device,
        "float32_gflops": round(product_rate(torch.float32, device), 1),
    }
    if has_fast_bfloat16(device):
        described["bfloat16_gflops"] = round(product_rate(torch.bfloat16, device), 1)
    return described


def _processor() -> str:
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return str(capabilities.get("cpu_name") or platform.processor() or platform.machine())
