"""One attention map: who looks at whom.

T tokens of one sequence; rows are queries (the token that looks), columns keys (the token looked at).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.transforms import ScaledTranslation
from numpy.typing import NDArray

from iterhead.figures.style import MASKED, QUIET, VERMILION, WEIGHT_SCALE, style, title_size
from iterhead.tasks import QueryKeyPairs

_DIGIT_WIDTH, _LINE_HEIGHT = 0.64, 0.9
"""Of DejaVu Sans, in font sizes: a digit, and a line of digits with some air."""
_LARGEST, _SMALLEST, _IN_TWO_ROWS = 8.0, 5.5, 6.0
"""Points of a name: at most, at least in one row (below, two rows let it be larger), at most in two rows."""


@style()
def attention_map(
    ax: Axes,
    weights: NDArray[np.floating],
    tokens: Sequence[str],
    pairs: QueryKeyPairs | None,
    *,
    queries: slice,
    title: str,
) -> QuadMesh:
    """Draw one head's attention on one sequence, outline the pairs of the ideal head, and return the drawn cells.

    Keys that a query can't see (later tokens) are grey, regardless of `weights`. Guide lines follow EoI,
    brackets separate the input from what the network writes. The size of the names follows from that of `ax`.

    Args:
        ax: empty axes, best square.
        weights: [T, T], query rows and key columns, 0 .. 1.
        tokens: T names, `task 3 1 4 EoI 3 4 6` (`Vocabulary.names` without EoS, which the network is not given).
        pairs: queries and keys to outline (`SequenceLayout.first_pairs`, `second_pairs`); None outlines nothing.
        queries: positions at which the network writes, EoI first (`SequenceLayout.output_positions`); it ends at T.
        title: of the panel; above some 45 letters it gets smaller to fit.

    Raises:
        ValueError: if weights, tokens and queries disagree on T.
    """
    T = len(tokens)
    if weights.shape != (T, T) or queries.stop != T:
        raise ValueError(f"weights {weights.shape}, {T} tokens, {queries}: expected [T, T], T tokens, a slice up to T")
    ax.set(facecolor=MASKED, aspect="equal", xlim=(-0.5, T - 0.5), ylim=(T - 0.5, -0.5))
    ax.set(xlabel="key: the token looked at", ylabel="query: the token that looks")
    ax.set_title(title, pad=17, fontsize=title_size(title, width=_points(ax), largest=9))
    edges = np.arange(T + 1) - 0.5
    seen = np.ma.masked_array(weights, mask=np.triu(np.ones((T, T), dtype=bool), k=1))
    mesh = ax.pcolormesh(edges, edges, seen, cmap=WEIGHT_SCALE, vmin=0, vmax=1)
    # White joints between the cells that can be seen; none across the grey corner, which has text.
    ax.hlines(edges, -0.5, edges, color="white", linewidth=0.3)
    ax.vlines(edges, edges, T - 0.5, color="white", linewidth=0.3)
    _name(ax, tokens, queries.start)
    for edge in (queries.start - 0.5, queries.start + 0.5):  # both sides of EoI, as far as there are cells to see
        ax.hlines(edge, -0.5, queries.start + 0.5, color=QUIET, linewidth=0.5, zorder=2)
        ax.vlines(edge, queries.start - 0.5, T - 0.5, color=QUIET, linewidth=0.5, zorder=2)
    _bracket(ax, queries)
    if pairs is not None:
        _outline(ax, pairs)
    return mesh


@style()
def weight_scale(figure: Figure, ax: Axes, mesh: QuadMesh) -> None:
    """Put the scale of weights into the grey corner of a map, where no weight can be."""
    inside = ax.inset_axes((0.66, 0.88, 0.3, 0.022))
    bar = figure.colorbar(mesh, cax=inside, orientation="horizontal", ticks=[0, 0.5, 1], format="%g")
    bar.set_label("attention weight", fontsize=7, labelpad=1)
    bar.ax.tick_params(labelsize=7, length=2, pad=1.5)


def _outline(ax: Axes, pairs: QueryKeyPairs) -> None:
    """Outline `pairs`, and say so in the grey corner, which is free at any length."""
    width = min(1.4, 0.14 * _points(ax) / (ax.get_xlim()[1] + 0.5))
    for query, key in zip(*pairs, strict=True):
        corner = (float(key) - 0.5, float(query) - 0.5)
        ax.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor=VERMILION, linewidth=width, zorder=3))
    where = ax.transAxes + _shift(ax, -5, -5)
    text = "outlined: where the ideal head looks"
    ax.text(1, 1, text, transform=where, ha="right", va="top", fontsize=7, color=VERMILION)


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
    """Return a shift in points."""
    return ScaledTranslation(right / 72, up / 72, ax.figure.dpi_scale_trans)


def _name(ax: Axes, tokens: Sequence[str], end_of_input: int) -> None:
    """Write the tokens' names along both axes; where they would touch, every other one is further out."""
    cell = _points(ax) / len(tokens)
    width = _DIGIT_WIDTH * max((len(name) for name in tokens if name.isdigit()), default=1)
    # EoI is longer than a number, so of two rows it takes the far one. Where that leaves the first name, long too,
    # in the near row, it steps aside: to the left, or up.
    far = range(end_of_input % 2, len(tokens), 2)
    _name_axis(ax.xaxis, tokens, far, fitting=0.95 * cell / max(width, _LINE_HEIGHT), row=1.2, aside={"ha": "right"})
    _name_axis(ax.yaxis, tokens, far, fitting=0.95 * cell / _LINE_HEIGHT, row=width + 0.3, aside={"va": "baseline"})
    for axis in (ax.xaxis, ax.yaxis):
        for label in (*axis.get_ticklabels(minor=False), *axis.get_ticklabels(minor=True)):
            name = label.get_text()
            label.set_fontweight("bold" if name == tokens[end_of_input] else "normal")
            label.set_rotation(0 if axis is ax.yaxis or name.isdigit() else 90)


def _name_axis(
    axis: Axis, tokens: Sequence[str], far: range, *, fitting: float, row: float, aside: dict[str, Any]
) -> None:
    """Write names in the `fitting` size; where that is too small, in two rows, the near one `row` sizes thick."""
    if fitting >= _SMALLEST:
        size, far = min(_LARGEST, fitting), range(0)
    else:
        size = min(_IN_TWO_ROWS, 2 * fitting)
    near = [position for position in range(len(tokens)) if position not in far]
    axis.set_ticks(near, [tokens[position] for position in near])
    axis.set_ticks(far, [tokens[position] for position in far], minor=True)
    axis.set_tick_params(which="both", length=1.5, pad=1.5, labelsize=size)
    axis.set_tick_params(which="minor", pad=1.5 + row * size)
    if far and near[0] == 0:
        axis.get_ticklabels()[0].set(**aside)


def _points(ax: Axes) -> float:
    """Return the side of the map in points."""
    return min(ax.bbox.width, ax.bbox.height) / ax.figure.dpi * 72
