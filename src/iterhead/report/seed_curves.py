"""The curves of a study's runs, thinned until they fit.

Letters: `R` runs, `P` evaluations of all of them, one run after the other.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from iterhead.measure.emergence import emergences
from iterhead.report.cells import INDEX, SHARE_COLUMNS, column, indices, placed, shares
from iterhead.studies.study import Study
from iterhead.studies.tables import Tables

NO_CURVES = 0  # in place of `every`


@dataclass(frozen=True)
class SeedCurves:
    """The evaluations of every run, in order.

    Attributes:
        run: index of the run of each evaluation, [P].
        rows: epoch, loss and scores of each.
        runs: R.
    """

    run: NDArray[np.int64]
    rows: pl.DataFrame
    runs: int

    @property
    def most(self) -> int:
        """Evaluations of the run that has most."""
        return int(np.bincount(self.run, minlength=1).max())

    def emerged(self) -> NDArray[np.float32]:
        """Return the epoch [R] at which the head emerged, as in early stopping; nan if it never did."""
        names = ("epoch", "accuracy", "second_peakiness")
        emerged = np.full(self.runs, np.nan, dtype=np.float32)
        rows = emergences(pl.DataFrame({INDEX: self.run, **{name: column(self.rows, name) for name in names}}), INDEX)
        emerged[rows[INDEX].to_numpy()] = rows["epoch"].to_numpy()
        return emerged

    def arrays(self, every: int) -> dict[str, NDArray[Any]]:
        """Return `evaluations` [R], how many each run has, and `curve.` epoch, shares and loss [P].

        Args:
            every: which evaluations are kept, counted from the last one of a run; the first is always kept.
        """
        kept = self._kept(every)
        rows = self.rows.filter(kept)
        epochs = column(rows, "epoch")
        largest = epochs.max(initial=0)
        arrays: dict[str, NDArray[Any]] = {
            "evaluations": np.bincount(self.run[kept], minlength=self.runs).astype(np.uint16),
            "curve.epoch": epochs.astype(np.uint16 if largest < 65536 else np.float32),
            "curve.loss": np.clip(column(rows, "loss"), None, float(np.finfo(np.float16).max)).astype(np.float16),
        }
        return arrays | {f"curve.{name}": shares(column(rows, name)) for name in SHARE_COLUMNS}

    def _kept(self, every: int) -> NDArray[np.bool_]:
        if every == NO_CURVES or not len(self.run):
            return np.zeros(len(self.run), dtype=bool)
        counts = np.bincount(self.run, minlength=self.runs)
        start = np.concatenate([[0], np.cumsum(counts)[:-1]])
        place = np.arange(len(self.run)) - start[self.run]
        kept: NDArray[np.bool_] = ((counts[self.run] - 1 - place) % every == 0) | (place == 0)
        return kept


def seed_curves(study: Study, tables: Tables) -> SeedCurves:
    """Return the evaluations of a study's runs; raises UserError for tables of another version."""
    rows = placed(study, tables["curves"])
    if rows.height:
        rows = rows.sort(INDEX, "epoch", maintain_order=True)
    return SeedCurves(indices(rows), rows, study.run_count)
