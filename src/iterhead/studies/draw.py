"""From the tables of a study to its figures: nothing is trained, no run is read."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
from matplotlib.figure import Figure

from iterhead.estimates import UNIT_INTERVAL, Estimate, mean_band, mean_over
from iterhead.figures.bars import effects_figure, share_bars
from iterhead.figures.curves import Band, bands
from iterhead.figures.heat_maps import ratio_map
from iterhead.figures.panels import scale_beside, sheet
from iterhead.studies.draw_grids import LABELS, Floats, contours, heat_maps
from iterhead.studies.draw_maps import attention_maps
from iterhead.studies.judges.transfer import common_bound, median_speed_up, speed_ups
from iterhead.studies.published.transfer import FROM_SCRATCH
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
)
from iterhead.studies.tables import Tables, chosen

_TIMES = {1 / 32: "1/32", 1 / 8: "1/8", 1 / 2: "1/2", 1: "1", 2: "2", 8: "8", 32: "32"}


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
    # The short epochs at the beginning all stand at 0: the last of them counts.
    wide = rows.drop_nulls(score).pivot("seed", index=x, values=score, aggregate_function="last").sort(x)
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
    estimates = [mean_over(values, (0, math.inf)) for values in each]
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
    estimates = [mean_over(rows.filter(pl.col("name") == name)["by_token"].to_list(), UNIT_INTERVAL) for name in names]
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
            alone, after = (tables.runs({"first": name, "task": task}) for name in (FROM_SCRATCH, first))
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
    Contours: contours,
    Curves: _curves,
    HeadShares: _head_shares,
    HeatMaps: heat_maps,
    Interventions: _interventions,
    SpeedUps: _speed_ups,
}
