"""The layers around attention, each with a leading axis of networks. A weight is [M, D_in, D_out].

Letters: `M` networks, `B` sequences, `T` tokens, `D` width, `V` vocabulary.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from iterhead.settings import ModelConfig

NORM_EPSILON = 1e-5
"""As in the published code."""


def product(x: Tensor, weight: Tensor) -> Tensor:
    """Return x [M, ..., D_in] times weight [M, D_in, D_out], in the dtype of x.

    For one network as a plain matrix product: the batched one takes twice as long in the bfloat16 backward pass.
    """
    weight = weight.to(x.dtype)
    if len(weight) == 1:
        return x @ weight.squeeze(0)
    return (x.flatten(1, -2) @ weight).view(*x.shape[:-1], -1)


def gather_rows(table: Tensor, ids: Tensor) -> Tensor:
    """Return the rows [M, B, T, D] of each network's table [M, V, D] for its ids [M, B, T]."""
    if len(table) > 1:
        ids = ids + table.shape[1] * torch.arange(len(table), device=ids.device)[:, None, None]
    return F.embedding(ids, table.flatten(0, 1))


class Norm(nn.Module):
    """LayerNorm (section 4 of the paper) or RMSNorm, with a weight and no bias, or nothing."""

    def __init__(self, kind: str, networks: int, width: int):
        super().__init__()
        self.kind = kind
        if kind != "none":
            self.w = nn.Parameter(torch.ones(networks, width))

    def forward(self, x: Tensor) -> Tensor:
        """Return x [M, ..., D] normalized over its last axis."""
        if self.kind == "none":
            return x
        normalize = F.layer_norm if self.kind == "layer" else F.rms_norm
        weight = self.w.to(x.dtype)
        if len(weight) == 1:
            return normalize(x, x.shape[-1:], weight=weight.squeeze(0), eps=NORM_EPSILON)
        return normalize(x, x.shape[-1:], eps=NORM_EPSILON) * weight.view(len(weight), *[1] * (x.dim() - 2), -1)


class MLP(nn.Module):
    """GELU(x W_in) W_out (section 4 of the paper): exact GELU, no biases, W_in [M, D, hidden], W_out [M, hidden, D]."""

    def __init__(self, config: ModelConfig, networks: int):
        super().__init__()
        self.W_in = nn.Parameter(torch.empty(networks, config.width, config.hidden))
        self.W_out = nn.Parameter(torch.empty(networks, config.hidden, config.width))

    def forward(self, x: Tensor, hook: Callable[[str, Tensor], Tensor]) -> Tensor:
        """Return what the MLP adds to the stream, shaped as x [M, B, T, D]; `hook` is `context.hooks_of(layer)`."""
        hidden = hook("mlp.hook_pre", product(x, self.W_in))
        return product(hook("mlp.hook_post", F.gelu(hidden)), self.W_out)


class Embedding(nn.Module):
    """Token embedding W_E [M, V, D]."""

    def __init__(self, config: ModelConfig, networks: int):
        super().__init__()
        self.W_E = nn.Parameter(torch.empty(networks, config.vocabulary, config.width))

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the embedding [M, B, T, D] of tokens [M, B, T]."""
        return gather_rows(self.W_E, tokens)


class Unembedding(nn.Module):
    """Output layer W_U [M, D, V], not tied to the embedding."""

    def __init__(self, config: ModelConfig, networks: int):
        super().__init__()
        self.W_U = nn.Parameter(torch.empty(networks, config.width, config.vocabulary))

    def forward(self, x: Tensor) -> Tensor:
        """Return logits [M, B, T, V] of the normalized stream [M, B, T, D]."""
        return product(x, self.W_U)
