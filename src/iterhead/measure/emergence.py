"""When an iteration head counts as emerged."""

from collections.abc import Sequence

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
