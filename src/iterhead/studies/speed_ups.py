"""How many times sooner a task is learned after another one: the numbers, and their drawing for pairs of tasks."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple, TypeAlias

import numpy as np
import polars as pl
from matplotlib.figure import Figure

from iterhead.criteria import LEARNED_ACCURACY
from iterhead.estimates import Estimate, median_over
from iterhead.figures.heat_maps import ratio_map
from iterhead.figures.panels import scale_beside
from iterhead.studies.drawings import Drawing
from iterhead.studies.study import Study
from iterhead.studies.tables import Tables

FROM_SCRATCH = "nothing"
"""The first task of networks that are trained from scratch."""

_TICKS = {1 / 32: "1/32", 1 / 8: "1/8", 1 / 2: "1/2", 1: "1", 2: "2", 8: "8", 32: "32"}

Sign: TypeAlias = Literal["", "\u2265", "\u2264"]


class Learned(NamedTuple):
    """When a run reached `LEARNED_ACCURACY`, in epochs; all epochs of the run if it never did."""

    epochs: float  # at the first evaluation that reached it
    below: float  # at the last evaluation before
    reached: bool


class SpeedUp(NamedTuple):
    """How many times sooner one seed learned a task than from scratch."""

    times: float  # epochs from scratch over epochs after pretraining
    least: float  # bounds, since the accuracy was passed somewhere between two evaluations, or after the last
    most: float
    sign: Sign = ""  # at least, if the run from scratch never got there; at most, if the other never did


def speed_ups(
    scratch: pl.DataFrame, transfer: pl.DataFrame, before: Mapping[int, float] | None = None
) -> list[SpeedUp]:
    """Return the speed-up of each seed that has both runs and reached `LEARNED_ACCURACY` in at least one.

    Args:
        scratch: runs from scratch.
        transfer: runs after pretraining.
        before: epochs of pretraining by seed, to count them too.
    """
    alone, after = _by_seed(scratch), _by_seed(transfer)
    return [
        _speed_up(alone[seed], after[seed], before[seed] if before else 0.0)
        for seed in sorted(alone.keys() & after.keys())
        if alone[seed].reached or after[seed].reached
    ]


def _by_seed(rows: pl.DataFrame) -> dict[int, Learned]:
    if rows.is_empty():
        return {}
    columns = rows.select("seed", "epochs_to_90", "epochs_below_90", "full_epochs").iter_rows()
    return {
        seed: Learned(had if epochs is None else epochs, below, epochs is not None)
        for seed, epochs, below, had in columns
    }


def _speed_up(scratch: Learned, transfer: Learned, before: float) -> SpeedUp:
    times = _ratio(scratch.epochs, transfer.epochs + before)
    least = _ratio(scratch.below, transfer.epochs + before) if transfer.reached else 0.0
    most = _ratio(scratch.epochs, transfer.below + before) if scratch.reached else math.inf
    if scratch.reached and transfer.reached:
        return SpeedUp(times, least, most)
    return SpeedUp(times, least, most, "\u2265" if transfer.reached else "\u2264")


def _ratio(scratch: float, transfer: float) -> float:
    """Return the ratio; infinity if the task was known from the beginning."""
    return scratch / transfer if transfer else math.inf


def median_speed_up(each: Sequence[SpeedUp]) -> Estimate:
    """Return the median, with an interval that allows for the bounds of each speed-up."""
    return median_over([s.times for s in each], [s.least for s in each], [s.most for s in each])


def common_sign(each: Sequence[SpeedUp]) -> str:
    """Return the sign that most of some speed-ups have; none if most are exact."""
    counts = Counter(speed_up.sign for speed_up in each)
    return next((sign for sign, count in counts.items() if 2 * count > len(each)), "")


@dataclass(frozen=True)
class SpeedUps(Drawing):
    """The speed-up of each task after each other one: of a study with the axes `first` and `task`."""

    kind: ClassVar[str] = "A table of coloured cells"
    about: ClassVar[str] = "Rows: the first task; columns: the second; numbers: how many times sooner it is learned."

    def draw(self, study: Study, tables: Tables) -> Figure | None:
        """Return a row for each first task and a column for each second one."""
        tasks = list(dict.fromkeys(str(cell.axes["task"]) for cell in study.cells))
        values = np.full((3, len(tasks), len(tasks)), np.nan)
        signs = [["" for _ in tasks] for _ in tasks]
        for row, first in enumerate(tasks):
            for column, task in enumerate(tasks):
                alone, after = (tables.runs({"first": name, "task": task}) for name in (FROM_SCRATCH, first))
                each = speed_ups(alone, after)
                estimate = median_speed_up(each)
                values[:, row, column] = estimate.value, estimate.low, estimate.high
                signs[row][column] = common_sign(each)
        if np.isnan(values).all():
            return None
        text = (
            f"Median over seeds, and its interval; epochs to accuracy {LEARNED_ACCURACY}. \u2265: from scratch most "
            "never got there; \u2264: after the other task most never did; blank: neither."
        )
        side = 0.95 * len(tasks)
        figure, axes = self.frame(study, text, 1, columns=1, panel=(side, 0.62 * side), left=1.25, right=0.8)
        labels = {"x_label": "then trained on", "y_label": "trained on first"}
        mesh = ratio_map(axes[0], tasks, tasks, values[0], values[1], values[2], signs, **labels)
        scale_beside(figure, axes, mesh, "times sooner", _TICKS)
        return figure
