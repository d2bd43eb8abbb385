"""When a head has emerged: three evaluations in a row at the thresholds or above."""

import math
from itertools import product

import polars as pl
import pytest

from iterhead.measure.emergence import emergences, epochs_to, has_emerged, is_peaked_and_right
from iterhead.measure.records import Scores


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


def test_of_many_runs_the_first_evaluation_at_which_each_has_emerged():
    """Every run of five evaluations, and epoch 0 before them, which does not count."""
    kinds = {"+": (0.99, 0.95), "-": (0.98, 1.0), "0": (1.0, None), "n": (1.0, math.nan)}
    runs = ["+" + "".join(marks) for marks in product(kinds, repeat=5)]
    rows = [(run, 2 * at, *kinds[mark]) for run in runs for at, mark in enumerate(run)]
    columns = ["run", "epoch", "accuracy", "second_peakiness"]
    epochs = dict(emergences(pl.DataFrame(rows, schema=columns, orient="row"), "run").iter_rows())
    for run in runs:
        history = [scores(*kinds[mark]) for mark in run[1:]]
        first = next((2 * count for count in range(1, 6) if has_emerged(history[:count])), None)
        assert epochs.get(run) == first, run


HISTORY = {0: 0.1, 5: 0.899, 10: 0.9, 15: 0.5, 20: 1.0}


@pytest.mark.parametrize(("accuracy", "epoch"), [(0.9, 10), (0.91, 20), (0.05, 0), (0.5, 5)])
def test_the_first_epoch_that_reaches_an_accuracy(accuracy, epoch):
    assert epochs_to({epoch: scores(share) for epoch, share in HISTORY.items()}, accuracy) == epoch


def test_an_accuracy_that_is_never_reached():
    assert epochs_to({0: scores(0.1), 1: scores(0.89)}) is None
    assert epochs_to({}) is None
