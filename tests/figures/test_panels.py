"""What stands where in each panel. Length 3 by hand: polynomial, p = 11, s_t = s_{t-1} x_t + 1.

position  0    1 2 3  4    5 6 7
token     task 3 1 4  EoI  3 4 6      3 * 1 + 1 = 4, 4 * 4 + 1 = 17 = 6
"""

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from iterhead.figures.attention_map import attention_map
from iterhead.figures.curves import accuracy_by_length, peakiness
from iterhead.figures.style import MASKED
from iterhead.tasks import SequenceLayout

TOKENS = ["task", "3", "1", "4", "EoI", "3", "4", "6"]
LAYOUT = SequenceLayout(3)


def axes(side: float = 3.0):
    """Axes alone in a figure, of so many inches."""
    return Figure(figsize=(2 * side, 2 * side)).add_axes((0.25, 0.25, 0.5, 0.5))


def pixel(ax, x: float, y: float) -> tuple[float, ...]:
    """The colour that a reader sees at a point of the data."""
    canvas = FigureCanvasAgg(ax.get_figure())
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())
    column, row = ax.transData.transform((x, y))
    return tuple(pixels[len(pixels) - 1 - int(row), int(column)] / 255)


def draw_map(weights=None, cells=None):
    ax = axes()
    weights = np.full((8, 8), 0.25) if weights is None else weights
    return ax, attention_map(ax, weights, TOKENS, cells, queries=LAYOUT.output_positions, title="layer 2, head 1")


def texts(ax) -> list[str]:
    return [text.get_text() for text in ax.texts]


@pytest.mark.parametrize(
    ("cells", "corners"),
    [
        # queries s_1 s_2 s_3 = 5, 6, 7; key EoI = 4. A cell's corner lies half a cell to the left and above.
        (LAYOUT.first_pairs, [(3.5, 4.5), (3.5, 5.5), (3.5, 6.5)]),
        # queries EoI s_1 s_2 = 4, 5, 6; keys x_1 x_2 x_3 = 1, 2, 3
        (LAYOUT.second_pairs, [(0.5, 3.5), (1.5, 4.5), (2.5, 5.5)]),
    ],
)
def test_ideal_cells_are_outlined(cells, corners):
    ax, _ = draw_map(cells=cells)
    outlines = [patch for patch in ax.patches if isinstance(patch, Rectangle)]
    assert [patch.get_xy() for patch in outlines] == corners
    assert {(patch.get_width(), patch.get_height(), patch.get_fill()) for patch in outlines} == {(1, 1, False)}
    assert "outlined: where the ideal head looks" in texts(ax)


def test_without_ideal_cells_nothing_is_outlined():
    ax, _ = draw_map()
    assert not ax.patches
    assert not any("outlined" in text for text in texts(ax))


def test_rows_are_queries_and_columns_keys():
    """EoI (row 4) looks at x_1 (column 1) with all its weight: dark there, light below."""
    weights = np.zeros((8, 8))
    weights[4, 1] = 1
    ax, mesh = draw_map(weights)
    assert mesh.get_array()[4, 1] == 1
    assert mesh.get_array().sum() == 1
    assert pixel(ax, 1, 4) == pytest.approx(mpl.colormaps["Blues"](1.0), abs=0.01)
    assert pixel(ax, 1, 5) == pytest.approx(mpl.colormaps["Blues"](0.0), abs=0.01)
    bottom, top = ax.get_ylim()
    assert bottom > top  # the first query stands on top


def test_what_the_mask_forbids_is_grey_whatever_its_weight():
    ax, mesh = draw_map(np.ones((8, 8)))
    future = [[key > query for key in range(8)] for query in range(8)]
    assert np.ma.getmaskarray(mesh.get_array()).tolist() == future
    assert pixel(ax, 3, 2) == pytest.approx(to_rgba(MASKED), abs=0.01)
    assert pixel(ax, 2, 2) == pytest.approx(mpl.colormaps["Blues"](1.0), abs=0.01)


def test_weights_share_one_scale():
    _, mesh = draw_map(np.full((8, 8), 0.4))
    assert mesh.get_clim() == (0, 1)


def test_names_and_guides_of_a_map():
    ax, _ = draw_map()
    for axis in (ax.xaxis, ax.yaxis):
        assert [label.get_text() for label in axis.get_ticklabels()] == TOKENS
        assert axis.get_ticklocs().tolist() == list(range(8))
        bold = [label.get_text() for label in axis.get_ticklabels() if label.get_fontweight() == "bold"]
        assert bold == ["EoI"]
    assert [label.get_rotation() for label in ax.get_xticklabels()] == [90, 0, 0, 0, 90, 0, 0, 0]
    assert {label.get_horizontalalignment() for label in ax.get_xticklabels()} == {"center"}
    assert ax.get_xlabel().startswith("key")
    assert ax.get_ylabel().startswith("query")
    assert ax.get_title(loc="left") == "layer 2, head 1"
    # Both sides of EoI's column, position 4, from its own row to the bottom.
    lines = [segment.tolist() for lines in ax.collections[1:] for segment in lines.get_segments()]
    assert [[3.5, 3.5], [3.5, 7.5]] in lines
    assert [[4.5, 3.5], [4.5, 7.5]] in lines


def brackets(cot: bool, length: int = 3) -> dict[str, list[float]]:
    """Name on top -> first and last position under its line."""
    layout = SequenceLayout(length, cot)
    T = layout.input_size
    ax = axes()
    tokens = ["task", *("1" for _ in range(T - 1))]
    attention_map(ax, np.zeros((T, T)), tokens, None, queries=layout.output_positions, title="")
    lines = [line.get_xdata() for line in ax.lines if list(line.get_ydata()) == [1, 1]]
    names = [text.get_text() for text in ax.texts if text.get_rotation() == 0]
    return {name: [round(float(end), 9) for end in line] for name, line in zip(names, lines, strict=True)}


def test_brackets_tell_input_from_chain_of_thought():
    assert brackets(cot=True) == {"input": [0.6, 3.4], "chain of thought": [4.6, 7.4]}
    assert brackets(cot=False) == {"input": [0.6, 3.4], "answer": [4.6, 5.4]}  # task 3 1 4 EoI 6
    assert brackets(cot=True, length=1) == {"input": [0.6, 1.4], "chain of thought": [2.6, 3.4]}


def test_many_names_stand_in_two_rows():
    """34 names on 3 inches: 216 / 34 = 6.4 points each, where two digits need 1.28 * 5.5 = 7."""
    ax = axes()
    tokens = ["task", *("10" for _ in range(33))]
    tokens[17] = "EoI"
    attention_map(ax, np.zeros((34, 34)), tokens, None, queries=SequenceLayout(16).output_positions, title="")
    assert ax.get_xticks().tolist() == list(range(0, 34, 2))
    assert ax.get_xticks(minor=True).tolist() == list(range(1, 34, 2))  # EoI among them, further out
    assert ax.get_yticks().tolist() == list(range(34))


def test_names_have_one_size_where_a_line_is_higher_than_a_digit_is_wide():
    """34 names on 3 inches: 216 / 34 = 6.35 points, of which a line, 0.9 sizes high, takes 95%: 6.7 points."""
    ax = axes()
    attention_map(
        ax, np.zeros((34, 34)), ["task", *"1" * 33], None, queries=SequenceLayout(16).output_positions, title=""
    )
    sizes = {label.get_fontsize() for label in (*ax.get_xticklabels(), *ax.get_yticklabels())}
    assert {round(size, 1) for size in sizes} == {6.7}


@pytest.mark.parametrize(
    ("shape", "tokens", "queries"),
    [((7, 7), TOKENS, slice(4, 8)), ((8, 8), [*TOKENS, "EoS"], slice(4, 8)), ((8, 8), TOKENS, slice(4, 9))],
)
def test_map_refuses_what_disagrees(shape, tokens, queries):
    with pytest.raises(ValueError, match="expected"):
        attention_map(axes(), np.zeros(shape), tokens, None, queries=queries, title="")


def test_accuracy_has_a_row_for_each_length_and_a_column_for_each_epoch():
    ax = axes()
    epochs, lengths = np.array([0, 1, 3, 10, 11]), np.array([2, 4, 8])
    accuracy = np.arange(15).reshape(5, 3) / 14  # rises by 1/14 from length to length, by 3/14 from epoch to epoch
    mesh = accuracy_by_length(ax, epochs, lengths, accuracy)
    assert mesh.get_array().tolist() == accuracy.T.tolist()
    assert mesh.get_clim() == (0, 1)
    # Midway: 0.5, 2, 6.5, 10.5; as far outside: 0 - 0.5 and 11 + 0.5.
    assert mesh.get_coordinates()[0, :, 0].tolist() == [-0.5, 0.5, 2, 6.5, 10.5, 11.5]
    assert ax.get_xlim() == (-0.5, 11.5)
    assert dict(zip(ax.get_yticks(), (label.get_text() for label in ax.get_yticklabels()), strict=True)) == {
        0: "2",
        1: "4",
        2: "8",
    }
    bottom, top = ax.get_ylim()
    assert bottom < top  # the longest stands on top
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("epoch", "length of the input")


def test_what_was_not_measured_is_blank():
    accuracy = np.zeros((2, 3))
    accuracy[1, 2] = np.nan
    ax = axes()
    accuracy_by_length(ax, np.array([1, 2]), np.array([1, 2, 3]), accuracy)
    assert pixel(ax, 2, 2) == (1, 1, 1, 1)
    assert pixel(ax, 1, 2) == pytest.approx(mpl.colormaps["viridis"](0.0), abs=0.01)
    assert "blank: not measured" in texts(ax)[0]


def test_what_was_measured_everywhere_says_nothing_of_blanks():
    ax = axes()
    accuracy_by_length(ax, np.array([1]), np.array([1, 2, 3]), np.ones((1, 3)))
    assert "blank" not in texts(ax)[0]
    assert ax.get_xlim() == (0.5, 1.5)
    assert [tick for tick in ax.get_xticks() if 0.5 <= tick <= 1.5] == [1]


@pytest.mark.parametrize(
    ("lengths", "named"),
    [(1, [1]), (12, list(range(1, 13))), (13, [1, 3, 5, 7, 9, 11, 13]), (32, [4, 8, 12, 16, 20, 24, 28, 32])],
)
def test_the_longest_length_is_always_named(lengths, named):
    ax = axes()
    accuracy_by_length(ax, np.array([1]), np.arange(1, lengths + 1), np.ones((1, lengths)))
    assert sorted(int(label.get_text()) for label in ax.get_yticklabels()) == named


def test_accuracy_refuses_transposed_numbers():
    with pytest.raises(ValueError, match=r"\(3, 2\): expected \[2 epochs, 3 lengths\]"):
        accuracy_by_length(axes(), np.array([1, 2]), np.array([1, 2, 3]), np.ones((3, 2)))


def test_curves_of_peakiness():
    ax = axes()
    epochs = np.array([10, 20, 40])
    first, second, accuracy = np.array([0.1, 0.5, 1]), np.array([0, 0.2, 0.9]), np.array([0.3, np.nan, 0.8])
    peakiness(ax, epochs, first, second, 0.95, accuracy=accuracy)
    curves = {line.get_label(): line for line in ax.lines}
    for label, values in {"first head": first, "second head": second, "mean accuracy": accuracy}.items():
        assert curves[label].get_xdata().tolist() == [10, 20, 40]
        np.testing.assert_array_equal(curves[label].get_ydata(), values)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["first head", "second head", "mean accuracy"]
    looks = {(line.get_color(), line.get_linestyle(), line.get_linewidth()) for line in ax.lines}
    assert len(looks) == 4  # three curves and the threshold
    (threshold,) = [line for line in ax.lines if list(line.get_ydata()) == [0.95, 0.95]]
    assert threshold.is_dashed()
    assert texts(ax) == ["emerged\n≥ 0.95"]
    assert ax.get_xlim() == (5, 50)  # midway 15 and 30; as far outside 10 - 5 and 40 + 10


def test_without_chain_of_thought_the_panel_says_so():
    ax = axes()
    peakiness(ax, np.array([1, 2]), None, None, 0.95, accuracy=np.array([0.1, 0.2]))
    assert ax.get_title(loc="left") == "No chain of thought, so no peakiness"
    assert [line.get_label() for line in ax.lines] == ["mean accuracy"]
    assert not ax.texts


def test_one_measurement_is_seen():
    """A line through one point is nothing: the marker is."""
    ax = axes()
    peakiness(ax, np.array([1]), np.array([0.4]), np.array([0.2]), 0.95)
    assert pixel(ax, 1, 0.4) == pytest.approx(to_rgba("#0072B2"), abs=0.02)
