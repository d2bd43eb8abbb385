"""The figure of a run: attention maps above, accuracy and peakiness over epochs below.

`run_picture` gathers the numbers, `run_figure` draws them, and `run_figure_files` does both.
"""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from numpy.typing import NDArray

from iterhead.criteria import EMERGED_PEAKINESS
from iterhead.figures.attention_map import attention_map, weight_scale
from iterhead.figures.curves import accuracy_by_length, peakiness
from iterhead.figures.panels import LINE, add_axes, write_head
from iterhead.figures.style import render, style
from iterhead.formatting import head_label, percent
from iterhead.settings import RunConfig
from iterhead.tasks import QueryKeyPairs, SequenceLayout, Vocabulary

if TYPE_CHECKING:
    from iterhead.data import Dataset
    from iterhead.measure.records import Scores
    from iterhead.model import Transformer


class HeadMap(NamedTuple):
    """One head on one sequence: title, weights [T, T] as for `attention_map`, and the pairs to outline."""

    label: str
    weights: NDArray[np.floating]
    pairs: QueryKeyPairs | None = None


@dataclass(frozen=True, eq=False)  # arrays have no single truth to compare by
class RunPicture:
    """What the picture of a run shows.

    Attributes:
        title: one line.
        subtitle: wrapped to the width of the figure; may be empty.
        tokens: T names of the sequence that the maps show, without EoS.
        queries: positions at which the network writes, EoI first (`SequenceLayout.output_positions`).
        maps: one head or two.
        epochs: [E], increasing.
        lengths: [N], increasing.
        accuracy: [E, N], 0 .. 1; NaN where nothing was measured.
        first_peakiness, second_peakiness: [E], of the best pair, 0 .. 1; None without chain of thought.
        mean_accuracy: [E], 0 .. 1; None leaves it out.
    """

    title: str
    subtitle: str
    tokens: Sequence[str]
    queries: slice
    maps: Sequence[HeadMap]
    epochs: NDArray[np.integer]
    lengths: NDArray[np.integer]
    accuracy: NDArray[np.floating]
    first_peakiness: NDArray[np.floating] | None = None
    second_peakiness: NDArray[np.floating] | None = None
    mean_accuracy: NDArray[np.floating] | None = None


def run_figure_files(
    config: RunConfig, model: "Transformer", dataset: "Dataset", history: Mapping[int, "Scores"], scores: "Scores"
) -> dict[str, bytes]:
    """Return figure.png and figure.pdf of a run; arguments as `run_picture`."""
    return render(run_figure(run_picture(config, model, dataset, history, scores)))


def run_picture(
    config: RunConfig, model: "Transformer", dataset: "Dataset", history: Mapping[int, "Scores"], scores: "Scores"
) -> RunPicture:
    """Return what the figure of a run shows: the best pair of heads on the first test sequence of the longest length.

    `model` is the network after its last epoch, `history` the regular evaluations by epoch, `scores` the last ones.
    """
    layout = config.data.layout(config.data.max_length)
    tokens = dataset.test[layout.length][0][: layout.input_size]
    lengths = np.asarray(list(scores.accuracy_by_length))
    accuracy = [[past.accuracy_by_length[length] for length in lengths] for past in history.values()]
    return RunPicture(
        title=f"{config.task}: lengths {lengths[0]} to {lengths[-1]}, width {config.model.width}, seed {config.seed}",
        subtitle=_subtitle(scores, config.data.split),
        tokens=Vocabulary(config.model.vocabulary).names(tokens),
        queries=layout.output_positions,
        maps=_maps(model, layout, tokens, scores),
        epochs=np.asarray(list(history)),
        lengths=lengths,
        accuracy=np.asarray(accuracy),
        first_peakiness=_curve(history, "first_peakiness"),
        second_peakiness=_curve(history, "second_peakiness"),
        mean_accuracy=np.asarray([past.accuracy for past in history.values()]),
    )


def _curve(history: Mapping[int, "Scores"], name: str) -> np.ndarray | None:
    values = [getattr(scores, name) for scores in history.values()]
    return None if None in values else np.asarray(values)


def _subtitle(scores: "Scores", split: str) -> str:
    seen = "never seen in training" if split == "disjoint" else "drawn as the training ones are"
    tested = f"Mean exact match {percent(scores.accuracy)} on test sequences {seen}"
    if scores.first_peakiness is None or scores.second_peakiness is None:
        return f"{tested}; no chain of thought."
    return (
        f"{tested}. {percent(scores.first_peakiness)} of the written states give EoI most of the first head's "
        f"attention; {percent(scores.second_peakiness)} of those that write s_t give x_t most of the iteration head's."
    )


def _title(role: str, target: str, peakiness: float | None) -> str:
    """Return a map's title with a place for the head's name; a head that seldom looks there is only the nearest."""
    if peakiness is not None and peakiness > 0.5:
        return role + " ({}): looks at " + target
    return f"Nearest to the {role.lower()} ({{}})"


def _maps(model: "Transformer", layout: SequenceLayout, tokens: NDArray[np.int64], scores: "Scores") -> list[HeadMap]:
    """Return the maps of the best pair; without chain of thought, those of each layer's first head, two at most."""
    import torch  # not at the top: drawing needs none of these

    from iterhead.measure.heads import ROLES
    from iterhead.model import PATTERN_HOOKS, pattern_hook

    with torch.no_grad():
        _, cache = model.run_with_cache(torch.from_numpy(tokens)[None], PATTERN_HOOKS)

    def head_map(title: str, head: tuple[int, int], pairs: QueryKeyPairs | None) -> HeadMap:
        weights = cache[pattern_hook(head[0])][0, head[1]].double().numpy()
        return HeadMap(title.format(head_label(head)), weights, pairs)

    if scores.best_pair is None:
        layers = dict.fromkeys((0, model.config.layers - 1))
        return [head_map("{}", (layer, 0), None) for layer in layers]
    first, second = scores.best_pair
    return [
        head_map(_title("First head", "EoI", scores.first_peakiness), first, ROLES["first"](layout)),
        head_map(_title("Iteration head", "x_t", scores.second_peakiness), second, ROLES["second"](layout)),
    ]


# Inches. Placed by hand: the maps are square, so their size decides everything else. Multiples of 0.02 are whole
# pixels at 150 dots per inch: sharp edges, and a file a fifth smaller.
_WIDTH = 8.0
_MAP = 3.24
_CURVES = 1.76
_LEFT = 0.62
_SECOND = _LEFT + _MAP + 0.62
"""Left edge of the second column; the gap holds brackets and names."""
_AXIS_LABEL = 0.12
"""What curves beside a map need in its place: an axis label has more to say than the names of a second map."""
_BELOW_MAP = 0.62
_ABOVE_MAP = 0.42
_BELOW_CURVES = 0.42
_ABOVE_CURVES = 0.4
_BESIDE = 0.26
"""What a lower panel leaves free on its right, for a colour bar or the name of the threshold."""

_Place = tuple[float, float, float, float]
"""Left, bottom, width and height in inches."""


@style()
def run_figure(picture: RunPicture) -> Figure:
    """Draw the picture of a run, 8 inches wide; ValueError if there are not one or two maps.

    Two maps stand above the panels of accuracy and peakiness; one map has them on its right.
    """
    if len(picture.maps) not in (1, 2):
        raise ValueError(f"{len(picture.maps)} maps: expected one or two")
    subtitle = textwrap.wrap(picture.subtitle, 118)
    base, panels = _rows(len(picture.maps))
    figure = Figure(figsize=(_WIDTH, base + _MAP + _ABOVE_MAP + 0.36 + LINE * len(subtitle)))
    write_head(figure, picture.title, subtitle, title_at=0.08, lines_at=0.3)
    for left, (label, weights, pairs) in zip((_LEFT, _SECOND), picture.maps, strict=False):
        ax = add_axes(figure, (left, base, _MAP, _MAP))
        mesh = attention_map(ax, weights, picture.tokens, pairs, queries=picture.queries, title=label)
        if left != _LEFT:
            ax.set_ylabel("")  # the rows are those of the first map
    weight_scale(figure, ax, mesh)
    upper, lower = (add_axes(figure, place) for place in panels)
    mesh = accuracy_by_length(upper, picture.epochs, picture.lengths, picture.accuracy)
    _accuracy_scale(figure, upper, mesh)
    peakiness(
        lower,
        picture.epochs,
        picture.first_peakiness,
        picture.second_peakiness,
        EMERGED_PEAKINESS,
        accuracy=picture.mean_accuracy,
    )
    return figure


def _rows(maps: int) -> tuple[float, list[_Place]]:
    """Return the bottom of the maps, and the places of the panels of accuracy and peakiness."""
    width = _MAP - _BESIDE
    if maps == 2:
        base = _BELOW_CURVES + _CURVES + _ABOVE_CURVES + _BELOW_MAP
        return base, [(_LEFT, _BELOW_CURVES, width, _CURVES), (_SECOND, _BELOW_CURVES, width, _CURVES)]
    half = (_MAP - _BELOW_CURVES - _ABOVE_CURVES) / 2
    left, width = _SECOND + _AXIS_LABEL, width - _AXIS_LABEL
    return _BELOW_MAP, [(left, _BELOW_MAP + _MAP - half, width, half), (left, _BELOW_MAP, width, half)]


def _accuracy_scale(figure: Figure, ax: Axes, mesh: QuadMesh) -> None:
    """Put the scale of accuracy beside its panel."""
    beside = ax.inset_axes((1.015, 0, 0.03, 1))
    figure.colorbar(mesh, cax=beside, ticks=[0, 0.5, 1], format="%g")
