"""Means, medians, differences and thresholds over seeds or sequences, with their 95% intervals.

The networks of one seed share its data, so the unit is the seed: it gives one number, however many runs it has.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import scipy  # type: ignore[import-untyped]  # scipy.stats takes a second to import: SciPy does so on first use
from numpy.typing import ArrayLike, NDArray

from iterhead.errors import UserError
from iterhead.seeds import named_seed

Floats = NDArray[np.float64]

RESAMPLES = 1999  # the 2.5% and 97.5% percentiles are the 50th from either end
BATCH = 100  # resamples at once: bounds the memory


@dataclass(frozen=True)
class Estimate:
    """A value over `n` seeds with its 95% interval; nan if there is no data."""

    value: float
    low: float
    high: float
    n: int


NO_ESTIMATE = Estimate(math.nan, math.nan, math.nan, 0)

ANY, UNIT_INTERVAL = (-math.inf, math.inf), (0.0, 1.0)  # ranges of possible values


def mean_over(values: Sequence[float], within: tuple[float, float] = ANY) -> Estimate:
    """Return the mean with Student's interval, clipped to the possible values; equal values have no width.

    For few seeds a percentile bootstrap is too narrow: by a fifth for ten, by more than half for three.
    """
    if not values:
        return NO_ESTIMATE
    each = np.asarray(values, dtype=float)
    mean, low, high = mean_band(each[:, None], within)
    return Estimate(float(mean[0]), float(low[0]), float(high[0]), len(values))


def median_over(
    values: Sequence[float], at_least: Sequence[float] | None = None, at_most: Sequence[float] | None = None
) -> Estimate:
    """Return the median with the binomial interval between two order statistics, valid for any distribution.

    By hand, for ten values: the median lies outside the second and the ninth with probability
    2 * (1 + 10) / 1024 = 2.1%, outside the third and the eighth with 2 * (1 + 10 + 45) / 1024 = 10.9%, so the
    interval runs from the second to the ninth. Fewer than six values have no such interval: it is their range.

    Where some values are not exact, the ends are among their bounds, `at_least` and `at_most`, which may be infinite.
    """
    if not values:
        return NO_ESTIMATE
    n = len(values)
    outside = sum(scipy.stats.binom.cdf(rank, n, 0.5) <= 0.025 for rank in range(n // 2))
    place = max(outside - 1, 0)
    low = sorted(values if at_least is None else at_least)[place]
    high = sorted(values if at_most is None else at_most)[n - 1 - place]
    return Estimate(float(np.median(values)), low, high, n)


def difference_of_means(first: Sequence[float], second: Sequence[float]) -> Estimate:
    """Return mean(first) - mean(second), with the percentile bootstrap over both."""
    return _difference(first, second, lambda rows: rows.mean(-1), fewest=1)


def difference_of_spreads(first: Sequence[float], second: Sequence[float]) -> Estimate:
    """Return sd(first) - sd(second), with the percentile bootstrap over both; at least two values each."""
    return _difference(first, second, lambda rows: rows.std(-1, ddof=1), fewest=2)


def _difference(
    first: Sequence[float], second: Sequence[float], of: Callable[[Floats], Floats], fewest: int
) -> Estimate:
    if min(len(first), len(second)) < fewest:
        return NO_ESTIMATE
    generator = np.random.Generator(np.random.Philox(key=named_seed(0, "difference")))
    sides = [np.asarray(values, dtype=float) for values in (first, second)]
    drawn = [of(side[generator.integers(len(side), size=(RESAMPLES, len(side)))]) for side in sides]
    low, high = np.quantile(drawn[0] - drawn[1], [0.025, 0.975])
    value = of(sides[0]) - of(sides[1])
    return Estimate(float(value), float(min(low, value)), float(max(high, value)), min(len(first), len(second)))


def mean_band(values_NE: Floats, within: tuple[float, float] = UNIT_INTERVAL) -> tuple[Floats, Floats, Floats]:
    """Return the mean over N seeds and the ends of its interval, as in `mean_over`, each [E]."""
    N = len(values_NE)
    mean = values_NE.mean(0)
    if N == 1:
        return mean, mean, mean
    spread = scipy.stats.t.ppf(0.975, N - 1) * values_NE.std(0, ddof=1) / math.sqrt(N)
    spread[np.ptp(values_NE, axis=0) == 0] = 0.0  # rounding leaves equal values a spread
    return mean, np.maximum(mean - spread, within[0]), np.minimum(mean + spread, within[1])


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> float:
    """Return Spearman's correlation (ties share their mean rank); nan for fewer than three pairs or a constant side."""
    ranks = [scipy.stats.rankdata(values) for values in (first, second)]
    if len(first) < 3 or any(np.ptp(rank) == 0 for rank in ranks):
        return math.nan
    return float(np.corrcoef(*ranks)[0, 1])


def smallest_reaching(scores: Mapping[float, float], least: float) -> float:
    """Return the smallest key whose score is at least `least`; infinity if there is none."""
    return min((key for key, score in scores.items() if score >= least), default=math.inf)


def bootstrap_interval(values: ArrayLike, seed: int = 0, level: float = 0.95) -> tuple[float, float]:
    """Return an interval for the mean of independent values, one for each sequence: [n].

    - Numbers: the percentile bootstrap, resampled from `seed`. Where all are equal, both ends are that number.
    - Booleans (right or wrong): Wilson's score interval. Of a sample that is all right, a bootstrap would claim
      certainty after three sequences; the lower end of Wilson's interval is then n / (n + 3.84), at level 0.95.
    - Numbers that are all 0 or all 1: as booleans. No fraction with the same mean gives such a sample more often.

    Raises:
        UserError: for no values, one that is not finite, or a level outside 0 .. 1.
    """
    sample = np.asarray(values)
    if sample.ndim != 1 or not sample.size or not np.isfinite(sample).all():
        raise UserError(f"values shaped {list(sample.shape)}: expected at least one, in one row, all of them finite")
    if not 0 < level < 1:
        raise UserError(f"level={level}: expected a number between 0 and 1, e.g. 0.95")
    constant = bool((sample == sample[0]).all())
    if sample.dtype == np.bool_ or (constant and sample[0] in (0, 1)):
        interval = scipy.stats.binomtest(int(sample.sum()), sample.size).proportion_ci(level, method="wilson")
    elif constant:
        return float(sample[0]), float(sample[0])
    else:
        interval = scipy.stats.bootstrap(
            (sample.astype(np.float64),),
            np.mean,
            n_resamples=RESAMPLES,
            batch=BATCH,
            confidence_level=level,
            method="percentile",
            rng=np.random.Generator(np.random.Philox(key=named_seed(seed, "bootstrap"))),
        ).confidence_interval
    return float(interval.low), float(interval.high)
