"""When an iteration head counts as emerged."""

from collections.abc import Mapping, Sequence

import polars as pl

from iterhead.criteria import EMERGED_ACCURACY, EMERGED_EVALUATIONS, EMERGED_PEAKINESS, LEARNED_ACCURACY
from iterhead.measure.records import Scores


def is_peaked_and_right(scores: Scores) -> bool:
    """Whether an evaluation shows the iteration head: accuracy >= 0.99 and second peakiness >= 0.95."""
    peakiness = scores.second_peakiness
    return scores.accuracy >= EMERGED_ACCURACY and peakiness is not None and peakiness >= EMERGED_PEAKINESS


def has_emerged(history: Sequence[Scores]) -> bool:
    """Whether each of the last three evaluations shows the head."""
    return len(history) >= EMERGED_EVALUATIONS and all(
        is_peaked_and_right(scores) for scores in history[-EMERGED_EVALUATIONS:]
    )


def emergence_epoch(history: Mapping[int, Scores]) -> int | None:
    """Return the first epoch from which three evaluations in a row show the head, or None.

    Args:
        history: scores by epoch, in order; epoch 0, before training, does not count.
    """
    trained = [epoch for epoch in history if epoch > 0]
    windows = (trained[start : start + EMERGED_EVALUATIONS] for start in range(len(trained)))
    return next((epochs[0] for epochs in windows if has_emerged([history[epoch] for epoch in epochs])), None)


def emergences(evaluations: pl.DataFrame, run: str) -> pl.DataFrame:
    """Return for each run the first epoch at which `has_emerged` is true; columns `run` and epoch.

    Runs without such an epoch have no row.

    Args:
        evaluations: rows with the columns `run`, epoch, accuracy and second_peakiness, in order of epochs. Epoch 0,
            before training, does not count; nan and null are below any threshold.
        run: the column that identifies the run.
    """
    scores = pl.col("accuracy", "second_peakiness").cast(pl.Float64).fill_nan(None)
    peaked = (pl.col("accuracy") >= EMERGED_ACCURACY) & (pl.col("second_peakiness") >= EMERGED_PEAKINESS)
    held = (
        peaked.fill_null(value=False).cast(pl.Int64).rolling_sum(EMERGED_EVALUATIONS).over(run) == EMERGED_EVALUATIONS
    )
    rows = evaluations.filter(pl.col("epoch") > 0).with_columns(scores).filter(held)
    return rows.group_by(run, maintain_order=True).agg(pl.col("epoch").first())


def epochs_to(history: Mapping[int, Scores], accuracy: float = LEARNED_ACCURACY) -> int | None:
    """Return the first evaluated epoch with at least this accuracy, or None.

    Args:
        history: scores by epoch, in order; epoch 0, before training, counts.
        accuracy: 0 .. 1, a mean over the headline lengths.
    """
    return next((epoch for epoch, scores in history.items() if scores.accuracy >= accuracy), None)
