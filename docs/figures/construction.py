"""Draw docs/images/construction.png: the residual stream of the network with hand-set weights, stage by stage.

From the root of the repository: `python docs/figures/construction.py`. The numbers are the network's own activations on
the parity of 0 1 1, in the pre-norm convention, where the stream is never normalized and a one-hot vector stays one.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray

from iterhead.figures.style import BLUE, INK, QUIET, VERMILION, style
from iterhead.model.handmade import Stream, handmade
from iterhead.tasks import SequenceLayout, Vocabulary, task

INPUTS = (0, 1, 1)

COLOURS = {
    "position": BLUE,
    "token": "#B8860B",
    "end": "#007A5A",
    "step": VERMILION,
    "seen": "#A8437F",
    "out": "#5B4EA3",
    "blank": QUIET,
}

STAGES = (
    ("blocks.0.hook_resid_pre", "Embedding", ("position", "token"), "own position,\nown token"),
    ("blocks.0.hook_resid_mid", "+ first head", ("end",), "looks at EoI,\nbrings its position"),
    ("blocks.0.hook_resid_post", "+ MLP 1", ("step",), "t = position - end + 1"),
    ("blocks.1.hook_resid_mid", "+ iteration head", ("seen",), "looks at position t,\nbrings the token there"),
    ("blocks.1.hook_resid_post", "+ MLP 2", ("out",), "F(own token, seen),\nor EoS"),
)
"""Hook name, title, the subspaces written there, and how."""

Floats = NDArray[np.float64]


def segments(stream: Stream, vocabulary: Vocabulary) -> dict[str, tuple[list[int], list[str]]]:
    """Return the coordinates of each subspace and the label of each coordinate."""

    def named(token: int) -> str:
        return "task" if token == vocabulary.problem() else vocabulary.name(token)

    ends = ["-" if end == 0 else str(end) for end in stream.end]
    return {
        "position": (list(stream.position.values()), list(map(str, stream.position))),
        "token": (list(stream.token.values()), list(map(named, stream.token))),
        "end": (list(stream.end.values()), ends),
        "step": (list(stream.step.values()), list(map(str, stream.step))),
        "seen": (list(stream.seen.values()), list(map(named, stream.seen))),
        "out": (list(stream.out.values()), list(map(named, stream.out))),
        "blank": ([stream.blank], [""]),
    }


def activations() -> tuple[Stream, Vocabulary, list[str], list[Floats]]:
    """Return the subspaces, the vocabulary, the names of the tokens, and the stream [tokens, width] at each stage."""
    parity, layout, vocabulary = task("parity"), SequenceLayout(len(INPUTS)), Vocabulary()
    inputs = np.array([INPUTS])
    tokens = layout.assemble(vocabulary, inputs, parity.states(inputs))
    model = handmade(parity, layout.length, residual="pre-norm")
    names = [name for name, *_ in STAGES]
    _, cache = model.run_with_cache(torch.from_numpy(tokens[:, :-1]), names)
    values = [cache[name][0].detach().double().numpy() for name in names]
    return Stream(parity, layout.length, vocabulary), vocabulary, vocabulary.names(tokens[0, :-1]), values


def draw_stage(ax: Axes, values: Floats, parts: dict[str, tuple[list[int], list[str]]], new: Sequence[str]) -> None:
    """Draw a stage as squares: white is 0; 1 is the subspace's color, paler where an earlier stage wrote it."""
    rows, columns = values.shape
    image = np.ones((rows, columns, 3))
    for name, (coordinates, _) in parts.items():
        strength = 1.0 if name in new else 0.4
        share = np.clip(values[:, coordinates, None], 0, 1) * strength
        ground = 1 - 0.07 * (1 - np.array(to_rgb(COLOURS[name])))
        image[:, coordinates] = (1 - share) * ground + share * np.array(to_rgb(COLOURS[name]))
    edges = np.arange(columns + 1) - 0.5
    ax.pcolormesh(edges, np.arange(rows + 1) - 0.5, image, edgecolors="white", linewidth=0.8)
    ax.set(xlim=(-0.5, columns - 0.5), ylim=(rows - 0.5, -0.5), xticks=[])
    ax.tick_params(length=0)
    for spine in ax.spines.values():
        spine.set_visible(False)
    for coordinates, _ in parts.values():
        ax.axvline(coordinates[0] - 0.5, color=INK, linewidth=0.5)
    ax.axvline(columns - 0.5, color=INK, linewidth=0.5)


def label_subspaces(ax: Axes, parts: dict[str, tuple[list[int], list[str]]]) -> None:
    """Label the subspaces and their coordinates above the first stage."""
    for name, (coordinates, labels) in parts.items():
        middle = (coordinates[0] + coordinates[-1]) / 2
        alone = len(coordinates) == 1
        ax.annotate(
            name, (middle, -0.5), (0, 3 if alone else 25), textcoords="offset points", ha="center", va="bottom",
            color=COLOURS[name], fontsize=6.5 if alone else 8.5, fontweight="normal" if alone else "bold",
            rotation=90 if alone else 0, annotation_clip=False,
        )  # fmt: skip
        for coordinate, label in zip(coordinates, labels, strict=True):
            ax.annotate(
                label, (coordinate, -0.5), (0, 3), textcoords="offset points", ha="center", va="bottom",
                fontsize=6.5, color=QUIET, annotation_clip=False, rotation=90 if len(label) > 1 else 0,
            )  # fmt: skip


def draw() -> Figure:
    """Return the figure."""
    stream, vocabulary, names, stages = activations()
    parts = segments(stream, vocabulary)
    figure = Figure(figsize=(7.4, 7.2))
    height, gap, top = 0.163, 0.022, 0.93
    for index, (values, (_, title, new, how)) in enumerate(zip(stages, STAGES, strict=True)):
        ax = figure.add_axes((0.065, top - (index + 1) * height - index * gap, 0.705, height))
        draw_stage(ax, values, parts, new)
        ax.set_yticks(range(len(names)), names)
        if index == 0:
            label_subspaces(ax, parts)
        ax.text(1.02, 0.97, title, transform=ax.transAxes, va="top", fontsize=9, fontweight="bold")
        ax.text(1.02, 0.78, how, transform=ax.transAxes, va="top", fontsize=8, color=COLOURS[new[0]], linespacing=1.35)
    return figure


if __name__ == "__main__":
    with style():
        drawing = draw()
        path = Path(__file__).parent.parent / "images" / "construction.png"
        path.parent.mkdir(exist_ok=True)
        drawing.savefig(path, dpi=170, metadata={"Software": None})
    print(path)
