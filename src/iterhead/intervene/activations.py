"""Interventions on activations: replace, zero, average or patch, for chosen heads and positions.

An intervention is a mapping from hook names to hooks, for `model(tokens, hooks=...)` and `model.run_with_cache`; the
model knows nothing of what a hook does. Hooks use trailing axes only, so the same mapping serves one network
([B, T, ...]) and a population ([M, B, T, ...]).

Letters: `M` networks, `B` sequences, `T` tokens, `H` heads, `D` width.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from iterhead.errors import UserError
from iterhead.measure.evaluate import CHUNK
from iterhead.model.hooks import Hook, HookedModel

Hooks = Mapping[str, Hook]
"""Hooks by name."""

Heads = int | Sequence[int] | None
"""One head, several, or (None) all heads of the layer, counted from 0."""

Positions = slice | Sequence[int] | NDArray[np.int64] | None
"""Positions in the sequence, e.g. `layout.states`; None for all. In attention maps: positions of queries."""


def compose(*hooks: Hooks) -> dict[str, Hook]:
    """Return all hooks in one mapping; several with the same name are applied in the order given."""
    composed: dict[str, Hook] = {}
    for part in hooks:
        for name, hook in part.items():
            composed[name] = _in_turn(composed[name], hook) if name in composed else hook
    return composed


def _in_turn(first: Hook, second: Hook) -> Hook:
    return lambda x: second(first(x))


def replace(
    name: str, new: Callable[[Tensor], Tensor], *, head: Heads = None, positions: Positions = None
) -> dict[str, Hook]:
    """Replace an activation x by `new(x)`, for some heads and positions only.

    Args:
        name: a hook name, e.g. `blocks.1.attn.hook_z`.
        new: returns an activation that broadcasts against its argument.
        head: which heads; only for hook names within `attn.`, whose activations have an axis of heads.
        positions: which positions; for attention maps, which queries.

    Raises:
        UserError: when the hook runs, for a head or position that does not exist.
    """

    def hook(x: Tensor) -> Tensor:
        replacement = new(x)  # first: its errors say more than that of a position outside the sequence
        return torch.where(_mask(x, name, head, positions), replacement, x)

    return {name: hook}


def zero(name: str, *, head: Heads = None, positions: Positions = None) -> dict[str, Hook]:
    """Set an activation to zero (zero ablation). Arguments and errors as for `replace`.

    At `blocks.i.attn.hook_z` or `blocks.i.hook_mlp_out` this removes what the head or MLP adds to the stream.
    """
    return replace(name, torch.zeros_like, head=head, positions=positions)


def mean_ablation(name: str, mean: Tensor, *, head: Heads = None, positions: Positions = None) -> dict[str, Hook]:
    """Replace each sequence's activation by the mean over sequences.

    Args:
        name: a hook name.
        mean: from `hook_means`: the activation's shape without the axis of sequences. There is a mean for each
            position, so information about the position is kept and information about the sequence is lost.
        head: see `replace`.
        positions: see `replace`.

    Raises:
        UserError: when the hook runs and the shapes differ.
    """

    def new(x: Tensor) -> Tensor:
        axis = x.dim() + (-4 if _has_heads(name) else -3)
        _check_shape("the mean", name, mean, [*x.shape[:axis], *x.shape[axis + 1 :]])
        return mean.to(x).unsqueeze(axis)

    return replace(name, new, head=head, positions=positions)


def ablate_head(layer: int, head: Heads = None, *, mean: Tensor | None = None) -> dict[str, Hook]:
    """Remove the output of heads: set `blocks.{layer}.attn.hook_z` to zero, or to its mean from `hook_means`."""
    name = f"blocks.{layer}.attn.hook_z"
    return zero(name, head=head) if mean is None else mean_ablation(name, mean, head=head)


def patch(name: str, donor: Tensor, *, head: Heads = None, positions: Positions = None) -> dict[str, Hook]:
    """Replace an activation by that of another input (activation patching).

    Args:
        name: a hook name.
        donor: the activation for the other tokens, `model.run_with_cache(others, [name])[1][name]`, of the same shape.
        head: see `replace`.
        positions: see `replace`; the donor's are the same.

    Raises:
        UserError: when the hook runs and the shapes differ.
    """

    def new(x: Tensor) -> Tensor:
        _check_shape("the donor", name, donor, list(x.shape))
        return donor.to(x)

    return replace(name, new, head=head, positions=positions)


def shared_heads(head: Heads, heads: int, x: Tensor) -> Heads:
    """Return the indices in keys or values x [..., T, K, d_head] of what some of the `heads` attention heads read.

    With grouped queries there are fewer key-value heads K, each shared by heads / K attention heads.
    """
    group = heads // x.shape[-2]
    if head is None or group == 1:
        return head
    return sorted({int(each) // group for each in ([head] if isinstance(head, int | np.integer) else head)})


@torch.no_grad()
def hook_means(model: HookedModel, tokens: Tensor, names: Iterable[str] = ("*",)) -> dict[str, Tensor]:
    """Return the mean activation over sequences by hook name: the activation's shape without that axis.

    Args:
        model: one network or M of them.
        tokens: sequences of one length, [B, T] or [M, B, T], as long as those that will be ablated.
        names: hook names, where `*` stands for any text.
    """
    axis = tokens.dim() - 2
    names = list(names)
    sums: dict[str, Tensor] = {}
    for chunk in torch.split(tokens, CHUNK, dim=axis):
        for name, x in model.run_with_cache(chunk, names)[1].items():
            sums[name] = sums.get(name, 0.0) + x.sum(axis, dtype=torch.float64)
    dtype = model.dtype
    return {name: (total / tokens.shape[axis]).to(dtype) for name, total in sums.items()}


def _check_shape(what: str, name: str, tensor: Tensor, expected: list[int]) -> None:
    if list(tensor.shape) != expected:
        raise UserError(f"{what} for {name} has shape {list(tensor.shape)}: expected {expected}, as the activation has")


def is_map(name: str) -> bool:
    """Whether the activation of that name is attention maps [..., H, T, T]."""
    return name.endswith(("hook_pattern", "hook_attn_scores"))


def _has_heads(name: str) -> bool:
    return ".attn." in name


def _mask(x: Tensor, name: str, head: Heads, positions: Positions) -> Tensor:
    """Return a mask, True at the chosen heads and positions, that broadcasts against the activation x."""
    if not _has_heads(name):
        if head is not None:
            raise UserError(f"head={head}: {name} has no axis of heads: leave head out, or use a hook in attn.")
        return _mask_along(x, -2, positions, f"position at {name}")
    head_axis, position_axis = (-3, -2) if is_map(name) else (-2, -3)
    heads = [int(head)] if isinstance(head, int | np.integer) else head
    at_heads = _mask_along(x, head_axis, heads, f"head at {name}")
    return at_heads & _mask_along(x, position_axis, positions, f"position at {name}")


def _mask_along(x: Tensor, axis: int, chosen: Positions, what: str) -> Tensor:
    """Return a mask over the indices of one axis of x, counted from the end; later axes have size 1."""
    size = x.shape[axis]
    if chosen is None:
        chosen = slice(None)
    if isinstance(chosen, slice):
        chosen = range(chosen.start or 0, size if chosen.stop is None else chosen.stop, chosen.step or 1)
    indices = [int(index) for index in chosen]
    outside = [index for index in indices if not 0 <= index < size]
    if outside:
        raise UserError(f"{what}: {outside[0]} does not exist: expected 0 .. {size - 1}")
    mask = torch.zeros(size, dtype=torch.bool)
    mask[indices] = True
    return mask.view(size, *[1] * (-1 - axis)).to(x.device)
