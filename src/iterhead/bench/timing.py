"""Timing: several pieces of work take turns over several rounds. Also the machine, and how fast it multiplies."""

import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import torch

from iterhead.machine import free_cores, has_fast_bfloat16

Turn = Callable[[], object]
"""One unit of the work that is timed, such as a training step."""

SIZE = 1024
PRODUCT_OPERATIONS = 2 * SIZE**3
"""Floating-point operations of the product that is timed, of two square matrices of this size."""


@dataclass(frozen=True)
class Measurement:
    """One result.

    Attributes:
        name: what was measured.
        value: None if it cannot be measured on this machine.
        unit: x (times), ms, s, 1/s, GB, share or exponent.
        goal: e.g. `>= 2.5`; empty if there is none.
    """

    name: str
    value: float | None
    unit: str
    goal: str = ""

    @property
    def reached(self) -> bool | None:
        """Whether the value reaches the goal; None without a goal or a value."""
        if not self.goal or self.value is None:
            return None
        sign, bound = self.goal.split()
        return self.value >= float(bound) if sign == ">=" else self.value <= float(bound)


def in_turns(works: Mapping[str, Turn], *, rounds: int, turns: int) -> dict[str, list[float]]:
    """Return the mean seconds of a turn in each round, for each piece of work by name, after some warm-up turns."""
    for work in works.values():
        _timed(work, max(1, turns // 2))
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            seconds[name].append(_timed(work, turns))
    return seconds


def _timed(work: Turn, turns: int) -> float:
    _wait_for_device()
    start = time.perf_counter()
    for _ in range(turns):
        work()
    _wait_for_device()
    return (time.perf_counter() - start) / turns


def _wait_for_device() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def median_seconds(work: Turn, *, rounds: int, turns: int) -> float:
    """Return the seconds of a turn of one piece of work: the median over rounds."""
    return median(in_turns({"": work}, rounds=rounds, turns=turns)[""])


def ratio(slow: list[float], fast: list[float]) -> float:
    """Return how many times as long the slow one takes: the median over rounds."""
    return median(a / b for a, b in zip(slow, fast, strict=True))


def endless(epochs: Callable[[], Iterator[object]]) -> Turn:
    """Return a turn that takes the next step, starting another epoch whenever one has ended."""
    steps: Iterator[object] = iter(())

    def turn() -> object:
        nonlocal steps
        for step in steps:
            return step
        steps = epochs()
        return next(steps)

    return turn


def product(dtype: torch.dtype, device: str = "cpu") -> Turn:
    """Return a turn that multiplies two large square matrices."""
    a, b, out = (torch.randn(SIZE, SIZE, device=device).to(dtype) for _ in range(3))
    return lambda: torch.mm(a, b, out=out)


def _product_rate(dtype: torch.dtype, device: str = "cpu") -> float:
    """Return the rate of products of large square matrices, in 1e9 floating-point operations a second."""
    return PRODUCT_OPERATIONS / median_seconds(product(dtype, device), rounds=5, turns=8) / 1e9


def peak_memory() -> float:
    """Return the most memory in GB that this process has used.

    On Linux from /proc: `ru_maxrss` there begins with that of the process that started this one.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024 / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e9


def printed_number(command: Sequence[str]) -> float:
    """Return the number that a command prints last."""
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1])


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
        "float32_gflops": round(_product_rate(torch.float32, device), 1),
    }
    if has_fast_bfloat16(device):
        described["bfloat16_gflops"] = round(_product_rate(torch.bfloat16, device), 1)
    return described


def _processor() -> str:
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return str(capabilities.get("cpu_name") or platform.processor() or platform.machine())
