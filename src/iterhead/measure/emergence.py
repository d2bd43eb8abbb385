"""When an iteration head counts as emerged."""

from collections.abc import Mapping, Sequence

import polars as pl

from iterhead.criteria import EMERGED_ACCURACY, EMERGED_EVALUATIONS, EMERGED_PEAKINESS
from iterhead.measure.records import Scores


def is_peaked_and_right(scores: Scores) -> bool:
    """Whether one evaluation shows the head: accuracy >= 0.99 and second peakiness >= 0.95."""
    peakiness = scores.second_peakiness
    return scores.accuracy >= EMERGED_ACCURACY and peakiness is not None and peakiness >= EMERGED_PEAKINESS


def has_emerged(history: Sequence[Scores]) -> bool:
    """Whether the last three evaluations of `history` all show the head."""
    return len(history) >= EMERGED_EVALUATIONS and all(
        is_peaked_and_right(scores) for scores in history[-EMERGED_EVALUATIONS:]
    )


def emergence_epoch(history: Mapping[int, Scores]) -> int | None:
    """Return the first epoch whose evaluation and the next ones showed the head; None if it never held so long.

    Args:
        history: scores by epoch, in order; epoch 0, before training, does not count.
    """
    trained = [(epoch, scores) for epoch, scores in history.items() if epoch > 0]
    for end in range(EMERGED_EVALUATIONS, len(trained) + 1):
        if has_emerged([scores for _, scores in trained[:end]]):
            return trained[end - EMERGED_EVALUATIONS][0]
    return None


def emergences(evaluations: pl.DataFrame, run: str) -> pl.DataFrame:
    """Return `run` and `epoch` of each run's first evaluation after which `has_emerged`; no row where it never has.

    Args:
        evaluations: rows with the columns `run`, epoch, accuracy and second_peakiness, in order of epochs; epoch 0,
            which is before training, does not count, and neither does a score that is nan or null.
        run: the column that tells the runs apart.
    """
    scores = pl.col("accuracy", "second_peakiness").cast(pl.Float64).fill_nan(None)
    peaked = (pl.col("accuracy") >= EMERGED_ACCURACY) & (pl.col("second_peakiness") >= EMERGED_PEAKINESS)
    held = (
        peaked.fill_null(value=False).cast(pl.Int64).rolling_sum(EMERGED_EVALUATIONS).over(run) == EMERGED_EVALUATIONS
    )
    rows = evaluations.filter(pl.col("epoch") > 0).with_columns(scores).filter(held)
    return rows.group_by(run, maintain_order=True).agg(pl.col("epoch").first())


def epochs_to(history: Mapping[int, Scores], accuracy: float = 0.9) -> int | None:
    """Return the first evaluated epoch at which the mean accuracy is reached, or None if it never is.

    Args:
        history: scores by epoch, in order; epoch 0 is before training, and counts.
        accuracy: to reach, 0 .. 1, as a mean over the lengths from 4 on (over all, if none is as long).
    """
    return next((epoch for epoch, scores in history.items() if scores.accuracy >= accuracy), None)
