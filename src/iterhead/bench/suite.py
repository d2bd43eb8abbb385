"""The benchmarks, in groups with names."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import torch

from iterhead.bench.language_models import measure_scan
from iterhead.bench.processes import measure_emergence, measure_evaluation, measure_memory, measure_workers
from iterhead.bench.timing import (
    PRODUCT_OPERATIONS,
    Measurement,
    Turn,
    endless,
    in_turns,
    median_seconds,
    product,
    ratio,
)
from iterhead.formatting import plural
from iterhead.machine import has_fast_bfloat16, torch_threads
from iterhead.runs.worker_pool import networks_at_once
from iterhead.settings import RunConfig, parse_config
from iterhead.studies.cost import calibrate, epoch_seconds
from iterhead.studies.registry import find_studies
from iterhead.studies.study import AxisValue
from iterhead.training.flops import step_flops
from iterhead.training.plain import PlainTrainer
from iterhead.training.trainer import Trainer


@dataclass(frozen=True)
class Group:
    """Benchmarks that run together.

    Attributes:
        name: what is typed to run it.
        about: what it measures, in a few words.
        measure: runs on a device and yields the results.
        quick: whether it runs by default.
    """

    name: str
    about: str
    measure: Callable[[str], Iterator[Measurement]]
    quick: bool = True


def config_of(width: int, longest: int, batch: int, seed: int = 0, **training: Any) -> RunConfig:
    """Return the settings of a timed run: all lengths from the first epoch on, many steps per epoch."""
    return parse_config(
        {
            "seed": seed,
            "data": {"max_length": longest, "train_per_length": 4096, "test_per_length": 64},
            "model": {"width": width},
            "training": {"batch_size": batch, "short_epochs": 0, "precision": "float32", **training},
        }
    )


PREPARED = 16
"""Batches of the plain twin, padded beforehand."""

SIZES = {"default": (64, 16, 64), "published": (128, 16, 256)}
"""Width, longest length and batch size of the default run and of the published ones."""


def _packed(configs: Sequence[RunConfig], device: str) -> Turn:
    return endless(Trainer(configs, device=device).step_losses)


def _plain(config: RunConfig) -> Turn:
    steps = list(itertools.islice(PlainTrainer(config).prepared_steps(0), PREPARED))
    return endless(lambda: (step() for step in steps))


def _steps(device: str) -> Iterator[Measurement]:
    if device != "cpu":  # the twin runs on the CPU only
        yield Measurement("training steps against the plain twin", None, "x")
        return
    for name, (width, longest, batch) in SIZES.items():
        config = config_of(width, longest, batch)
        works = {"plain": _plain(config), "float32": _packed([config], device)}
        if has_fast_bfloat16(device):
            works["bfloat16"] = _packed([config_of(width, longest, batch, precision="bfloat16")], device)
        kinds = [*works]
        works["product"] = product(torch.float32, device)
        is_published = name == "published"
        seconds = in_turns(works, rounds=7, turns=6 if is_published else 16)
        size = f"{name} size (width {width}, lengths to {longest}, batch {batch})"
        for kind in kinds:
            yield Measurement(f"{size}: step, {kind}", median(seconds[kind]) * 1000, "ms")
        for kind, goal in (("float32", ">= 2.5"), ("bfloat16", ">= 4")):
            gain = ratio(seconds["plain"], seconds[kind]) if kind in seconds else None
            yield Measurement(f"{size}: {kind} against the plain twin", gain, "x", goal if is_published else "")
        operations = step_flops(config.model, Trainer([config]).phase(0).batches.packing)
        share = operations / PRODUCT_OPERATIONS * ratio(seconds["product"], seconds["float32"])
        goal = ">= 0.6" if is_published else ">= 0.35"
        yield Measurement(f"{size}: float32, share of the matrix-product rate", share, "share", goal)


def _populations(device: str) -> Iterator[Measurement]:
    if device != "cpu":
        yield Measurement("sixteen networks against the plain twin", None, "x")
        return
    networks = 16
    for width in (16, 32):
        config = config_of(width, 8, 64)
        together = [config_of(width, 8, 64, seed=seed, lr=1e-3 * (1 + seed / 16)) for seed in range(networks)]
        works = {"plain": _plain(config), "packed": _packed([config], device), "float32": _packed(together, device)}
        if has_fast_bfloat16(device):
            narrow = [config_of(width, 8, 64, seed=seed, precision="bfloat16") for seed in range(networks)]
            works["bfloat16"] = _packed(narrow, device)
        seconds = in_turns(works, rounds=7, turns=6)
        size = f"{networks} networks (width {width}, lengths to 8, batch 64)"
        yield Measurement(f"{size}: step of all", median(seconds["float32"]) * 1000, "ms")
        for slow, fast, goal in (
            ("plain", "float32", ">= 4"),
            ("plain", "bfloat16", ">= 4"),
            ("packed", "float32", ""),
        ):
            other = "the plain twin" if slow == "plain" else "packed steps"
            gain = networks * ratio(seconds[slow], seconds[fast]) if fast in seconds else None
            yield Measurement(f"{size}: {fast} against {other}, one after another", gain, "x", goal)


def _scaling(device: str) -> Iterator[Measurement]:
    axes: dict[str, dict[int, list[RunConfig]]] = {
        "longest length (width 64, 4 of each length)": {
            longest: [config_of(64, longest, 4 * longest)] for longest in (8, 16, 32, 64)
        },
        "width (lengths to 16, batch 64)": {width: [config_of(width, 16, 64)] for width in (32, 64, 128, 256)},
        "networks (width 16, lengths to 8, batch 64)": {
            count: [config_of(16, 8, 64, seed=seed) for seed in range(count)] for count in (1, 4, 16, 64)
        },
    }
    for axis, sizes in axes.items():
        works = {str(size): _packed(configs, device) for size, configs in sizes.items()}
        rounds = in_turns(works, rounds=5, turns=3)
        seconds = {size: median(rounds[str(size)]) for size in sizes}
        for size, value in seconds.items():
            yield Measurement(f"step at {axis} = {size}", value * 1000, "ms")
        yield Measurement(f"exponent of a step's time in {axis}", slope(seconds), "exponent")


def slope(values: dict[int, float]) -> float:
    """Return the exponent b of the power law a n^b fitted to the values by n: least squares of the logarithms."""
    x, y = (torch.tensor(list(part), dtype=torch.float64).log() for part in (values.keys(), values.values()))
    x, y = x - x.mean(), y - y.mean()
    return float((x * y).sum() / x.square().sum())


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


def _published(device: str) -> Iterator[Measurement]:
    """Time an epoch of one network of each cell of the sample, with as many at once as a study trains."""
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
        yield Measurement(f"{size}: an epoch of one network", seconds, "s")
        estimated = epoch_seconds(one, calibration, len(configs))
        yield Measurement(f"{size}: measured over estimated", seconds / estimated, "x")


def _gpu(device: str) -> Iterator[Measurement]:
    for width, longest, networks in itertools.product((32, 64, 128), (16, 32), (1, 4, 16, 64, 256, 512)):
        name = f"{networks} networks (width {width}, lengths to {longest}, batch 256): networks x epochs a second"
        yield Measurement(name, _gpu_rate(width, longest, networks) if device == "cuda" else None, "1/s")


def _gpu_rate(width: int, longest: int, networks: int) -> float | None:
    """Return networks x epochs per second, or None if they do not fit into the GPU's memory."""
    one = config_of(width, longest, 256, precision="bfloat16")
    one = one.model_copy(update={"data": one.data.model_copy(update={"train_per_length": 1024})})
    configs = [one.model_copy(update={"seed": seed}) for seed in range(networks)]
    try:
        seconds = median_seconds(_packed(configs, "cuda"), rounds=3, turns=4)
    except torch.cuda.OutOfMemoryError:
        return None
    steps = 1024 // (256 // longest)
    return networks / (seconds * steps)


GROUPS = (
    Group("steps", "training steps against the plain padded twin", _steps),
    Group("populations", "sixteen small networks as one computation", _populations),
    Group("evaluation", "time for evaluating and saving", measure_evaluation),
    Group("workers", "two processes against one", measure_workers),
    Group("memory", "peak memory at the published size", measure_memory, quick=False),
    Group("emergence", "the default run, five seeds", measure_emergence, quick=False),
    Group("scaling", "exponents in length, width and networks", _scaling, quick=False),
    Group("study", "steps of the published study on one core", _published, quick=False),
    Group("scan", "attention maps of a large language model", measure_scan, quick=False),
    Group("gpu", "populations on a GPU", _gpu, quick=False),
)
"""In the order in which they run."""
