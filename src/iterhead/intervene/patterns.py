"""Attention replaced: by the ideal map, a uniform, random or shuffled one, or one that looks k positions too far.

Each function returns an edit set for `blocks.{layer}.attn.hook_pattern`; layers and heads count from 0, and heads that
are not named keep their map. Maps are [..., B, H, Q, T]: of each sequence and head, query by key, rows summing to one.
A query sees the keys up to its own position.
"""

from collections.abc import Callable
from itertools import count
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from iterhead.errors import UserError, nearest
from iterhead.intervene.activations import Heads, Positions, replace
from iterhead.measure import ROLES
from iterhead.model import Hook, pattern_hook
from iterhead.seeds import IntegerStream
from iterhead.tasks import QueryKeyPairs, SequenceLayout


def ideal_attention(layout: SequenceLayout, role: str, layer: int, head: Heads = None) -> dict[str, Hook]:
    """Return the edit that makes heads attend as the circuit's head does, with all their weight.

    Only the role's queries are changed (section 3 of the paper): "first", queries s_1 .. s_L look at EoI; "second",
    queries EoI, s_1 .. s_{L-1} look at x_1 .. x_L. Every other row stays the network's own, also that of the second
    head's query s_L, which writes EoS: the paper gives it no ideal key (the network set by hand looks at EoI).

    Args:
        layout: of the sequences that will be run.
        role: "first" or "second".
        layer: from 0.
        head: one, several, or None for all of the layer.

    Raises:
        UserError: for an unknown role, or a layout without chain of thought; when applied, for sequences that do not
            have the layout or a head that is not there.
    """
    return _looking_at(_role_cells(layout, role), layout, layer, head)


def shifted_attention(
    layout: SequenceLayout, k: int, layer: int, head: Heads = None, *, role: str = "second"
) -> dict[str, Hook]:
    """Return the edit that makes heads look k positions further than the ideal head of a role does.

    With the second role and k = 1, the query that writes s_t looks at x_{t+1}; at the last step that is the position
    of EoI, so the head brings EoI there, no input. Queries whose key would fall outside what they see (before the
    sequence, or behind the query itself) stay the network's own. Arguments and errors as `ideal_attention`.
    """
    queries, keys = _role_cells(layout, role)
    seen = (keys + k >= 0) & (keys + k <= queries)
    return _looking_at((queries[seen], keys[seen] + k), layout, layer, head)


def uniform_attention(layer: int, head: Heads = None, *, queries: Positions = None) -> dict[str, Hook]:
    """Return the edit that makes each query spread its weight evenly over the keys that it sees.

    Args:
        layer: from 0.
        head: one, several, or None for all of the layer.
        queries: positions of the rows to change; all unless given.
    """

    def new(pattern: Tensor) -> Tensor:
        visible = torch.ones_like(pattern).tril()
        return visible / visible.sum(-1, keepdim=True)

    return replace(pattern_hook(layer), new, head=head, positions=queries)


def random_attention(layer: int, head: Heads = None, *, seed: int, queries: Positions = None) -> dict[str, Hook]:
    """Return the edit that makes each query put all its weight on one key, drawn uniformly from those it sees.

    A key for each sequence, head and query. The peak keeps what the head brings of the usual size, so that what
    follows is spoilt by the wrong content alone. Each application draws anew, so that chunks of one data set get
    different maps; the same call again gives the same draws in the same order.

    Args:
        layer: from 0.
        head: one, several, or None for all of the layer.
        seed: of the draws.
        queries: positions of the rows to change; all unless given.
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
    """Return the edit that shuffles the network's own maps.

    "keys": each query's weights are dealt out anew among the keys that it sees: as sharp as before, but elsewhere.
    "sequences": each sequence gets the map of another one of the batch. That spoils a head that looks for content,
    and does nothing to one that reads positions, as iteration heads do (claim 3): sequences of one length share its
    map. Draws as in `random_attention`.

    Args:
        layer: from 0.
        head: one, several, or None for all of the layer.
        seed: of the draws.
        over: what is shuffled.
        queries: positions of the rows to change; all unless given.

    Raises:
        UserError: for another `over`; when applied over sequences to fewer than two.
    """
    shuffles = {"keys": _dealt_over_keys, "sequences": _of_another_sequence}
    if over not in shuffles:
        raise UserError(f"over={over!r}: expected keys or sequences{nearest(over, shuffles)}")
    stream, shuffle = _streams(seed, f"shuffled attention over {over}", layer), shuffles[over]
    return replace(pattern_hook(layer), lambda pattern: shuffle(pattern, stream(pattern)), head=head, positions=queries)


def _dealt_over_keys(pattern: Tensor, stream: IntegerStream) -> Tensor:
    places = stream.uniform(pattern.numel()).reshape(pattern.shape)
    hidden = np.tri(*pattern.shape[-2:]) == 0
    places[..., hidden] = 1.0  # behind every visible key, so that the order of those is a permutation among them
    order = np.argsort(places, axis=-1, kind="stable")
    return pattern.gather(-1, torch.from_numpy(order).to(pattern.device))


def _of_another_sequence(pattern: Tensor, stream: IntegerStream) -> Tensor:
    """Return each sequence's neighbour's map, in a random circle through all sequences."""
    sequences = pattern.shape[-4]
    if sequences < 2:
        raise UserError("over='sequences': the batch holds one sequence: expected at least two")
    circle = stream.permutation(sequences)
    donors = np.empty_like(circle)
    donors[circle] = np.roll(circle, 1)
    return pattern.index_select(-4, torch.from_numpy(donors).to(pattern.device))


def _streams(seed: int, purpose: str, layer: int) -> Callable[[Tensor], IntegerStream]:
    """Return what gives a new stream for each map it is shown, named by how many have been."""
    applications = count()
    return lambda pattern: IntegerStream(seed, purpose, layer, pattern.shape[-1], next(applications))


def _role_cells(layout: SequenceLayout, role: str) -> QueryKeyPairs:
    if role not in ROLES:
        raise UserError(f"role={role!r}: expected one of {', '.join(ROLES)}{nearest(role, ROLES)}")
    return ROLES[role](layout)


def _looking_at(cells: QueryKeyPairs, layout: SequenceLayout, layer: int, head: Heads) -> dict[str, Hook]:
    """Return the edit that puts all weight of the cells' queries on their keys."""
    queries, keys = cells

    def new(pattern: Tensor) -> Tensor:
        _check_size(layout, pattern.shape[-1])
        peaks = pattern.new_zeros(pattern.shape[-2:])
        peaks[_tensor(queries, pattern), _tensor(keys, pattern)] = 1.0
        return peaks

    return replace(pattern_hook(layer), new, head=head, positions=queries)


def _tensor(indices: NDArray[np.int64], like: Tensor) -> Tensor:
    return torch.from_numpy(indices).to(like.device)


def _check_size(layout: SequenceLayout, tokens: int) -> None:
    """Refuse sequences of another length; with or without their last token, EoS, they have this many tokens."""
    if tokens not in (layout.input_size, layout.size):
        raise UserError(
            f"a map for length={layout.length} was applied to sequences of {tokens} tokens: expected "
            f"{layout.input_size} (or {layout.size} with EoS)"
        )
