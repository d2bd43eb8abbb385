"""The decoder of the paper (section 4), as a population: every parameter has a leading axis of networks.

Letters: `M` networks, `B` sequences (rows, when packed), `T` tokens of each, `Q` output positions (T unless fewer are
asked for), `D` width, `V` vocabulary, `P` positions.
"""

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from iterhead.errors import UserError
from iterhead.model.attention import Attention
from iterhead.model.context import EVERY_POSITION, ForwardContext, HookedContext, KeyValueCache, PackedContext
from iterhead.model.hooks import ActivationCache, Hook, HookPoints, hook_names
from iterhead.model.layers import MLP, Embedding, Norm, Unembedding
from iterhead.model.population import Population, Tokens
from iterhead.model.positions import POSITION_ENCODINGS
from iterhead.seeds import torch_generator
from iterhead.settings import ModelConfig


class Block(nn.Module):
    """One layer: attention and MLP with their norms.

    published:  x <- norm1(x);  x <- x + attn(x);         x <- x + mlp(norm2(x))
    pre-norm:                   x <- x + attn(norm1(x));  x <- x + mlp(norm2(x))
    """

    def __init__(self, config: ModelConfig, networks: int, layer: int):
        super().__init__()
        self.layer = layer
        self.residual = config.residual
        self.ln1 = Norm(config.norm, networks, config.width)
        self.attn = Attention(config, networks, layer)
        self.ln2 = Norm(config.norm, networks, config.width)
        self.mlp = MLP(config, networks)

    def forward(
        self, x: Tensor, context: ForwardContext, angles: Tensor | None = None, query_positions: slice = EVERY_POSITION
    ) -> Tensor:
        """Return the residual stream [M, B, Q, D] after this layer at `query_positions`; x is [M, B, T, D]."""
        hook = context.hooks_of(self.layer)
        x = hook("hook_resid_pre", x)
        keys = queries = hook("ln1.hook_normalized", self.ln1(x))
        if query_positions != EVERY_POSITION:
            queries, x = keys[:, :, query_positions], x[:, :, query_positions]
        if self.residual == "published":
            x = queries
        x = x + hook("hook_attn_out", self.attn(queries, keys, context, angles, query_positions))
        x = hook("hook_resid_mid", x)
        x = x + hook("hook_mlp_out", self.mlp(hook("ln2.hook_normalized", self.ln2(x)), hook))
        return hook("hook_resid_post", x)


class Transformer(Population):
    """M decoders of one shape: see `Population`. `seeds` has one for the weights of each network."""

    def __init__(self, config: ModelConfig, context: int, seeds: Sequence[int] = (0,)):
        networks = len(seeds)
        super().__init__(config, context, networks)
        self.embed = Embedding(config, networks)
        self.pos_embed = POSITION_ENCODINGS[config.positions](config, networks, context)
        self.blocks = nn.ModuleList([Block(config, networks, layer) for layer in range(config.layers)])
        self.ln_final = Norm(config.norm, networks, config.width)
        self.unembed = Unembedding(config, networks)
        self.reset_parameters(seeds)

    @property
    def embeddings(self) -> Tensor:
        """The weights of the token embedding, [M, V, D]."""
        return self.embed.W_E

    def block(self, layer: int) -> Block:
        """Return a layer."""
        return cast(Block, self.blocks[layer])

    def select(self, networks: Sequence[int]) -> "Transformer":
        """Return some of the networks, by index and in this order, as a new population with copies of their weights."""
        index = torch.tensor(networks, device=self.device)
        trainable = {id(p): nn.Parameter(p.detach()[index], p.requires_grad) for p in self.parameters()}
        stored = self.state_dict(keep_vars=True).values()  # what is not stored is the same for every network
        memo = {id(tensor): trainable.get(id(tensor), tensor.detach()[index]) for tensor in stored}
        return copy.deepcopy(self, memo)

    @torch.no_grad()
    def reset_parameters(self, seeds: Sequence[int]) -> None:
        """Draw each network's weights from its own seed, as published (section 4 of the paper).

        Embeddings are N(0, 1); linear layers uniform in +-1 / sqrt(D_in) (PyTorch's default); norms start at 1.
        """
        for network, seed in enumerate(seeds):
            generator = torch_generator(seed, "weights")
            for name, tensor in self.state_dict().items():
                if name.endswith(("W_E", "W_pos")):
                    tensor[network].normal_(generator=generator)
                elif not name.endswith(".w"):
                    bound = tensor.shape[1] ** -0.5
                    tensor[network].uniform_(-bound, bound, generator=generator)
        self.pos_embed.compute_table()

    def run_with_cache(
        self,
        tokens: Tokens,
        names: str | Iterable[str] = ("*",),
        hooks: Mapping[str, Hook] | None = None,
        *,
        output_positions: slice = EVERY_POSITION,
    ) -> tuple[Tensor, ActivationCache]:
        """Return logits and activations.

        Args:
            tokens: ids, [B, T] or [M, B, T].
            names: hook names whose activations to keep, all by default (`hook_names` lists them); `*` matches any text.
            hooks: by hook name; what they return is cached. Hooks and cache have no axis of networks for tokens [B, T].
            output_positions: positions to return logits for; the last layer is computed for these queries only.

        Raises:
            UserError: for an unknown hook name, a hook that changes the shape, or more tokens than positions.
        """
        tokens = torch.as_tensor(tokens, device=self.device)
        single = tokens.dim() == 2
        hook_points = HookPoints(hook_names(self.layers), names, hooks, single=single)
        context = self.causal_context(hook_points, tokens.shape[-1], output_positions=output_positions)
        logits = self.logits(tokens.unsqueeze(0) if single else tokens, context)
        return logits[0] if single else logits, ActivationCache(hook_points.activations)

    def causal_context(
        self,
        hook_points: HookPoints,
        tokens: int,
        *,
        start: int = 0,
        output_positions: slice = EVERY_POSITION,
        key_values: KeyValueCache | None = None,
    ) -> HookedContext:
        """Return the forward context of `tokens` tokens from position `start`, one sequence a row, not packed.

        The keys and values of earlier tokens are in `key_values`.

        Raises:
            UserError: for sequences longer than the network's context.
        """
        if start + tokens > self.context and (self.pos_embed.is_added or self.pos_embed.is_rotary):
            raise UserError(f"sequences of {start + tokens} tokens: expected at most {self.context}, the context")
        keys = torch.arange(start + tokens, device=self.device)
        return HookedContext(
            positions=keys[start:],
            output_positions=output_positions,
            mask=keys[start:, None] >= keys,
            hook_points=hook_points,
            key_values=key_values,
        )

    def logits(self, tokens: Tensor, context: ForwardContext) -> Tensor:
        """Return the logits [M, B, Q, V] of tokens [M, B, T]: embed, go through the layers, unembed."""
        if len(tokens) != self.networks or tokens.dim() != 3:
            raise ValueError(f"tokens {list(tokens.shape)}: expected [M, B, T] for M = {self.networks} networks")
        x = context.hook("hook_embed", self.embed(tokens))
        if self.pos_embed.is_added:
            x = x + context.hook("hook_pos_embed", self.pos_embed(context.positions.expand(tokens.shape)))
        if isinstance(context, PackedContext):
            x = (x if context.dropout is None else x * context.dropout).to(context.dtype)
        angles = self.pos_embed.angles(context.positions)
        for layer, block in enumerate(self.blocks, start=1):
            queries = context.output_positions if layer == self.config.layers else EVERY_POSITION
            x = block(x, context, angles, queries)
        logits: Tensor = self.unembed(context.hook("ln_final.hook_normalized", self.ln_final(x)))
        return logits
