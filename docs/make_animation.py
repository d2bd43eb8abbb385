"""Draw docs/images/emergence.gif: both heads' attention maps and the scores at each stored epoch of a run.

    iterhead run --threads 1
    python docs/make_animation.py runs/polynomial-e735be9c56

from the root of the repository. Any finished run with a chain of thought works. All maps are of the first test
sequence of the longest length. The curves are the run's own measurements.
"""

import io
import sys
from pathlib import Path

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from PIL import Image

from iterhead.figures.style import BLUE, INK, MASKED, QUIET, VERMILION, style
from iterhead.formatting import percent
from iterhead.measure.heads import ROLES
from iterhead.measure.records import Scores
from iterhead.model.hooks import pattern_hook
from iterhead.runs.run import Run, load
from iterhead.tasks import QueryKeyPairs, SequenceLayout

IMAGE = Path(__file__).parent / "images" / "emergence.gif"
SIZE, DOTS = (7.2, 4.9), 100
COLOURS = 96
"""Size of the palette that all frames share: enough for two color ramps, at half the file size of 256."""

FIRST_FRAME, FRAME, LAST_FRAME = 900, 330, 3000
"""Milliseconds."""

HEADS = (
    ("first", "First head", "where the end of input (EoI) is", BLUE, "Blues"),
    ("second", "Iteration head", "where x_t is, to write s_t", VERMILION, "Oranges"),
)


def main(name: str) -> None:
    """Draw the animation of a run."""
    run = load(name)
    history = run.history
    epochs = [epoch for epoch in run.checkpoints if epoch in history]
    frames = [picture(run, epoch, history) for epoch in epochs]
    together = Image.fromarray(np.concatenate([np.asarray(frame) for frame in frames]))
    palette = together.quantize(COLOURS, dither=Image.Dither.NONE)
    first, *others = (frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames)
    durations = [FIRST_FRAME, *[FRAME] * (len(frames) - 2), LAST_FRAME]
    first.save(IMAGE, save_all=True, append_images=others, duration=durations, loop=0, optimize=True)
    print(f"{IMAGE}: {len(frames)} frames, {IMAGE.stat().st_size / 1e3:.0f} kB")


@style()
def picture(run: Run, epoch: int, history: dict[int, Scores]) -> Image.Image:
    """Return one frame: two maps above, the curves below."""
    layout = run.config.data.layout(run.config.data.max_length)
    figure = Figure(figsize=SIZE, dpi=DOTS)
    when = "before training" if epoch == 0 else f"epoch {epoch}"
    solved = f"{percent(history[epoch].accuracy)} of test sequences right"
    figure.text(0.02, 0.975, f"{run.config.task}, {when}: {solved}", va="top", fontsize=12, fontweight="bold")
    assert run.scores.best_pair is not None, "expected a run with a chain of thought"
    for index, (head, words) in enumerate(zip(run.scores.best_pair, HEADS, strict=True)):
        role, title, target, colour, ramp = words
        ax = figure.add_axes((0.02 + 0.5 * index, 0.285, 0.46, 0.59))
        draw_map(ax, weights(run, epoch, layout, head), ROLES[role](layout), ramp)
        ax.set_title(title, color=colour, fontsize=10)
        ax.text(0.96, 0.94, f"outlined: {target}", transform=ax.transAxes, ha="right", va="top")
    draw_curves(figure.add_axes((0.05, 0.09, 0.79, 0.15)), history, epoch)
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=DOTS)
    return Image.open(file).convert("RGB")


@torch.no_grad()
def weights(run: Run, epoch: int, layout: SequenceLayout, head: tuple[int, int]) -> NDArray[np.float64]:
    """Return a head's map [T, T] after an epoch."""
    name = pattern_hook(head[0])
    tokens = torch.from_numpy(run.dataset.test[layout.length][:1, : layout.input_size])
    return run.model_at(epoch).run_with_cache(tokens, (name,))[1][name][0, head[1]].double().numpy()


def draw_map(ax: Axes, map_: NDArray[np.float64], pairs: QueryKeyPairs, ramp: str) -> None:
    """Draw a map with the pairs of its ideal head outlined."""
    hidden = np.triu(np.ones_like(map_, dtype=bool), 1)
    colours = colormaps[ramp].with_extremes(bad=MASKED)
    ax.imshow(np.ma.masked_array(map_, hidden), cmap=colours, vmin=0, vmax=1.1, interpolation="nearest")
    for query, key in zip(*pairs, strict=True):
        ax.add_patch(Rectangle((key - 0.5, query - 0.5), 1, 1, fill=False, edgecolor=INK, linewidth=0.7))
    end = pairs[1].max() if len(set(pairs[1])) == 1 else pairs[1].max() + 1
    ax.set_xticks([end / 2, end, (end + len(map_)) / 2], ["input", "EoI", "chain of thought"], color=QUIET)
    ax.set_yticks([])
    ax.tick_params(length=0)
    ax.spines[:].set_color(MASKED)


def draw_curves(ax: Axes, history: dict[int, Scores], epoch: int) -> None:
    """Draw accuracy and the iteration head's peakiness up to an epoch."""
    epochs = list(history)
    past = [when for when in epochs if when <= epoch]
    curves = (("accuracy", "accuracy", QUIET), ("second_peakiness", "iteration head's\npeakiness", VERMILION))
    for offset, (name, label, colour) in zip((0.0, 0.28), curves, strict=True):
        values = [getattr(history[when], name) for when in past]
        ax.plot(past, values, color=colour, linewidth=1.8)
        ax.plot(past[-1:], values[-1:], "o", color=colour, markersize=4)
        ax.text(1.015, 0.95 - offset, label, transform=ax.transAxes, color=colour, fontsize=8, va="top")
    ax.set(xlim=(epochs[0] - 0.2, epochs[-1] + 0.3), ylim=(-0.05, 1.08), yticks=[0, 1])
    ax.set_xlabel("epoch", labelpad=1)
    ax.spines[["top", "right"]].set_visible(False)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python docs/make_animation.py RUN")
    main(sys.argv[1])
