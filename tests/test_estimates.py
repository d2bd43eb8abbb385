"""Estimates and intervals by hand, over seeds and over sequences."""

import math

import numpy as np
import pytest

from iterhead.errors import UserError
from iterhead.estimates import (
    NO_ESTIMATE,
    bootstrap_interval,
    difference_of_means,
    difference_of_spreads,
    mean_band,
    mean_over,
    median_over,
    rank_correlation,
    smallest_reaching,
)


def test_the_mean_of_three_by_hand():
    # sd 0.25; Student's t of two degrees of freedom is 4.3027 at 97.5%: 4.3027 * 0.25 / sqrt(3) = 0.62104.
    estimate = mean_over([0.25, 0.5, 0.75])
    assert (estimate.value, estimate.n) == (0.5, 3)
    assert (estimate.low, estimate.high) == pytest.approx((-0.12104, 1.12104), abs=1e-5)
    cut = mean_over([0.25, 0.5, 0.75], within=(0, 1))
    assert (cut.low, cut.high) == (0, 1)


def test_the_mean_of_ten_by_hand():
    # 0 .. 9: sd 3.02765, t of nine degrees of freedom 2.26216: 2.26216 * 3.02765 / sqrt(10) = 2.16585.
    estimate = mean_over(list(map(float, range(10))))
    assert (estimate.low, estimate.high) == pytest.approx((4.5 - 2.16585, 4.5 + 2.16585), abs=1e-5)
    assert mean_over([0.3]) == type(NO_ESTIMATE)(0.3, 0.3, 0.3, 1)


def test_equal_values_have_no_width():
    assert mean_over([0.25] * 4) == type(NO_ESTIMATE)(0.25, 0.25, 0.25, 4)
    assert mean_over([0.0, 0.0]) == type(NO_ESTIMATE)(0.0, 0.0, 0.0, 2)
    tenths = mean_over([0.1] * 3)
    assert tenths.low == tenths.high == tenths.value


@pytest.mark.parametrize("estimate", [mean_over, median_over])
def test_of_nothing_there_is_nothing(estimate):
    estimate = estimate([])
    assert estimate.n == 0
    assert math.isnan(estimate.value)


def test_the_median_of_ten_lies_between_the_second_and_the_ninth():
    values = [3, 1, 4, 15, 9, 2, 6, 5, 35, 8]  # in order 1 2 3 4 5 6 8 9 15 35
    assert median_over(values) == type(NO_ESTIMATE)(5.5, 2, 15, 10)


@pytest.mark.parametrize(("n", "low"), [(5, 1), (6, 1), (8, 1), (9, 2), (12, 3)])
def test_which_values_bound_the_median(n, low):
    # P(at most k - 1 of n below the median) <= 2.5%: n = 6: 1/64 = 1.6%, k = 1; n = 9: 10/512 = 2.0%, k = 2;
    # n = 12: 79/4096 = 1.9%, k = 3; n = 8: 9/256 = 3.5% is too much for k = 2.
    estimate = median_over(list(range(1, n + 1)))
    assert (estimate.low, estimate.high) == (low, n + 1 - low)


def test_bounds_open_the_median_s_interval():
    estimate = median_over([1, 2, 3], [0, 2, 3], [1, 2, math.inf])
    assert estimate == type(NO_ESTIMATE)(2, 0, math.inf, 3)


def test_a_clear_difference_and_none():
    clear = difference_of_means([0.9, 0.92, 0.94, 0.91], [0.4, 0.5, 0.3, 0.45])
    assert clear.value == pytest.approx(0.9175 - 0.4125)
    assert 0.3 < clear.low < clear.value < clear.high < 0.7
    none = difference_of_means([0.4, 0.9, 0.6], [0.5, 0.8, 0.6])
    assert none.low < 0 < none.high


def test_spreads_need_two_values_each():
    assert difference_of_spreads([1.0], [1.0, 2.0]).n == 0
    # sd of 0, 2 is sqrt(2); of 1, 1 it is 0.
    assert difference_of_spreads([0.0, 2.0], [1.0, 1.0]).value == pytest.approx(math.sqrt(2))


def test_the_band_is_the_interval_of_each_column():
    columns = np.array([[0.0, 0.5], [1.0, 0.51], [0.5, 0.52]])
    mean, low, high = mean_band(columns)
    for place, column in enumerate(columns.T):
        estimate = mean_over(list(column), within=(0, 1))
        assert (mean[place], low[place], high[place]) == pytest.approx((estimate.value, estimate.low, estimate.high))
    assert (low[0], high[0]) == (0, 1)
    np.testing.assert_array_equal(mean_band(np.array([[0.2, 0.4]])), [[0.2, 0.4]] * 3)  # of one seed


@pytest.mark.parametrize(("first", "second", "expected"), [
    ([1, 2, 3], [10, 20, 1000], 1.0),
    ([1, 2, 3], [3, 2, 1], -1.0),
    ([1, 2, 3, 4], [1, 1, 2, 2], 4 / math.sqrt(5 * 4)),  # ranks 1 2 3 4 and 1.5 1.5 3.5 3.5
    ([1, 2, 3], [5, math.inf, math.inf], 0.866),
])  # fmt: skip
def test_rank_correlation(first, second, expected):
    assert rank_correlation(first, second) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(("first", "second"), [([1, 2], [1, 2]), ([1, 2, 3], [7, 7, 7])])
def test_no_rank_correlation_of_two_or_of_equals(first, second):
    assert math.isnan(rank_correlation(first, second))


def test_the_threshold_is_the_least_place_that_is_good_enough():
    scores = {4: 0.2, 16: 0.95, 8: 0.5, 24: 0.1}
    assert smallest_reaching(scores, 0.5) == 8
    assert smallest_reaching(scores, 0.96) == math.inf


# Over sequences

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
