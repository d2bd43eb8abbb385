"""The figures of a study over two axes: heat maps, and level lines."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from matplotlib.figure import Figure
from numpy.typing import NDArray

from iterhead.figures.heat_maps import contour_map, heat_map
from iterhead.figures.panels import SHARE_TICKS, scale_beside, sheet
from iterhead.studies.study import FULL_EPOCH, Contours, HeatMaps, Panel, Study, Where
from iterhead.studies.tables import Tables

LABELS: Mapping[str, str] = {
    "longest": "longest length",
    "width": "width d",
    "lr": "learning rate",
    "batch": "batch size",
    "position_width": "coordinates with positions, p",
    FULL_EPOCH: "epochs of 1,024 sequences of each length",
}
"""What stands beside an axis."""

Floats = NDArray[np.float64]


def scores_at(tables: Tables, panel: Panel) -> pl.DataFrame:
    """Return a panel's runs with its score as the column `value`: at the end, or as it was at an epoch.

    A run that had ended before the epoch counts with its last evaluation.
    """
    if panel.epoch is None:
        rows = tables.runs(panel.where)
        return rows if rows.is_empty() else rows.with_columns(value=pl.col(panel.score))
    rows = tables.curves(panel.where)
    if rows.is_empty():
        return rows
    places = rows.columns[: rows.columns.index("seed") + 1]
    early = rows.filter(pl.col("epoch") <= panel.epoch).sort("epoch")
    return early.group_by(places, maintain_order=True).agg(value=pl.col(panel.score).last())


def on_grid(
    rows: pl.DataFrame, x: str, y: str, xs: Sequence[float], ys: Sequence[float]
) -> tuple[Floats, Floats, Floats]:
    """Return mean, least and largest `value` over seeds at each pair of places, [Y, X]; nan where there is none."""
    shape = (3, len(ys), len(xs))
    found = np.full(shape, np.nan)
    if not rows.is_empty():
        column = pl.col("value")
        grouped = rows.drop_nulls("value").group_by(x, y).agg(column.mean(), low=column.min(), high=column.max())
        for at_x, at_y, *values in grouped.iter_rows():
            found[:, ys.index(at_y), xs.index(at_x)] = values
    return found[0], found[1], found[2]


def places(study: Study, axis: str, panels: Sequence[Panel]) -> list[float]:
    """Return the places of an axis that the study has in these panels, increasing, whether measured yet or not."""
    shown = [cell.axes for cell in study.cells if any(stands(cell.axes, panel.where) for panel in panels)]
    return sorted({float(axes[axis]) for axes in shown})


def stands(axes: Where, where: Where) -> bool:
    """Whether what is at these places of the axes is among what is wanted."""
    return all(axes[name] == value for name, value in where.items())


def _subtitle(study: Study, rows: pl.DataFrame) -> str:
    """Return what was measured, in a line."""
    seeds = rows["seed"].n_unique()
    told = f"Mean over {seeds} seed{'s' if seeds > 1 else ''}" + (
        ", with their range where it is wide" if seeds > 1 else ""
    )
    return f"{told}; blank: not measured. Scale: {study.scale}."


def heat_maps(drawing: HeatMaps, study: Study, tables: Tables) -> Figure | None:
    """Return maps of a score side by side; None where nothing was measured."""
    of_panels = [scores_at(tables, panel) for panel in drawing.panels]
    measured = [rows for rows in of_panels if not rows.is_empty()]
    if not measured:
        return None
    xs, ys = (places(study, axis, drawing.panels) for axis in (drawing.x, drawing.y))
    side = (max(2.1, min(3.4, 0.42 * len(xs))), max(1.7, min(3.4, 0.34 * len(ys))))
    figure, axes = sheet(
        drawing.title, _subtitle(study, measured[0]), len(drawing.panels), columns=drawing.columns, panel=side
    )
    mesh: Any = None
    for ax, panel, rows in zip(axes, drawing.panels, of_panels, strict=True):
        mean, low, high = on_grid(rows, drawing.x, drawing.y, xs, ys)
        labels = {"x_label": LABELS[drawing.x], "y_label": LABELS[drawing.y]}
        mesh = heat_map(ax, xs, ys, mean, title=panel.title, low_YX=low, high_YX=high, **labels)
    scale_beside(figure, axes, mesh, "share", SHARE_TICKS)
    return figure


def contours(drawing: Contours, study: Study, tables: Tables) -> Figure | None:
    """Return level lines of accuracy side by side; None where nothing was measured."""
    of_panels = [scores_at(tables, panel) for panel in drawing.panels]
    if all(rows.is_empty() for rows in of_panels):
        return None
    xs, ys = (places(study, axis, drawing.panels) for axis in (drawing.x, drawing.y))
    seeds = max(rows["seed"].n_unique() for rows in of_panels if not rows.is_empty())
    told = f"Means over {seeds} seed{'s' if seeds > 1 else ''} at the dots, interpolated between; white line: 0.9. "
    figure, axes = sheet(
        drawing.title, f"{told}Scale: {study.scale}.", len(drawing.panels), columns=2, panel=(3.0, 2.4), gap=0.25
    )
    drawn: Any = None
    for ax, panel, rows in zip(axes, drawing.panels, of_panels, strict=True):
        mean, _, _ = on_grid(rows, drawing.x, drawing.y, xs, ys)
        labels = {"x_label": LABELS[drawing.x], "y_label": LABELS[drawing.y]}
        drawn = contour_map(ax, xs, ys, mean, title=panel.title, **labels)
    scale_beside(figure, axes, drawn, "share", SHARE_TICKS)
    return figure
