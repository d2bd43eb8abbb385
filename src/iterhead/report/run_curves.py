"""The curves of a run's page: accuracy by length and the scores of every head at every evaluation.

Letters: `E` evaluations, `N` layers, `H` heads.
"""

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from iterhead.formatting import finite_or_none
from iterhead.measure.heads import ROLES
from iterhead.measure.records import HEAD_SCORES, SAMPLE, TEST, head_means, headline_lengths
from iterhead.runs.run import Run

ROLE_SCORES = tuple(f"{role}_{score}" for role in ROLES for score in HEAD_SCORES)
"""The last axis of `head_scores`."""


def curves(run: Run) -> tuple[dict[str, Any], dict[str, NDArray[np.float32]]]:
    """Return the headline curves, and `head_scores` [E, N, H, 6], NaN where a head was not scored.

    A run without regular evaluations has one: its scores at the end.
    """
    history = run.history or {run.checkpoints[-1]: run.scores}
    lengths = list(run.config.data.lengths)
    series = {"mean": "accuracy", "first": "first_peakiness", "second": "second_peakiness"}
    facts = {
        "epochs": list(history),
        "accuracy": [
            [finite_or_none(scores.accuracy_by_length.get(n)) for n in lengths] for scores in history.values()
        ],
        **{key: [finite_or_none(getattr(s, name)) for s in history.values()] for key, name in series.items()},
        "from": headline_lengths(lengths)[0],
        "sampled": bool(run.history),
        "sequences": run.config.training.evaluation_per_length,
    }
    return facts, {"head_scores": _head_scores(run, list(history))}


def _head_scores(run: Run, epochs: list[int]) -> NDArray[np.float32]:
    """Return each head's scores, means over the headline lengths."""
    model = run.config.model
    scores = np.full((len(epochs), model.layers, model.heads, len(ROLE_SCORES)), np.nan, dtype=np.float32)
    # The full test at the end repeats the last epoch; it counts only if there are no other evaluations.
    means = head_means(run.measurements.filter(pl.col("split") == (SAMPLE if run.history else TEST)))
    for row in means.filter(pl.col("epoch").is_in(epochs)).iter_rows(named=True):
        place = epochs.index(row["epoch"]), row["layer"], row["head"], ROLE_SCORES.index(row["name"])
        scores[place] = row["value"]
    return scores
