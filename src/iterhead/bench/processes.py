"""Benchmarks of whole runs: time besides the training steps, memory, parallel processes, time to emergence."""

import math
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import pairwise
from statistics import median

from iterhead.bench.timing import Measurement, printed_number
from iterhead.formatting import finite_or_none
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
import sys, iterhead
from iterhead.bench.timing import peak_memory
from iterhead.settings import parse_config
run = iterhead.train(parse_config({
    "data": {"max_length": 32}, "model": {"width": 128},
    "training": {"batch_size": 256, "lr": 3e-4, "epochs": 1, "short_epochs": 0, "precision": "float32"},
}), out=sys.argv[1])
print(peak_memory())
"""


class _Clock:
    """An observer that records the time of each evaluation, and the training time until then."""

    def __init__(self) -> None:
        self.times: list[tuple[float, float]] = []

    def started(self, _run: Run, _past: list[Evaluation]) -> None:
        """Record the start."""
        self.times.append((time.perf_counter(), 0.0))

    def evaluated(self, _run: Run, evaluation: Evaluation) -> None:
        """Record an evaluation."""
        self.times.append((time.perf_counter(), evaluation.train_seconds))


def measure_evaluation(device: str) -> Iterator[Measurement]:
    """Time for evaluating and saving in a default run, the median over epochs."""
    clock = _Clock()
    config = parse_config({"training": {"epochs": EPOCHS, "short_epochs": 0, "early_stop": False}})
    with tempfile.TemporaryDirectory() as out:
        train(config, out=out, device=device, observer=clock)
    share = median((now - then) / (more - trained) - 1 for (then, trained), (now, more) in pairwise(clock.times))
    yield Measurement("default run: evaluating and saving, share of the training time", share, "share", "<= 0.05")


def measure_workers(device: str) -> Iterator[Measurement]:
    """Two processes against one; each has one thread."""
    gain = None
    if device == "cpu" and free_cores() >= 2:
        training = {"epochs": 2, "short_epochs": 0, "early_stop": False}
        configs = [parse_config({"seed": seed, "training": training}) for seed in range(4)]
        _train_seconds(configs[:1], 1)  # warm-up
        seconds: dict[int, list[float]] = {1: [], 2: []}
        for _ in range(2):
            for count, times in seconds.items():
                times.append(_train_seconds(configs, count))
        gain = median(seconds[1]) / median(seconds[2])
    yield Measurement("2 workers against 1, one thread each, 4 runs", gain, "x", ">= 1.8")


def _train_seconds(configs: list[RunConfig], workers: int) -> float:
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as out:
        for result in train_many(configs, out=out, workers=workers, threads=1, device="cpu"):
            assert result.run is not None, result.error
    return time.perf_counter() - start


def measure_memory(device: str) -> Iterator[Measurement]:
    """Peak memory of a run at the published size: one epoch and the whole test, in its own process."""
    peak = None
    if device == "cpu":
        with tempfile.TemporaryDirectory() as out:
            peak = printed_number([sys.executable, "-c", _PUBLISHED, out])
    yield Measurement("peak memory (width 128, lengths to 32, batch 256, 1,024 sequences a length)", peak, "GB", "<= 1")


def measure_emergence(device: str) -> Iterator[Measurement]:
    """Training time of the default run until its head has emerged: five seeds, one after another on all cores."""
    first, third = [], []  # of the three evaluations in a row that show the head; infinite where none emerged
    for seed in range(5):
        clock = _Clock()
        with tempfile.TemporaryDirectory() as out:
            run = train(RunConfig(seed=seed), out=out, threads=free_cores(), device=device, observer=clock)
            epoch, status = emergence_epoch(run.history), run.status
        shown, stopped = (clock.times[epoch][1], status.train_seconds) if status.emerged and epoch else (math.inf,) * 2
        first.append(shown)
        third.append(stopped)
        yield Measurement(f"default run, seed {seed}: training until it stops", finite_or_none(stopped), "s")
    name = "default run, median of 5 seeds: training until"
    yield Measurement(f"{name} the first of 3 evaluations with the head", finite_or_none(median(first)), "s")
    yield Measurement(f"{name} the third of them, where it stops", finite_or_none(median(third)), "s", "<= 20")
