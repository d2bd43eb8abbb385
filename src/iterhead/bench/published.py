"""Training steps of the published study at full size on one core, and the estimates of `iterhead study list`."""

from collections.abc import Iterator
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import NamedTuple

from iterhead.bench.timing import endless, in_turns
from iterhead.formatting import plural
from iterhead.machine import torch_threads
from iterhead.runs.worker_pool import networks_at_once
from iterhead.settings import RunConfig
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


class Epochs(NamedTuple):
    """Seconds of training of an epoch of one network, measured and estimated, with `together` networks at once."""

    name: str
    together: int
    seconds: float
    estimated: float


def published_epochs(device: str) -> Iterator[Epochs]:
    """Time the steps of each cell of the sample on one thread, with as many networks at once as a study trains."""
    with TemporaryDirectory() as folder:
        calibration = calibrate(Path(folder), device)
    for name, place in SAMPLE:
        cell = next(c for c in find_studies(name, "paper")[0].cells if place.items() <= c.axes.items())
        together = networks_at_once(cell.config, len(cell.seeds), 1, device)
        configs = [cell.run_config(seed) for seed in cell.seeds[:together]]
        with torch_threads(1):
            trainer = Trainer(configs, device=device)
            (times,) = in_turns({"": endless(trainer.step_losses)}, rounds=5, turns=4).values()
        one = configs[0]
        seconds = median(times) * trainer.phase(0).batches.steps / len(configs)
        yield Epochs(_named(name, one), len(configs), seconds, epoch_seconds(one, calibration, len(configs)))


def _named(name: str, config: RunConfig) -> str:
    chain = "" if config.data.cot else ", no chain of thought"
    return (
        f"{name}, {plural(config.model.layers, 'layer')}, width {config.model.width}, lengths to "
        f"{config.data.max_length}, batch {config.training.batch_size}{chain}"
    )
