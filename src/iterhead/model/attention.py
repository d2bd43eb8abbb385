"""Causal attention, twice: with hooks, every map written out; and packed, in as few operations as training needs.

Both compute z = softmax(Q K^T / sqrt(d_head) + mask) V for each head and return z W_O (section 4 of the paper).

Letters: `M` networks, `B` sequences or packed rows, `T` tokens, `Q` queries (T, or the output positions in the last
layer), `H` heads, `D` width.
"""

import torch
from torch import Tensor, nn

from iterhead.model.context import EVERY_POSITION, ForwardContext, HookedContext, PackedContext
from iterhead.model.layers import product
from iterhead.model.positions import rotate
from iterhead.settings import ModelConfig


class Attention(nn.Module):
    """Multi-head attention with weights [M, D, D]; heads are side by side in the inner axis. No biases."""

    def __init__(self, config: ModelConfig, networks: int, layer: int):
        super().__init__()
        self.layer = layer
        self.heads = config.heads
        self.W_Q = nn.Parameter(torch.empty(networks, config.width, config.width))
        self.W_K = nn.Parameter(torch.empty(networks, config.width, config.width))
        self.W_V = nn.Parameter(torch.empty(networks, config.width, config.width))
        self.W_O = nn.Parameter(torch.empty(networks, config.width, config.width))

    def forward(
        self,
        queries: Tensor,
        keys: Tensor,
        context: ForwardContext,
        angles: Tensor | None = None,
        query_positions: slice = EVERY_POSITION,
    ) -> Tensor:
        """Return what attention adds to the stream at each query, [M, B, Q, D].

        `keys` [M, B, T, D] is the normalized stream, `queries` [M, B, Q, D] the same at `query_positions`; `angles`
        [..., T, C / 2] are of a rotary encoding.
        """
        if isinstance(context, PackedContext):
            bias = context.attention_bias[:, query_positions]
            return self.forward_packed(queries, keys, bias, angles, query_positions)
        assert isinstance(context, HookedContext)
        return self.forward_with_hooks(queries, keys, context, angles, query_positions)

    def forward_with_hooks(
        self, queries: Tensor, keys: Tensor, context: HookedContext, angles: Tensor | None, query_positions: slice
    ) -> Tensor:
        """Return what `forward` returns, with every attention map [M, B, H, Q, T] written out."""
        hook = context.hooks_of(self.layer)
        q = self._split_heads(product(hook("hook_q_input", queries), self.W_Q))
        k = self._split_heads(product(hook("hook_k_input", keys), self.W_K))
        v = self._split_heads(product(hook("hook_v_input", keys), self.W_V))
        q, k, v = hook("attn.hook_q", q), hook("attn.hook_k", k), hook("attn.hook_v", v)
        if angles is not None:
            q, k = rotate(q, angles[..., query_positions, :]), rotate(k, angles)
        if context.key_values is not None:
            k, v = context.key_values.extend(self.layer, k, v)
        q, k, v = (x.transpose(2, 3) for x in (q, k, v))
        scores = q @ k.mT * q.shape[-1] ** -0.5
        scores = scores.masked_fill(~context.mask[..., query_positions, :], -torch.inf)
        pattern = hook("attn.hook_pattern", hook("attn.hook_attn_scores", scores).softmax(-1))
        z = hook("attn.hook_z", (pattern @ v).transpose(2, 3))
        return product(z.flatten(-2), self.W_O)

    def forward_packed(
        self, queries: Tensor, keys: Tensor, bias: Tensor, angles: Tensor | None, query_positions: slice
    ) -> Tensor:
        """Return what `forward` returns, in fewer operations; `bias` [M * B * H, Q, T] is the mask.

        A single head is as wide as the stream, so its scores are x (W_Q W_K^T) y^T, and it can mix the streams
        themselves before (W_V W_O): two products of weights replace two of the four products with all tokens (and, in
        the last layer, leave those of the output positions only).
        """
        is_merged = self.heads == 1
        if is_merged and angles is None:
            q, k = self._split_heads(product(queries, product(self.W_Q, self.W_K.mT))), self._split_heads(keys)
        else:
            q, k = self._split_heads(product(queries, self.W_Q)), self._split_heads(product(keys, self.W_K))
        if angles is not None:
            q, k = rotate(q, angles[..., query_positions, :]), rotate(k, angles)
        v = self._split_heads(keys if is_merged else product(keys, self.W_V))
        z = _batched_attention(q, k, v, bias).flatten(-2)
        return product(z, product(self.W_V, self.W_O) if is_merged else self.W_O)

    def _split_heads(self, x: Tensor) -> Tensor:
        """Return x [M, B, T, D] as [M, B, T, H, d_head]."""
        return x.view(*x.shape[:-1], self.heads, -1)


def _batched_attention(q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
    """Return z [M, B, Q, H, d_head]: networks, rows and heads are one axis, and the bias is added within the product.

    At some forty tokens a row this is faster than PyTorch's fused kernel, forward and backward, and ten times so where
    cores are scarce.
    """
    networks, rows, _, heads, width = q.shape
    q, k, v = (x.transpose(2, 3).reshape(networks * rows * heads, -1, width) for x in (q, k, v))
    pattern = torch.baddbmm(bias, q, k.mT, alpha=width**-0.5).softmax(-1)
    return (pattern @ v).view(networks, rows, heads, -1, width).transpose(2, 3)
