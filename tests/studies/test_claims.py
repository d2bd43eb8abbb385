"""The verdict by hand, at the edges."""

import pytest

from iterhead.studies import Check


def verdict(low: float, high: float, threshold: float, bound="at least") -> str:
    return Check("0", "a claim", (low + high) / 2, low, high, threshold, bound).verdict


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        # At least 0.9.
        (0.91, 0.95, "holds"),
        (0.90, 0.95, "holds"),  # 0.9 is enough
        (0.89, 0.95, "undecided"),
        (0.85, 0.90, "undecided"),  # 0.9 may still be the truth
        (0.85, 0.89, "does not hold"),
        (0.90, 0.90, "holds"),
        (1.00, 1.00, "holds"),
        (0.00, 0.00, "does not hold"),
    ],
)
def test_at_least(low, high, expected):
    assert verdict(low, high, 0.9) == expected


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        # At most 0.02.
        (0.00, 0.01, "holds"),
        (0.00, 0.02, "holds"),  # 0.02 is allowed
        (0.00, 0.03, "undecided"),
        (0.02, 0.05, "undecided"),  # 0.02 may still be the truth
        (0.03, 0.05, "does not hold"),
        (0.02, 0.02, "holds"),
        (-0.3, -0.1, "holds"),
    ],
)
def test_at_most(low, high, expected):
    assert verdict(low, high, 0.02, "at most") == expected


def test_the_value_itself_does_not_decide():
    """0.91 is above 0.9, but with what is known it may be 0.88."""
    assert Check("0", "a claim", 0.91, 0.88, 0.94, 0.9).verdict == "undecided"


def test_by_name():
    assert Check("4a", "costs nothing", 0.25, 0.0, 0.5, 0.125, "at most").as_json() == {
        "id": "4a",
        "claim": "costs nothing",
        "value": 0.25,
        "low": 0.0,
        "high": 0.5,
        "threshold": 0.125,
        "bound": "at most",
        "verdict": "undecided",
    }
