"""Convenience functions for notebooks, which take a run or a bare network: tables and drawings of attention heads."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import torch
from torch import Tensor

from iterhead.errors import UserError
from iterhead.figures.attention_map import attention_map as draw_attention_map
from iterhead.formatting import head_label
from iterhead.intervene.activations import Hooks
from iterhead.intervene.effects import MakeHooks, Sequences, chunks
from iterhead.measure.heads import ROLES, RoleSums, outlined_role
from iterhead.measure.records import HEAD_SCORES
from iterhead.model.hooks import PATTERN_HOOKS, pattern_hook
from iterhead.model.transformer import Transformer
from iterhead.runs.run import Run
from iterhead.tasks import SequenceLayout, Vocabulary

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@torch.no_grad()
def head_scores(
    network: Run | Transformer, sequences: Sequences | None = None, make_hooks: MakeHooks | None = None
) -> pl.DataFrame:
    """Return the scores of every head in both roles, for each length.

    Args:
        network: a run, or one network.
        sequences: whole sequences with chain of thought, by length; by default the run's test sequences.
        make_hooks: returns the hooks for each length, to score heads under an intervention.

    Returns:
        Columns length, layer, head (from 0), role ("first" or "second"), peakiness, weight and invariance; see
        `measure.heads.RoleScores`.

    Raises:
        UserError: for a network without sequences, or a run without chain of thought.
    """
    if sequences is None:
        if not isinstance(network, Run):
            raise UserError("head_scores of a network needs sequences: expected arrays [B, size] by length")
        sequences = network.dataset.test
    cot = network.config.data.cot if isinstance(network, Run) else True
    model = network.model if isinstance(network, Run) else network
    rows = []
    for length, tokens in sequences.items():
        layout = SequenceLayout(length, cot)
        hooks = {} if make_hooks is None else make_hooks(layout)
        sums = {
            (layer, role): RoleSums(pairs(layout)) for layer in range(model.layers) for role, pairs in ROLES.items()
        }
        for part in chunks(torch.from_numpy(tokens).to(model.device)):
            _, cache = model.run_with_cache(part[:, :-1], PATTERN_HOOKS, hooks=hooks)
            for (layer, _), total in sums.items():
                total.add(cache[pattern_hook(layer)])
        for (layer, role), total in sums.items():
            scores = total.scores()
            rows += [
                {"length": length, "layer": layer, "head": head, "role": role}
                | {name: float(getattr(scores, name)[head]) for name in HEAD_SCORES}
                for head in range(model.heads)
            ]
    return pl.DataFrame(rows).sort("length", "layer", "head", "role")


def attention_map(
    network: Run | Transformer,
    *,
    layer: int,
    head: int,
    length: int | None = None,
    sequence: int = 0,
    tokens: Sequence[int] | Tensor | None = None,
    hooks: Hooks | None = None,
    ax: "Axes | None" = None,
) -> "Axes":
    """Draw where one head attends in one sequence, outline the keys of the role that it plays, and return the axes.

    Args:
        network: a run, or one network, which needs `tokens`.
        layer: from 0.
        head: from 0.
        length: of the run's test sequence that is drawn; the longest by default.
        sequence: index of the test sequence, from 0.
        tokens: ids of a sequence to draw instead, with its chain of thought, with or without EoS.
        hooks: to draw the map under an intervention.
        ax: where to draw; a new figure by default.

    Raises:
        UserError: for a head, length or sequence that does not exist, a network without tokens, or tokens that are no
            sequence with chain of thought.
    """
    if tokens is not None:
        ids, layout = _given_sequence(network, np.asarray(tokens, dtype=np.int64))
    elif isinstance(network, Run):
        ids, layout = _test_sequence(network, length, sequence)
    else:
        raise UserError("attention_map of a network needs tokens: expected the ids of one sequence")
    model = network.model if isinstance(network, Run) else network
    for name, index, count in (("layer", layer, model.layers), ("head", head, model.heads)):
        if not 0 <= index < count:
            raise UserError(f"{name}={index}: expected 0 .. {count - 1}")
    with torch.no_grad():
        batch = torch.from_numpy(ids)[None].to(model.device)
        _, cache = model.run_with_cache(batch, [pattern_hook(layer)], hooks=hooks)
    weights = cache[pattern_hook(layer)][0, head].double().cpu().numpy()
    pairs, role = outlined_role(weights, layout)
    names = Vocabulary(model.vocabulary).names(ids)
    if ax is None:
        from matplotlib import pyplot  # whose figures a notebook shows

        ax = pyplot.figure(figsize=(5.6, 5.4)).add_axes((0.13, 0.11, 0.8, 0.8))
    title = head_label((layer, head)).capitalize() + role
    draw_attention_map(ax, weights, names, pairs, queries=layout.output_positions, title=title)
    return ax


def _test_sequence(run: Run, length: int | None, sequence: int) -> tuple[np.ndarray, SequenceLayout]:
    """Return a test sequence without EoS, and its layout."""
    length = run.config.data.max_length if length is None else length
    tokens = run.tokens(length)
    if not 0 <= sequence < len(tokens):
        raise UserError(f"sequence={sequence}: expected 0 .. {len(tokens) - 1}, the test sequences of length {length}")
    return tokens[sequence].numpy(), run.config.data.layout(length)


def _given_sequence(network: Run | Transformer, ids: np.ndarray) -> tuple[np.ndarray, SequenceLayout]:
    """Return a sequence without EoS, and its layout, which the position of EoI decides."""
    config = network.config.model if isinstance(network, Run) else network.config
    end_of_input = Vocabulary(config.vocabulary).end_of_input
    at = np.flatnonzero(ids == end_of_input) if ids.ndim == 1 else np.empty(0)
    if len(at) == 1 and at[0] > 1:
        layout = SequenceLayout(int(at[0]) - 1)
        if len(ids) in (layout.input_size, layout.size):
            return ids[: layout.input_size], layout
    raise UserError(
        f"tokens shaped {list(ids.shape)}: expected one sequence: problem, x_1 .. x_L, EoI ({end_of_input}), s_1 .. s_L"
    )
