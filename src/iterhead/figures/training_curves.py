"""What training looks like: accuracy at each length and both peakinesses, over epochs."""

import itertools
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from iterhead.figures.style import ACCURACY_SCALE, BLUE, INK, QUIET, VERMILION, style

_MOST_ROWS_NAMED = 12
_MOST_MARKED = 40
"""Up to so many epochs each measurement gets a marker; beyond, markers run into a band."""


@style()
def accuracy_by_length(
    ax: Axes, epochs: NDArray[np.integer], lengths: NDArray[np.integer], accuracy: NDArray[np.floating]
) -> QuadMesh:
    """Draw accuracy as a map with a row for each length: the later a row turns light, the later it is learned.

    Args:
        ax: empty axes.
        epochs: [E], increasing, at least one; need not be evenly spaced.
        lengths: [N], increasing, as rows from the bottom up.
        accuracy: [E, N], 0 .. 1; NaN where nothing was measured, which stays blank.

    Returns:
        The drawn cells, for `Figure.colorbar`.

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

    Args:
        ax: empty axes.
        epochs: [E], increasing, at least one.
        first: [E], 0 .. 1; None where it is not defined (no chain of thought), which the panel then says.
        second: likewise.
        threshold: of emergence, 0 .. 1.
        accuracy: [E], 0 .. 1, mean over lengths; None leaves it out.
    """
    marker = "o" if len(epochs) <= _MOST_MARKED else ""
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


def _edges(epochs: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return the E+1 borders of the columns: midway between measurements, as far outside the first and the last."""
    if len(epochs) == 1:
        return np.array([epochs[0] - 0.5, epochs[0] + 0.5])
    middles = (epochs[1:] + epochs[:-1]) / 2
    return np.array([2 * epochs[0] - middles[0], *middles, 2 * epochs[-1] - middles[-1]])


def _stride(rows: int) -> int:
    """Return which of `rows` names to write so that at most 12 are: every one, second, fourth, eighth, ..."""
    return next(1 << power for power in itertools.count() if rows <= _MOST_ROWS_NAMED << power)


def _epoch_axis(ax: Axes, epochs: NDArray[np.integer]) -> None:
    """Give both panels the same epochs: whole numbers, from the first column's left edge to the last one's right."""
    edges = _edges(epochs)
    ax.set(xlabel="epoch", xlim=(edges[0], edges[-1]))
    ax.xaxis.set_major_locator(MaxNLocator(nbins=7, steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))
