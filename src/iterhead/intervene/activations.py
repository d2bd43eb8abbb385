"""Hooks: what is changed at a site of the forward pass, for some heads and positions only.

An edit set is a plain mapping from a site's name to a function of the activation there, which
`Transformer.forward(tokens, hooks=...)` and `cache` apply; the model knows nothing of what is in it. Hooks speak of
trailing axes only, so the same set serves one network ([B, T, ...]) and a population ([M, B, T, ...]).

Letters: `M` networks, `B` sequences, `T` tokens, `H` heads, `D` width.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from iterhead.errors import UserError
from iterhead.measure.evaluate import CHUNK
from iterhead.model import Hook, Transformer

Hooks = Mapping[str, Hook]
"""Hooks by the name of their site."""

Heads = int | Sequence[int] | None
"""One head, several, or (None) all heads of the layer, counted from 0."""

Positions = slice | Sequence[int] | NDArray[np.int64] | None
"""Positions in the sequence, e.g. `layout.states`; None for all. At attention maps: positions of queries."""


def compose(*hooks: Hooks) -> dict[str, Hook]:
    """Return all hooks as one set; several at one site are applied in the order given."""
    together: dict[str, Hook] = {}
    for part in hooks:
        for site, edit in part.items():
            together[site] = _in_turn(together[site], edit) if site in together else edit
    return together


def _in_turn(first: Hook, second: Hook) -> Hook:
    return lambda x: second(first(x))


def replace(
    site: str, new: Callable[[Tensor], Tensor], *, head: Heads = None, positions: Positions = None
) -> dict[str, Hook]:
    """Return the edit that puts `new(x)` in the place of an activation x, for some heads and positions only.

    Args:
        site: any site's name, e.g. `blocks.1.attn.hook_z`.
        new: gives an activation that broadcasts against the one it gets.
        head: which heads; for sites that have an axis of heads (those within `attn.`).
        positions: which positions; queries, at the sites of attention maps.

    Raises:
        UserError: when the edit is applied and a head or a position is not there.
    """

    def edit(x: Tensor) -> Tensor:
        made = new(x)
        return torch.where(_chosen(x, site, head, positions), made, x)

    return {site: edit}


def zero(site: str, *, head: Heads = None, positions: Positions = None) -> dict[str, Hook]:
    """Return the edit that sets an activation to zero (zero-ablation).

    For a head use `blocks.i.attn.hook_z`, for an MLP `blocks.i.hook_mlp_out`: what they add to the stream is then
    nothing. See `replace` for the arguments.
    """
    return replace(site, torch.zeros_like, head=head, positions=positions)


def mean_ablation(site: str, mean: Tensor, *, head: Heads = None, positions: Positions = None) -> dict[str, Hook]:
    """Return the edit that puts the mean over sequences in the place of each sequence's own activation.

    Args:
        site: a site's name.
        mean: from `site_means`: the activation's shape without its axis of sequences. It is a mean for each position,
            so what a position alone decides is kept, and what differs between sequences is lost.
        head: see `replace`.
        positions: see `replace`.

    Raises:
        UserError: when the edit is applied and the shapes disagree.
    """

    def new(x: Tensor) -> Tensor:
        axis = x.dim() + _sequence_axis(site)
        expected = [*x.shape[:axis], *x.shape[axis + 1 :]]
        _check_shape("the mean", site, mean, expected)
        return mean.to(x).unsqueeze(axis)

    return replace(site, new, head=head, positions=positions)


def patch(site: str, donor: Tensor, *, head: Heads = None, positions: Positions = None) -> dict[str, Hook]:
    """Return the edit that puts another input's activation in the place of this one's (activation patching).

    Args:
        site: a site's name.
        donor: the activation there for other tokens, `model.run_with_cache(others, [site])[1][site]`; of the same
            shape.
        head: see `replace`.
        positions: see `replace`; of the donor as well.

    Raises:
        UserError: when the edit is applied and the shapes disagree.
    """

    def new(x: Tensor) -> Tensor:
        _check_shape("the donor", site, donor, list(x.shape))
        return donor.to(x)

    return replace(site, new, head=head, positions=positions)


@torch.no_grad()
def site_means(model: Transformer, tokens: Tensor, sites: Iterable[str] = ("*",)) -> dict[str, Tensor]:
    """Return the mean activation over sequences at each site: the activation's shape without that axis.

    Args:
        model: one network or M of them.
        tokens: sequences of one length, [B, T] or [M, B, T]; as many tokens of each as the ablated ones will have.
        sites: names, where `*` stands for any text.
    """
    axis = tokens.dim() - 2
    sites = list(sites)
    sums: dict[str, Tensor] = {}
    for chunk in torch.split(tokens, CHUNK, dim=axis):
        for site, x in model.run_with_cache(chunk, sites)[1].items():
            sums[site] = sums.get(site, 0.0) + x.sum(axis, dtype=torch.float64)
    dtype = model.embed.W_E.dtype
    return {site: (total / tokens.shape[axis]).to(dtype) for site, total in sums.items()}


def _check_shape(what: str, site: str, given: Tensor, expected: list[int]) -> None:
    if list(given.shape) != expected:
        raise UserError(f"{what} for {site} has shape {list(given.shape)}: expected {expected}, as the activation has")


def is_map(site: str) -> bool:
    """Whether a site holds attention maps [..., H, T, T]."""
    return site.endswith(("hook_pattern", "hook_attn_scores"))


def _has_heads(site: str) -> bool:
    return ".attn." in site


def _sequence_axis(site: str) -> int:
    """Return the axis of sequences, counted from the end."""
    return -4 if _has_heads(site) else -3


def _chosen(x: Tensor, site: str, head: Heads, positions: Positions) -> Tensor:
    """Return what is True at the chosen heads and positions, and broadcasts against an activation of a site."""
    if not _has_heads(site):
        if head is not None:
            raise UserError(f"head={head}: {site} has no axis of heads: leave head out, or choose a site in attn.")
        return _along(x, -2, positions, f"position at {site}")
    head_axis, position_axis = (-3, -2) if is_map(site) else (-2, -3)
    heads = [int(head)] if isinstance(head, int | np.integer) else head
    at_heads = _along(x, head_axis, heads, f"head at {site}")
    return at_heads & _along(x, position_axis, positions, f"position at {site}")


def _along(x: Tensor, axis: int, chosen: Positions, what: str) -> Tensor:
    """Return what is True at the chosen indices of one axis of x, all other axes being 1."""
    size = x.shape[axis]
    shape = [1] * x.dim()
    shape[axis] = size
    mask = torch.ones(size, dtype=torch.bool)
    if chosen is not None:
        mask[:] = False
        mask[_indices(chosen, size, what)] = True
    return mask.view(shape).to(x.device)


def _indices(chosen: slice | Sequence[int] | NDArray[np.int64], size: int, what: str) -> list[int]:
    if isinstance(chosen, slice):
        stop = size if chosen.stop is None else chosen.stop
        indices = list(range(chosen.start or 0, stop, chosen.step or 1))
    else:
        indices = [int(index) for index in chosen]
    beyond = [index for index in indices if not 0 <= index < size]
    if beyond:
        raise UserError(f"{what}: {beyond[0]} is not there: expected 0 .. {size - 1}")
    return indices
