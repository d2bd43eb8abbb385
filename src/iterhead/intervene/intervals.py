"""Intervals for means over sequences or seeds."""

import numpy as np
from numpy.typing import ArrayLike

from iterhead.errors import UserError
from iterhead.seeds import named_seed

RESAMPLES = 1999
"""Resampled means, so that the 2.5% and 97.5% percentiles are the 50th from either end."""

BATCH = 100
"""Resamples at once: bounds the memory."""


def bootstrap_interval(values: ArrayLike, seed: int = 0, level: float = 0.95) -> tuple[float, float]:
    """Return an interval for the mean of independent values: one for each sequence (or seed), [n].

    - Numbers: the percentile bootstrap over them. All equal, nothing is resampled: both ends are that number.
    - Booleans (right or wrong): Wilson's score interval. Resampling a sample that is all right can only give all right
      again, and a bootstrap would claim certainty after three sequences; Wilson's lower end is n / (n + 3.84), at
      level 0.95.
    - Numbers that are all 0 or all 1, read as fractions: the same as if they were booleans. No quantity in 0 .. 1 with
      the same mean gives such a sample more often than right and wrong does.

    Args:
        values: at least one, all finite.
        seed: of the resampling.
        level: of confidence, between 0 and 1.

    Raises:
        UserError: for no values, one that is not finite, or a level outside 0 .. 1.
    """
    from scipy.stats import binomtest, bootstrap  # type: ignore[import-untyped]  # a second that hooks do not need

    sample = np.asarray(values)
    if sample.ndim != 1 or not sample.size or not np.isfinite(sample).all():
        raise UserError(f"values shaped {list(sample.shape)}: expected at least one, in one row, all of them finite")
    if not 0 < level < 1:
        raise UserError(f"level={level}: expected a number between 0 and 1, e.g. 0.95")
    constant = bool((sample == sample[0]).all())
    if sample.dtype == np.bool_ or (constant and sample[0] in (0, 1)):
        found = binomtest(int(sample.sum()), sample.size).proportion_ci(level, method="wilson")
        return float(found.low), float(found.high)
    if constant:
        return float(sample[0]), float(sample[0])
    generator = np.random.Generator(np.random.Philox(key=named_seed(seed, "bootstrap")))
    found = bootstrap(
        (sample.astype(np.float64),),
        np.mean,
        n_resamples=RESAMPLES,
        batch=BATCH,
        confidence_level=level,
        method="percentile",
        rng=generator,
    ).confidence_interval
    return float(found.low), float(found.high)
