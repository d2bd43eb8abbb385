"""What a study costs: runs, time on this machine, and disk. The time comes from a quick calibration.

A step's time is taken to be that of starting its operations, the same whatever their size and shared by the networks of
a population, that of its products, and that of everything else, which memory bounds: `t = a + operations / r +
numbers / m`. Three sizes give a, r and m. `iterhead bench study` tells how far that is right.
"""

import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from time import perf_counter
from typing import Any, TypeAlias

import numpy as np
from scipy.optimize import nnls  # type: ignore[import-untyped]

from iterhead import atomic
from iterhead.data import Packing, make_packing
from iterhead.errors import UserError
from iterhead.machine import find_device, find_precision, free_cores, torch_threads
from iterhead.runs.worker_pool import networks_at_once
from iterhead.settings import DataConfig, RunConfig, parse_config
from iterhead.studies.published.recipe import parameters
from iterhead.studies.study import Cell, Study, all_cells
from iterhead.training import Trainer
from iterhead.training.flops import step_activations, step_flops
from iterhead.training.trainer import short_data

FILE = "study/calibration.json"

SIZES = ((8, 4, 64), (8, 16, 256), (128, 8, 64))
"""Width, longest length and batch size of the networks whose steps are timed; each is mostly one of the three."""

STEPS = 24
"""Of each; the quickest counts, which other work on the machine disturbs least. A second or two in all."""

BESIDE = 1.15
"""Evaluating and saving beside training."""

JOB_SECONDS = 1.5
"""To begin a process and to make its data."""

BYTES_BESIDE = 60_000
"""Settings, table of measurements and checksums of a run, without its weights."""

BYTES_OF_EVALUATION = 700
"""Of the table, for each evaluation, as measured at sixteen lengths."""


@dataclass(frozen=True)
class Calibration:
    """How fast this machine trains, on one thread.

    Attributes:
        start: seconds of a step of two layers whatever its size.
        rate: floating-point operations a second in products.
        memory: numbers a second that everything else leaves in memory.
        device: that it was measured on.
    """

    start: float
    rate: float
    memory: float
    device: str


@dataclass(frozen=True)
class Cost:
    """What runs cost at most: no run stops early.

    Attributes:
        runs: how many.
        seconds: on `workers` processes of one thread each.
        bytes: on the disk when all are finished.
    """

    runs: int
    seconds: float
    bytes: int


def calibrate(out: Path, device: str = "auto") -> Calibration:
    """Return how fast this machine trains, from the folder's note, or measured now in a second or two and noted."""
    found = find_device(device)
    path = out / FILE
    with suppress(OSError, ValueError, TypeError):  # not there, or not ours
        noted = Calibration(**json.loads(path.read_bytes()))
        if noted.device == found:
            return noted
    measured = _measure(found)
    with suppress(UserError):  # a folder that refuses costs the note, not the figures
        atomic.write(path, atomic.json_bytes(asdict(measured)))
    return measured


def _measure(device: str) -> Calibration:
    rows, seconds = [], []
    with torch_threads(1):
        for width, longest, batch in SIZES:
            config = parse_config(
                {
                    "data": {"max_length": longest, "train_per_length": STEPS * batch // longest, "test_per_length": 8},
                    "model": {"width": width},
                    "training": {"batch_size": batch, "short_epochs": 0, "precision": "float32"},
                }
            )
            trainer = Trainer([config], device=device)
            packing = trainer.phase(0).batches.packing
            rows.append((1, step_flops(config.model, packing), step_activations(config.model, packing)))
            seconds.append(_seconds_of_a_step(trainer))
    return solve(rows, seconds, device)


def solve(rows: Sequence[tuple[float, float, float]], seconds: Sequence[float], device: str) -> Calibration:
    """Return the calibration that gives three steps their seconds, of their starts (1), operations and numbers.

    No part is negative: what a disturbed measurement leaves no room for costs next to nothing, and the others take it
    over, by least squares of the relative errors.
    """
    scaled = np.asarray(rows, dtype=float) / np.asarray(seconds)[:, None]
    size = scaled.max(0)
    found, _ = nnls(scaled / size, np.ones(len(seconds)))
    start, per_operation, per_number = np.maximum(found / size, (1e-6, 1e-14, 1e-12))
    return Calibration(float(start), float(1 / per_operation), float(1 / per_number), device)


def _seconds_of_a_step(trainer: Trainer) -> float:
    taken: list[float] = []
    steps = trainer.step_losses()
    for _ in range(STEPS):
        begun = perf_counter()
        next(steps).sum().item()
        taken.append(perf_counter() - begun)
    return min(taken)


def cost(studies: Iterable[Study], calibration: Calibration, workers: int | None = None) -> Cost:
    """Return what studies cost at most, on so many processes (one for each free core unless given).

    Runs that several cells share count once.
    """
    crew = workers or free_cores()
    seeds: dict[_Kind, set[int]] = {}
    for cell in all_cells(studies):
        seeds.setdefault(_kind(cell), set()).update(cell.seeds)
    seconds, size, runs = 0.0, 0, 0
    for (config, *_), of_kind in seeds.items():
        count = len(of_kind)
        together = networks_at_once(config, count, crew, calibration.device)
        runs += count
        size += count * _bytes(config)
        seconds += count * run_seconds(config, calibration, together) + JOB_SECONDS * -(-count // together)
    return Cost(runs, seconds / crew, size)


_Kind: TypeAlias = tuple[RunConfig, Any, int | None]
"""Settings but for the seed and the start, what the start was trained with, and the epoch of the start."""


def _kind(cell: Cell) -> _Kind:
    parent = None if cell.parent is None else _kind(cell.parent)
    return cell.config, parent, cell.parent_epoch


def run_seconds(config: RunConfig, calibration: Calibration, together: int = 1) -> float:
    """Return the seconds that one of `together` networks in one computation takes at most, on one core."""
    training = config.training
    short = min(training.short_epochs, training.epochs)
    first = config.model_copy(update={"data": short_data(config)})
    total = short * epoch_seconds(first, calibration, together)
    total += (training.epochs - short) * epoch_seconds(config, calibration, together)
    tested = config.data.test_per_length / config.data.train_per_length
    return total * BESIDE + tested * epoch_seconds(config, calibration, together) / 3


def epoch_seconds(config: RunConfig, calibration: Calibration, together: int = 1) -> float:
    """Return the seconds that one epoch of one of `together` networks trains, on one core; evaluations come on top."""
    steps, operations, numbers = _epoch(config)
    start = calibration.start * config.model.layers / 2 / together
    faster = _faster(config, calibration.device)
    return steps * (start + operations / calibration.rate / faster[0] + numbers / calibration.memory / faster[1])


def _faster(config: RunConfig, device: str) -> tuple[float, float]:
    """Return how many times faster products, and all else, are in a run's number format than in float32."""
    precision = find_precision(config.training.precision, device, config.model.width)
    return (2.0, 1.2) if precision == "bfloat16" else (1.0, 1.0)


def _epoch(config: RunConfig) -> tuple[int, int, int]:
    """Return an epoch's steps, and the operations and the numbers of each."""
    data = config.data
    per_length = config.training.batch_size // len(data.lengths)
    packing = _packing(data.min_length, data.max_length, data.cot, per_length)
    steps = max(1, data.train_per_length // per_length)
    return steps, step_flops(config.model, packing), step_activations(config.model, packing)


@cache
def _packing(shortest: int, longest: int, cot: bool, per_length: int) -> Packing:
    return make_packing(DataConfig(min_length=shortest, max_length=longest, cot=cot), per_length)


def _bytes(config: RunConfig) -> int:
    """Return the disk that a finished run of a study takes: its last weights and its table."""
    evaluations = config.training.epochs // config.training.evaluate_every
    rows = BYTES_OF_EVALUATION * evaluations * len(config.data.lengths) // 16
    return BYTES_BESIDE + rows + 4 * parameters(config.model, config.context)
