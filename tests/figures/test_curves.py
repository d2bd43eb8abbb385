"""Lines of scores: every one is drawn, in its own colour and dashes."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from iterhead.figures.curves import Band, bands
from iterhead.figures.style import LINE_COLOURS


def drawn(count):
    ax = Figure().subplots()
    ends = np.array([0.0, 1.0])
    lines = [Band(f"line {i}", ends, ends / (i + 1), ends * 0, ends, np.empty((0, 2))) for i in range(count)]
    bands(ax, lines, title="", x_label="epochs", legend=True)
    return ax


def test_every_line_is_drawn_and_named():
    count = len(LINE_COLOURS)
    ax = drawn(count)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [f"line {i}" for i in range(count)]
    assert [line.get_ydata()[1] for line in ax.lines] == [1 / (i + 1) for i in range(count)]


def test_more_lines_than_colours_are_an_error():
    with pytest.raises(ValueError, match="zip"):
        drawn(len(LINE_COLOURS) + 1)
