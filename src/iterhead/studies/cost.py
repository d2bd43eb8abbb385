"""The cost of a study: runs, time on this machine, and disk. The time comes from a quick calibration.

A training step is modelled as `t = a + operations / r + activations / m`: the time to start its operations, which the
networks of a population share, that of its matrix products, and that of everything else, which memory bounds. Steps of
three sizes give a, r and m. `iterhead bench study` shows how accurate that is.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any

import numpy as np
import scipy  # type: ignore[import-untyped]
from pydantic import Field

from iterhead import atomic
from iterhead.contents import MOST_JSON_BYTES, STRICT, ContentError, parse_json
from iterhead.data.batches import Packing, make_packing
from iterhead.errors import UserError
from iterhead.machine import find_device, find_precision, free_cores, torch_threads
from iterhead.model.size import parameters
from iterhead.runs.worker_pool import networks_at_once
from iterhead.settings import DataConfig, RunConfig, parse_config
from iterhead.studies.study import Cell, Study, all_cells
from iterhead.training.flops import step_activations, step_flops
from iterhead.training.trainer import Trainer, short_data

FILE = "study/calibration.json"

SIZES = ((8, 4, 64), (8, 16, 256), (128, 8, 64))
"""Width, longest length and batch size of the timed networks; each is dominated by one of the three terms."""

STEPS = 24  # of each size; the fastest counts, which other work on the machine disturbs least
OVERHEAD = 1.15  # evaluating and saving, on top of training
JOB_SECONDS = 1.5  # to start a process and make its data
RUN_BYTES = 60_000  # settings, checksums and an empty table of measurements
EVALUATION_BYTES = 700  # of the table, for each evaluation, as measured at sixteen lengths


_Positive = Annotated[float, Field(gt=0)]


@dataclass(frozen=True)
class Calibration:
    """The training speed of this machine, on one thread of `device`."""

    __pydantic_config__ = STRICT
    start: _Positive  # seconds of a step of two layers, independent of its size
    rate: _Positive  # floating-point operations per second in matrix products
    memory: _Positive  # activations per second
    device: str


@dataclass(frozen=True)
class Cost:
    """The largest cost of runs: no run stops early."""

    runs: int
    seconds: float  # with `workers` processes of one thread each
    bytes: int  # on the disk when all are finished


def calibrate(out: Path, device: str = "auto") -> Calibration:
    """Return the calibration noted in a folder of runs; without one, measure in a second or two and note it."""
    device, path = find_device(device), out / FILE
    with suppress(UserError, ContentError):  # missing, or of another version
        noted = parse_json(atomic.read(path, MOST_JSON_BYTES) or b"", Calibration)
        if noted.device == device:
            return noted
    measured = _measure(device)
    with suppress(UserError):  # if the folder cannot be written, only the note is lost
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
            rows.append((1, step_flops(config.model, packing), step_activations(config.model, packing.shape)))
            seconds.append(_fastest_step(trainer))
    return solve(rows, seconds, device)


def _fastest_step(trainer: Trainer) -> float:
    seconds: list[float] = []
    steps = trainer.step_losses()
    for _ in range(STEPS):
        start = perf_counter()
        next(steps).sum().item()
        seconds.append(perf_counter() - start)
    return min(seconds)


def solve(rows: Sequence[tuple[float, float, float]], seconds: Sequence[float], device: str) -> Calibration:
    """Return the calibration from three steps: their number of starts (1), operations and activations, and seconds.

    By least squares of the relative errors, with no negative terms: a disturbed measurement may leave a term next to
    nothing, and the others make up for it.
    """
    scaled = np.asarray(rows, dtype=float) / np.asarray(seconds)[:, None]
    size = scaled.max(0)
    solution, _ = scipy.optimize.nnls(scaled / size, np.ones(len(seconds)))
    start, per_operation, per_activation = np.maximum(solution / size, (1e-6, 1e-14, 1e-12))
    return Calibration(float(start), float(1 / per_operation), float(1 / per_activation), device)


def cost(studies: Iterable[Study], calibration: Calibration, workers: int | None = None) -> Cost:
    """Return the largest cost of studies with a number of processes (by default one for each free core).

    Runs that several cells share count once.
    """
    workers = workers or free_cores()
    seeds = defaultdict[tuple[RunConfig, Any, int | None], set[int]](set)
    for cell in all_cells(studies):
        seeds[_kind(cell)].update(cell.seeds)
    seconds, size, runs = 0.0, 0, 0
    for (config, *_), of_kind in seeds.items():
        count = len(of_kind)
        together = networks_at_once(config, count, workers, calibration.device)
        runs += count
        size += count * _bytes(config)
        seconds += count * run_seconds(config, calibration, together) + JOB_SECONDS * -(-count // together)
    return Cost(runs, seconds / workers, size)


def _kind(cell: Cell) -> tuple[RunConfig, Any, int | None]:
    """Return the settings without the seed and the start, the kind of the parent, and the epoch of the start."""
    return cell.config, None if cell.parent is None else _kind(cell.parent), cell.parent_epoch


def run_seconds(config: RunConfig, calibration: Calibration, together: int = 1) -> float:
    """Return the seconds that one of `together` networks trained at once takes at most, on one core."""
    short = min(config.training.short_epochs, config.training.epochs)
    whole = epoch_seconds(config, calibration, together)
    first = config.model_copy(update={"data": short_data(config)})
    training = short * epoch_seconds(first, calibration, together) + (config.training.epochs - short) * whole
    tested = config.data.test_per_length / config.data.train_per_length
    return OVERHEAD * training + tested * whole / 3


def epoch_seconds(config: RunConfig, calibration: Calibration, together: int = 1) -> float:
    """Return the seconds of training one epoch of one of `together` networks, on one core, without evaluations."""
    data, model = config.data, config.model
    per_length = config.training.batch_size // len(data.lengths)
    packing = _packing(data.min_length, data.max_length, data.cot, per_length)
    steps = max(1, data.train_per_length // per_length)
    precision = find_precision(config.training.precision, calibration.device, model.width)
    faster = (2.0, 1.2) if precision == "bfloat16" else (1.0, 1.0)  # than float32: products, and all else
    products = step_flops(model, packing) / calibration.rate / faster[0]
    rest = step_activations(model, packing.shape) / calibration.memory / faster[1]
    return steps * (calibration.start * model.layers / 2 / together + products + rest)


@cache
def _packing(shortest: int, longest: int, cot: bool, per_length: int) -> Packing:
    return make_packing(DataConfig(min_length=shortest, max_length=longest, cot=cot), per_length)


def _bytes(config: RunConfig) -> int:
    """Return the disk space of a finished run of a study: its last weights and its table."""
    evaluations = config.training.epochs // config.training.evaluate_every
    rows = EVALUATION_BYTES * evaluations * len(config.data.lengths) // 16
    return RUN_BYTES + rows + 4 * parameters(config.model, config.context)
