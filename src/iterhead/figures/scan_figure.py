"""The scores of every head of a model, layers by heads, the significant ones outlined."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from iterhead.figures.heat_maps import heat_map
from iterhead.figures.panels import SHARE_TICKS, scale_beside, sheet
from iterhead.figures.style import VERMILION, style

_CELL, _LEAST, _MOST = 0.24, 1.6, 6.0  # inches: of a cell, and of a panel's sides


@style()
def scan_figure(
    title: str,
    subtitle: str,
    scores: Mapping[str, NDArray[np.float64]],
    significant: Mapping[str, NDArray[np.bool_]],
) -> Figure:
    """Return a panel for each role with its scores [layers, heads]; scores below 0 are drawn as 0.

    Layers and heads are counted from 1.
    """
    layers, heads = next(iter(scores.values())).shape
    width, height = (float(np.clip(_CELL * cells, _LEAST, _MOST)) for cells in (heads, layers))
    figure, axes = sheet(title, subtitle, len(scores), columns=2, panel=(width, height))
    for ax, (role, values) in zip(axes, scores.items(), strict=True):
        drawn = heat_map(
            ax,
            range(1, heads + 1),
            range(1, layers + 1),
            np.maximum(values, 0),
            title=role,
            x_label="head",
            y_label="layer" if ax is axes[0] else "",
        )
        for layer, head in np.argwhere(significant[role]):
            ax.add_patch(Rectangle((head - 0.5, layer - 0.5), 1, 1, fill=False, edgecolor=VERMILION, linewidth=1.6))
    scale_beside(figure, axes, drawn, "score", SHARE_TICKS)
    return figure
