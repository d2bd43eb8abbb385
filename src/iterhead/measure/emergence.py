"""When an iteration head counts as emerged."""

from collections.abc import Mapping, Sequence

from iterhead.measure.records import Scores

EMERGED_ACCURACY = 0.99
EMERGED_PEAKINESS = 0.95
HELD_FOR = 3
"""Evaluations in a row."""


def is_peaked_and_right(scores: Scores) -> bool:
    """Whether one evaluation shows the head: accuracy >= 0.99 and second peakiness >= 0.95."""
    peakiness = scores.second_peakiness
    return scores.accuracy >= EMERGED_ACCURACY and peakiness is not None and peakiness >= EMERGED_PEAKINESS


def has_emerged(history: Sequence[Scores]) -> bool:
    """Whether the last three evaluations of `history` all show the head."""
    return len(history) >= HELD_FOR and all(is_peaked_and_right(scores) for scores in history[-HELD_FOR:])


def epochs_to(history: Mapping[int, Scores], accuracy: float = 0.9) -> int | None:
    """Return the first evaluated epoch at which the mean accuracy is reached, or None if it never is.

    Args:
        history: scores by epoch, in order; epoch 0 is before training, and counts.
        accuracy: to reach, 0 .. 1, as a mean over the lengths from 4 on (over all, if none is as long).
    """
    return next((epoch for epoch, scores in history.items() if scores.accuracy >= accuracy), None)
