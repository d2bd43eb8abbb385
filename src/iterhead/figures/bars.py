"""Horizontal bars with intervals: shares, and the accuracy after each intervention."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from iterhead.criteria import HARMLESS_COST
from iterhead.figures.style import BLUE, INK, QUIET, VERMILION, style


@style()
def share_bars(
    ax: Axes, names: Sequence[str], values: Sequence[float], low: Sequence[float], high: Sequence[float], *, label: str
) -> None:
    """Draw a bar for each name with its interval, the first at the top."""
    _bars(ax, names, values, low, high, [BLUE] * len(names))
    for place, (value, end) in enumerate(zip(values, high, strict=True)):
        ax.text(max(value, end) + 0.015, place, f"{value:.2f}", va="center", fontsize=7.5, color=QUIET)
    ax.set(xlim=(0, max(1.08, *(value + 0.12 for value in high))), xlabel=label)


@style()
def effects_figure(
    title: str,
    names: Sequence[str],
    accuracy: Sequence[float],
    low: Sequence[float],
    high: Sequence[float],
    chance: float,
) -> Figure:
    """Return a figure of the accuracy under each intervention, 0 .. 1, with its interval, and of chance, a dashed line.

    The first name is the network as it is.
    """
    height = 1.15 + 0.27 * len(names)
    figure = Figure(figsize=(7.0, height))
    figure.text(0.012, 1 - 0.08 / height, title, va="top", fontsize=11, fontweight="bold")
    ax = figure.add_axes((0.315, 0.45 / height, 0.665, 1 - 1.05 / height))
    colours = [VERMILION if share < accuracy[0] - HARMLESS_COST else BLUE for share in accuracy[1:]]
    _bars(ax, names, accuracy, low, high, [QUIET, *colours])
    for place, (value, end) in enumerate(zip(accuracy, high, strict=True)):
        ax.text(max(value, end) + 0.012, place, f"{value:.2f}", va="center", fontsize=7.5)
    ax.axvline(chance, color=INK, linewidth=0.8, linestyle=(0, (4, 3)))
    ax.text(chance, -0.75, "chance", ha="center", va="bottom", fontsize=7.5, color=QUIET)
    ax.set(xlim=(0, 1.08), xlabel="states written rightly (lengths from 4 on)")
    return figure


def _bars(
    ax: Axes,
    names: Sequence[str],
    values: Sequence[float],
    low: Sequence[float],
    high: Sequence[float],
    colours: Sequence[str],
) -> None:
    """Draw named bars with their intervals, on axes without a frame above and on the right."""
    places = np.arange(len(names))
    ax.barh(places, values, height=0.62, color=colours)
    # A rounding error may put an end on the wrong side of its value; matplotlib refuses negative lengths.
    errors = np.clip([np.subtract(values, low), np.subtract(high, values)], 0, None)
    ax.errorbar(values, places, xerr=errors, fmt="none", ecolor=INK, elinewidth=0.9, capsize=2)
    ax.set_yticks(places, names)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.spines[["top", "right"]].set_visible(False)
