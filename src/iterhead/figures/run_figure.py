"""The figure of a run: attention maps above, accuracy and peakiness over epochs below."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
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
    from iterhead.data.splits import Dataset
    from iterhead.measure.records import Scores
    from iterhead.model.hooks import HookedModel


HeadMap = tuple[str, NDArray[np.floating], QueryKeyPairs | None]
"""One head on one sequence: its title, its weights [T, T], and the pairs to outline."""


def run_figure_files(
    config: RunConfig, model: "HookedModel", dataset: "Dataset", history: Mapping[int, "Scores"], scores: "Scores"
) -> dict[str, bytes]:
    """Return figure.png and figure.pdf of a run, with the best pair on the first test sequence of the longest length.

    `model` is the network after its last epoch, `history` the regular evaluations by epoch, `scores` the last ones.
    """
    layout = config.data.layout(config.data.max_length)
    tokens = dataset.test[layout.length][0][: layout.input_size]
    names = Vocabulary(config.model.vocabulary).names(tokens)
    return render(run_figure(config, history, scores, names, _maps(model, layout, tokens, scores)))


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


def _maps(model: "HookedModel", layout: SequenceLayout, tokens: NDArray[np.int64], scores: "Scores") -> list[HeadMap]:
    """Return the maps of the best pair; without chain of thought, those of each layer's first head, two at most."""
    import torch  # not at the top: drawing needs none of these

    from iterhead.measure.heads import ROLES
    from iterhead.model.hooks import PATTERN_HOOKS, pattern_hook

    with torch.no_grad():
        _, cache = model.run_with_cache(torch.from_numpy(tokens)[None], PATTERN_HOOKS)

    def head_map(title: str, head: tuple[int, int], role: str | None = None) -> HeadMap:
        weights = cache[pattern_hook(head[0])][0, head[1]].double().numpy()
        return title.format(head_label(head)), weights, ROLES[role](layout) if role else None

    if scores.best_pair is None:
        layers = dict.fromkeys((0, model.layers - 1))
        return [head_map("{}", (layer, 0)) for layer in layers]
    first, second = scores.best_pair
    return [
        head_map(_title("First head", "EoI", scores.first_peakiness), first, "first"),
        head_map(_title("Iteration head", "x_t", scores.second_peakiness), second, "second"),
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
"""Extra room for curves next to a map: their axis label is wider than the token names of a second map."""
_BELOW_MAP = 0.62
_ABOVE_MAP = 0.42
_BELOW_CURVES = 0.42
_ABOVE_CURVES = 0.4
_BESIDE = 0.26
"""What a lower panel leaves free on its right, for a colour bar or the name of the threshold."""


@style()
def run_figure(
    config: RunConfig,
    history: Mapping[int, "Scores"],
    scores: "Scores",
    tokens: Sequence[str],
    maps: Sequence[HeadMap],
) -> Figure:
    """Draw a run, 8 inches wide; ValueError if there are not one or two maps.

    `maps` show the sequence whose T names are `tokens`, without EoS. Two maps are above the panels of accuracy and
    peakiness; one map has them on its right. Other arguments as for `run_figure_files`.
    """
    if len(maps) not in (1, 2):
        raise ValueError(f"{len(maps)} maps: expected one or two")
    lengths, epochs = np.asarray(list(scores.accuracy_by_length)), np.asarray(list(history))
    title = f"{config.task}: lengths {lengths[0]} to {lengths[-1]}, width {config.model.width}, seed {config.seed}"
    subtitle = textwrap.wrap(_subtitle(scores, config.data.split), 118)
    base, panels = _rows(len(maps))
    figure = Figure(figsize=(_WIDTH, base + _MAP + _ABOVE_MAP + 0.36 + LINE * len(subtitle)))
    write_head(figure, title, subtitle, title_at=0.08, lines_at=0.3)
    queries = config.data.layout(config.data.max_length).output_positions
    for left, (label, weights, pairs) in zip((_LEFT, _SECOND), maps, strict=False):
        ax = add_axes(figure, (left, base, _MAP, _MAP))
        mesh = attention_map(ax, weights, tokens, pairs, queries=queries, title=label)
        if left != _LEFT:
            ax.set_ylabel("")  # the rows are those of the first map
    weight_scale(figure, ax, mesh)
    upper, lower = (add_axes(figure, place) for place in panels)
    accuracy = np.asarray([[past.accuracy_by_length[length] for length in lengths] for past in history.values()])
    mesh = accuracy_by_length(upper, epochs, lengths, accuracy)
    figure.colorbar(mesh, cax=upper.inset_axes((1.015, 0, 0.03, 1)), ticks=[0, 0.5, 1], format="%g")
    first, second, mean = (_curve(history, name) for name in ("first_peakiness", "second_peakiness", "accuracy"))
    peakiness(lower, epochs, first, second, EMERGED_PEAKINESS, accuracy=mean)
    return figure


def _curve(history: Mapping[int, "Scores"], name: str) -> np.ndarray | None:
    """Return a score over epochs, [E], or None where the run has no such score."""
    values = [getattr(scores, name) for scores in history.values()]
    return None if None in values else np.asarray(values)


def _rows(maps: int) -> tuple[float, list[tuple[float, float, float, float]]]:
    """Return the bottom of the maps, and the places of the panels of accuracy and peakiness."""
    width = _MAP - _BESIDE
    if maps == 2:
        base = _BELOW_CURVES + _CURVES + _ABOVE_CURVES + _BELOW_MAP
        return base, [(_LEFT, _BELOW_CURVES, width, _CURVES), (_SECOND, _BELOW_CURVES, width, _CURVES)]
    half = (_MAP - _BELOW_CURVES - _ABOVE_CURVES) / 2
    left, width = _SECOND + _AXIS_LABEL, width - _AXIS_LABEL
    return _BELOW_MAP, [(left, _BELOW_MAP + _MAP - half, width, half), (left, _BELOW_MAP, width, half)]
