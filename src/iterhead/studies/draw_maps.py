"""The attention maps of one network of a study, beside its accuracy by length."""

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from iterhead.criteria import OUTLINED_ROLE_WEIGHT
from iterhead.figures.attention_map import attention_map, weight_scale
from iterhead.figures.curves import length_lines
from iterhead.figures.panels import sheet
from iterhead.measure import ROLES
from iterhead.tasks import QueryKeyPairs, SequenceLayout

_NAMES = {"first": "EoI", "second": "x_t"}


def attention_maps(title: str, scale: str, rows: pl.DataFrame, curves: pl.DataFrame) -> Figure:
    """Return the maps of every head, row by row of the table `maps`, and accuracy by length over epochs last."""
    heads = rows.partition_by("layer", "head", maintain_order=True)
    tokens = heads[0].unique("query", maintain_order=True)["token"].to_list()
    T = len(tokens)
    layout = next(layout for layout in map(SequenceLayout, range(1, T)) if layout.input_size == T)
    per_layer = 1 + max(part["head"][0] for part in heads)
    columns = 3 if per_layer == 1 else per_layer
    seed = rows["seed"][0]
    told = f"One test sequence of {layout.length} inputs, seed {seed}. Outlined: where the ideal head looks. "
    figure, axes = sheet(
        title,
        f"{told}Scale: {scale}.",
        len(heads) + 1,
        columns=columns,
        panel=(2.75, 2.75),
        left=0.5,
        below=0.62,
        above=0.45,
    )
    for ax, part in zip(axes, heads, strict=False):
        weights = _weights(part, T)
        name = f"Layer {part['layer'][0] + 1}, head {part['head'][0] + 1}"
        cells, looks = _role(weights, layout)
        mesh = attention_map(ax, weights, tokens, cells, queries=layout.output_positions, title=name + looks)
    _accuracy(axes[-1], curves)
    weight_scale(figure, axes[len(heads) - 1], mesh)
    return figure


def _weights(part: pl.DataFrame, T: int) -> NDArray[np.float64]:
    """Return a head's map [T, T], zero where a query does not see."""
    weights = np.zeros((T, T))
    weights[part["query"].to_numpy(), part["key"].to_numpy()] = part["weight"].to_numpy()
    return weights


def _role(weights: NDArray[np.float64], layout: SequenceLayout) -> tuple[QueryKeyPairs | None, str]:
    """Return the cells of the role that a head plays most, and how it is told; none where it plays neither."""
    means = {role: float(weights[cells(layout)].mean()) for role, cells in ROLES.items()}
    role = max(means, key=lambda name: means[name])
    if means[role] < OUTLINED_ROLE_WEIGHT:
        return None, ""
    return ROLES[role](layout), f": {means[role]:.2f} on {_NAMES[role]}"


def _accuracy(ax: Axes, curves: pl.DataFrame) -> None:
    """Draw accuracy by length over epochs."""
    wide = curves.pivot("length", index="epoch", values="accuracy").sort("epoch")
    lengths = sorted(int(name) for name in wide.columns if name != "epoch")
    values = wide.select(str(length) for length in lengths).to_numpy().astype(float)
    length_lines(ax, wide["epoch"].to_numpy(), np.asarray(lengths), values)
