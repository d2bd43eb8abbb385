"""The layers' parameters, each with a leading axis of networks. A weight is [M, D_in, D_out]."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from iterhead.settings import ModelConfig

NORM_EPSILON = 1e-5
"""As in the published code."""


class Norm(nn.Module):
    """LayerNorm or RMSNorm with a weight and no bias, or nothing."""

    def __init__(self, kind: str, networks: int, width: int):
        super().__init__()
        self.kind = kind
        if kind != "none":
            self.w = nn.Parameter(torch.ones(networks, width))

    def forward(self, x: Tensor) -> Tensor:
        """Return x [M, ..., D] normalised over its last axis."""
        if self.kind == "none":
            return x
        normalise = F.layer_norm if self.kind == "layer" else F.rms_norm
        width = x.shape[-1:]
        weight = self.w.to(x.dtype)
        if len(weight) == 1:
            return normalise(x, width, weight=weight.squeeze(0), eps=NORM_EPSILON)
        return normalise(x, width, eps=NORM_EPSILON) * weight.view(len(self.w), *[1] * (x.dim() - 2), -1)


class Attention(nn.Module):
    """The four weights of an attention layer, each [M, D, D]; heads stand side by side in the inner axis."""

    def __init__(self, networks: int, width: int):
        super().__init__()
        self.W_Q = nn.Parameter(torch.empty(networks, width, width))
        self.W_K = nn.Parameter(torch.empty(networks, width, width))
        self.W_V = nn.Parameter(torch.empty(networks, width, width))
        self.W_O = nn.Parameter(torch.empty(networks, width, width))


class MLP(nn.Module):
    """Two layers with exact GELU between: W_in [M, D, hidden] and W_out [M, hidden, D], no biases."""

    def __init__(self, networks: int, width: int, hidden: int):
        super().__init__()
        self.W_in = nn.Parameter(torch.empty(networks, width, hidden))
        self.W_out = nn.Parameter(torch.empty(networks, hidden, width))


class Block(nn.Module):
    """One layer: attention and MLP with their norms."""

    def __init__(self, config: ModelConfig, networks: int):
        super().__init__()
        self.ln1 = Norm(config.norm, networks, config.width)
        self.attn = Attention(networks, config.width)
        self.ln2 = Norm(config.norm, networks, config.width)
        self.mlp = MLP(networks, config.width, config.hidden)


class Embedding(nn.Module):
    """Token embedding W_E [M, V, D]."""

    def __init__(self, networks: int, vocabulary: int, width: int):
        super().__init__()
        self.W_E = nn.Parameter(torch.empty(networks, vocabulary, width))


class PositionEmbedding(nn.Module):
    """Position embedding W_pos [M, P, C]: learned, or a buffer that training leaves alone."""

    def __init__(self, config: ModelConfig, networks: int, context: int):
        super().__init__()
        self.W_pos: Tensor
        table = torch.empty(networks, context, config.positions_on)
        if config.positions == "learned":
            self.W_pos = nn.Parameter(table)
        else:
            self.register_buffer("W_pos", table)


class Unembedding(nn.Module):
    """Output layer W_U [M, D, V], untied from the embedding."""

    def __init__(self, networks: int, vocabulary: int, width: int):
        super().__init__()
        self.W_U = nn.Parameter(torch.empty(networks, width, vocabulary))
