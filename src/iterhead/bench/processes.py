"""Figures of whole runs: what they cost beside the steps, in memory, and in processes side by side."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from statistics import median

from iterhead.machine import free_cores
from iterhead.measure import emergence_epoch
from iterhead.runs.options import Evaluation
from iterhead.runs.run import Run
from iterhead.runs.training import train
from iterhead.runs.worker_pool import train_many
from iterhead.settings import RunConfig, parse_config

EPOCHS = 6
"""Of a default run whose evaluations are timed; none of them short."""

_PUBLISHED = """
import resource, sys, iterhead
from iterhead.settings import parse_config
run = iterhead.train(parse_config({
    "data": {"max_length": 32}, "model": {"width": 128},
    "training": {"batch_size": 256, "lr": 3e-4, "epochs": 1, "short_epochs": 0, "precision": "float32"},
}), out=sys.argv[1])
unit = 1 if sys.platform == "darwin" else 1024
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9)
"""


class _Clock:
    """Notes when each evaluation was done, and how long training had taken by then."""

    def __init__(self) -> None:
        self.notes: list[tuple[float, float]] = []

    def started(self, _run: Run, _progress: list[Evaluation]) -> None:
        """Note the beginning."""
        self.notes.append((time.perf_counter(), 0.0))

    def evaluated(self, _run: Run, progress: Evaluation) -> None:
        """Note an evaluation."""
        self.notes.append((time.perf_counter(), progress.train_seconds))


def share_beside_training(device: str) -> float:
    """Return what a default run spends on evaluating and saving, as a share of its training; median over epochs."""
    clock = _Clock()
    config = parse_config({"training": {"epochs": EPOCHS, "short_epochs": 0, "early_stop": False}})
    with tempfile.TemporaryDirectory() as out:
        train(config, out=out, device=device, observer=clock)
    shares: list[float] = []
    for (then, trained), (now, more) in zip(clock.notes, clock.notes[1:], strict=False):
        shares.append((now - then) / (more - trained) - 1)
    return median(shares)


def workers_gain(workers: int) -> float:
    """Return how many times as long one worker takes for a list of runs as `workers`; one thread in each process."""
    training = {"epochs": 2, "short_epochs": 0, "early_stop": False}
    configs = [parse_config({"seed": seed, "training": training}) for seed in range(2 * workers)]
    seconds: dict[int, list[float]] = {1: [], workers: []}
    _train_all(configs[:1], 1)  # what is only loaded once is loaded now
    for _ in range(2):
        for count, taken in seconds.items():
            begun = time.perf_counter()
            _train_all(configs, count)
            taken.append(time.perf_counter() - begun)
    return median(seconds[1]) / median(seconds[workers])


def _train_all(configs: list[RunConfig], workers: int) -> None:
    with tempfile.TemporaryDirectory() as out:
        for result in train_many(configs, out=out, workers=workers, threads=1, device="cpu"):
            assert result.run is not None, result.error


def peak_memory() -> float:
    """Return the most memory that a run at the published size held, in GB: one epoch and the whole test, alone."""
    with tempfile.TemporaryDirectory() as out:
        told = subprocess.run([sys.executable, "-c", _PUBLISHED, out], capture_output=True, text=True, check=True)
    return float(told.stdout.split()[-1])


@dataclass(frozen=True)
class Emergence:
    """How long a run trained.

    Attributes:
        shown: seconds until the first of the three evaluations in a row that showed the head.
        stopped: seconds until the third of them, where the run stops.
    """

    shown: float
    stopped: float


def emergence(seeds: Iterable[int], device: str) -> Iterator[Emergence | None]:
    """Yield how long each seed of the default run trained; None if no head had emerged."""
    for seed in seeds:
        clock = _Clock()
        with tempfile.TemporaryDirectory() as out:
            run = train(RunConfig(seed=seed), out=out, threads=free_cores(), device=device, observer=clock)
            epoch, status = emergence_epoch(run.history), run.status
        yield Emergence(clock.notes[epoch][1], status.train_seconds) if status.emerged and epoch else None
