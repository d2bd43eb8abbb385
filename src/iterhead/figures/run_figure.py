"""The picture of one run: two attention maps above, accuracy and peakiness over epochs below."""

import io
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from numpy.typing import NDArray

from iterhead.figures.attention import attention_map
from iterhead.figures.curves import accuracy_by_length, peakiness
from iterhead.figures.style import style
from iterhead.tasks import Cells


class HeadMap(NamedTuple):
    """One head on one sequence.

    Attributes:
        label: title of its panel, such as `layer 1, head 1`.
        weights: [T, T], query rows and key columns, 0 .. 1.
        cells: where the ideal head looks; None without chain of thought.
    """

    label: str
    weights: NDArray[np.floating]
    cells: Cells | None


@dataclass(frozen=True)
class RunPicture:
    """What the picture of a run shows.

    Attributes:
        title: one line.
        subtitle: wrapped to the width of the figure; may be empty.
        tokens: T names of the sequence that the maps show, without EoS.
        queries: positions at which the network writes, EoI first (`SequenceLayout.reads`).
        maps: one head or two.
        epochs: [E], increasing.
        lengths: [N], increasing.
        accuracy: [E, N], 0 .. 1; NaN where nothing was measured.
        first_peakiness, second_peakiness: [E], of the best pair; None without chain of thought.
        mean_accuracy: [E], the headline; None leaves it out.
        threshold: peakiness from which a head counts as emerged.
    """

    title: str
    subtitle: str
    tokens: Sequence[str]
    queries: slice
    maps: Sequence[HeadMap | tuple[str, NDArray[np.floating], Cells | None]]
    epochs: NDArray[np.integer]
    lengths: NDArray[np.integer]
    accuracy: NDArray[np.floating]
    first_peakiness: NDArray[np.floating] | None = None
    second_peakiness: NDArray[np.floating] | None = None
    mean_accuracy: NDArray[np.floating] | None = None
    threshold: float = 0.95


# Inches. Placed by hand, since the squares of the maps leave a layout engine nothing to decide but holes.
_WIDTH = 8.0
_MAP = 3.1
_CURVES = 1.75
_LEFT = 0.62
_BETWEEN = 0.72
"""From a map to the next: bracket, axis label, names."""
_BELOW_MAP = 0.62
_ABOVE_MAP = 0.42
_ABOVE_CURVES = 0.36
_BOTTOM = 0.42
_SECOND = _LEFT + _MAP + _BETWEEN
_SCALE = 0.09
"""Width of a colour bar."""


@style()
def run_figure(picture: RunPicture) -> Figure:
    """Draw the picture of a run: 8 inches wide, two maps on top and two curves below (one map: curves beside it).

    Raises:
        ValueError: if there is not one map or two.
    """
    if len(picture.maps) not in (1, 2):
        raise ValueError(f"{len(picture.maps)} maps: expected one or two")
    ...
