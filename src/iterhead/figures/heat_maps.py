"""A score over two axes: heat maps and level lines. What was not measured stays blank."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import Colormap, LogNorm
from matplotlib.ticker import NullLocator
from numpy.typing import NDArray

from iterhead.criteria import LEARNED_ACCURACY
from iterhead.figures.style import ACCURACY_SCALE, INK, QUIET, style

_MOST_NUMBERED = 90  # cells of a map up to which each has its number written in it
_MOST_NAMED = 16  # names along an axis
_WIDE = 0.1  # a range over seeds from which it has its own line in the cell


@style()
def heat_map(
    ax: Axes,
    xs: Sequence[float],
    ys: Sequence[float],
    values_YX: NDArray[np.floating],
    *,
    title: str,
    x_label: str,
    y_label: str,
    low_YX: NDArray[np.floating] | None = None,
    high_YX: NDArray[np.floating] | None = None,
) -> QuadMesh:
    """Draw a score as coloured cells of one size, and return them for a scale of colours.

    `xs` and `ys` are the values measured on each axis, increasing. `values_YX` are means over seeds, 0 .. 1; nan stays
    blank. `low_YX` and `high_YX`, the range over seeds, are written under the mean where it is wide.
    """
    _check_shape(values_YX, xs, ys, least=1)
    mesh = _cells(ax, np.ma.masked_invalid(values_YX), cmap=ACCURACY_SCALE, vmin=0, vmax=1, rasterized=True)
    ax.set_title(title, fontsize=8.5)
    ax.set(xlabel=x_label, ylabel=y_label)
    for axis, places in ((ax.xaxis, xs), (ax.yaxis, ys)):
        named = range(0, len(places), -(-len(places) // _MOST_NAMED))
        axis.set_ticks(list(named), [f"{places[place]:g}" for place in named])
        axis.set_tick_params(length=0 if len(named) == len(places) else 2.5)
    if values_YX.size <= _MOST_NUMBERED:
        for (y, x), value in np.ndenumerate(values_YX):
            if math.isfinite(value):
                colour, up = ink_on(mesh.get_cmap(), value), 0.0
                if low_YX is not None and high_YX is not None and high_YX[y, x] - low_YX[y, x] >= _WIDE:
                    interval = f"{_two_digits(float(low_YX[y, x]))}\u2013{_two_digits(float(high_YX[y, x]))}"
                    _write(ax, x, y - 0.2, interval, 4.8, colour)
                    up = 0.16
                _write(ax, x, y + up, _two_digits(value), 6.5, colour)
    return mesh


def _cells(ax: Axes, values_YX: NDArray[np.floating], **look: Any) -> QuadMesh:
    """Draw cells of one size, their centres at whole numbers."""
    Y, X = values_YX.shape
    return ax.pcolormesh(np.arange(X + 1) - 0.5, np.arange(Y + 1) - 0.5, values_YX, **look)


def _write(ax: Axes, x: float, y: float, text: str, size: float, colour: str) -> None:
    ax.text(x, y, text, ha="center", va="center", fontsize=size, color=colour)


def _two_digits(value: float) -> str:
    """Return a share as `.97`, or `1` where nothing is missing; rounded down, so that 1 means all."""
    floored = math.floor(value * 100 + 1e-9) / 100
    return "1" if floored == 1 else f"{floored:.2f}".removeprefix("0")


def ink_on(colours: Colormap, share: float) -> str:
    """Return black or white, whichever can be read on the colour of a share of 0 .. 1 of a scale."""
    red, green, blue, _ = colours(float(np.clip(share, 0, 1)))
    return INK if 0.299 * red + 0.587 * green + 0.114 * blue > 0.5 else "white"


@style()
def contour_map(
    ax: Axes,
    xs: Sequence[float],
    ys: Sequence[float],
    values_YX: NDArray[np.floating],
    *,
    title: str,
    x_label: str,
    y_label: str,
) -> Any:
    """Draw a score as filled level lines over two logarithmic axes, and return them for a scale of colours.

    Dots mark the places measured. Between them the lines are interpolated; cells with a corner that was not
    measured stay blank. Arguments as `heat_map`, at least two values on each axis.
    """
    _check_shape(values_YX, xs, ys, least=2)
    shown = np.ma.masked_invalid(values_YX)
    levels = np.linspace(0, 1, 11)
    ax.set(xscale="log", yscale="log")
    drawn = ax.contourf(xs, ys, shown, levels=levels, cmap=ACCURACY_SCALE, vmin=0, vmax=1)
    ax.contour(xs, ys, shown, levels=[LEARNED_ACCURACY], colors=["white"], linewidths=1.2)
    y, x = np.nonzero(np.isfinite(values_YX))
    ax.plot(np.asarray(xs)[x], np.asarray(ys)[y], ".", color=QUIET, markersize=3, markeredgewidth=0, clip_on=False)
    ax.set_title(title, fontsize=8.5)
    ax.set(xlabel=x_label, ylabel=y_label, xlim=(xs[0], xs[-1]), ylim=(ys[0], ys[-1]))
    decades = [10.0**power for power in range(math.ceil(math.log10(xs[0])), math.floor(math.log10(xs[-1])) + 1)]
    for axis, places in ((ax.xaxis, decades), (ax.yaxis, ys)):
        axis.set_minor_locator(NullLocator())
        axis.set_ticks(list(places), [f"{place:g}" for place in places])
    return drawn


def _check_shape(values_YX: NDArray[np.floating], xs: Sequence[float], ys: Sequence[float], least: int) -> None:
    if values_YX.shape != (len(ys), len(xs)) or min(values_YX.shape) < least:
        raise ValueError(f"values {values_YX.shape}: expected [{len(ys)}, {len(xs)}], at least {least} of each")


@style()
def ratio_map(
    ax: Axes,
    rows: Sequence[str],
    columns: Sequence[str],
    values_RC: NDArray[np.floating],
    low_RC: NDArray[np.floating],
    high_RC: NDArray[np.floating],
    bounds_RC: Sequence[Sequence[str]],
    *,
    x_label: str,
    y_label: str,
) -> QuadMesh:
    """Draw ratios as cells from red (below 1) to blue (above) with numbers, and return them for a scale of colours.

    `values_RC` are positive, perhaps infinite; nan stays blank. `low_RC` and `high_RC` are the ends of their intervals,
    `bounds_RC` the text before each number, such as a sign for "at least". The first row is at the top.
    """
    most = 32.0
    R, C = values_RC.shape
    norm = LogNorm(1 / most, most, clip=True)
    mesh = _cells(ax, np.ma.masked_array(values_RC, mask=np.isnan(values_RC)), cmap="RdBu", norm=norm)
    ax.set(xlim=(-0.5, C - 0.5), ylim=(R - 0.5, -0.5), xlabel=x_label, ylabel=y_label)
    ax.set_xticks(range(C), columns)
    ax.set_yticks(range(R), rows)
    ax.tick_params(length=0)
    for (y, x), value in np.ndenumerate(values_RC):
        if not math.isnan(value):
            colour = ink_on(mesh.get_cmap(), float(norm(value)))
            _write(ax, x, y - 0.08, bounds_RC[y][x] + _times(value), 9, colour)
            _write(ax, x, y + 0.24, _interval(float(low_RC[y, x]), float(high_RC[y, x])), 6, colour)
    return mesh


def _interval(low: float, high: float) -> str:
    if low == 0:
        return "" if math.isinf(high) else f"up to {_times(high)}"
    return f"from {_times(low)}" if math.isinf(high) else f"{_times(low)} to {_times(high)}"


def _times(ratio: float) -> str:
    if math.isinf(ratio):
        return "\u221e"
    return f"{ratio:.0f}\u00d7" if ratio >= 10 else f"{ratio:.1f}\u00d7"
