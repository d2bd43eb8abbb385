"""The verdict by hand, at the edges."""

import math
from dataclasses import replace

import pytest

from iterhead.studies.claims import Check, Finding, claim_rows


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


def test_rows_of_a_table():
    """What the claim asks has the right sign, seeds stand behind an interval over seeds, and nothing is not 0."""
    check = Check("12a", "lower | than", 0.5, 0.25, math.inf, 0.0, "more than")
    finding = Finding("18a", "c", 2.0, 1.0, 3.0, 0.9, "at most", figure="f", seeds=4, sentence="s")
    nothing = replace(finding, value=math.nan, low=math.nan, high=math.nan, seeds=0)
    assert [tuple(row) for row in claim_rows([check, finding, nothing])] == [
        ("12a", "lower | than", "0.500", "0.250 .. inf", "> 0.00", "holds"),
        ("18a", "c", "2.000", "1.000 .. 3.000 (4)", "<= 0.90", "does not hold"),
        ("18a", "c", "", "", "<= 0.90", "undecided"),
    ]
