"""The attention function that Hugging Face models call while a `LanguageModel` runs them.

PyTorch's fused attention computes the output of every query. Maps are written out for the chosen queries only: so a
model keeps its speed, and a map takes Q x T numbers a head instead of T x T. Where a hook changes a map, the output of
its queries is computed again.

Letters: `B` sequences, `T` tokens, `Q` queries whose maps are wanted, `H` heads, `K` key-value heads, `D` their width.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import sdpa_mask
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from iterhead.errors import UserError
from iterhead.model.hooks import HookPoints

NAME = "iterhead"
"""The `attn_implementation` under which the function is registered."""

UNSUPPORTED = ("s_aux", "position_bias")
"""Arguments that change the maps in ways that `_scores` does not know."""

SCORES_AT_ONCE = 2**24
"""Most scores that are held at once where the fused kernel cannot be used, over all sequences and heads."""


@dataclass(frozen=True, eq=False)
class Capture:
    """What one forward pass keeps and changes.

    Attributes:
        hook_points: the hooks, and the activations to keep.
        queries: the queries whose maps are written out: [Q], or [B, Q] if they differ between sequences.
        last_queries: those of the last layer.
        last_layer: its number.
    """

    hook_points: HookPoints
    queries: Tensor
    last_queries: Tensor
    last_layer: int

    def queries_of(self, layer: int) -> Tensor:
        """Return the queries whose maps a layer writes out."""
        return self.last_queries if layer == self.last_layer else self.queries


_capture: ContextVar[Capture | None] = ContextVar("capture", default=None)


@contextmanager
def capturing(capture: Capture) -> Iterator[None]:
    """Let the attention of every model that runs within the block keep and change what `capture` says."""
    token = _capture.set(capture)
    try:
        yield
    finally:
        _capture.reset(token)


def attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    """Return the output [B, T, H, D] for queries [B, H, T, D] and keys and values [B, K, T, D], after the hooks.

    `attention_mask` is None (causal), True where a query may attend, or added to the scores. The signature is that of
    `transformers.AttentionInterface`.
    """
    if any(options.get(name) is not None for name in UNSUPPORTED):
        raise UserError(f"{type(module).__name__}: attention with sinks or position biases is not supported")
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    capture = _capture.get()
    if capture is None:
        return _output(module, query, key, value, attention_mask, scaling, options), None
    layer: int = module.layer_idx  # type: ignore[assignment]
    hook_points, prefix = capture.hook_points, f"blocks.{layer}.attn."
    query, key, value = (
        hook_points(f"{prefix}hook_{name}", x.transpose(1, 2)).transpose(1, 2)
        for name, x in zip("qkv", (query, key, value), strict=True)
    )
    z = _output(module, query, key, value, attention_mask, scaling, options)
    scores_name, pattern_name = f"{prefix}hook_attn_scores", f"{prefix}hook_pattern"
    if scores_name in hook_points or pattern_name in hook_points:
        queries = capture.queries_of(layer)
        scores = _scores(query, key, attention_mask, scaling, options.get("softcap"), queries)
        pattern = hook_points(pattern_name, hook_points(scores_name, scores).softmax(-1))
        if hook_points.is_changed(scores_name) or hook_points.is_changed(pattern_name):
            z = _replace_rows(z, queries, _mix(pattern, value))
    return hook_points(f"{prefix}hook_z", z), None


def _output(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float,
    options: dict[str, Any],
) -> Tensor:
    """Return the output of every query, [B, T, H, D], by the fused kernel unless scores are capped."""
    softcap = options.get("softcap")
    if softcap is None:
        fused = ALL_ATTENTION_FUNCTIONS["sdpa"]
        output: Tensor = fused(module, query, key, value, attention_mask, scaling=scaling, **options)[0]
        return output
    B, H, T, _ = query.shape
    at_once = max(1, SCORES_AT_ONCE // (B * H * key.shape[2]))
    parts = torch.split(torch.arange(T, device=query.device), at_once)
    scores = (_scores(query, key, attention_mask, scaling, softcap, part) for part in parts)
    return torch.cat([_mix(part.softmax(-1), value) for part in scores], dim=1)


def _scores(
    query: Tensor, key: Tensor, attention_mask: Tensor | None, scaling: float, softcap: float | None, queries: Tensor
) -> Tensor:
    """Return the scores [B, H, Q, T] of `queries`, at least in float32.

    Where a query may not attend, they are the lowest number, not minus infinity: the softmax of a row of padding, which
    may attend to nothing, is then uniform instead of nan.
    """
    B, H, T, D = query.shape
    keys = key.shape[2]
    wide = torch.promote_types(query.dtype, torch.float32)
    rows = _rows(query, queries).to(wide)
    grouped = rows.reshape(B, key.shape[1], -1, D)  # the queries of a key-value head's group, one after another
    scores = (grouped @ key.to(wide).mT).view(B, H, -1, keys) * scaling
    if softcap is not None:
        scores = softcap * torch.tanh(scores / softcap)
    if attention_mask is None:
        positions = queries[:, None] if queries.dim() == 2 else queries
        mask = positions[..., None] + (keys - T) >= torch.arange(keys, device=query.device)
    else:
        every_sequence = attention_mask.expand(B, -1, -1, -1) if queries.dim() == 2 else attention_mask
        mask = _rows(every_sequence, queries)
        if mask.dtype != torch.bool:
            return scores + mask
    return scores.masked_fill(~mask, torch.finfo(scores.dtype).min)


def _rows(x: Tensor, queries: Tensor) -> Tensor:
    """Return x [B, H, T, ...] at queries [Q] or [B, Q]: [B, H, Q, ...]."""
    if queries.dim() == 1:
        return x[:, :, queries]
    return x.gather(2, queries[:, None, :, None].expand(-1, x.shape[1], -1, x.shape[3]))


def _mix(pattern: Tensor, value: Tensor) -> Tensor:
    """Return the outputs [B, Q, H, D] of maps [B, H, Q, T] and values [B, K, T, D], in the dtype of the values."""
    B, H, Q, T = pattern.shape
    grouped = pattern.to(value.dtype).reshape(B, value.shape[1], -1, T)
    return (grouped @ value).view(B, H, Q, -1).transpose(1, 2)


def _replace_rows(z: Tensor, queries: Tensor, rows: Tensor) -> Tensor:
    """Return z [B, T, H, D] with `rows` [B, Q, H, D] at the queries."""
    index = queries if queries.dim() == 2 else queries.expand(len(z), -1)
    return z.scatter(1, index[..., None, None].expand_as(rows), rows)


AttentionInterface.register(NAME, attention)
AttentionMaskInterface.register(NAME, sdpa_mask)
