"""The benchmarks, in groups with names."""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch

from iterhead.bench import processes
from iterhead.bench.machine import PRODUCT_OPERATIONS, product
from iterhead.bench.published import published_epochs
from iterhead.bench.timing import endless, in_turns, ratio
from iterhead.formatting import finite_or_none
from iterhead.machine import free_cores, has_fast_bfloat16
from iterhead.settings import RunConfig, parse_config
from iterhead.training import Trainer
from iterhead.training.flops import step_flops
from iterhead.training.plain import PlainTrainer


@dataclass(frozen=True)
class Measured:
    """One result.

    Attributes:
        name: what was measured.
        value: None if it cannot be measured on this machine.
        unit: x (times), ms, s, 1/s, GB, share or exponent.
        goal: e.g. `>= 2.5`; empty if there is none.
    """

    name: str
    value: float | None
    unit: str
    goal: str = ""

    @property
    def reached(self) -> bool | None:
        """Whether the value reaches the goal; None without a goal or a value."""
        if not self.goal or self.value is None:
            return None
        sign, bound = self.goal.split()
        return self.value >= float(bound) if sign == ">=" else self.value <= float(bound)


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
    measure: Callable[[str], Iterator[Measured]]
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


def _packed(configs: Sequence[RunConfig], device: str) -> Callable[[], object]:
    return endless(Trainer(configs, device=device).step_losses)


def _plain(config: RunConfig) -> Callable[[], object]:
    steps = list(itertools.islice(PlainTrainer(config).prepared_steps(0), PREPARED))
    return endless(lambda: (step() for step in steps))


def _steps(device: str) -> Iterator[Measured]:
    """Training steps against the plain padded twin, in float32 and bfloat16. The twin runs on the CPU only."""
    if device != "cpu":
        yield Measured("training steps against the plain twin", None, "x")
        return
    for name, (width, longest, batch) in SIZES.items():
        config = config_of(width, longest, batch)
        works = {
            "plain": _plain(config),
            "float32": _packed([config], device),
            "product": product(torch.float32, device),
        }
        if has_fast_bfloat16(device):
            works["bfloat16"] = _packed([config_of(width, longest, batch, precision="bfloat16")], device)
        is_published = name == "published"
        seconds = in_turns(works, rounds=7, turns=6 if is_published else 16)
        size = f"{name} size (width {width}, lengths to {longest}, batch {batch})"
        for kind in works:
            if kind != "product":
                yield Measured(f"{size}: step, {kind}", median(seconds[kind]) * 1000, "ms")
        for kind, goal in (("float32", ">= 2.5"), ("bfloat16", ">= 4")):
            gain = ratio(seconds["plain"], seconds[kind]) if kind in seconds else None
            yield Measured(f"{size}: {kind} against the plain twin", gain, "x", goal if is_published else "")
        operations = step_flops(config.model, Trainer([config]).phase(0).batches.packing)
        share = operations / PRODUCT_OPERATIONS * ratio(seconds["product"], seconds["float32"])
        goal = ">= 0.6" if is_published else ">= 0.35"
        yield Measured(f"{size}: float32, share of the matrix-product rate", share, "share", goal)


def _populations(device: str) -> Iterator[Measured]:
    """Sixteen small networks at once against the plain twin one after another. The twin runs on the CPU only."""
    if device != "cpu":
        yield Measured("sixteen networks against the plain twin", None, "x")
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
        yield Measured(f"{size}: step of all", median(seconds["float32"]) * 1000, "ms")
        for slow, fast, goal in (
            ("plain", "float32", ">= 4"),
            ("plain", "bfloat16", ">= 4"),
            ("packed", "float32", ""),
        ):
            other = "the plain twin" if slow == "plain" else "packed steps"
            gain = networks * ratio(seconds[slow], seconds[fast]) if fast in seconds else None
            yield Measured(f"{size}: {fast} against {other}, one after another", gain, "x", goal)


def _evaluation(device: str) -> Iterator[Measured]:
    """Time for evaluating and saving in a default run."""
    share = processes.share_beside_training(device)
    yield Measured("default run: evaluating and saving, share of the training time", share, "share", "<= 0.05")


def _workers(device: str) -> Iterator[Measured]:
    """Two processes against one; each has one thread."""
    gain = processes.workers_gain(2) if device == "cpu" and free_cores() >= 2 else None
    yield Measured("2 workers against 1, one thread each, 4 runs", gain, "x", ">= 1.8")


def _memory(device: str) -> Iterator[Measured]:
    """Peak memory of a run at the published size."""
    peak = processes.peak_memory() if device == "cpu" else None
    yield Measured("peak memory (width 128, lengths to 32, batch 256, 1,024 sequences a length)", peak, "GB", "<= 1")


def _emergence(device: str) -> Iterator[Measured]:
    """The default run until its head has emerged: five seeds, one after another on all cores."""
    runs: list[processes.Emergence | None] = []
    for seed, run in enumerate(processes.emergence(seeds=range(5), device=device)):
        runs.append(run)
        yield Measured(f"default run, seed {seed}: training until it stops", run.stopped if run else None, "s")
    shown, stopped = (median(getattr(run, name) if run else math.inf for run in runs) for name in ("shown", "stopped"))
    name = "default run, median of 5 seeds: training until"
    yield Measured(f"{name} the first of 3 evaluations with the head", finite_or_none(shown), "s")
    yield Measured(f"{name} the third of them, where it stops", finite_or_none(stopped), "s", "<= 20")


def _scaling(device: str) -> Iterator[Measured]:
    """How the time of a step grows: exponents of power laws."""
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
            yield Measured(f"step at {axis} = {size}", value * 1000, "ms")
        yield Measured(f"exponent of a step's time in {axis}", slope(seconds), "exponent")


def slope(values: dict[int, float]) -> float:
    """Return the exponent b of the power law a n^b fitted to the values by n: least squares of the logarithms."""
    x, y = (torch.tensor(list(part), dtype=torch.float64).log() for part in (values.keys(), values.values()))
    x, y = x - x.mean(), y - y.mean()
    return float((x * y).sum() / x.square().sum())


def _study(device: str) -> Iterator[Measured]:
    """Cost of the published study on one core, beside the estimate of `iterhead study list --scale paper`."""
    for epochs in published_epochs(device):
        size = f"{epochs.name}, {epochs.together} at once"
        yield Measured(f"{size}: an epoch of one network", epochs.seconds, "s")
        yield Measured(f"{size}: measured over estimated", epochs.seconds / epochs.estimated, "x")


def _gpu(device: str) -> Iterator[Measured]:
    """Networks x epochs per second of populations on a GPU, without evaluations."""
    for width, longest, networks in itertools.product((32, 64, 128), (16, 32), (1, 4, 16, 64, 256, 512)):
        name = f"{networks} networks (width {width}, lengths to {longest}, batch 256): networks x epochs a second"
        yield Measured(name, _gpu_rate(width, longest, networks) if device == "cuda" else None, "1/s")


def _gpu_rate(width: int, longest: int, networks: int) -> float | None:
    """Return networks x epochs per second, or None if they do not fit into the GPU's memory."""
    one = config_of(width, longest, 256, precision="bfloat16")
    one = one.model_copy(update={"data": one.data.model_copy(update={"train_per_length": 1024})})
    configs = [one.model_copy(update={"seed": seed}) for seed in range(networks)]
    try:
        trainer = Trainer(configs, device="cuda")
        (seconds,) = in_turns({"": endless(trainer.step_losses)}, rounds=3, turns=4).values()
    except torch.cuda.OutOfMemoryError:
        return None
    steps = 1024 // (256 // longest)
    return networks / (median(seconds) * steps)


GROUPS = (
    Group("steps", "training steps against the plain padded twin", _steps),
    Group("populations", "sixteen small networks as one computation", _populations),
    Group("evaluation", "time for evaluating and saving", _evaluation),
    Group("workers", "two processes against one", _workers),
    Group("memory", "peak memory at the published size", _memory, quick=False),
    Group("emergence", "the default run, five seeds", _emergence, quick=False),
    Group("scaling", "exponents in length, width and networks", _scaling, quick=False),
    Group("study", "steps of the published study on one core", _study, quick=False),
    Group("gpu", "populations on a GPU", _gpu, quick=False),
)
"""In the order in which they run."""
