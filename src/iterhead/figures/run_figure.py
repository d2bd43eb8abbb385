"""The picture of one run: attention maps above, accuracy and peakiness over epochs below."""

import io
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from numpy.typing import NDArray

from iterhead.figures.attention_map import attention_map
from iterhead.figures.style import QUIET, style, title_size
from iterhead.figures.training_curves import accuracy_by_length, peakiness
from iterhead.tasks import QueryKeyPairs


class HeadMap(NamedTuple):
    """One head on one sequence.

    Attributes:
        label: title of its panel, such as `layer 1, head 1`.
        weights: [T, T], query rows and key columns, 0 .. 1.
        cells: where the ideal head looks; None outlines nothing.
    """

    label: str
    weights: NDArray[np.floating]
    cells: QueryKeyPairs | None = None


@dataclass(frozen=True, eq=False)  # arrays have no single truth to compare by
class RunPicture:
    """What the picture of a run shows.

    Attributes:
        title: one line.
        subtitle: wrapped to the width of the figure; may be empty.
        tokens: T names of the sequence that the maps show, without EoS.
        queries: positions at which the network writes, EoI first (`SequenceLayout.output_positions`).
        maps: one head or two.
        epochs: [E], increasing.
        lengths: [N], increasing.
        accuracy: [E, N], 0 .. 1; NaN where nothing was measured.
        first_peakiness, second_peakiness: [E], of the best pair, 0 .. 1; None without chain of thought.
        mean_accuracy: [E], 0 .. 1; None leaves it out.
        threshold: peakiness from which a head counts as emerged.
    """

    title: str
    subtitle: str
    tokens: Sequence[str]
    queries: slice
    maps: Sequence[HeadMap]
    epochs: NDArray[np.integer]
    lengths: NDArray[np.integer]
    accuracy: NDArray[np.floating]
    first_peakiness: NDArray[np.floating] | None = None
    second_peakiness: NDArray[np.floating] | None = None
    mean_accuracy: NDArray[np.floating] | None = None
    threshold: float = 0.95


# Inches. Placed by hand: the maps are square, so their size decides everything else. Multiples of 0.02 are whole
# pixels at 150 dots per inch: sharp edges, and a file a fifth smaller.
_WIDTH = 8.0
_MAP = 3.24
_CURVES = 1.76
_LEFT = 0.62
_SECOND = _LEFT + _MAP + 0.62
"""Left edge of the second column; the gap holds brackets and names."""
_AXIS_LABEL = 0.12
"""What curves beside a map need in its place: an axis label has more to say than the names of a second map."""
_BELOW_MAP = 0.62
_ABOVE_MAP = 0.42
_BELOW_CURVES = 0.42
_ABOVE_CURVES = 0.4
_LINE = 0.16
"""Height of a line of the subtitle."""
_BESIDE = 0.26
"""What a lower panel leaves free on its right, for a colour bar or the name of the threshold."""

_Place = tuple[float, float, float, float]
"""Left, bottom, width and height in inches."""


@style()
def run_figure(picture: RunPicture) -> Figure:
    """Draw the picture of a run, 8 inches wide.

    Two maps stand above the panels of accuracy and peakiness; one map has them on its right.

    Raises:
        ValueError: if there is not one map or two.
    """
    if len(picture.maps) not in (1, 2):
        raise ValueError(f"{len(picture.maps)} maps: expected one or two")
    subtitle = textwrap.wrap(picture.subtitle, 118)
    base, panels = _rows(len(picture.maps))
    figure = Figure(figsize=(_WIDTH, base + _MAP + _ABOVE_MAP + 0.36 + _LINE * len(subtitle)))
    _head(figure, picture.title, subtitle)
    for left, (label, weights, cells) in zip((_LEFT, _SECOND), picture.maps, strict=False):
        ax = _add_axes(figure, (left, base, _MAP, _MAP))
        mesh = attention_map(ax, weights, picture.tokens, cells, queries=picture.queries, title=label)
        if left != _LEFT:
            ax.set_ylabel("")  # the rows are those of the first map
    weight_scale(figure, ax, mesh)
    upper, lower = (_add_axes(figure, place) for place in panels)
    mesh = accuracy_by_length(upper, picture.epochs, picture.lengths, picture.accuracy)
    _accuracy_scale(figure, upper, mesh)
    peakiness(
        lower,
        picture.epochs,
        picture.first_peakiness,
        picture.second_peakiness,
        picture.threshold,
        accuracy=picture.mean_accuracy,
    )
    return figure


def render(figure: Figure, name: str = "figure") -> dict[str, bytes]:
    """Return the files of a figure: `figure.png` (150 dots per inch) and `figure.pdf` (fonts embedded), or of `name`.

    The same figure gives the same bytes, since no date is written.
    """
    return {f"{name}.png": _file(figure, "png", "Software"), f"{name}.pdf": _file(figure, "pdf", "CreationDate")}


@style()
def _file(figure: Figure, kind: str, left_out: str) -> bytes:
    """Return one file of a figure, without the field `left_out` of its metadata."""
    file = io.BytesIO()
    figure.savefig(file, format=kind, dpi=150 if kind == "png" else 300, metadata={left_out: None})
    return file.getvalue()


def _rows(maps: int) -> tuple[float, list[_Place]]:
    """Return the bottom of the maps, and the places of the panels of accuracy and peakiness."""
    width = _MAP - _BESIDE
    if maps == 2:
        base = _BELOW_CURVES + _CURVES + _ABOVE_CURVES + _BELOW_MAP
        return base, [(_LEFT, _BELOW_CURVES, width, _CURVES), (_SECOND, _BELOW_CURVES, width, _CURVES)]
    half = (_MAP - _BELOW_CURVES - _ABOVE_CURVES) / 2
    left, width = _SECOND + _AXIS_LABEL, width - _AXIS_LABEL
    return _BELOW_MAP, [(left, _BELOW_MAP + _MAP - half, width, half), (left, _BELOW_MAP, width, half)]


def _add_axes(figure: Figure, place: _Place) -> Axes:
    """Add axes at a place given in inches."""
    W, H = figure.get_size_inches()
    left, bottom, width, height = place
    return figure.add_axes((left / W, bottom / H, width / W, height / H))


def _head(figure: Figure, title: str, subtitle: Sequence[str]) -> None:
    """Write the title and the lines of the subtitle at the top left."""
    height = figure.get_size_inches()[1]
    left = 0.1 / _WIDTH
    size = title_size(title, width=72 * (_WIDTH - 0.2), largest=11)
    figure.text(left, 1 - 0.08 / height, title, va="top", fontsize=size, fontweight="bold")
    for line, text in enumerate(subtitle):
        figure.text(left, 1 - (0.3 + _LINE * line) / height, text, va="top", color=QUIET)


@style()
def weight_scale(figure: Figure, ax: Axes, mesh: QuadMesh) -> None:
    """Put the scale of both maps into the grey corner of the last, where no weight can be."""
    inside = ax.inset_axes((0.66, 0.88, 0.3, 0.022))
    bar = figure.colorbar(mesh, cax=inside, orientation="horizontal", ticks=[0, 0.5, 1], format="%g")
    bar.set_label("attention weight", fontsize=7, labelpad=1)
    bar.ax.tick_params(labelsize=7, length=2, pad=1.5)


def _accuracy_scale(figure: Figure, ax: Axes, mesh: QuadMesh) -> None:
    """Put the scale of accuracy beside its panel."""
    beside = ax.inset_axes((1.015, 0, 0.03, 1))
    figure.colorbar(mesh, cax=beside, ticks=[0, 0.5, 1], format="%g")
