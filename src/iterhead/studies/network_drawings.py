"""What single networks do inside: attention maps, weights of heads, and the accuracy that interventions leave."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from iterhead.criteria import HEADLINE_FROM
from iterhead.estimates import UNIT_INTERVAL, Estimate, mean_over, median_over
from iterhead.figures.attention_map import attention_map, weight_scale
from iterhead.figures.bars import effects_figure, share_bars
from iterhead.figures.curves import length_lines
from iterhead.formatting import head_label, plural
from iterhead.measure.heads import outlined_role
from iterhead.studies.drawings import Drawing, Panel
from iterhead.studies.study import Study, Where
from iterhead.studies.tables import Tables
from iterhead.tasks import SequenceLayout


@dataclass(frozen=True)
class CellDrawing(Drawing):
    """A drawing of the networks of one cell."""

    where: Where


@dataclass(frozen=True)
class AttentionMaps(CellDrawing):
    """The maps of every head of a cell's first network, and its accuracy by length over epochs."""

    kind: ClassVar[str] = "Attention maps of every head of one network, and its accuracy by length over epochs"
    about: ClassVar[str] = "Rows: the tokens that look; columns: the tokens looked at."

    def draw(self, study: Study, tables: Tables) -> Figure | None:
        """Return a panel for each head, and one for the accuracy."""
        rows = tables.select("maps", self.where)
        if rows.is_empty():
            return None
        heads = rows.partition_by("layer", "head", maintain_order=True)
        tokens = heads[0].unique("query", maintain_order=True)["token"].to_list()
        T = len(tokens)
        layout = next(layout for layout in map(SequenceLayout, range(1, T)) if layout.input_size == T)
        per_layer = 1 + max(part["head"][0] for part in heads)
        figure, axes = self.frame(
            study,
            f"One test sequence of {layout.length} inputs, seed {rows['seed'][0]}. Outlined: where the ideal head "
            "looks.",
            len(heads) + 1,
            columns=3 if per_layer == 1 else per_layer,
            panel=(2.75, 2.75),
            left=0.5,
            below=0.62,
            above=0.45,
        )
        for ax, part in zip(axes, heads, strict=False):
            weights = np.zeros((T, T))
            weights[part["query"].to_numpy(), part["key"].to_numpy()] = part["weight"].to_numpy()
            pairs, role = outlined_role(weights, layout)
            title = head_label((part["layer"][0], part["head"][0])).capitalize() + role
            mesh = attention_map(ax, weights, tokens, pairs, queries=layout.output_positions, title=title)
        _accuracy(axes[-1], tables.select("length_curves", self.where))
        weight_scale(figure, axes[len(heads) - 1], mesh)
        return figure


def _accuracy(ax: Axes, curves: pl.DataFrame) -> None:
    """Draw accuracy by length over epochs."""
    wide = curves.pivot("length", index="epoch", values="accuracy").sort("epoch")
    lengths = sorted(int(name) for name in wide.columns if name != "epoch")
    values = wide.select(str(length) for length in lengths).to_numpy().astype(float)
    length_lines(ax, wide["epoch"].to_numpy(), np.asarray(lengths), values)


@dataclass(frozen=True)
class HeadShares(CellDrawing):
    """The weight of each head on the keys of the ideal iteration head."""

    kind: ClassVar[str] = "Bars with intervals"
    about: ClassVar[str] = "The weight of each head on the input that a step needs, from 0 to 1."

    def draw(self, study: Study, tables: Tables) -> Figure | None:
        """Return a bar for each head, for the best head and for all together."""
        rows, runs = tables.select("heads", self.where), tables.runs(self.where)
        if rows.is_empty() or runs.is_empty():
            return None
        weights = {
            head_label((part["layer"][0], part["head"][0])): part["second_weight"].to_list()
            for part in rows.sort("layer", "head").partition_by("layer", "head", maintain_order=True)
        }
        weights["the best head of each network"] = runs["best_second_weight"].drop_nulls().to_list()
        weights["all heads together"] = runs["second_mass"].drop_nulls().to_list()
        seeds = plural(runs["seed"].n_unique(), "seed")
        text = f"Mean over {seeds} and its 95% interval; lengths from {HEADLINE_FROM} on."
        size = (3.9, 0.27 * len(weights) + 0.1)
        figure, (ax,) = self.frame(study, text, 1, columns=1, panel=size, left=1.9, right=0.15)
        estimates = [mean_over(each, (0, math.inf)) for each in weights.values()]
        share_bars(ax, list(weights), *_columns(estimates), label="weight on x_t")
        return figure


@dataclass(frozen=True)
class CellBars(Drawing):
    """Scores of each cell, one below the other: the cells differ in `axis`."""

    axis: str
    panels: tuple[Panel, ...]

    kind: ClassVar[str] = "Bars with intervals"
    about: ClassVar[str] = "A bar for each cell, from 0 to 1."

    def draw(self, study: Study, tables: Tables) -> Figure | None:
        """Return a panel for each score, with a bar for each measured cell."""
        runs = tables.runs()
        if runs.is_empty():
            return None
        measured = runs[self.axis].unique()
        names = [str(cell.axes[self.axis]) for cell in study.cells if cell.axes[self.axis] in measured]
        text = f"Median over {plural(runs['seed'].n_unique(), 'seed')} at most, and its interval."
        size = (2.6, 0.27 * len(names) + 0.1)
        room = 0.35 + 0.065 * max(map(len, names))  # inches: the longest name
        figure, axes = self.frame(study, text, len(self.panels), columns=2, panel=size, left=room, right=0.15)
        for ax, panel in zip(axes, self.panels, strict=True):
            estimates = [median_over(tables.scores(panel.score, {self.axis: name})) for name in names]
            share_bars(ax, names, *_columns(estimates), label=panel.title)
        return figure


def _columns(estimates: Sequence[Estimate]) -> tuple[list[float], list[float], list[float]]:
    """Return the values, the lower and the upper ends."""
    return [e.value for e in estimates], [e.low for e in estimates], [e.high for e in estimates]


@dataclass(frozen=True)
class Interventions(CellDrawing):
    """The accuracy that each intervention leaves, over the networks of a cell."""

    kind: ClassVar[str] = "Bars with intervals"
    about: ClassVar[str] = "The accuracy that each intervention leaves, from 0 to 1, next to chance."

    def draw(self, study: Study, tables: Tables) -> Figure | None:
        """Return a bar for each intervention."""
        rows = tables.select("effects", self.where)
        if rows.is_empty():
            return None
        names = rows["name"].unique(maintain_order=True).to_list()
        shares = [rows.filter(pl.col("name") == name)["by_token"].to_list() for name in names]
        networks = plural(rows["seed"].n_unique(), "network")
        title = f"{self.heading(study)} ({networks}, scale: {study.scale})"
        estimates = [mean_over(each, UNIT_INTERVAL) for each in shares]
        return effects_figure(title, names, *_columns(estimates), float(rows["chance"].to_numpy().mean()))
