"""One attention map: who looks at whom.

T tokens of one sequence; rows are queries (the token that looks), columns keys (the token looked at).
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.patches import Rectangle
from matplotlib.transforms import ScaledTranslation
from numpy.typing import NDArray

from iterhead.figures.style import MASKED, QUIET, VERMILION, WEIGHT_SCALE, style
from iterhead.tasks import Cells

_POINT = 1 / 72
"""Inches in a point."""
_SMALLEST = 5.0
"""Points of a name in one row; below, two rows let it be larger."""


@style()
def attention_map(
    ax: Axes,
    weights: NDArray[np.floating],
    tokens: Sequence[str],
    cells: Cells | None,
    *,
    queries: slice,
    title: str,
) -> QuadMesh:
    """Draw one head's attention on one sequence and outline the cells of the ideal head.

    Keys that a query can't see (later tokens) are grey, whatever `weights` holds there. Guide lines follow EoI,
    brackets tell the input from what the network writes. The size of `ax` decides the size of the names, so give it
    its place first.

    Args:
        ax: empty axes, best square.
        weights: [T, T], query rows and key columns, 0 .. 1.
        tokens: T names, `task 3 1 4 EoI 3 4 5` (`Vocabulary.names` without EoS, which the network is not given).
        cells: queries and keys to outline (`SequenceLayout.first_cells`, `second_cells`); None outlines nothing.
        queries: positions at which the network writes, EoI first (`SequenceLayout.reads`); it ends at T.
        title: of the panel.

    Returns:
        The drawn cells, for `Figure.colorbar`.

    Raises:
        ValueError: if weights, tokens and queries disagree on T.
    """
    T = len(tokens)
    if weights.shape != (T, T) or queries.stop != T:
        raise ValueError(f"weights {weights.shape}, {T} tokens, {queries}: expected [T, T], T tokens, a slice up to T")
    ax.set(facecolor=MASKED, aspect="equal", xlim=(-0.5, T - 0.5), ylim=(T - 0.5, -0.5))
    ax.set(xlabel="key: the token looked at", ylabel="query: the token that looks")
    ax.set_title(title, pad=17)
    edges = np.arange(T + 1) - 0.5
    seen = np.ma.masked_array(weights, mask=np.triu(np.ones((T, T), dtype=bool), k=1))
    mesh = ax.pcolormesh(edges, edges, seen, cmap=WEIGHT_SCALE, vmin=0, vmax=1, edgecolor="white", linewidth=0.25)
    _name(ax, tokens)
    _guide(ax, queries.start)
    _bracket(ax, queries)
    if cells is not None:
        _outline(ax, cells)
    return mesh


def _outline(ax: Axes, cells: Cells) -> None:
    """Outline `cells`, and say so in the grey corner, which is free at any length."""
    for query, key in zip(*cells, strict=True):
        corner = (float(key) - 0.5, float(query) - 0.5)
        ax.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor=VERMILION, linewidth=0.9, zorder=3))
    where = ax.transAxes + _shift(ax, -5, -5)
    text = "outlined: where the ideal head looks"
    ax.text(1, 1, text, transform=where, ha="right", va="top", fontsize=7, color=VERMILION)


def _guide(ax: Axes, end_of_input: int) -> None:
    """Draw thin lines along both sides of EoI's row and column."""
    for edge in (end_of_input - 0.5, end_of_input + 0.5):
        ax.axvline(edge, color=QUIET, linewidth=0.5, zorder=2)
        ax.axhline(edge, color=QUIET, linewidth=0.5, zorder=2)


def _bracket(ax: Axes, queries: slice) -> None:
    """Bracket the input and what the network writes: on top for keys, on the right for queries."""
    end_of_input = queries.start
    # As many written states as inputs: all of them are written. (With one input the answer is the chain of thought.)
    written = "chain of thought" if queries.stop - queries.start == end_of_input else "answer"
    top, right = ax.get_xaxis_transform() + _shift(ax, 0, 4), ax.get_yaxis_transform() + _shift(ax, 4, 0)
    for first, last, name in ((1, end_of_input - 1, "input"), (end_of_input + 1, queries.stop - 1, written)):
        ends, middle = [first - 0.4, last + 0.4], (first + last) / 2
        ax.plot(ends, [1, 1], transform=top, color=QUIET, linewidth=1, clip_on=False)
        ax.plot([1, 1], ends, transform=right, color=QUIET, linewidth=1, clip_on=False)
        ax.text(middle, 1, name, transform=top + _shift(ax, 0, 3), ha="center", va="bottom", fontsize=7, color=QUIET)
        beside = right + _shift(ax, 3, 0)
        ax.text(1, middle, name, transform=beside, ha="left", va="center", rotation=270, fontsize=7, color=QUIET)


def _shift(ax: Axes, right: float, up: float) -> ScaledTranslation:
    """Return the transform that moves by so many points."""
    return ScaledTranslation(right * _POINT, up * _POINT, ax.get_figure(root=True).dpi_scale_trans)


def _name(ax: Axes, tokens: Sequence[str]) -> None:
    """Write the tokens' names along both axes; where they would touch, every other one stands further out."""
    size, in_two_rows = _name_size(ax, tokens)
    positions = range(len(tokens))
    rows = (positions[1::2], positions[::2]) if in_two_rows else (positions, positions[:0])
    for axis in (ax.xaxis, ax.yaxis):
        for row, minor in zip(rows, (False, True), strict=True):
            axis.set_ticks(row, [tokens[position] for position in row], minor=minor)
        axis.set_tick_params(which="both", length=1.5, pad=1.5, labelsize=size)
        # Two sizes further: more than the length of `EoI`, which stands sideways in the near row.
        axis.set_tick_params(which="minor", pad=1.5 + 2 * size)
        for label in (*axis.get_ticklabels(minor=False), *axis.get_ticklabels(minor=True)):
            label.set_fontweight("bold" if label.get_text() == "EoI" else "normal")
    for label in (*ax.get_xticklabels(minor=False), *ax.get_xticklabels(minor=True)):
        label.set_rotation(0 if label.get_text().isdigit() else 90)


def _name_size(ax: Axes, tokens: Sequence[str]) -> tuple[float, bool]:
    """Return the size of the names in points, and whether they need two rows.

    A digit of DejaVu Sans is 0.64 sizes wide and 0.73 high; names on the x axis stand upright where they are numbers.
    """
    cell = min(ax.bbox.width, ax.bbox.height) / ax.get_figure(root=True).dpi / _POINT / len(tokens)
    digits = max(len(name) for name in tokens if name.isdigit())
    fitting = cell * min(0.95 / (0.64 * digits), 0.95 / 0.73)
    return (min(8.0, fitting), False) if fitting >= _SMALLEST else (min(6.0, 2 * fitting), True)
