"""Learning-rate schedules."""

import math

from iterhead.settings import TrainingConfig


def rate_factor(config: TrainingConfig, step: int, total_steps: int) -> float:
    """Return what the learning rate is multiplied by at a step (0-based), in 0 .. 1.

    Linear warm-up reaches 1 at step `warmup_steps`; after it, constant, or a half cosine from 1 to 0 at `total_steps`.
    """
    if step < config.warmup_steps:
        return (step + 1) / (config.warmup_steps + 1)
    if config.schedule == "constant":
        return 1.0
    span = max(1, total_steps - config.warmup_steps)
    return 0.5 * (1 + math.cos(math.pi * (step - config.warmup_steps) / span))
