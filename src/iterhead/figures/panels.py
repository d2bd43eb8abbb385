"""Panels side by side under one title: the frame of a study's figures."""

import textwrap
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from iterhead.figures.style import QUIET, style, title_size

# Inches: left free at the edges, the height of a line of the subtitle, and of the line at the foot.
_EDGE, LINE, _FOOT = 0.1, 0.16, 0.22


@style()
def sheet(
    title: str,
    subtitle: str,
    panels: int,
    *,
    columns: int,
    panel: tuple[float, float],
    left: float = 0.55,
    below: float = 0.45,
    above: float = 0.3,
    gap: float = 0.35,
    right: float = 0.6,
) -> tuple[Figure, list[Axes]]:
    """Return a figure and its empty axes, row by row from the top. All sizes are in inches.

    `panel` is the width and height of each panel. `left`, `below` and `above` are the room to the left of, under and
    over each, `gap` is more room between columns, and `right` the room at the right edge, such as for the scale of
    colours. The title is one line; the subtitle is wrapped to the width of the figure and may be empty.
    """
    columns = min(columns, panels)
    rows = -(-panels // columns)
    width = columns * (left + panel[0]) + (columns - 1) * gap + right
    lines = textwrap.wrap(subtitle, int(width * 15.2))
    head = 0.4 + LINE * len(lines)
    height = head + rows * (above + panel[1] + below)
    figure = Figure(figsize=(width, height))
    write_head(figure, title, lines, title_at=0.09, lines_at=0.33)
    axes = []
    for index in range(panels):
        row, column = divmod(index, columns)
        x = left + column * (left + panel[0] + gap)
        y = height - head - (row + 1) * (above + panel[1]) - row * below
        axes.append(add_axes(figure, (x, y, *panel)))
    return figure, axes


def add_axes(figure: Figure, place: tuple[float, float, float, float]) -> Axes:
    """Add axes at a place in inches: left, bottom, width, height."""
    W, H = figure.get_size_inches()
    left, bottom, width, height = place
    return figure.add_axes((left / W, bottom / H, width / W, height / H))


def write_head(figure: Figure, title: str, lines: Sequence[str], *, title_at: float, lines_at: float) -> None:
    """Write the title and the lines of the subtitle at the top left, at distances in inches from the upper edge."""
    width, height = figure.get_size_inches()
    size = title_size(title, width=72 * (width - 2 * _EDGE), largest=11)
    figure.text(_EDGE / width, 1 - title_at / height, title, va="top", fontsize=size, fontweight="bold")
    for number, line in enumerate(lines):
        figure.text(_EDGE / width, 1 - (lines_at + LINE * number) / height, line, va="top", color=QUIET)


@style()
def add_foot(figure: Figure, text: str) -> None:
    """Make room at the bottom for one small line, and write it there: the command that makes the figure."""
    width, height = figure.get_size_inches()
    taller = height + _FOOT
    figure.set_size_inches(width, taller)
    for ax in figure.axes:
        place = ax.get_position(original=True)
        ax.set_position((place.x0, (place.y0 * height + _FOOT) / taller, place.width, place.height * height / taller))
    for line in figure.texts:
        x, y = line.get_position()
        line.set_position((x, (y * height + _FOOT) / taller))
    left, bottom = _EDGE / width, 0.07 / taller
    figure.text(left, bottom, text, va="bottom", fontsize=6.5, family="DejaVu Sans Mono", color=QUIET)


SHARE_TICKS: Mapping[float, str] = {0: "0", 0.5: "0.5", 1: "1"}
"""Ticks of a scale of shares."""


@style()
def scale_beside(figure: Figure, axes: Sequence[Axes], drawn: object, label: str, ticks: Mapping[float, str]) -> None:
    """Put one scale of colours to the right of the first row of panels."""
    width = figure.get_size_inches()[0]
    top = max(ax.get_position().y1 for ax in axes)
    first = [ax.get_position() for ax in axes if ax.get_position().y1 > top - 1e-6]
    x = max(place.x1 for place in first) + 0.12 / width
    bar = figure.colorbar(drawn, cax=figure.add_axes((x, first[0].y0, 0.11 / width, first[0].height)))  # type: ignore[arg-type]
    bar.minorticks_off()
    bar.set_ticks(list(ticks), labels=list(ticks.values()))
    bar.set_label(label, fontsize=7.5, labelpad=2)
    bar.ax.tick_params(labelsize=7, length=2, pad=1.5)
    bar.outline.set_linewidth(0.5)
