"""What a forward pass takes besides the tokens: one context for running hooks, one for training on packed rows.

Letters: `M` networks, `B` sequences or packed rows, `T` tokens of each, `H` heads, `D` width.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from iterhead.data.batches import Packing
from iterhead.model.hooks import HookPoints
from iterhead.settings import ModelConfig

EVERY_POSITION = slice(None)


@dataclass(eq=False)
class KeyValueCache:
    """The keys and values [M, B, T, H, d_head] of the tokens so far, by layer."""

    layers: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict)

    def extend(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Append a layer's keys and values of the newest tokens, and return those of all tokens."""
        if layer in self.layers:
            k, v = (torch.cat(pair, dim=2) for pair in zip(self.layers[layer], (k, v), strict=True))
        self.layers[layer] = (k, v)
        return k, v


@dataclass(frozen=True, kw_only=True, eq=False)
class ForwardContext:
    """What both kinds of forward pass are given.

    Attributes:
        positions: of each token within its sequence, [T] or [B, T].
        output_positions: the tokens of each row that give logits; the last layer is computed for these only.
    """

    positions: Tensor
    output_positions: slice = field(default_factory=lambda: EVERY_POSITION)

    def hooks_of(self, layer: int) -> Callable[[str, Tensor], Tensor]:
        """Return `hook` for a layer's activations, by their names within the layer."""
        return lambda name, activation: self.hook(f"blocks.{layer}.{name}", activation)

    def hook(self, _name: str, activation: Tensor) -> Tensor:
        """Return the activation after the hook at `name`. There are no hooks here, so it is unchanged."""
        return activation


@dataclass(frozen=True, kw_only=True, eq=False)
class HookedContext(ForwardContext):
    """Attention maps are written out, so that hooks can see and replace them. For evaluation and generation.

    Attributes:
        mask: True where a query may attend to a key, [T, T] (or what broadcasts to [B, H, T, T]).
        hook_points: the hooks, and the activations to keep.
        key_values: keys and values of the tokens before these, in generation.
    """

    mask: Tensor
    hook_points: HookPoints
    key_values: KeyValueCache | None = None

    def hook(self, name: str, activation: Tensor) -> Tensor:
        """Return the activation after the hook at `name`."""
        return self.hook_points(name, activation)


@dataclass(frozen=True, kw_only=True, eq=False)
class PackedContext(ForwardContext):
    """Attention is one batched product over packed rows, without hooks. For training.

    Attributes:
        attention_bias: 0 where a query may attend to a key and minus infinity elsewhere, [M * B * H, T, T].
        dtype: of the activations; the weights keep theirs.
        dropout: factors [M, B, T, D] for the embedding, or None.
    """

    attention_bias: Tensor
    dtype: torch.dtype
    dropout: Tensor | None = None


def packed_context(
    packing: Packing, config: ModelConfig, dtype: torch.dtype, networks: int = 1, device: str = "cpu"
) -> PackedContext:
    """Return the context of packed batches, but for dropout, which changes from step to step."""
    bias = torch.zeros(packing.mask_RTT.shape, dtype=dtype).masked_fill_(~packing.mask_RTT, -torch.inf)
    return PackedContext(
        positions=packing.positions_RT.to(device),
        output_positions=slice(packing.outputs_per_row),
        attention_bias=bias.repeat_interleave(config.heads, 0).repeat(networks, 1, 1).to(device),
        dtype=dtype,
    )
