"""Timing: several pieces of work take turns over several rounds."""

import time
from collections.abc import Callable, Iterator, Mapping
from statistics import median

import torch

Turn = Callable[[], object]
"""One unit of the work that is timed, such as a training step."""


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
