"""Time a training step of the packed trainer against the plain padded twin: `make bench`.

The two alternate within one process, so that whatever else the machine does hits both; the ratio of the medians is
what can be compared between machines, the milliseconds are not.
"""

import time
from collections.abc import Iterator
from statistics import median

import torch

from iterhead.runs import free_cores
from iterhead.settings import parse_config
from iterhead.training import Trainer
from iterhead.training.plain import PlainTrainer

ROUNDS = 7
STEPS = 8
SIZES = {
    "default: width 64, batch 64": {},
    "published: width 128, batch 256": {"model": {"width": 128}, "training": {"batch_size": 256, "lr": 3e-4}},
}


def milliseconds(steps: Iterator[torch.Tensor]) -> float:
    """Return the mean time of the next STEPS steps."""
    begun = time.perf_counter()
    for _ in range(STEPS):
        next(steps)
    return (time.perf_counter() - begun) * 1000 / STEPS


def main() -> None:
    """Print one line for each size."""
    torch.set_num_threads(free_cores())
    print(f"Lengths 1 to 16, {free_cores()} threads, medians of {ROUNDS} alternating rounds of {STEPS} steps.")
    for name, values in SIZES.items():
        values = {**values, "data": {"train_per_length": 4096}}
        values["training"] = {"short_epochs": 0, **values.get("training", {})}
        packed, plain = Trainer(parse_config(values)).step_losses(), PlainTrainer(parse_config(values)).step_losses(0)
        milliseconds(packed), milliseconds(plain)
        rounds = [(milliseconds(packed), milliseconds(plain)) for _ in range(ROUNDS)]
        fast, slow = (median(times) for times in zip(*rounds, strict=True))
        ratio = median(slow / fast for fast, slow in rounds)
        print(f"{name:34} packed {fast:6.1f} ms, plain twin {slow:6.1f} ms a step: {ratio:.2f} times as fast")


if __name__ == "__main__":
    main()
