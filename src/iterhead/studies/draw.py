"""From the tables of a study to its figures: nothing is trained, no run is read."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
from matplotlib.figure import Figure
from numpy.typing import NDArray

from iterhead.figures import (
    SHARES,
    bands,
    contour_map,
    effects_figure,
    heat_map,
    ratio_map,
    scale_beside,
    share_bars,
    sheet,
)
from iterhead.figures.lines import Band
from iterhead.studies.draw_maps import attention_maps
from iterhead.studies.judges.transfer import common_bound, median_speed_up, speed_ups
from iterhead.studies.published.transfer import NOTHING
from iterhead.studies.statistics import Estimate, mean_band, mean_over
from iterhead.studies.study import (
    FULL_EPOCH,
    AttentionMaps,
    Contours,
    Curves,
    HeadShares,
    HeatMaps,
    Interventions,
    Panel,
    SpeedUps,
    Study,
    Where,
)
from iterhead.studies.tables import Tables, chosen

LABELS: Mapping[str, str] = {
    "longest": "longest length",
    "width": "width d",
    "lr": "learning rate",
    "batch": "batch size",
    "position_width": "coordinates with positions, p",
    FULL_EPOCH: "epochs of 1,024 sequences of each length",
}
"""What stands beside an axis."""

_TIMES = {1 / 32: "1/32", 1 / 8: "1/8", 1 / 2: "1/2", 1: "1", 2: "2", 8: "8", 32: "32"}

Floats = NDArray[np.float64]


def draw(study: Study, tables: Tables) -> dict[str, Figure]:
    """Return the figures of a study by name of their file; those of which nothing was measured are left out."""
    figures = {}
    for drawing in study.drawings:
        titled = replace(drawing, title=f"{_number(study)}{drawing.title}")
        figure = _DRAWERS[type(drawing)](titled, study, tables)
        if figure is not None:
            figures[drawing.file] = figure
    return figures


def _number(study: Study) -> str:
    """Return the number of the published figure, to begin a title with."""
    kind, _, number = study.name.partition("-")
    return f"Figure {number}. " if kind == "figure" else ""


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


def _places(study: Study, axis: str, panels: Sequence[Panel]) -> list[float]:
    """Return the places of an axis that the study has in these panels, increasing, whether measured yet or not."""
    shown = [cell.axes for cell in study.cells if any(_stands(cell.axes, panel.where) for panel in panels)]
    return sorted({float(axes[axis]) for axes in shown})


def _stands(axes: Where, where: Where) -> bool:
    return all(axes[name] == value for name, value in where.items())


def _subtitle(study: Study, rows: pl.DataFrame) -> str:
    """Return what was measured, in a line."""
    seeds = rows["seed"].n_unique()
    told = f"Mean over {seeds} seed{'s' if seeds > 1 else ''}" + (
        ", with their range where it is wide" if seeds > 1 else ""
    )
    return f"{told}; blank: not measured. Scale: {study.scale}."


def _heat_maps(drawing: HeatMaps, study: Study, tables: Tables) -> Figure | None:
    of_panels = [scores_at(tables, panel) for panel in drawing.panels]
    measured = [rows for rows in of_panels if not rows.is_empty()]
    if not measured:
        return None
    xs, ys = (_places(study, axis, drawing.panels) for axis in (drawing.x, drawing.y))
    side = (max(2.1, min(3.4, 0.42 * len(xs))), max(1.7, min(3.4, 0.34 * len(ys))))
    figure, axes = sheet(
        drawing.title, _subtitle(study, measured[0]), len(drawing.panels), columns=drawing.columns, panel=side
    )
    mesh: Any = None
    for ax, panel, rows in zip(axes, drawing.panels, of_panels, strict=True):
        mean, low, high = on_grid(rows, drawing.x, drawing.y, xs, ys)
        labels = {"x_label": LABELS[drawing.x], "y_label": LABELS[drawing.y]}
        mesh = heat_map(ax, xs, ys, mean, title=panel.title, low_YX=low, high_YX=high, **labels)
    scale_beside(figure, axes, mesh, "share", SHARES)
    return figure


def _contours(drawing: Contours, study: Study, tables: Tables) -> Figure | None:
    of_panels = [scores_at(tables, panel) for panel in drawing.panels]
    if all(rows.is_empty() for rows in of_panels):
        return None
    xs, ys = (_places(study, axis, drawing.panels) for axis in (drawing.x, drawing.y))
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
    scale_beside(figure, axes, drawn, "share", SHARES)
    return figure


def _curves(drawing: Curves, study: Study, tables: Tables) -> Figure | None:
    of_panels = [_bands_of(drawing, panel, tables) for panel in drawing.panels]
    if not any(of_panels):
        return None
    count = max(len(band.each) for found in of_panels for band in found)
    told = f"Mean over {count} seed{'s' if count > 1 else ''} at most, and its 95% interval. "
    if drawing.x == FULL_EPOCH:
        told += "A run that has ended keeps its last score. "
    figure, axes = sheet(
        drawing.title,
        f"{told}Scale: {study.scale}.",
        len(drawing.panels),
        columns=3,
        panel=(2.6, 2.2),
        right=_legend_room(of_panels),
    )
    for index, (ax, panel, found) in enumerate(zip(axes, drawing.panels, of_panels, strict=True)):
        bands(ax, found, title=panel.title, x_label=LABELS[drawing.x], legend=index == len(axes) - 1)
    return figure


def _legend_room(of_panels: Sequence[Sequence[Band]]) -> float:
    """Return the inches that the legend takes: its dashes, and its longest name."""
    return 0.55 + 0.058 * max(len(band.label) for found in of_panels for band in found)


def _bands_of(drawing: Curves, panel: Panel, tables: Tables) -> list[Band]:
    found = []
    for line in drawing.lines:
        where = {**panel.where, **line.where}
        rows = tables.curves(where) if drawing.x == FULL_EPOCH else tables.runs(where)
        if rows.is_empty() or rows[panel.score].is_null().all():
            continue
        xs, each = _by_seed(rows, drawing.x, panel.score)
        mean, low, high = mean_band(each)
        found.append(Band(line.label, xs, mean, low, high, each))
    return found


def _by_seed(rows: pl.DataFrame, x: str, score: str) -> tuple[Floats, Floats]:
    """Return the places [E], and each seed's scores there [N, E].

    Of epochs, a seed that ended early keeps its last score. Of other axes, seeds that miss a place are left out.
    """
    wide = rows.drop_nulls(score).pivot("seed", index=x, values=score).sort(x)
    values = wide.drop(x)
    if x == FULL_EPOCH:
        values = values.select(pl.all().forward_fill())
    complete = [name for name in values.columns if values[name].null_count() == 0]
    return wide[x].cast(pl.Float64).to_numpy(), values.select(complete).to_numpy().T.astype(float)


def _head_shares(drawing: HeadShares, study: Study, tables: Tables) -> Figure | None:
    rows = chosen(tables["heads"], drawing.where)
    runs = tables.runs(drawing.where)
    if rows.is_empty() or runs.is_empty():
        return None
    parts = rows.sort("layer", "head").partition_by("layer", "head", maintain_order=True)
    names = [f"layer {part['layer'][0] + 1}, head {part['head'][0] + 1}" for part in parts]
    each = [part["second_weight"].to_list() for part in parts]
    each += [runs["best_second_weight"].drop_nulls().to_list(), runs["second_mass"].drop_nulls().to_list()]
    estimates = [mean_over(values) for values in each]
    names += ["the best head of each network", "all heads together"]
    seeds = runs["seed"].n_unique()
    told = f"Mean over {seeds} seed{'s' if seeds > 1 else ''} and its 95% interval; lengths from 4 on. "
    figure, (ax,) = sheet(
        drawing.title,
        f"{told}Scale: {study.scale}.",
        1,
        columns=1,
        panel=(3.9, 0.27 * len(names) + 0.1),
        left=1.9,
        right=0.15,
    )
    share_bars(ax, names, *_ends(estimates), label="weight on x_t")
    return figure


def _interventions(drawing: Interventions, study: Study, tables: Tables) -> Figure | None:
    rows = chosen(tables["effects"], drawing.where)
    if rows.is_empty():
        return None
    names = rows["name"].unique(maintain_order=True).to_list()
    estimates = [mean_over(rows.filter(pl.col("name") == name)["by_token"].to_list()) for name in names]
    chance = float(rows["chance"].to_numpy().mean())
    networks = rows["seed"].n_unique()
    title = f"{drawing.title} ({networks} network{'s' if networks > 1 else ''}, scale: {study.scale})"
    return effects_figure(title, names, *_ends(estimates), chance)


def _ends(estimates: Sequence[Estimate]) -> tuple[list[float], list[float], list[float]]:
    """Return the values, the lower and the upper ends."""
    return [e.value for e in estimates], [e.low for e in estimates], [e.high for e in estimates]


def _speed_ups(drawing: SpeedUps, study: Study, tables: Tables) -> Figure | None:
    tasks = list(dict.fromkeys(str(cell.axes["task"]) for cell in study.cells))
    found = np.full((3, len(tasks), len(tasks)), np.nan)
    bounds = [["" for _ in tasks] for _ in tasks]
    for row, first in enumerate(tasks):
        for column, task in enumerate(tasks):
            alone, after = (tables.runs({"first": name, "task": task}) for name in (NOTHING, first))
            each = speed_ups(alone, after)
            estimate = median_speed_up(each)
            found[:, row, column] = estimate.value, estimate.low, estimate.high
            bounds[row][column] = common_bound(each)
    if np.isnan(found).all():
        return None
    side = 0.95 * len(tasks)
    told = (
        "Median over seeds, and its interval; epochs to accuracy 0.9. \u2265: from scratch most never got there; "
        f"\u2264: after the other task most never did; blank: neither. Scale: {study.scale}."
    )
    figure, axes = sheet(drawing.title, told, 1, columns=1, panel=(side, 0.62 * side), left=1.25, right=0.8)
    mesh = ratio_map(
        axes[0],
        tasks,
        tasks,
        found[0],
        found[1],
        found[2],
        bounds,
        x_label="then trained on",
        y_label="trained on first",
    )
    scale_beside(figure, axes, mesh, "times sooner", _TIMES)
    return figure


def _attention_maps(drawing: AttentionMaps, study: Study, tables: Tables) -> Figure | None:
    rows, curves = (chosen(tables[name], drawing.where) for name in ("maps", "length_curves"))
    return None if rows.is_empty() else attention_maps(drawing.title, study.scale, rows, curves)


_DRAWERS: Mapping[type, Callable[[Any, Study, Tables], Figure | None]] = {
    AttentionMaps: _attention_maps,
    Contours: _contours,
    Curves: _curves,
    HeadShares: _head_shares,
    HeatMaps: _heat_maps,
    Interventions: _interventions,
    SpeedUps: _speed_ups,
}
