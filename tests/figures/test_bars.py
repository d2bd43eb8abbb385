"""The figure of interventions: what each bar is as long as, its interval, its colour."""

import itertools
import os
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.container import BarContainer, ErrorbarContainer

from iterhead.figures.bars import effects_figure
from iterhead.figures.style import BLUE, QUIET, VERMILION, render

NAMES = ["as it is", "first head: ideal map", "both: another sequence's maps", "iteration head: random map"]
ACCURACY = [0.75, 0.74, 0.5, 0.125]
LOW, HIGH = [0.7, 0.72, 0.4, 0.125], [0.8, 0.75, 0.625, 0.25]
CHANCE = 0.1875


def drawn():
    (ax,) = effects_figure("", NAMES, ACCURACY, LOW, HIGH, CHANCE).axes
    return ax


def parts(ax, kind):
    (part,) = (container for container in ax.containers if isinstance(container, kind))
    return part


def test_bars_are_as_long_as_the_accuracy_and_stand_from_the_top_down():
    ax = drawn()
    bars = parts(ax, BarContainer)
    assert [bar.get_width() for bar in bars] == ACCURACY
    assert [bar.get_x() for bar in bars] == [0, 0, 0, 0]
    assert [bar.get_y() + bar.get_height() / 2 for bar in bars] == pytest.approx([0, 1, 2, 3])
    assert [label.get_text() for label in ax.get_yticklabels()] == NAMES
    bottom, top = ax.get_ylim()
    assert bottom > top


def test_intervals():
    _, _, (lines,) = parts(drawn(), ErrorbarContainer)
    ends = [segment.tolist() for segment in lines.get_segments()]
    assert ends == [[[low, place], [high, place]] for place, (low, high) in enumerate(zip(LOW, HIGH, strict=True))]


def test_an_interval_beside_its_value_is_drawn_all_the_same():
    """A rounding error may put an end on the wrong side; matplotlib refuses negative lengths."""
    (ax,) = effects_figure("", ["as it is"], [1.0], [0.99], [1.0 - 1e-12], 0.5).axes
    _, _, (lines,) = parts(ax, ErrorbarContainer)
    assert lines.get_segments()[0].tolist() == [[0.99, 0], [1.0, 0]]


def test_colours_tell_harm():
    """Grey as it is; 0.74 is within 0.02 of 0.75, the others are not."""
    assert [to_hex(bar.get_facecolor()) for bar in parts(drawn(), BarContainer)] == [
        colour.lower() for colour in (QUIET, BLUE, VERMILION, VERMILION)
    ]


def test_values_stand_behind_bar_and_interval():
    ax = drawn()
    *values, chance = ax.texts
    assert [text.get_text() for text in values] == ["0.75", "0.74", "0.50", "0.12"]
    for text, accuracy, high in zip(values, ACCURACY, HIGH, strict=True):
        assert text.get_position()[0] > max(accuracy, high)
    assert (chance.get_text(), chance.get_position()[0]) == ("chance", CHANCE)


WHOLE = [
    "as it is",
    "first head: ideal map",
    "iteration head: ideal map",
    "both: ideal maps",
    "both: another sequence's maps",
    "first head: random map",
    "iteration head: random map",
    "without MLP 1",
]


def whole(values, chance=0.22, title="polynomial, seed 4: what each intervention leaves"):
    low, high = np.clip(np.subtract(values, 0.02), 0, 1), np.clip(np.add(values, 0.02), 0, 1)
    return effects_figure(title, WHOLE, values, low, high, chance)


@pytest.mark.parametrize(
    ("values", "chance"),
    [
        ([1.0, 0.82, 1.0, 0.95, 0.99, 0.4, 0.22, 0.28], 0.22),
        ([0.0] * 8, 0.01),
        ([1.0] * 8, 0.99),
    ],
)
def test_no_text_is_clipped_or_stands_on_another(values, chance):
    figure = whole(values, chance)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    (ax,) = figure.axes
    ticks = zip(ax.get_xticks(), ax.get_xticklabels(), strict=True)
    shown = [label for tick, label in ticks if tick <= ax.get_xlim()[1]]
    texts = [*figure.texts, *ax.texts, *shown, *ax.get_yticklabels(), ax.xaxis.label]
    boxes = [text.get_window_extent() for text in texts if text.get_text()]
    assert len(boxes) == 1 + (8 + 1) + 6 + 8 + 1  # title, values and chance, 0.0 .. 1.0, names, label
    width, height = canvas.get_width_height()
    for box in boxes:
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= width
        assert box.y1 <= height
    for one, other in itertools.combinations(boxes, 2):
        assert min(one.x1, other.x1) <= max(one.x0, other.x0) or min(one.y1, other.y1) <= max(one.y0, other.y0)


def test_the_same_numbers_are_the_same_bytes():
    numbers = [0.9, 0.82, 0.9, 0.95, 0.99, 0.4, 0.22, 0.28]
    assert render(whole(numbers), "verify") == render(whole(numbers), "verify")
    assert set(render(whole(numbers), "verify")) == {"verify.png", "verify.pdf"}


SCRIPT = """
import hashlib
from iterhead.figures.bars import effects_figure
from iterhead.figures.style import render
files = render(effects_figure("t", ["as it is", "without"], [0.9, 0.2], [0.8, 0.1], [1.0, 0.3], 0.2), "v")
print({name: hashlib.sha256(data).hexdigest() for name, data in sorted(files.items())})
"""


def test_another_process_makes_the_same_bytes(tmp_path):
    """Another hash seed, another place, and a matplotlibrc that a person might have."""
    (tmp_path / "matplotlibrc").write_text("font.size: 20\naxes.grid: True\n")
    environment = os.environ | {"PYTHONHASHSEED": "7"}

    def said(**cwd):
        return subprocess.run(
            [sys.executable, "-c", SCRIPT], capture_output=True, check=True, env=environment, **cwd
        ).stdout

    assert said(cwd=tmp_path) == said()
