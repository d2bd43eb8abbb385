"""When a head has emerged: three evaluations in a row at the thresholds or above."""

import pytest

from iterhead.measure import Scores, has_emerged, is_peaked_and_right


def scores(accuracy=0.99, peakiness=0.95):
    return Scores(accuracy, {4: accuracy}, 1.0, second_peakiness=peakiness)


@pytest.mark.parametrize(
    ("accuracy", "peakiness", "shows"),
    [
        (0.99, 0.95, True),
        (1.0, 1.0, True),
        (0.9899, 1.0, False),
        (1.0, 0.9499, False),
        (0.95, 0.99, False),
        (1.0, None, False),
    ],
)
def test_thresholds_are_inclusive(accuracy, peakiness, shows):
    assert is_peaked_and_right(scores(accuracy, peakiness)) is shows


@pytest.mark.parametrize(
    ("history", "emerged"),
    [
        ("", False),
        ("+", False),
        ("++", False),
        ("+++", True),
        ("++++", True),
        ("--+++", True),
        ("+++-", False),
        ("++-+", False),
        ("-++", False),
        ("+-++", False),
    ],
)
def test_the_last_three_evaluations_count(history, emerged):
    assert has_emerged([scores(peakiness=1.0 if mark == "+" else 0.9) for mark in history]) is emerged
