"""Scores over two axes: heat maps and level lines. The page of a study takes its cells from here, too.

Letters: `Y`, `X` values of the vertical and the horizontal axis.
"""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from iterhead.criteria import LEARNED_ACCURACY
from iterhead.estimates import Floats
from iterhead.figures.heat_maps import contour_map, heat_map
from iterhead.figures.panels import SHARE_TICKS, scale_beside
from iterhead.formatting import plural
from iterhead.studies.drawing import Drawing, Panel, label, listing
from iterhead.studies.study import Study
from iterhead.studies.tables import Tables


@dataclass(frozen=True)
class Grid(Drawing):
    """A score over two axes, in one panel or several.

    Attributes:
        file, title: see `Drawing`.
        x, y: axes of the study with numbers as values.
        panels: cells and score of each map.
    """

    x: str
    y: str
    panels: tuple[Panel, ...]

    def axis_values(self, study: Study) -> tuple[list[float], list[float]]:
        """Return the values of both axes that the study has in these panels, increasing, measured or not."""
        shown = [cell.axes for cell in study.cells if any(cell.is_at(panel.where) for panel in self.panels)]
        xs, ys = (sorted({float(axes[axis]) for axes in shown}) for axis in (self.x, self.y))
        return xs, ys

    def values(self, study: Study, tables: Tables, panel: Panel) -> Floats:
        """Return mean, least and largest score over seeds [3, Y, X]; nan where nothing was measured."""
        xs, ys = self.axis_values(study)
        values = np.full((3, len(ys), len(xs)), np.nan)
        rows = _scores(tables, panel)
        if not rows.is_empty():
            score = pl.col("value")
            cells = rows.drop_nulls("value").group_by(self.x, self.y)
            for x, y, *of_cell in cells.agg(score.mean(), low=score.min(), high=score.max()).iter_rows():
                if x in xs and y in ys:  # tables of an earlier version may have more
                    values[:, ys.index(y), xs.index(x)] = of_cell
        return values

    def cells(self, study: Study, panel: Panel) -> list[list[int]]:
        """Return the index of the cell at each place [Y, X]; -1 where the study has none."""
        xs, ys = self.axis_values(study)
        indices = [[-1] * len(xs) for _ in ys]
        for index, cell in enumerate(study.cells):
            if cell.is_at(panel.where):
                indices[ys.index(float(cell.axes[self.y]))][xs.index(float(cell.axes[self.x]))] = index
        return indices

    def seeds(self, tables: Tables) -> int:
        """Return the largest number of seeds of a panel."""
        panels = [_scores(tables, panel) for panel in self.panels]
        return max((rows["seed"].n_unique() for rows in panels if not rows.is_empty()), default=0)

    def describe(self, study: Study) -> str:
        """Return the text alternative, with axes and panels."""
        named = zip((self.x, self.y), self.axis_values(study), strict=True)
        x, y = (f"{label(axis)} ({values[0]:g} to {values[-1]:g})" for axis, values in named)
        panels = listing("panel", [panel.title for panel in self.panels])
        return f"{self.kind}: {self.title}. Horizontal axis: {x}; vertical axis: {y}; colours from 0 to 1. {panels}"

    def draw(self, study: Study, tables: Tables) -> Figure | None:
        """Return the panels with one scale of colours beside them."""
        seeds = self.seeds(tables)
        if not seeds:
            return None
        xs, ys = self.axis_values(study)
        subtitle, layout = self._layout(plural(seeds, "seed"), len(xs), len(ys))
        figure, axes = self.frame(study, subtitle, len(self.panels), **layout)
        drawn: Any = None
        for ax, panel in zip(axes, self.panels, strict=True):
            labels = {"title": panel.title, "x_label": label(self.x), "y_label": label(self.y)}
            drawn = self._draw_panel(ax, xs, ys, self.values(study, tables, panel), labels)
        scale_beside(figure, axes, drawn, "share", SHARE_TICKS)
        return figure

    @abstractmethod
    def _layout(self, seeds: str, X: int, Y: int) -> tuple[str, dict[str, Any]]:
        """Return the subtitle and the layout of the sheet."""

    @abstractmethod
    def _draw_panel(
        self, ax: Axes, xs: list[float], ys: list[float], values: Floats, labels: Mapping[str, str]
    ) -> object:
        """Draw a panel, and return what has its colours."""


@dataclass(frozen=True)
class HeatMaps(Grid):
    """Coloured cells with the mean over seeds, and the range where it is wide."""

    columns: int = 3

    kind: ClassVar[str] = "Heat maps"

    def _layout(self, seeds: str, X: int, Y: int) -> tuple[str, dict[str, Any]]:
        spread = "" if seeds == "1 seed" else ", with their range where it is wide"
        size = (max(2.1, min(3.4, 0.42 * X)), max(1.7, min(3.4, 0.34 * Y)))
        return f"Mean over {seeds}{spread}; blank: not measured.", {"columns": self.columns, "panel": size}

    def _draw_panel(
        self, ax: Axes, xs: list[float], ys: list[float], values: Floats, labels: Mapping[str, str]
    ) -> object:
        mean, low, high = values
        return heat_map(ax, xs, ys, mean, low_YX=low, high_YX=high, **labels)


@dataclass(frozen=True)
class Contours(Grid):
    """Level lines of the mean over seeds; both axes are logarithmic."""

    kind: ClassVar[str] = "Level lines"

    def _layout(self, seeds: str, X: int, Y: int) -> tuple[str, dict[str, Any]]:  # noqa: ARG002
        text = f"Means over {seeds} at the dots, interpolated between; white line: {LEARNED_ACCURACY}."
        return text, {"columns": 2, "panel": (3.0, 2.4), "gap": 0.25}

    def _draw_panel(
        self, ax: Axes, xs: list[float], ys: list[float], values: Floats, labels: Mapping[str, str]
    ) -> object:
        return contour_map(ax, xs, ys, values[0], **labels)


def _scores(tables: Tables, panel: Panel) -> pl.DataFrame:
    """Return a panel's runs with its score as the column `value`: at the end, or as it was at an epoch.

    A run that had ended before the epoch counts with its last evaluation.
    """
    if panel.epoch is None:
        rows = tables.runs(panel.where)
        return rows if rows.is_empty() else rows.with_columns(value=pl.col(panel.score))
    rows = tables.select("curves", panel.where)
    if rows.is_empty():
        return rows
    of_run = rows.columns[: rows.columns.index("seed") + 1]
    early = rows.filter(pl.col("epoch") <= panel.epoch).sort("epoch")
    return early.group_by(of_run, maintain_order=True).agg(value=pl.col(panel.score).last())
