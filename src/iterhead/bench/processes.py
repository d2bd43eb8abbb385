"""Benchmarks of whole runs: time beside the training steps, memory, parallel processes, time to emergence."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from itertools import pairwise
from statistics import median
from typing import NamedTuple

from iterhead.machine import free_cores
from iterhead.measure.emergence import emergence_epoch
from iterhead.runs.options import Evaluation
from iterhead.runs.run import Run
from iterhead.runs.training import train
from iterhead.runs.worker_pool import train_many
from iterhead.settings import RunConfig, parse_config

EPOCHS = 6
"""Of the default run whose evaluations are timed; none of them is a short epoch."""

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
    """Records the time of each evaluation, and the training time until then."""

    def __init__(self) -> None:
        self.times: list[tuple[float, float]] = []

    def started(self, _run: Run, _past: list[Evaluation]) -> None:
        """Record the start."""
        self.times.append((time.perf_counter(), 0.0))

    def evaluated(self, _run: Run, evaluation: Evaluation) -> None:
        """Record an evaluation."""
        self.times.append((time.perf_counter(), evaluation.train_seconds))


def share_beside_training(device: str) -> float:
    """Return the time that a default run takes to evaluate and save over its training time: the median over epochs."""
    clock = _Clock()
    config = parse_config({"training": {"epochs": EPOCHS, "short_epochs": 0, "early_stop": False}})
    with tempfile.TemporaryDirectory() as out:
        train(config, out=out, device=device, observer=clock)
    return median((now - then) / (more - trained) - 1 for (then, trained), (now, more) in pairwise(clock.times))


def workers_gain(workers: int) -> float:
    """Return the time of a list of runs with one worker over that with `workers`; each has one thread."""
    training = {"epochs": 2, "short_epochs": 0, "early_stop": False}
    configs = [parse_config({"seed": seed, "training": training}) for seed in range(2 * workers)]
    seconds: dict[int, list[float]] = {1: [], workers: []}
    _train_all(configs[:1], 1)  # warm-up
    for _ in range(2):
        for count, times in seconds.items():
            start = time.perf_counter()
            _train_all(configs, count)
            times.append(time.perf_counter() - start)
    return median(seconds[1]) / median(seconds[workers])


def _train_all(configs: list[RunConfig], workers: int) -> None:
    with tempfile.TemporaryDirectory() as out:
        for result in train_many(configs, out=out, workers=workers, threads=1, device="cpu"):
            assert result.run is not None, result.error


def peak_memory() -> float:
    """Return the peak memory of a run at the published size in GB: one epoch and the whole test, in its own process."""
    with tempfile.TemporaryDirectory() as out:
        process = subprocess.run([sys.executable, "-c", _PUBLISHED, out], capture_output=True, text=True, check=True)
    return float(process.stdout.split()[-1])


class Emergence(NamedTuple):
    """Seconds of training until the first and until the third of the three evaluations in a row that show the head."""

    shown: float
    stopped: float


def emergence(seeds: Iterable[int], device: str) -> Iterator[Emergence | None]:
    """Yield how long each seed of the default run trained; None if no head emerged."""
    for seed in seeds:
        clock = _Clock()
        with tempfile.TemporaryDirectory() as out:
            run = train(RunConfig(seed=seed), out=out, threads=free_cores(), device=device, observer=clock)
            epoch, status = emergence_epoch(run.history), run.status
        yield Emergence(clock.times[epoch][1], status.train_seconds) if status.emerged and epoch else None
