"""The whole picture of a run: nothing clipped, nothing on top of another, the same bytes every time."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from iterhead.figures.run_figure import run_figure
from iterhead.figures.style import render, style
from iterhead.settings import parse_config
from iterhead.tasks import SequenceLayout


def arguments(length=3, *, cot=True, epochs=11, largest=10, maps=2, blank=False, task="polynomial:p=11"):
    """The arguments of `run_figure` for heads near the ideal and rising curves; `largest` is the largest token."""
    rng = np.random.default_rng(7)
    config = parse_config({"data": {"max_length": length, "cot": cot}}).model_copy(update={"task": task})
    layout = SequenceLayout(length, cot)
    T, e = layout.input_size, layout.end_of_input
    tokens = ["task", *(str(largest) for _ in range(T - 1))]
    tokens[e] = "EoI"
    weights = np.tril(rng.dirichlet(np.ones(T), size=T))
    pairs = (layout.first_pairs, layout.second_pairs) if cot else (None, None)
    rise = np.linspace(0, 1, epochs)
    accuracy = np.clip(rise[:, None] + rng.normal(size=(epochs, length)) / 10, 0, 1)
    accuracy[: 1 + epochs // 2, -1] = np.nan if blank else 0
    history = {
        epoch: SimpleNamespace(  # not measure.Scores, whose package loads torch
            accuracy=share**3,
            accuracy_by_length=dict(enumerate(row, start=1)),
            first_peakiness=share if cot else None,
            second_peakiness=share**2 if cot else None,
        )
        for epoch, (share, row) in enumerate(zip(rise, accuracy, strict=True), start=1)
    }
    heads = [(f"layer {layer + 1}, head 1", weights, pairs[layer % 2]) for layer in range(maps)]
    return config, history, history[epochs], tokens, heads


SIZES = {
    "length 1, one epoch": arguments(1, epochs=1),
    "length 3": arguments(3),
    "length 16": arguments(16, blank=True),
    "length 16, two digits, 300 epochs": arguments(16, epochs=300, largest=60),
    "length 19": arguments(19, largest=7),
    "length 31, two digits": arguments(31, largest=60, epochs=2),
    "length 32, two digits, 1,000 epochs": arguments(32, largest=60, epochs=1000, blank=True),
    "length 32, bits": arguments(32, largest=1),
    "no chain of thought": arguments(16, cot=False),
    "one map": arguments(16, maps=1),
    "one map, no chain of thought": arguments(8, maps=1, cot=False, epochs=1),
    "long title": arguments(task="mixture of " + "walk:states=4, parity, copy, " * 3),
}


def ink(text: Text) -> list[float]:
    """Left, bottom, right, top of a text, without the room above and below its letters: 15% on either side."""
    box = text.get_window_extent()
    upright = text.get_rotation() in (90, 270)
    across = 0.15 * (box.width if upright else box.height) / max(1, len(text.get_text().splitlines()))
    dx, dy = (across, 0.5) if upright else (0.5, across)
    return [box.x0 + dx, box.y0 + dy, box.x1 - dx, box.y1 - dy]


@pytest.mark.parametrize("name", SIZES)
def test_no_text_is_clipped_or_stands_on_another(name: str, monkeypatch: pytest.MonkeyPatch):
    drawn: list[Text] = []
    draw = Text.draw
    monkeypatch.setattr(Text, "draw", lambda text, renderer: (drawn.append(text), draw(text, renderer))[1])
    figure = run_figure(*SIZES[name])
    figure.set_dpi(150)
    with style():
        FigureCanvasAgg(figure).draw()
    shown = [text for text in drawn if text.get_text().strip()]
    boxes = np.array([ink(text) for text in shown])
    assert len(boxes) > 30
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, 2:] <= figure.bbox.size).all()
    low, high = np.maximum(boxes[:, None, :2], boxes[None, :, :2]), np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    touching = np.argwhere(np.triu((low < high).all(-1), k=1))
    assert not [(shown[a], shown[b]) for a, b in touching]


@pytest.mark.parametrize("name", ["length 1, one epoch", "length 32, two digits, 1,000 epochs", "one map"])
def test_files_are_small_and_wide_enough(name: str):
    files = render(run_figure(*SIZES[name]))
    assert sorted(files) == ["figure.pdf", "figure.png"]
    png, pdf = files["figure.png"], files["figure.pdf"]
    assert png.startswith(b"\x89PNG")
    assert int.from_bytes(png[16:20], "big") == 1200  # 8 inches of 150 dots
    assert len(png) < 250_000
    assert len(pdf) < 250_000
    assert b"/FontFile2" in pdf  # embedded as TrueType
    assert b"/Type3" not in pdf
    assert b"CreationDate" not in pdf


def test_composition():
    figure = run_figure(*arguments())
    first, second, accuracy, curves = figure.axes[:4]
    assert [ax.get_title(loc="left") for ax in (first, second)] == ["layer 1, head 1", "layer 2, head 1"]
    assert [len(ax.patches) for ax in (first, second)] == [3, 3]
    assert accuracy.get_ylabel() == "length of the input"
    assert [line.get_label() for line in curves.lines[:3]] == ["first head", "second head", "mean accuracy"]
    assert first.get_position().y0 > accuracy.get_position().y1
    assert first.get_position().x1 < second.get_position().x0
    assert figure.texts[0].get_text() == "polynomial:p=11: lengths 1 to 3, width 64, seed 0"


def test_dollars_in_a_title_are_dollars():
    figure = run_figure(*arguments(task="$\\x$ for 3 $"))
    assert not figure.texts[0].get_parse_math()
    assert not figure.axes[0].title.get_parse_math()


@pytest.mark.parametrize("maps", [0, 3])
def test_one_or_two_maps(maps: int):
    with pytest.raises(ValueError, match=f"{maps} maps: expected one or two"):
        run_figure(*arguments(maps=maps))


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return render(run_figure(*arguments()))


def test_a_persons_own_style_changes_nothing_and_is_left_alone(files: dict[str, bytes]):
    own = {
        "axes.facecolor": "black",
        "font.size": 20.0,
        "savefig.bbox": "tight",
        "lines.linewidth": 9.0,
        "axes.grid": True,
    }
    with mpl.rc_context(own):
        before = dict(mpl.rcParams)
        assert render(run_figure(*arguments())) == files
        assert dict(mpl.rcParams) == before


PROGRAM = """
import hashlib, sys
from test_run_figure import arguments
from iterhead.figures.run_figure import run_figure
from iterhead.figures.style import render
print(*(hashlib.sha256(data).hexdigest() for data in render(run_figure(*arguments())).values()))
print("matplotlib.pyplot" in sys.modules, "torch" in sys.modules)
"""


def test_same_bytes_in_another_process_without_pyplot_and_torch(files: dict[str, bytes]):
    """Another hash seed: a set of glyphs that is written in its own order would show."""
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    environment = os.environ | {"PYTHONHASHSEED": "5", "PYTHONPATH": path}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True)
    digests, imported = done.stdout.splitlines()
    assert digests.split() == [hashlib.sha256(data).hexdigest() for data in files.values()]
    assert imported == "False False"
