"""Scores against epochs or another axis: means over seeds with their interval.

Letters: `E` values of the horizontal axis, `N` seeds.
"""

from dataclasses import dataclass
from typing import ClassVar

import polars as pl
from matplotlib.figure import Figure

from iterhead.estimates import Floats, mean_band
from iterhead.figures.curves import Band, bands
from iterhead.formatting import plural
from iterhead.studies.drawing import Drawing, Panel, label, listing
from iterhead.studies.study import Study, Where
from iterhead.studies.tables import FULL_EPOCH, Tables


@dataclass(frozen=True)
class Line:
    """One line of a plot: its name in the legend, and its cells."""

    label: str
    where: Where


@dataclass(frozen=True)
class Curves(Drawing):
    """Means over seeds with their interval, a panel for each score.

    Attributes:
        file, title: see `Drawing`.
        x: `FULL_EPOCH` or an axis of the study.
        lines: in each panel.
        panels: scores to show.
    """

    x: str
    lines: tuple[Line, ...]
    panels: tuple[Panel, ...]

    kind: ClassVar[str] = "Means over seeds with their 95% interval"
    about: ClassVar[str] = "Vertical axis: score from 0 to 1."

    def draw(self, study: Study, tables: Tables) -> Figure | None:
        """Return the panels with one legend to the right of them."""
        of_panels = [self._bands(panel, tables) for panel in self.panels]
        every = [band for of_panel in of_panels for band in of_panel]
        if not every:
            return None
        text = f"Mean over {plural(max(len(band.each) for band in every), 'seed')} at most, and its 95% interval."
        if self.x == FULL_EPOCH:
            text += " A run that has ended keeps its last score."
        legend = 0.55 + 0.058 * max(len(band.label) for band in every)  # inches: its dashes and its longest name
        figure, axes = self.frame(study, text, len(self.panels), columns=3, panel=(2.6, 2.2), right=legend)
        for ax, panel, of_panel in zip(axes, self.panels, of_panels, strict=True):
            bands(ax, of_panel, title=panel.title, x_label=label(self.x), legend=ax is axes[-1])
        return figure

    def describe(self, study: Study) -> str:
        """Return the text alternative, with axes, panels and lines."""
        panels = listing("panel", [panel.title for panel in self.panels])
        lines = listing("line", [line.label for line in self.lines])
        return f"{super().describe(study)} Horizontal axis: {label(self.x)}. {panels} {lines}"

    def _bands(self, panel: Panel, tables: Tables) -> list[Band]:
        of_panel = []
        for line in self.lines:
            rows = tables.select("curves" if self.x == FULL_EPOCH else "runs", {**panel.where, **line.where})
            if not (rows.is_empty() or rows[panel.score].is_null().all()):
                xs, each = _by_seed(rows, self.x, panel.score)
                of_panel.append(Band(line.label, xs, *mean_band(each), each))
        return of_panel


def _by_seed(rows: pl.DataFrame, x: str, score: str) -> tuple[Floats, Floats]:
    """Return the values of the horizontal axis [E], and each seed's scores there [N, E].

    Against epochs, a seed that ended early keeps its last score. Against other axes, a seed that misses a value is left
    out.
    """
    # The short epochs at the beginning all count as 0: the last of them is shown.
    wide = rows.drop_nulls(score).pivot("seed", index=x, values=score, aggregate_function="last").sort(x)
    values = wide.drop(x)
    if x == FULL_EPOCH:
        values = values.select(pl.all().forward_fill())
    complete = [name for name in values.columns if values[name].null_count() == 0]
    return wide[x].cast(pl.Float64).to_numpy(), values.select(complete).to_numpy().T.astype(float)
