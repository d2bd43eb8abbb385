"""Hand-made tables of a study, and figures whose cells are known."""

import polars as pl

from iterhead.studies.tables import Tables

SCORES = {
    "accuracy": 0.0,
    "first_peakiness": None,
    "second_peakiness": None,
    "second_mass": None,
    "best_second_weight": None,
    "epochs_to_90": None,
    "epochs_below_90": 0.0,
    "full_epochs": 100.0,
}


def runs_table(rows, study="by hand", **others):
    """Tables whose `runs` has these rows; what a row leaves out is nothing."""
    filled = [{**SCORES, "seed": 0, **row} for row in rows]
    numbers = dict.fromkeys(SCORES, pl.Float64)
    return Tables(study, {"runs": pl.DataFrame(filled, schema_overrides=numbers), **others})
