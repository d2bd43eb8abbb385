"""Timing: several things take turns, medians over rounds."""

import time
from collections.abc import Callable, Iterator, Mapping
from statistics import median

import torch

Turn = Callable[[], object]
"""One piece of the work that is timed."""


def in_turns(works: Mapping[str, Turn], *, rounds: int, turns: int) -> dict[str, list[float]]:
    """Return the seconds that a turn of each work takes, one mean for each round.

    Args:
        works: by name; each has had its warm-up turns when the rounds begin.
        rounds: in each, every work has its turns.
        turns: of each work in a round.
    """
    for work in works.values():
        _timed(work, max(1, turns // 2))
    taken: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            taken[name].append(_timed(work, turns))
    return taken


def _timed(work: Turn, turns: int) -> float:
    _wait_for_device()
    begun = time.perf_counter()
    for _ in range(turns):
        work()
    _wait_for_device()
    return (time.perf_counter() - begun) / turns


def _wait_for_device() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def ratio(slow: list[float], fast: list[float]) -> float:
    """Return how many times as long the slow one takes, the median over rounds."""
    return median(a / b for a, b in zip(slow, fast, strict=True))


def endless(epochs: Callable[[], Iterator[object]]) -> Turn:
    """Return a turn that takes the next step of epochs that begin again when they end."""
    steps: Iterator[object] = iter(())

    def turn() -> object:
        nonlocal steps
        for step in steps:
            return step
        steps = epochs()
        return next(steps)

    return turn
