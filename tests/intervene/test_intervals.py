"""Intervals by hand, and where there is no doubt to resample."""

import numpy as np
import pytest

from iterhead.errors import UserError
from iterhead.intervene import bootstrap_interval

Z2 = 3.841459
"""The square of the normal quantile 1.959964."""


def wilson(k, n):
    """Wilson (1927): the shares p for which k / n is no more than 1.96 standard deviations off."""
    middle, half = (k + Z2 / 2) / (n + Z2), (Z2 * (k * (n - k) / n + Z2 / 4)) ** 0.5 / (n + Z2)
    return pytest.approx((middle - half, middle + half), abs=1e-6)


@pytest.mark.parametrize(("k", "n"), [(3, 4), (0, 10), (10, 10), (1, 1), (250, 1000)])
def test_right_and_wrong_get_wilsons_interval(k, n):
    assert bootstrap_interval([True] * k + [False] * (n - k)) == wilson(k, n)


def test_all_right_leaves_a_doubt_that_shrinks():
    # n / (n + 3.84): 3 of 3 says no more than 0.44, 100 of 100 says 0.963.
    assert bootstrap_interval([True] * 3) == pytest.approx((0.4385, 1), abs=1e-4)
    assert bootstrap_interval(np.ones(100)) == pytest.approx((0.9630, 1), abs=1e-4)
    assert bootstrap_interval(np.zeros(100)) == pytest.approx((0, 0.0370), abs=1e-4)


def test_equal_numbers_give_that_number():
    assert bootstrap_interval([0.25] * 7) == (0.25, 0.25)
    assert bootstrap_interval([3.5]) == (3.5, 3.5)


def test_numbers_are_resampled():
    # 400 numbers, half 0.2 and half 0.6: mean 0.4, standard error 0.2 / 20 = 0.01, times 1.96.
    values = np.tile([0.2, 0.6], 200)
    low, high = bootstrap_interval(values, seed=1)
    assert (low, high) == pytest.approx((0.4 - 0.0196, 0.4 + 0.0196), abs=2e-3)
    assert bootstrap_interval(values, seed=1) == (low, high)
    assert bootstrap_interval(values, seed=2) != (low, high)
    # At level 0.5: 0.674 standard errors.
    assert bootstrap_interval(values, level=0.5) == pytest.approx((0.4 - 0.00674, 0.4 + 0.00674), abs=2e-3)


@pytest.mark.parametrize(
    ("values", "level", "message"),
    [
        ([], 0.95, r"values shaped \[0\]: expected at least one"),
        ([0.1, float("nan")], 0.95, r"values shaped \[2\]: expected at least one, in one row, all of them finite"),
        ([[0.1], [0.2]], 0.95, r"values shaped \[2, 1\]"),
        ([0.1, 0.2], 95, "level=95: expected a number between 0 and 1, e.g. 0.95"),
    ],
)
def test_what_makes_no_sense_is_refused(values, level, message):
    with pytest.raises(UserError, match=message):
        bootstrap_interval(values, level=level)
