"""How much memory there is, and a line instead of a crash for what needs more."""

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from iterhead.errors import UserError

ADDRESS_SPACE, ADDRESS_SPACE_PER_CORE = 1_800_000_000, 30_000_000
"""Bytes that PyTorch, polars and matplotlib map when the smallest run is trained: 1.55 GB with one thread, 1.9 GB with
two, 2.4 GB with 16, 3.4 GB with 64. With less, their libraries end the process while they are imported."""


class Memory(NamedTuple):
    """An amount of memory, and where it is."""

    bytes: int
    place: str


def check_memory(task: str, needs: Mapping[str, int], device: str = "cpu") -> None:
    """Raise UserError if a task needs more memory than there is.

    Args:
        task: what is to be done, e.g. "training".
        needs: bytes, by the setting that they depend on most, as `name=value`.
        device: cpu, cuda or mps.
    """
    needed, there = sum(needs.values()), available(device)
    if needed > there.bytes:
        largest = max(needs, key=needs.__getitem__)
        raise UserError(
            f"{largest}: {task} needs about {_gigabytes(needed)} of memory, but {there.place} only "
            f"{_gigabytes(there.bytes)}: lower {largest.partition('=')[0]}"
        )


def check_memory_limit() -> None:
    """Raise UserError if the limit on this process's memory (ulimit -v) is too low for PyTorch to be imported."""
    limit, least = _address_space_limit(), ADDRESS_SPACE + (os.cpu_count() or 1) * ADDRESS_SPACE_PER_CORE
    if limit is not None and limit < least:
        raise UserError(
            f"this process may use {limit / 1e9:.2f} GB of memory: expected at least {least / 1e9:.2f} GB, to load "
            "PyTorch; raise the limit with ulimit -v"
        )


def available(device: str = "cpu") -> Memory:
    """Return the memory of a device, or the least that this process may have: all of it, in use or not."""
    if device == "cuda":
        import torch

        return Memory(torch.cuda.mem_get_info()[1], "the GPU has")
    return min(_limits())


def _limits() -> Iterator[Memory]:
    """Yield every limit on the memory of this process."""
    yield Memory(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), "this machine has")
    for group_limit in _cgroup_limits():
        yield Memory(group_limit, "this container has")
    if (limit := _address_space_limit()) is not None:
        yield Memory(max(0, limit - _address_space()), "the limit on memory (ulimit -v) leaves")


def _address_space_limit() -> int | None:
    """Return the bytes that this process may map; None for no limit."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return None
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    return None if limit == resource.RLIM_INFINITY else limit


def _address_space() -> int:
    """Return how much of RLIMIT_AS this process has used; 0 where there is no /proc."""
    with suppress(OSError):
        return int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    return 0


def _cgroup_limits(processes: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")) -> Iterator[int]:
    """Yield the limits of this process's control group and of those around it, of both versions."""
    try:
        lines = processes.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, group = line.split(":", 2)
        if controllers == "":
            top, file = root, "memory.max"
        elif "memory" in controllers.split(","):
            top, file = root / "memory", "memory.limit_in_bytes"
        else:
            continue
        folder = top / group.lstrip("/")  # may not be visible in a container, whose own group is at the top
        for around in (folder, *(parent for parent in folder.parents if parent.is_relative_to(top))):
            with suppress(OSError, ValueError):  # "max" is no number
                yield int((around / file).read_text())


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:,.3g} GB" if count < 1e12 else f"{count / 1e12:,.3g} TB"
