"""Means over seeds with their interval, as lines; and how a role is shared out among heads, as bars."""

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from iterhead.figures.style import BLUE, INK, LINE_COLOURS, QUIET, style

_MOST_SINGLE = 20
"""Up to so many seeds each has a faint line of its own."""

_MOST_APART = 4
"""With more lines than these, only means and faint intervals can be told apart."""

_MOST_MARKED = 14
"""Up to so many places on the horizontal axis each measurement has a mark."""


@dataclass(frozen=True, eq=False)
class Band:
    """One line of a plot.

    Attributes:
        label: for the legend.
        xs: [E], increasing.
        mean, low, high: [E], 0 .. 1.
        each: [N, E], the seeds' own lines; may be empty.
    """

    label: str
    xs: NDArray[np.floating]
    mean: NDArray[np.floating]
    low: NDArray[np.floating]
    high: NDArray[np.floating]
    each: NDArray[np.floating]


@style()
def bands(ax: Axes, lines: Sequence[Band], *, title: str, x_label: str, legend: bool) -> None:
    """Draw lines with their intervals, of scores of 0 .. 1; the legend stands to the right, where room must be."""
    many = len(lines) > _MOST_APART
    for line, (colour, dashes) in zip(lines, LINE_COLOURS, strict=False):
        marker = "o" if len(line.xs) <= _MOST_MARKED else ""
        if len(line.each) <= _MOST_SINGLE and not many:
            for own in line.each:
                ax.plot(line.xs, own, color=colour, linewidth=0.5, alpha=0.25)
        ax.fill_between(line.xs, line.low, line.high, color=colour, alpha=0.08 if many else 0.2, linewidth=0)
        ax.plot(line.xs, line.mean, color=colour, linestyle=dashes, label=line.label, marker=marker, markersize=2.5)
    ax.set_title(title, fontsize=8.5)
    ax.set(xlabel=x_label, ylabel="share", ylim=(-0.03, 1.03))
    ax.xaxis.set_major_locator(MaxNLocator(nbins=7, steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))
    ax.spines[["top", "right"]].set_visible(False)
    if legend and lines:
        ax.legend(loc="upper left", bbox_to_anchor=(1.02, 1.0), borderaxespad=0, fontsize=7.5, labelspacing=0.5)


@style()
def length_lines(
    ax: Axes, epochs: NDArray[np.integer], lengths: NDArray[np.integer], accuracy_EN: NDArray[np.floating]
) -> None:
    """Draw accuracy over epochs with one line for each length, the longest darkest: stairs and spikes.

    Args:
        ax: empty axes.
        epochs: [E], increasing.
        lengths: [N], increasing.
        accuracy_EN: [E, N], 0 .. 1; gaps where nan.
    """
    shades = np.linspace(0.25, 1.0, len(lengths))
    colours = mpl.colormaps["viridis_r"](shades)
    for column, (length, colour) in enumerate(zip(lengths, colours, strict=True)):
        named = column in (0, len(lengths) // 2, len(lengths) - 1)
        label = f"length {length}" if named else None
        ax.plot(epochs, accuracy_EN[:, column], color=colour, linewidth=0.9, label=label)
    ax.set_title("Accuracy by length", fontsize=8.5)
    ax.set(xlabel="epoch", ylabel="share of test sequences right", ylim=(-0.03, 1.03))
    ax.xaxis.set_major_locator(MaxNLocator(nbins=7, steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(loc="lower right", fontsize=7)


@style()
def share_bars(
    ax: Axes, names: Sequence[str], values: Sequence[float], low: Sequence[float], high: Sequence[float], *, label: str
) -> None:
    """Draw a bar for each name with its interval, the first at the top."""
    places = np.arange(len(names))
    ax.barh(places, values, height=0.62, color=BLUE)
    errors = np.clip([np.subtract(values, low), np.subtract(high, values)], 0, None)
    ax.errorbar(values, places, xerr=errors, fmt="none", ecolor=INK, elinewidth=0.9, capsize=2)
    for place, value, end in zip(places, values, high, strict=True):
        ax.text(max(value, end) + 0.015, float(place), f"{value:.2f}", va="center", fontsize=7.5, color=QUIET)
    ax.set_yticks(places, names)
    ax.set(ylim=(len(names) - 0.4, -0.6), xlim=(0, max(1.08, *(value + 0.12 for value in high))), xlabel=label)
    ax.spines[["top", "right"]].set_visible(False)
