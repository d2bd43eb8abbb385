"""Curves over epochs or lengths: of one run, and means over seeds with their intervals."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from iterhead.figures.style import ACCURACY_SCALE, BLUE, INK, LINE_COLOURS, QUIET, VERMILION, style

_MAX_NAMED_ROWS = 12  # lengths along an axis
_MAX_MARKED_EPOCHS, _MAX_MARKED_PLACES = 40, 14  # of a run, of means over seeds: beyond, markers run together
_MAX_SINGLE_SEEDS = 20  # each with its own faint line
_MAX_STRONG_LINES = 4  # of more lines, only means and faint intervals can be told apart


@style()
def accuracy_by_length(
    ax: Axes, epochs: NDArray[np.integer], lengths: NDArray[np.integer], accuracy: NDArray[np.floating]
) -> QuadMesh:
    """Draw accuracy as a map with a row for each length, and return its cells, for a scale of colours.

    Args:
        ax: empty axes.
        epochs: [E], increasing, at least one; need not be evenly spaced.
        lengths: [N], increasing, as rows from the bottom up.
        accuracy: [E, N], 0 .. 1; NaN where nothing was measured, which stays blank.

    Raises:
        ValueError: if the shapes disagree.
    """
    E, N = len(epochs), len(lengths)
    if accuracy.shape != (E, N):
        raise ValueError(f"accuracy {accuracy.shape}: expected [{E} epochs, {N} lengths]")
    mesh = ax.pcolormesh(
        _edges(epochs),
        np.arange(N + 1) - 0.5,
        np.ma.masked_invalid(accuracy.T),
        cmap=ACCURACY_SCALE,
        vmin=0,
        vmax=1,
        rasterized=True,  # 1,000 epochs of 32 lengths would be a PDF of megabytes
    )
    rows = np.arange(N)[:: -_stride(N)]  # from the longest down, so that it is always named
    ax.set_yticks(rows, [str(lengths[row]) for row in rows])
    ax.set(ylabel="length of the input")
    ax.set_title("Accuracy by length", pad=17)
    blank = "; blank: not measured" if np.isnan(accuracy).any() else " in every token"
    beside: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points"}
    ax.annotate(f"share of test sequences right{blank}", (0, 1), (0, 4.5), fontsize=7, color=QUIET, **beside)
    _epoch_axis(ax, epochs)
    return mesh


@style()
def peakiness(
    ax: Axes,
    epochs: NDArray[np.integer],
    first: NDArray[np.floating] | None,
    second: NDArray[np.floating] | None,
    threshold: float,
    *,
    accuracy: NDArray[np.floating] | None = None,
) -> None:
    """Draw both peakinesses of the best pair of heads, and the threshold from which a head counts as emerged.

    Curves are shaped [E], 0 .. 1. Both peakinesses are None without a chain of thought, which the panel then says;
    `accuracy`, the mean over lengths, is left out if None.
    """
    marker = "o" if len(epochs) <= _MAX_MARKED_EPOCHS else ""
    # Without colour, the dashes tell the lines apart.
    curves: tuple[tuple[str, NDArray[np.floating] | None, dict[str, Any]], ...] = (
        ("first head", first, {"color": BLUE, "linestyle": (0, (4, 1.2)), "zorder": 4}),
        ("second head", second, {"color": VERMILION, "zorder": 5}),
        ("mean accuracy", accuracy, {"color": QUIET, "linewidth": 0.8, "zorder": 3}),
    )
    for label, values, look in curves:
        if values is not None:
            ax.plot(epochs, values, label=label, marker=marker, markersize=2.5, **look)
    ax.set(ylabel="share", ylim=(-0.03, 1.03))
    _epoch_axis(ax, epochs)
    if ax.lines:
        ax.legend(
            loc="lower left", bbox_to_anchor=(0, 1.0), ncols=3, borderpad=0.25, borderaxespad=0, columnspacing=1.5
        )
    if first is None and second is None:
        ax.set_title("No chain of thought, so no peakiness", pad=17)
        return
    ax.set_title("Peakiness: ideal cells with weight > 0.5", pad=17)
    ax.axhline(threshold, color=INK, linewidth=0.7, linestyle=(0, (5, 3)), zorder=1)
    beside = ax.get_yaxis_transform()
    ax.text(1.015, threshold, f"emerged\n\u2265 {threshold:g}", transform=beside, va="center", fontsize=7)


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
    """Draw up to seven lines of scores, 0 .. 1, with their intervals. The legend is outside `ax`, to the right."""
    many = len(lines) > _MAX_STRONG_LINES
    for line, (colour, dashes) in zip(lines, LINE_COLOURS[: len(lines)], strict=True):
        marker = "o" if len(line.xs) <= _MAX_MARKED_PLACES else ""
        if len(line.each) <= _MAX_SINGLE_SEEDS and not many:
            for own in line.each:
                ax.plot(line.xs, own, color=colour, linewidth=0.5, alpha=0.25)
        ax.fill_between(line.xs, line.low, line.high, color=colour, alpha=0.08 if many else 0.2, linewidth=0)
        ax.plot(line.xs, line.mean, color=colour, linestyle=dashes, label=line.label, marker=marker, markersize=2.5)
    _score_axes(ax, title, x_label, "share")
    if legend and lines:
        ax.legend(loc="upper left", bbox_to_anchor=(1.02, 1.0), borderaxespad=0, fontsize=7.5, labelspacing=0.5)


@style()
def length_lines(
    ax: Axes, epochs: NDArray[np.integer], lengths: NDArray[np.integer], accuracy_EN: NDArray[np.floating]
) -> None:
    """Draw accuracy over epochs, 0 .. 1, with one line for each length, the longest darkest; gaps where nan."""
    colours = mpl.colormaps["viridis_r"](np.linspace(0.25, 1.0, len(lengths)))
    for column, (length, colour) in enumerate(zip(lengths, colours, strict=True)):
        named = column in (0, len(lengths) // 2, len(lengths) - 1)
        label = f"length {length}" if named else None
        ax.plot(epochs, accuracy_EN[:, column], color=colour, linewidth=0.9, label=label)
    _score_axes(ax, "Accuracy by length", "epoch", "share of test sequences right")
    ax.legend(loc="lower right", fontsize=7)


def _edges(epochs: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return the E+1 borders of the columns: midway between measurements, as far outside the first and the last."""
    if len(epochs) == 1:
        return np.array([epochs[0] - 0.5, epochs[0] + 0.5])
    middles = (epochs[1:] + epochs[:-1]) / 2
    return np.array([2 * epochs[0] - middles[0], *middles, 2 * epochs[-1] - middles[-1]])


def _stride(rows: int) -> int:
    """Return which of `rows` names to write so that at most 12 are: every one, second, fourth, eighth, ..."""
    return next(1 << power for power in itertools.count() if rows <= _MAX_NAMED_ROWS << power)


def _epoch_axis(ax: Axes, epochs: NDArray[np.integer]) -> None:
    """Give both panels of a run the same epochs, from the first column's left edge to the last one's right."""
    edges = _edges(epochs)
    ax.set(xlabel="epoch", xlim=(edges[0], edges[-1]))
    _whole_numbers(ax)


def _score_axes(ax: Axes, title: str, x_label: str, y_label: str) -> None:
    """Label a panel of scores, 0 .. 1, which has no frame above and on the right."""
    ax.set_title(title, fontsize=8.5)
    ax.set(xlabel=x_label, ylabel=y_label, ylim=(-0.03, 1.03))
    ax.spines[["top", "right"]].set_visible(False)
    _whole_numbers(ax)


def _whole_numbers(ax: Axes) -> None:
    ax.xaxis.set_major_locator(MaxNLocator(nbins=7, steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))
