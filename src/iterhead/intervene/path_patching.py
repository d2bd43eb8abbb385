"""Path patching: another input's head output, let through to one reader only."""

from typing import Literal

import torch
from torch import Tensor

from iterhead.errors import UserError
from iterhead.intervene.activations import Positions, compose, patch
from iterhead.measure import Head
from iterhead.model import Hook, Transformer


@torch.no_grad()
def path_patch(
    model: Transformer,
    tokens: Tensor,
    donor: Tensor,
    *,
    sender: Head,
    receiver: tuple[int, int | None],
    into: Literal["q", "k", "v"] = "q",
    through_mlps: bool = True,
    positions: Positions = None,
) -> dict[str, Hook]:
    """Return the edit, for `tokens`, of what a later layer reads as if one earlier head had seen `donor`.

    In a forward pass of `tokens` beside the edited one, the sender's output z is the donor's; all other heads from the
    sender's layer up to the receiver's write what they write for `tokens`, and the MLPs between compute on what they
    then get (that is how t reaches the iteration head; `through_mlps=False` holds them too and leaves the direct path).
    From that pass the receiver's queries (keys, values) are taken, and nothing else: q = norm1(x') W_Q, x' the stream
    before the receiver with the sender's part exchanged. So every norm acts on the whole exchanged stream; no
    difference of normalised parts is added, and the published residual convention, in which the stream itself is
    normalised, is followed as it is. With all heads this is a patch of `blocks.i.hook_q_input`.

    Args:
        model: one network or M of them.
        tokens: ids [B, T] or [M, B, T] that the edit is for.
        donor: ids of the same shape. For an input of another length, cut or fill it up behind: attention is causal.
        sender: (layer, head) whose output is exchanged.
        receiver: (layer, head) that reads it; head None for all of the layer.
        into: what the receiver reads it as.
        through_mlps: whether the path may lead through MLPs, or only through the stream.
        positions: the receiver's positions that are patched; all unless given.

    Raises:
        UserError: when the receiver does not stand in a later layer, or the shapes disagree.
    """
    if receiver[0] <= sender[0]:
        raise UserError(f"receiver layer {receiver[0]}: expected a later layer than the sender's, {sender[0]}")
    if into not in ("q", "k", "v"):
        raise UserError(f"into={into!r}: expected q, k or v")
    output, read = f"blocks.{sender[0]}.attn.hook_z", f"blocks.{receiver[0]}.attn.hook_{into}"
    held = [f"blocks.{layer}.attn.hook_z" for layer in range(sender[0] + 1, receiver[0])]
    if not through_mlps:
        held += [f"blocks.{layer}.hook_mlp_out" for layer in range(sender[0], receiver[0])]
    _, own = model.run_with_cache(tokens, held)
    exchanged = compose(
        patch(output, model.run_with_cache(donor, [output])[1][output], head=sender[1]),
        *(patch(site, own[site]) for site in held),
    )
    moved = model.run_with_cache(tokens, [read], hooks=exchanged)[1][read]
    return patch(read, moved, head=receiver[1], positions=positions)
