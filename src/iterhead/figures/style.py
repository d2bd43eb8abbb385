"""How every figure looks: fonts, colours and line widths, regardless of the user's matplotlibrc.

The colours of lines are those of Okabe and Ito (2008), which colour-blind readers tell apart; the two scales change
steadily in lightness, so they survive a black-and-white printer.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

INK = "#222222"
QUIET = "#666666"
"""Grey of what may be read second: brackets, captions, guide lines."""
MASKED = "#ececec"
"""Grey of the cells that the causal mask forbids."""
BLUE = "#0072B2"
VERMILION = "#D55E00"

LINE_COLOURS: tuple[tuple[str, Any], ...] = (
    (BLUE, "-"),
    (VERMILION, (0, (5, 1.2))),
    ("#009E73", (0, (3, 1, 1, 1))),
    ("#CC79A7", (0, (1, 0.8))),
    (INK, (0, (6, 1, 1, 1, 1, 1))),
    ("#E69F00", "-"),
    ("#56B4E9", (0, (8, 1.5))),
)
"""Colour and dashes of the lines of a plot, in order: without colour, the dashes tell them apart."""

WEIGHT_SCALE = "Blues"
"""Attention weights: 0 is nearly white, which a masked cell is not."""
ACCURACY_SCALE = "viridis"
"""Accuracy: no colour of it is near white, which a missing cell is."""

_OWN: dict[Any, Any] = {
    "font.family": ["DejaVu Sans"],  # comes with matplotlib: the same glyphs on every machine
    "font.size": 8,
    "text.color": INK,
    "text.parse_math": False,  # a dollar sign in a title is a dollar sign
    "axes.edgecolor": QUIET,
    "axes.labelcolor": INK,
    "axes.labelsize": 8,
    "axes.labelpad": 3,
    "axes.linewidth": 0.6,
    "axes.titlelocation": "left",
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "xtick.color": QUIET,
    "xtick.labelcolor": INK,
    "xtick.labelsize": 7,
    "xtick.major.size": 2.5,
    "xtick.major.width": 0.6,
    "ytick.color": QUIET,
    "ytick.labelcolor": INK,
    "ytick.labelsize": 7,
    "ytick.major.size": 2.5,
    "ytick.major.width": 0.6,
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "lines.linewidth": 1.4,
    "savefig.dpi": 150,
    "pdf.fonttype": 42,  # TrueType, which editors and journals can embed; some refuse type 3
}

_FAMILIES = {
    *("agg", "axes", "figure", "font", "image", "legend", "lines", "mathtext", "patch", "path", "pcolor", "pdf"),
    *("pcolormesh", "savefig", "text", "xaxis", "xtick", "yaxis", "ytick"),
}
_DEFAULTS: dict[Any, Any] = {
    key: value for key, value in mpl.rcParamsDefault.items() if key.partition(".")[0] in _FAMILIES
}


@contextmanager
def style() -> Iterator[None]:
    """Draw in the project's style: matplotlib's defaults plus ours, restored on exit."""
    with mpl.rc_context({**_DEFAULTS, **_OWN}):
        yield


def title_size(text: str, *, width: float, largest: float) -> float:
    """Return the size in points at which bold `text` fits into `width` points, at most `largest`.

    A bold letter of DejaVu Sans is 0.58 sizes wide in a typical title.
    """
    return min(largest, width / (0.58 * max(len(text), 1)))


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
