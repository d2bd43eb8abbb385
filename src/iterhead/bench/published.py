"""Training steps of the published study at full size on one core, and the estimates of `iterhead study list`."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from iterhead.bench.timing import Measured, endless, median_seconds
from iterhead.formatting import plural
from iterhead.machine import torch_threads
from iterhead.runs.worker_pool import networks_at_once
from iterhead.studies.cost import calibrate, epoch_seconds
from iterhead.studies.registry import find_studies
from iterhead.studies.study import AxisValue
from iterhead.training import Trainer

SAMPLE: tuple[tuple[str, dict[str, AxisValue]], ...] = (
    ("figure-7", {"network": "two layers", "width": 8, "longest": 16}),
    ("figure-7", {"network": "two layers", "width": 32, "longest": 16}),
    ("figure-7", {"network": "two layers", "width": 63, "longest": 31}),
    ("figure-7", {"network": "two layers, no chain of thought", "width": 32, "longest": 16}),
    ("figure-7", {"network": "one layer", "width": 32, "longest": 16}),
    ("figure-9", {"trained": "polynomial"}),
    ("figure-12", {"optimizer": "adam", "lr": 3e-4, "batch": 16}),
    ("figure-12", {"optimizer": "adam", "lr": 3e-4, "batch": 2048}),
    ("figure-13", {"task": "parity"}),
    ("figure-14", {"positions": "learned", "width": 16, "longest": 31}),
)
"""Cells of the published grids, small and large: the name of a study, and the cell's place on its axes."""


def measure_published(device: str) -> Iterator[Measured]:
    """Time an epoch of one network of each sampled cell, on one thread, with as many at once as a study trains."""
    with TemporaryDirectory() as folder:
        calibration = calibrate(Path(folder), device)
    for name, place in SAMPLE:
        cell = next(c for c in find_studies(name, "paper")[0].cells if place.items() <= c.axes.items())
        together = networks_at_once(cell.config, len(cell.seeds), 1, device)
        configs = [cell.run_config(seed) for seed in cell.seeds[:together]]
        with torch_threads(1):
            trainer = Trainer(configs, device=device)
            step = median_seconds(endless(trainer.step_losses), rounds=5, turns=4)
        one = configs[0]
        seconds = step * trainer.phase(0).batches.steps / len(configs)
        size = (
            f"{name}, {plural(one.model.layers, 'layer')}, width {one.model.width}, lengths to {one.data.max_length}, "
            f"batch {one.training.batch_size}{'' if one.data.cot else ', no chain of thought'}, {len(configs)} at once"
        )
        yield Measured(f"{size}: an epoch of one network", seconds, "s")
        estimated = epoch_seconds(one, calibration, len(configs))
        yield Measured(f"{size}: measured over estimated", seconds / estimated, "x")
