"""Replacements of attention maps: ideal, shifted, uniform, random and shuffled ones.

Each function returns hooks for `blocks.{layer}.attn.hook_pattern`. Its arguments are `layer`, from 0; `head`, one,
several, or None for all of the layer (others keep their map); `queries`, the positions of the rows to change, all by
default. Maps are [..., B, H, Q, T], query by key; rows sum to one, and a query sees the keys up to its own position.
"""

from collections.abc import Callable
from itertools import count
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from iterhead.errors import UserError, nearest
from iterhead.intervene.activations import Heads, Positions, replace
from iterhead.measure.heads import ROLES
from iterhead.model.hooks import Hook, pattern_hook
from iterhead.seeds import IntegerStream
from iterhead.tasks import QueryKeyPairs, SequenceLayout


def ideal_attention(layout: SequenceLayout, role: str, layer: int, head: Heads = None) -> dict[str, Hook]:
    """Make heads attend as the ideal head of a role does, with all their weight (section 3 of the paper).

    Role "first": queries s_1 .. s_L attend to EoI. Role "second": queries EoI, s_1 .. s_{L-1} attend to x_1 .. x_L.
    All other rows keep the network's weights, also the second head's query s_L, for which the paper gives no key.

    Raises:
        UserError: for an unknown role or a layout without chain of thought; when the hook runs, for sequences of
            another length or a head that does not exist.
    """
    return _attend_to(_role_pairs(layout, role), layout, layer, head)


def shifted_attention(
    layout: SequenceLayout, k: int, layer: int, head: Heads = None, *, role: str = "second"
) -> dict[str, Hook]:
    """Make heads attend k positions further than the ideal head of a role does.

    For the second role and k = 1, the query that writes s_t attends to x_{t+1}, and at the last step to EoI. Queries
    whose key would lie before the sequence or after the query keep the network's weights. Other arguments and errors
    as for `ideal_attention`.
    """
    queries, keys = _role_pairs(layout, role)
    visible = (keys + k >= 0) & (keys + k <= queries)
    return _attend_to((queries[visible], keys[visible] + k), layout, layer, head)


def attend_to(weights: Tensor, layer: int, head: Heads = None) -> dict[str, Hook]:
    """Make heads attend with given weights, which may differ between sequences.

    Args:
        weights: [B, Q, T], for the queries whose maps are written out: all of a `Transformer` (in its last layer the
            output positions), or the `query_positions` of a `LanguageModel`. Rows of zeros keep the network's weights.
        layer: from 0.
        head: one, several, or None for all of the layer.

    Raises:
        UserError: when the hook runs, for weights of another shape than the maps or a head that does not exist.
    """

    def new(pattern: Tensor) -> Tensor:
        expected = [*pattern.shape[:-3], *pattern.shape[-2:]]
        if list(weights.shape) != expected:
            raise UserError(f"weights of shape {list(weights.shape)}: expected {expected}, as the maps of a head have")
        rows = weights.to(pattern).unsqueeze(-3)
        return torch.where(rows.sum(-1, keepdim=True) > 0, rows, pattern)

    return replace(pattern_hook(layer), new, head=head)


def uniform_attention(layer: int, head: Heads = None, *, queries: Positions = None) -> dict[str, Hook]:
    """Spread each query's weight evenly over the keys that it sees."""

    def new(pattern: Tensor) -> Tensor:
        visible = torch.ones_like(pattern).tril()
        return visible / visible.sum(-1, keepdim=True)

    return replace(pattern_hook(layer), new, head=head, positions=queries)


def random_attention(layer: int, head: Heads = None, *, seed: int, queries: Positions = None) -> dict[str, Hook]:
    """Put all weight of each query on one key, drawn uniformly from those it sees.

    The key is drawn for each sequence, head and query. A single key keeps the head's output at its usual size, so that
    only its content is wrong. Each application draws again, so that chunks of a data set get different maps; calling
    this function again gives the same draws in the same order.
    """
    stream = _streams(seed, "random attention", layer)

    def new(pattern: Tensor) -> Tensor:
        visible = np.arange(1, pattern.shape[-2] + 1)
        shares = stream(pattern).uniform(pattern[..., 0].numel()).reshape(pattern.shape[:-1])
        keys = torch.from_numpy((shares * visible).astype(np.int64)).to(pattern.device)
        return torch.zeros_like(pattern).scatter_(-1, keys.unsqueeze(-1), 1.0)

    return replace(pattern_hook(layer), new, head=head, positions=queries)


def shuffled_attention(
    layer: int,
    head: Heads = None,
    *,
    seed: int,
    over: Literal["keys", "sequences"] = "keys",
    queries: Positions = None,
) -> dict[str, Hook]:
    """Shuffle the network's own maps. Draws as for `random_attention`.

    "keys" permutes each query's weights among the keys that it sees: as sharp as before, but elsewhere. "sequences"
    gives each sequence the map of another one in the batch. That breaks heads that attend by content, but not iteration
    heads, which attend by position (claim 3).

    Raises:
        UserError: for another `over`; when the hook runs, for a batch of one sequence to be shuffled over sequences.
    """
    shuffles = {"keys": _permuted_keys, "sequences": _other_sequences}
    if over not in shuffles:
        raise UserError(f"over={over!r}: expected keys or sequences{nearest(over, shuffles)}")
    stream, shuffle = _streams(seed, f"shuffled attention over {over}", layer), shuffles[over]
    return replace(pattern_hook(layer), lambda pattern: shuffle(pattern, stream(pattern)), head=head, positions=queries)


def _permuted_keys(pattern: Tensor, stream: IntegerStream) -> Tensor:
    ranks = stream.uniform(pattern.numel()).reshape(pattern.shape)
    hidden = np.tri(*pattern.shape[-2:]) == 0
    ranks[..., hidden] = 1.0  # after every visible key, so that visible keys are permuted among themselves
    order = np.argsort(ranks, axis=-1, kind="stable")
    return pattern.gather(-1, torch.from_numpy(order).to(pattern.device))


def _other_sequences(pattern: Tensor, stream: IntegerStream) -> Tensor:
    """Return each sequence's neighbour's map, in a random circle through all sequences."""
    sequences = pattern.shape[-4]
    if sequences < 2:
        raise UserError("over='sequences': the batch has one sequence: expected at least two")
    circle = stream.permutation(sequences)
    donors = np.empty_like(circle)
    donors[circle] = np.roll(circle, 1)
    return pattern.index_select(-4, torch.from_numpy(donors).to(pattern.device))


def _streams(seed: int, purpose: str, layer: int) -> Callable[[Tensor], IntegerStream]:
    """Return a function that gives a new random stream at each call, named by the number of calls before."""
    applications = count()
    return lambda pattern: IntegerStream(seed, purpose, layer, pattern.shape[-1], next(applications))


def _role_pairs(layout: SequenceLayout, role: str) -> QueryKeyPairs:
    if role not in ROLES:
        raise UserError(f"role={role!r}: expected one of {', '.join(ROLES)}{nearest(role, ROLES)}")
    return ROLES[role](layout)


def _attend_to(pairs: QueryKeyPairs, layout: SequenceLayout, layer: int, head: Heads) -> dict[str, Hook]:
    """Put all weight of the pairs' queries on their keys."""

    def new(pattern: Tensor) -> Tensor:
        tokens = pattern.shape[-1]
        if tokens not in (layout.input_size, layout.size):
            raise UserError(
                f"a map for length={layout.length} was applied to sequences of {tokens} tokens: expected "
                f"{layout.input_size} (or {layout.size} with EoS)"
            )
        queries, keys = (torch.from_numpy(positions).to(pattern.device) for positions in pairs)
        peaks = pattern.new_zeros(pattern.shape[-2:])
        peaks[queries, keys] = 1.0
        return peaks

    return replace(pattern_hook(layer), new, head=head, positions=pairs[0])
