"""The numbers behind the picture of a run: one long test sequence's attention maps, and the curves."""

from collections.abc import Mapping

import numpy as np
import torch

from iterhead.criteria import EMERGED_PEAKINESS
from iterhead.data import Dataset
from iterhead.figures import HeadMap, RunPicture
from iterhead.formatting import percent
from iterhead.measure import ROLES, Scores
from iterhead.model import PATTERN_HOOKS, Transformer, pattern_hook
from iterhead.settings import RunConfig
from iterhead.tasks import QueryKeyPairs, SequenceLayout, Vocabulary


def run_picture(
    config: RunConfig, model: Transformer, dataset: Dataset, history: Mapping[int, Scores], scores: Scores
) -> RunPicture:
    """Return what the picture of a run shows.

    Args:
        config: of the run.
        model: as trained last.
        dataset: its first test sequence of the longest length is shown.
        history: the regular evaluations by epoch.
        scores: the last ones, whose best pair of heads is shown.
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
        maps=_maps(model, layout, torch.from_numpy(tokens)[None], scores),
        epochs=np.asarray(list(history)),
        lengths=lengths,
        accuracy=np.asarray(accuracy),
        first_peakiness=_curve(history, "first_peakiness"),
        second_peakiness=_curve(history, "second_peakiness"),
        mean_accuracy=np.asarray([past.accuracy for past in history.values()]),
        threshold=EMERGED_PEAKINESS,
    )


def _curve(history: Mapping[int, Scores], name: str) -> np.ndarray | None:
    values = [getattr(scores, name) for scores in history.values()]
    return None if None in values else np.asarray(values)


def _subtitle(scores: Scores, split: str) -> str:
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


def _maps(model: Transformer, layout: SequenceLayout, tokens: torch.Tensor, scores: Scores) -> list[HeadMap]:
    """Return the maps of the best pair; without chain of thought, those of each layer's first head, two at most."""
    with torch.no_grad():
        _, cache = model.run_with_cache(tokens, PATTERN_HOOKS)

    def head_map(what: str, layer: int, head: int, cells: QueryKeyPairs | None) -> HeadMap:
        weights = cache[pattern_hook(layer)][0, head].double().numpy()
        return HeadMap(what.format(f"layer {layer + 1}, head {head + 1}"), weights, cells)

    if scores.best_pair is None:
        layers = dict.fromkeys((0, model.config.layers - 1))
        return [head_map("{}", layer, 0, None) for layer in layers]
    (first, second), cells = scores.best_pair, [role(layout) for role in ROLES.values()]
    return [
        head_map(_title("First head", "EoI", scores.first_peakiness), *first, cells[0]),
        head_map(_title("Iteration head", "x_t", scores.second_peakiness), *second, cells[1]),
    ]
