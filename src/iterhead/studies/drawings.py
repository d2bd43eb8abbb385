"""What a study draws: numbers from its tables go in, a figure and its text alternative come out.

Letters: `Y`, `X` values of the axes of a map; `E` values of the horizontal axis of curves, `N` seeds.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from iterhead.criteria import LEARNED_ACCURACY
from iterhead.estimates import Floats, mean_band
from iterhead.figures.curves import Band, bands
from iterhead.figures.heat_maps import contour_map, heat_map
from iterhead.figures.panels import SHARE_TICKS, scale_beside, sheet
from iterhead.formatting import plural
from iterhead.studies.study import Study, Where
from iterhead.studies.tables import FULL_EPOCH, Tables

LABELS: Mapping[str, str] = {
    "longest": "longest length",
    "width": "width d",
    "lr": "learning rate",
    "batch": "batch size",
    "position_width": "coordinates with positions, p",
    FULL_EPOCH: "epochs of 1,024 sequences of each length",
}
"""Labels of axes; other axes are labelled with their names."""


@dataclass(frozen=True)
class Panel:
    """One of several plots side by side.

    Attributes:
        title: above it.
        score: column of the tables to show.
        where: cells to show; all by default.
        epoch: show the score at this epoch (of runs that ended before, the last one); at the end by default.
    """

    title: str
    score: str = "accuracy"
    where: Where = field(default_factory=dict)
    epoch: int | None = None


@dataclass(frozen=True)
class Drawing(ABC):
    """A figure of a study, with the name of its files (without the ending) and a title of one line."""

    file: str
    title: str

    kind: ClassVar[str]
    """What sort of figure it is, in a few words."""

    about: ClassVar[str] = ""
    """What its axes and marks are, in a sentence."""

    @abstractmethod
    def draw(self, study: Study, tables: Tables) -> Figure | None:
        """Return the figure; None if nothing was measured."""

    def describe(self, study: Study) -> str:  # noqa: ARG002  # others need the values of the study's axes
        """Return the text alternative."""
        return f"{self.kind}: {self.title}. {self.about}"

    def heading(self, study: Study) -> str:
        """Return the title, after the number of the published figure if there is one."""
        kind, _, number = study.name.partition("-")
        return f"Figure {number}. {self.title}" if kind == "figure" else self.title

    def frame(self, study: Study, subtitle: str, panels: int, **layout: Any) -> tuple[Figure, list[Axes]]:
        """Return a figure under its heading and its empty axes; `layout` as in `figures.sheet`."""
        return sheet(self.heading(study), f"{subtitle} Scale: {study.scale}.", panels, **layout)


def _listing(noun: str, names: Sequence[str]) -> str:
    """Return e.g. `2 panels: Accuracy; Second peakiness.`."""
    return f"{plural(len(names), noun)}: {'; '.join(names)}."


@dataclass(frozen=True)
class Grid(Drawing):
    """Scores over two axes of the study with numbers as values, `x` and `y`, in one panel or several."""

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

    def describe(self, study: Study) -> str:
        """Return the text alternative, with axes and panels."""
        named = zip((self.x, self.y), self.axis_values(study), strict=True)
        x, y = (f"{LABELS.get(axis, axis)} ({values[0]:g} to {values[-1]:g})" for axis, values in named)
        panels = _listing("panel", [panel.title for panel in self.panels])
        return f"{self.kind}: {self.title}. Horizontal axis: {x}; vertical axis: {y}; colours from 0 to 1. {panels}"

    def draw(self, study: Study, tables: Tables) -> Figure | None:
        """Return the panels with one color scale next to them."""
        measured = [rows for panel in self.panels if not (rows := _scores(tables, panel)).is_empty()]
        if not measured:
            return None
        xs, ys = self.axis_values(study)
        seeds = max(rows["seed"].n_unique() for rows in measured)
        subtitle, layout = self._layout(plural(seeds, "seed"), len(xs), len(ys))
        figure, axes = self.frame(study, subtitle, len(self.panels), **layout)
        labels = {"x_label": LABELS.get(self.x, self.x), "y_label": LABELS.get(self.y, self.y)}
        drawn: Any = None
        for ax, panel in zip(axes, self.panels, strict=True):
            drawn = self._draw_panel(ax, xs, ys, self.values(study, tables, panel), title=panel.title, **labels)
        scale_beside(figure, axes, drawn, "share", SHARE_TICKS)
        return figure

    @abstractmethod
    def _layout(self, seeds: str, X: int, Y: int) -> tuple[str, dict[str, Any]]:
        """Return the subtitle and the layout of the sheet."""

    @abstractmethod
    def _draw_panel(self, ax: Axes, xs: list[float], ys: list[float], values: Floats, **labels: str) -> object:
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

    def _draw_panel(self, ax: Axes, xs: list[float], ys: list[float], values: Floats, **labels: str) -> object:
        mean, low, high = values
        return heat_map(ax, xs, ys, mean, low_YX=low, high_YX=high, **labels)


@dataclass(frozen=True)
class Contours(Grid):
    """Level lines of the mean over seeds; both axes are logarithmic."""

    kind: ClassVar[str] = "Level lines"

    def _layout(self, seeds: str, X: int, Y: int) -> tuple[str, dict[str, Any]]:  # noqa: ARG002
        text = f"Means over {seeds} at the dots, interpolated between; white line: {LEARNED_ACCURACY}."
        return text, {"columns": 2, "panel": (3.0, 2.4), "gap": 0.25}

    def _draw_panel(self, ax: Axes, xs: list[float], ys: list[float], values: Floats, **labels: str) -> object:
        return contour_map(ax, xs, ys, values[0], **labels)


def _scores(tables: Tables, panel: Panel) -> pl.DataFrame:
    """Return a panel's runs with its score as the column `value`: at the end, or as it was at an epoch."""
    if panel.epoch is None:
        rows = tables.runs(panel.where)
        return rows if rows.is_empty() else rows.with_columns(value=pl.col(panel.score))
    rows = tables.select("curves", panel.where)
    if rows.is_empty():
        return rows
    of_run = rows.columns[: rows.columns.index("seed") + 1]
    early = rows.filter(pl.col("epoch") <= panel.epoch).sort("epoch")
    return early.group_by(of_run, maintain_order=True).agg(value=pl.col(panel.score).last())


@dataclass(frozen=True)
class Line:
    """One line of a plot: its name in the legend, and its cells."""

    label: str
    where: Where


@dataclass(frozen=True)
class Curves(Drawing):
    """Means over seeds with their interval against `FULL_EPOCH` or an axis of the study; all lines in each panel."""

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
            bands(ax, of_panel, title=panel.title, x_label=LABELS.get(self.x, self.x), legend=ax is axes[-1])
        return figure

    def describe(self, study: Study) -> str:
        """Return the text alternative, with axes, panels and lines."""
        panels = _listing("panel", [panel.title for panel in self.panels])
        lines = _listing("line", [line.label for line in self.lines])
        return f"{super().describe(study)} Horizontal axis: {LABELS.get(self.x, self.x)}. {panels} {lines}"

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
