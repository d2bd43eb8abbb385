"""Accuracy after each intervention, as bars."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from iterhead.figures.style import BLUE, INK, QUIET, VERMILION, style


def effect_bars(
    ax: Axes,
    names: Sequence[str],
    accuracy: Sequence[float],
    low: Sequence[float],
    high: Sequence[float],
    chance: float,
) -> None:
    """Draw a horizontal bar for each intervention, the first at the top, with its interval.

    Args:
        ax: to draw on.
        names: of the interventions; the first is the network as it is.
        accuracy: fraction of right states under each, 0 .. 1.
        low: lower end of each one's interval.
        high: upper end.
        chance: drawn as a dashed line.
    """
    places = np.arange(len(names))
    colours = [
        QUIET if place == 0 else VERMILION if value < accuracy[0] - 0.02 else BLUE
        for place, value in zip(places, accuracy, strict=True)
    ]
    ax.barh(places, accuracy, height=0.62, color=colours)
    errors = np.clip([np.subtract(accuracy, low), np.subtract(high, accuracy)], 0, None)
    ax.errorbar(accuracy, places, xerr=errors, fmt="none", ecolor=INK, elinewidth=0.9, capsize=2)
    for place, value, end in zip(places, accuracy, high, strict=True):
        ax.text(max(value, end) + 0.012, float(place), f"{value:.2f}", va="center", fontsize=7.5)
    ax.axvline(chance, color=INK, linewidth=0.8, linestyle=(0, (4, 3)))
    ax.text(chance, -0.75, "chance", ha="center", va="bottom", fontsize=7.5, color=QUIET)
    ax.set_yticks(places, names)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.set_xlim(0, 1.08)
    ax.set_xlabel("states written rightly (lengths from 4 on)")
    ax.spines[["top", "right"]].set_visible(False)


@style()
def effects_figure(
    title: str,
    names: Sequence[str],
    accuracy: Sequence[float],
    low: Sequence[float],
    high: Sequence[float],
    chance: float,
) -> Figure:
    """Return the figure of `effect_bars` under a title line."""
    height = 1.15 + 0.27 * len(names)
    figure = Figure(figsize=(7.0, height))
    figure.text(0.012, 1 - 0.08 / height, title, va="top", fontsize=11, fontweight="bold")
    ax = figure.add_axes((0.315, 0.45 / height, 0.665, 1 - 1.05 / height))
    effect_bars(ax, names, accuracy, low, high, chance)
    return figure
