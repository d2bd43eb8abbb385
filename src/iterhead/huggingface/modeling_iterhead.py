"""A network trained by iterhead as a transformers model. This file needs only torch and transformers (5.4 or newer).

    x = embed_tokens(tokens) + embed_positions(positions)      rotary and no positions: without embed_positions
    published layer:   x <- norm1(x);  x <- x + attention(x);         x <- x + mlp(norm2(x))
    pre-norm layer:                    x <- x + attention(norm1(x));  x <- x + mlp(norm2(x))
    logits = lm_head(norm(x))

There are no biases. The paper is Cabannes et al., "Iteration Head: A Mechanistic Study of Chain-of-Thought" (NeurIPS
2024, arXiv 2406.02128).

Letters: `B` sequences, `T` tokens, `S` keys (T and those in the cache), `H` heads, `D` width, `V` vocabulary, `P`
positions, `R` coordinates of a head that rotary positions turn.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import DynamicCache, GenerationMixin, PreTrainedConfig, PreTrainedModel
from transformers.masking_utils import create_causal_mask
from transformers.modeling_outputs import BaseModelOutputWithPast, CausalLMOutputWithPast
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

CACHE = "cache" if "cache" in BaseModelOutputWithPast.__dataclass_fields__ else "past_key_values"
"""What this version of transformers calls the cache of keys and values."""

NORM_EPSILON = 1e-5
LONGEST_WAVE = 10_000.0
"""Ratio of the longest to the shortest wavelength of rotary positions."""


class IterheadConfig(PreTrainedConfig):
    """The shape of the network.

    Args:
        vocab_size, hidden_size, intermediate_size, num_hidden_layers, num_attention_heads, max_position_embeddings: V,
            D, the hidden width of the MLPs, the number of layers, H and P.
        residual: published or pre-norm, see the top of this file.
        norm: layer, rms or none.
        positions: learned, frozen or sinusoidal (all three are rows of `embed_positions`), rotary or none.
        rotary_width: R, even.
    """

    model_type = "iterhead"

    def __init__(
        self,
        vocab_size: int = 64,
        hidden_size: int = 64,
        intermediate_size: int = 256,
        num_hidden_layers: int = 2,
        num_attention_heads: int = 1,
        max_position_embeddings: int = 35,
        residual: str = "published",
        norm: str = "layer",
        positions: str = "learned",
        rotary_width: int = 0,
        tie_word_embeddings: bool = False,
        **kwargs: Any,
    ):
        self.vocab_size = vocab_size
        self.hidden_size = hidden_size
        self.intermediate_size = intermediate_size
        self.num_hidden_layers = num_hidden_layers
        self.num_attention_heads = self.num_key_value_heads = num_attention_heads
        self.head_dim = hidden_size // num_attention_heads
        self.max_position_embeddings = max_position_embeddings
        self.residual = residual
        self.norm = norm
        self.positions = positions
        self.rotary_width = rotary_width
        derived = {"num_key_value_heads", "head_dim"}  # also in config.json, for other tools
        others = {name: value for name, value in kwargs.items() if name not in derived}
        super().__init__(tie_word_embeddings=tie_word_embeddings, **others)


def make_norm(config: IterheadConfig) -> nn.Module:
    """Return a norm over the last axis: with a weight and no bias, or none."""
    if config.norm == "layer":
        return nn.LayerNorm(config.hidden_size, eps=NORM_EPSILON, bias=False)
    return nn.RMSNorm(config.hidden_size, eps=NORM_EPSILON) if config.norm == "rms" else nn.Identity()


class IterheadRotaryEmbedding(nn.Module):
    """Cosines and sines [P, R / 2] of the angles by which the first R coordinates of queries and keys are turned."""

    def __init__(self, config: IterheadConfig):
        super().__init__()
        exponents = torch.arange(0, config.rotary_width, 2, dtype=torch.float64) / config.rotary_width
        positions = torch.arange(config.max_position_embeddings, dtype=torch.float64)
        angles = positions[:, None] * LONGEST_WAVE**-exponents
        self.cosines: Tensor
        self.sines: Tensor
        # Saved with the weights, so that they are as exact as in training.
        self.register_buffer("cosines", angles.cos().to(torch.get_default_dtype()))
        self.register_buffer("sines", angles.sin().to(torch.get_default_dtype()))

    def forward(self, x: Tensor, position_ids: Tensor) -> Tensor:
        """Return queries or keys x [B, H, T, d_head], turned in pairs: coordinates 0 and 1, 2 and 3, ..."""
        cosine, sine = self.cosines[position_ids].unsqueeze(1), self.sines[position_ids].unsqueeze(1)
        width = 2 * cosine.shape[-1]
        even, odd = x[..., 0:width:2], x[..., 1:width:2]
        turned = torch.stack([even * cosine - odd * sine, even * sine + odd * cosine], dim=-1).flatten(-2)
        return torch.cat([turned, x[..., width:]], dim=-1)


def eager_attention_forward(
    module: nn.Module,  # noqa: ARG001 - transformers calls every attention function with these arguments
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float,
    dropout: float = 0.0,  # noqa: ARG001
    **kwargs: Any,  # noqa: ARG001
) -> tuple[Tensor, Tensor]:
    """Return the mixed values [B, T, H, d_head] and the attention maps [B, H, T, S]."""
    scores = query @ key.mT * scaling
    if attention_mask is not None:
        scores = scores + attention_mask
    pattern = scores.softmax(-1)
    return (pattern @ value).transpose(1, 2), pattern


class IterheadAttention(nn.Module):
    """Causal attention through the interface of transformers, which picks eager, sdpa or a registered function."""

    is_causal = True
    num_key_value_groups = 1

    def __init__(self, config: IterheadConfig, layer_idx: int):
        super().__init__()
        self.config = config
        self.layer_idx = layer_idx
        self.head_dim = config.head_dim
        self.scaling = config.head_dim**-0.5
        self.q_proj = nn.Linear(config.hidden_size, config.hidden_size, bias=False)
        self.k_proj = nn.Linear(config.hidden_size, config.hidden_size, bias=False)
        self.v_proj = nn.Linear(config.hidden_size, config.hidden_size, bias=False)
        self.o_proj = nn.Linear(config.hidden_size, config.hidden_size, bias=False)

    def forward(
        self,
        hidden_states: Tensor,
        attention_mask: Tensor | None,
        position_ids: Tensor,
        rotary: IterheadRotaryEmbedding | None = None,
        cache: Any = None,
        **kwargs: Any,
    ) -> tuple[Tensor, Tensor | None]:
        """Return what attention adds to the stream [B, T, D], and its maps [B, H, T, S] where they are computed."""
        query, key, value = (
            project(hidden_states).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        if rotary is not None:
            query, key = rotary(query, position_ids), rotary(key, position_ids)
        if cache is not None:
            key, value = cache.update(key, value, self.layer_idx)
        attend = ALL_ATTENTION_FUNCTIONS.get_interface(self.config._attn_implementation, eager_attention_forward)
        mixed, pattern = attend(self, query, key, value, attention_mask, scaling=self.scaling, dropout=0.0, **kwargs)
        return self.o_proj(mixed.flatten(-2)), pattern


class IterheadMLP(nn.Module):
    """GELU(x W_up) W_down, with the exact GELU."""

    def __init__(self, config: IterheadConfig):
        super().__init__()
        self.up_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.down_proj = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)

    def forward(self, hidden_states: Tensor) -> Tensor:
        """Return what the MLP adds to the stream [B, T, D]."""
        return self.down_proj(F.gelu(self.up_proj(hidden_states)))


class IterheadDecoderLayer(nn.Module):
    """One layer: attention and MLP with their norms, as written at the top of this file."""

    def __init__(self, config: IterheadConfig, layer_idx: int):
        super().__init__()
        self.residual = config.residual
        self.input_layernorm = make_norm(config)
        self.self_attn = IterheadAttention(config, layer_idx)
        self.post_attention_layernorm = make_norm(config)
        self.mlp = IterheadMLP(config)

    def forward(self, hidden_states: Tensor, **kwargs: Any) -> tuple[Tensor, Tensor | None]:
        """Return the stream [B, T, D] after this layer, and the attention maps where they are computed."""
        normalized = self.input_layernorm(hidden_states)
        if self.residual == "published":
            hidden_states = normalized
        attended, pattern = self.self_attn(normalized, **kwargs)
        hidden_states = hidden_states + attended
        return hidden_states + self.mlp(self.post_attention_layernorm(hidden_states)), pattern


class IterheadPreTrainedModel(PreTrainedModel):
    """What transformers must know of these classes."""

    config_class = IterheadConfig
    base_model_prefix = "model"
    _no_split_modules = ("IterheadDecoderLayer",)
    _supports_sdpa = True
    _supports_attention_backend = True


class IterheadModel(IterheadPreTrainedModel):
    """The network without its output layer."""

    def __init__(self, config: IterheadConfig):
        super().__init__(config)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.embed_positions = self.rotary = None
        if config.positions == "rotary":
            self.rotary = IterheadRotaryEmbedding(config)
        elif config.positions != "none":
            self.embed_positions = nn.Embedding(config.max_position_embeddings, config.hidden_size)
        self.layers = nn.ModuleList([IterheadDecoderLayer(config, layer) for layer in range(config.num_hidden_layers)])
        self.norm = make_norm(config)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        cache: Any = None,
        past_key_values: Any = None,
        inputs_embeds: Tensor | None = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        **kwargs: Any,
    ) -> BaseModelOutputWithPast:
        """Return the normalized stream [B, T, D] after the last layer.

        `attention_mask` [B, S] is 0 at padding. Positions are counted without padding unless `position_ids` [B, T] are
        given. `past_key_values` is the former name of `cache`.
        """
        hidden_states = self.embed_tokens(input_ids) if inputs_embeds is None else inputs_embeds
        cache = past_key_values if cache is None else cache
        if cache is None and use_cache:
            cache = DynamicCache(config=self.config)
        if position_ids is None:
            position_ids = self._positions(hidden_states.shape[1], attention_mask, cache)
        mask = create_causal_mask(self.config, hidden_states, attention_mask, **{CACHE: cache})
        if self.embed_positions is not None:
            hidden_states = hidden_states + self.embed_positions(position_ids)
        shared = {"attention_mask": mask, "position_ids": position_ids, "rotary": self.rotary, "cache": cache}
        streams, patterns = [hidden_states], []
        for layer in self.layers:
            hidden_states, pattern = layer(hidden_states, **shared, output_attentions=output_attentions, **kwargs)
            streams.append(hidden_states)
            patterns.append(pattern)
        streams[-1] = hidden_states = self.norm(hidden_states)
        with_attentions = self.config.output_attentions if output_attentions is None else output_attentions
        with_streams = self.config.output_hidden_states if output_hidden_states is None else output_hidden_states
        return BaseModelOutputWithPast(
            last_hidden_state=hidden_states,
            hidden_states=tuple(streams) if with_streams else None,
            attentions=tuple(patterns) if with_attentions else None,
            **{CACHE: cache},
        )

    def _positions(self, tokens: int, attention_mask: Tensor | None, cache: Any) -> Tensor:
        """Return the positions [B or 1, T] of the last `tokens` tokens; padding at the left has position 0."""
        if attention_mask is not None and attention_mask.dim() == 2:
            return (attention_mask.long().cumsum(-1) - 1).clamp(min=0)[:, -tokens:]
        start = 0 if cache is None else cache.get_seq_length()
        return torch.arange(start, start + tokens, device=self.embed_tokens.weight.device).unsqueeze(0)


class IterheadForCausalLM(IterheadPreTrainedModel, GenerationMixin):
    """The network with its output layer, which is not tied to the embedding."""

    def __init__(self, config: IterheadConfig):
        super().__init__(config)
        self.model = IterheadModel(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        cache: Any = None,
        past_key_values: Any = None,
        logits_to_keep: int = 0,
        **kwargs: Any,
    ) -> CausalLMOutputWithPast:
        """Return logits [B, T, V], or those of the last `logits_to_keep` tokens; the rest is as in `IterheadModel`."""
        cache = past_key_values if cache is None else cache
        output = self.model(input_ids, attention_mask, position_ids, cache, **kwargs)
        logits = self.lm_head(output.last_hidden_state[:, -logits_to_keep:])  # 0 keeps all
        return CausalLMOutputWithPast(
            logits=logits,
            hidden_states=output.hidden_states,
            attentions=output.attentions,
            **{CACHE: output.get(CACHE)},
        )
