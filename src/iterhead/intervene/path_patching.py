"""Path patching: one head's output for another input reaches one reader only."""

from typing import Literal

import torch
from torch import Tensor

from iterhead.errors import UserError
from iterhead.intervene.activations import Positions, compose, patch, shared_heads
from iterhead.measure.records import Head
from iterhead.model.hooks import Hook, HookedModel


@torch.no_grad()
def path_patch(
    model: HookedModel,
    tokens: Tensor,
    donor: Tensor,
    *,
    sender: Head,
    receiver: tuple[int, int | None],
    into: Literal["q", "k", "v"] = "q",
    through_mlps: bool = True,
    positions: Positions = None,
) -> dict[str, Hook]:
    """Patch what a later layer reads as if one earlier head alone had seen `donor` (path patching).

    A separate forward pass of `tokens` computes what the receiver then reads: the sender's output z is the donor's, all
    other heads from the sender's layer up to the receiver's keep their output for `tokens`, and the MLPs between
    recompute theirs (that is how t reaches the iteration head). From that pass the receiver's queries, keys or values
    are taken and nothing else. Norms act on the whole patched stream, so both residual conventions are followed
    exactly. With all heads of a layer this is a patch of `blocks.i.hook_q_input`.

    Args:
        model: one network or M of them.
        tokens: ids [B, T] or [M, B, T] that the hooks are for.
        donor: ids of the same shape. Cut or pad an input of another length at its end: attention is causal.
        sender: (layer, head) whose output is exchanged.
        receiver: (layer, head) that reads it; head None for all of the layer.
        into: what the receiver reads it as. With grouped queries, keys and values are those of all heads of its group.
        through_mlps: False keeps the MLPs' outputs for `tokens` too, which leaves the direct path.
        positions: the receiver's positions that are patched; all by default.

    Raises:
        UserError: when the receiver is not in a later layer than the sender, or the shapes differ.
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
        *(patch(name, own[name]) for name in held),
    )
    patched = model.run_with_cache(tokens, [read], hooks=exchanged)[1][read]
    heads = receiver[1] if into == "q" else shared_heads(receiver[1], model.heads, patched)
    return patch(read, patched, head=heads, positions=positions)
