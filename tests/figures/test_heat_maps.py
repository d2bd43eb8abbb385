"""Maps of grids: what was not measured stays blank, what was measured has its colour."""

import io

import numpy as np
import pytest
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import imread

from iterhead.figures.heat_maps import contour_map, heat_map, ink_on, ratio_map
from iterhead.figures.panels import add_foot, scale_beside, sheet

NAN = float("nan")


def drawn(draw, *arguments, **named):
    """The figure of one panel that fills it, and its pixels by row from the top, in 0 .. 1."""
    figure = Figure(figsize=(4, 3), dpi=50)
    ax = figure.add_axes((0, 0, 1, 1))
    draw(ax, *arguments, **named)
    ax.set_axis_off()
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=50)
    file.seek(0)
    return ax, imread(file)[:, :, :3]


LABELS = {"title": "", "x_label": "", "y_label": ""}


def test_cells_that_were_not_measured_are_blank_and_the_others_are_not():
    values = np.array([[0.1, NAN, 0.5], [NAN, 0.9, 1.0]])  # row 0 is at the bottom
    _, pixels = drawn(heat_map, [4, 8, 12], [6, 10], values, **LABELS)
    H, W = pixels.shape[:2]
    colours = colormaps["viridis"]
    for (y, x), value in np.ndenumerate(values):
        # A point near the lower left corner of each cell: away from the figure in its middle.
        row, column = H - 1 - int((y + 0.15) * H / 2), int((x + 0.15) * W / 3)
        expected = (1, 1, 1) if np.isnan(value) else colours(value)[:3]
        np.testing.assert_allclose(pixels[row, column], expected, atol=0.02)


def test_a_blank_cell_has_no_figure_and_a_wide_range_is_told():
    values = np.array([[0.25, NAN]])
    low, high = np.array([[0.1, NAN]]), np.array([[0.4, NAN]])
    ax, _ = drawn(heat_map, [1, 2], [1], values, low_YX=low, high_YX=high, **LABELS)
    assert {text.get_text() for text in ax.texts} == {".25", ".10\u2013.40"}


def test_only_all_is_written_as_one():
    ax, _ = drawn(heat_map, [1, 2], [1], np.array([[0.9999, 1.0]]), **LABELS)
    assert [text.get_text() for text in ax.texts] == [".99", "1"]


def test_large_grids_have_no_figures_and_fewer_names():
    ax, _ = drawn(heat_map, list(range(28)), list(range(60)), np.full((60, 28), 0.5), **LABELS)
    assert not ax.texts
    assert len(ax.get_xticks()) == 14


def test_figures_can_be_read_on_their_colour():
    colours = colormaps["viridis"]
    assert ink_on(colours, 0.0) == "white"
    assert ink_on(colours, 1.0) != "white"


def test_level_lines_leave_out_what_has_an_unmeasured_corner():
    values = np.array([[0.95, 0.95, NAN], [0.95, 0.95, 0.95]])
    _, pixels = drawn(contour_map, [1e-3, 1e-2, 1e-1], [16, 256], values, **LABELS)
    H, W = pixels.shape[:2]
    np.testing.assert_allclose(pixels[H // 2 + 20, 3 * W // 4 + 20], (1, 1, 1), atol=0.02)
    assert pixels[H // 2, W // 4].min() < 0.5


def test_ratios_with_their_bounds():
    times = np.array([[NAN, 12.4], [0.25, np.inf]])
    low, high = np.array([[NAN, 10.2], [0.0, 40.0]]), np.array([[NAN, np.inf], [0.5, np.inf]])
    bounds = [["", "\u2265"], ["\u2264", ""]]
    names = ["copy", "parity"]
    ax, pixels = drawn(ratio_map, names, names, times, low, high, bounds, x_label="", y_label="")
    texts = [text.get_text() for text in ax.texts]
    assert texts == ["\u226512\u00d7", "from 10\u00d7", "\u22640.2\u00d7", "up to 0.5\u00d7", "\u221e", "from 40\u00d7"]
    H, W = pixels.shape[:2]
    np.testing.assert_allclose(pixels[H // 8, W // 8], (1, 1, 1), atol=0.02)  # no task after itself
    assert pixels[7 * H // 8, W // 8, 2] < pixels[H // 8, 7 * W // 8, 2]  # later is red, sooner is blue


@pytest.mark.parametrize("draw", [heat_map, contour_map])
def test_shapes_that_disagree_are_refused(draw):
    with pytest.raises(ValueError, match=r"expected \[2, 3\]"):
        drawn(draw, [1, 2, 3], [1, 2], np.zeros((3, 2)), **LABELS)


def test_a_foot_makes_room_and_moves_nothing_in_inches():
    figure, axes = sheet("Title", "told below it", 2, columns=2, panel=(2.0, 1.5))
    scale_beside(figure, axes, heat_map(axes[0], [1, 2], [1], np.ones((1, 2)), **LABELS), "", {})

    def inches():
        width, height = figure.get_size_inches()
        top = [(ax.get_position().x0 * width, (1 - ax.get_position().y1) * height) for ax in figure.axes]
        sizes = [(ax.get_position().width * width, ax.get_position().height * height) for ax in figure.axes]
        return np.array(top), np.array(sizes)

    (places, sizes), (_, height) = inches(), figure.get_size_inches()
    add_foot(figure, "iterhead study run figure-7")
    after, sizes_after = inches()
    np.testing.assert_allclose(after, places)
    np.testing.assert_allclose(sizes_after, sizes)
    foot = figure.texts[-1]
    room = (figure.get_size_inches()[1] - height) / figure.get_size_inches()[1]
    assert foot.get_text() == "iterhead study run figure-7"
    drawn = foot.get_window_extent(FigureCanvasAgg(figure).get_renderer()).transformed(figure.transFigure.inverted())
    assert 0 < drawn.y0 < drawn.y1 < room
