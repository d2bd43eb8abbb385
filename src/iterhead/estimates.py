"""Estimates over seeds: means, medians, ratios and thresholds, each with its 95% interval.

A seed's networks share its data, so what is resampled is seeds: each gives one number, however many runs went into it.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom, rankdata  # type: ignore[import-untyped]
from scipy.stats import t as student

from iterhead.seeds import named_seed

Floats = NDArray[np.float64]

RESAMPLES = 1999


@dataclass(frozen=True)
class Estimate:
    """A figure over seeds.

    Attributes:
        value: nan where there is nothing to make it from.
        low, high: its 95% interval.
        n: how many seeds went into it.
    """

    value: float
    low: float
    high: float
    n: int


NO_ESTIMATE = Estimate(math.nan, math.nan, math.nan, 0)


ANY, UNIT_INTERVAL = (-math.inf, math.inf), (0.0, 1.0)
"""Between what a figure can lie."""


def mean_over(values: Sequence[float], within: tuple[float, float] = ANY) -> Estimate:
    """Return the mean, with Student's interval, cut where no figure can lie; one value, or equal ones, have no width.

    Few seeds are the rule here. Of ten, the percentile bootstrap of a mean is a fifth narrower than this; of three it
    ends at the least and the largest, where this is about two and a half times as wide.
    """
    if not values:
        return NO_ESTIMATE
    each = np.asarray(values, dtype=float)
    mean, low, high = mean_band(each[:, None], within)
    return Estimate(float(mean[0]), float(low[0]), float(high[0]), len(values))


def median_over(
    values: Sequence[float], at_least: Sequence[float] | None = None, at_most: Sequence[float] | None = None
) -> Estimate:
    """Return the median; its interval runs between two values, as binomial chances tell, whatever the distribution.

    By hand, for ten values: the median lies outside the second and the ninth with chance 2 * (1 + 10) / 1024 = 2.1%,
    outside the third and the eighth with 2 * (1 + 10 + 45) / 1024 = 10.9%, so the second and the ninth it is. Fewer
    than six values have no such interval, since all may lie on one side: then from the least to the largest.

    Args:
        values: as measured.
        at_least: what each is at least, where some are only bounds; the lower end is one of these.
        at_most: what each is at most, perhaps infinite; the upper end is one of these.
    """
    if not values:
        return NO_ESTIMATE
    n = len(values)
    outside = sum(binom.cdf(rank, n, 0.5) <= 0.025 for rank in range(n // 2))
    place = max(outside - 1, 0)
    low = sorted(values if at_least is None else at_least)[place]
    high = sorted(values if at_most is None else at_most)[n - 1 - place]
    return Estimate(float(np.median(values)), low, high, n)


def difference_of_means(first: Sequence[float], second: Sequence[float]) -> Estimate:
    """Return mean(first) - mean(second), both resampled."""
    return _difference(first, second, lambda rows: rows.mean(-1), fewest=1)


def difference_of_spreads(first: Sequence[float], second: Sequence[float]) -> Estimate:
    """Return sd(first) - sd(second), both resampled; two values each at least."""
    return _difference(first, second, lambda rows: rows.std(-1, ddof=1), fewest=2)


def _difference(
    first: Sequence[float], second: Sequence[float], of: Callable[[Floats], Floats], fewest: int
) -> Estimate:
    if min(len(first), len(second)) < fewest:
        return NO_ESTIMATE
    generator = np.random.Generator(np.random.Philox(key=named_seed(0, "difference")))
    drawn = [of(_resampled(np.asarray(values, dtype=float), generator)) for values in (first, second)]
    low, high = np.quantile(drawn[0] - drawn[1], [0.025, 0.975])
    value = of(np.asarray(first, dtype=float)) - of(np.asarray(second, dtype=float))
    return Estimate(float(value), float(min(low, value)), float(max(high, value)), min(len(first), len(second)))


def _resampled(values: Floats, generator: np.random.Generator) -> Floats:
    return values[generator.integers(len(values), size=(RESAMPLES, len(values)))]


def mean_band(values_NE: Floats, within: tuple[float, float] = UNIT_INTERVAL) -> tuple[Floats, Floats, Floats]:
    """Return the mean over N seeds and the ends of its interval as for `mean_over`, each [E]."""
    N = len(values_NE)
    mean = values_NE.mean(0)
    if N == 1:
        return mean, mean, mean
    spread = student.ppf(0.975, N - 1) * values_NE.std(0, ddof=1) / math.sqrt(N)
    spread[np.ptp(values_NE, axis=0) == 0] = 0.0  # rounding leaves equal values a spread
    return mean, np.maximum(mean - spread, within[0]), np.minimum(mean + spread, within[1])


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> float:
    """Return Spearman's correlation, ties sharing their mean rank; nan where one side is all the same.

    Infinite values are ranked like others: beyond all that is finite.
    """
    ranks = [rankdata(values) for values in (first, second)]
    if len(first) < 3 or any(np.ptp(rank) == 0 for rank in ranks):
        return math.nan
    return float(np.corrcoef(*ranks)[0, 1])


def threshold(scores: Mapping[float, float], least: float) -> float:
    """Return the smallest place whose score is at least `least`; infinity if none of the places measured has it."""
    return min((place for place, score in scores.items() if score >= least), default=math.inf)
