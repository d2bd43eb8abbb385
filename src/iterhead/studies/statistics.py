"""Estimates over seeds: means, medians, ratios and thresholds, each with its 95% interval.

A seed's networks share its data, so what is resampled is seeds: each gives one number, however many runs went into it.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom, rankdata  # type: ignore[import-untyped]

from iterhead.intervene import bootstrap_interval
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


NOTHING = Estimate(math.nan, math.nan, math.nan, 0)


def mean_over(values: Sequence[float]) -> Estimate:
    """Return the mean, with the percentile bootstrap; values that are all the same have no width.

    Of three seeds the interval runs from the least to the largest: with few seeds it is rather too narrow.
    """
    if not values:
        return NOTHING
    low, high = bootstrap_interval(values) if len(set(values)) > 1 else (values[0], values[0])
    return Estimate(float(np.mean(values)), low, high, len(values))


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
        return NOTHING
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
        return NOTHING
    generator = np.random.Generator(np.random.Philox(key=named_seed(0, "difference")))
    drawn = [of(_resampled(np.asarray(values, dtype=float), generator)) for values in (first, second)]
    low, high = np.quantile(drawn[0] - drawn[1], [0.025, 0.975])
    value = of(np.asarray(first, dtype=float)) - of(np.asarray(second, dtype=float))
    return Estimate(float(value), float(min(low, value)), float(max(high, value)), min(len(first), len(second)))


def _resampled(values: Floats, generator: np.random.Generator) -> Floats:
    return values[generator.integers(len(values), size=(RESAMPLES, len(values)))]


def mean_band(values_NE: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the mean over N seeds and the ends of its bootstrap interval, each [E].

    One and the same resampling of seeds serves all E columns, since a seed's row is one curve.
    """
    N = len(values_NE)
    generator = np.random.Generator(np.random.Philox(key=named_seed(0, "band")))
    counts = generator.multinomial(N, [1 / N] * N, size=RESAMPLES) / N
    low, high = np.quantile(counts @ values_NE, [0.025, 0.975], axis=0)
    return values_NE.mean(0), low, high


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
