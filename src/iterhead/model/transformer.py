"""The decoder of the paper (section 4), as a population: every parameter has a leading axis of networks.

Letters: `M` networks, `B` sequences (rows, when packed), `T` tokens of a row, `Q` queries of a row (T, unless only the
positions that the loss reads), `D` width, `H` heads, `V` vocabulary, `P` positions. A weight is `[M, D_in, D_out]`, so
one batched product serves M networks; a network alone is a population of one, and its axis is hidden from whoever
passes tokens shaped `[B, T]`.
"""

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from iterhead.model.hooks import ActivationCache, Hook, HookPoints
from iterhead.model.layers import Block, Embedding, Norm, PositionEmbedding, Unembedding
from iterhead.model.positions import angles, rotate, sinusoidal_table
from iterhead.seeds import torch_generator
from iterhead.settings import ModelConfig

KeysValues = tuple[Tensor, Tensor]


@dataclass
class ForwardContext:
    """What one forward pass is given beside the tokens.

    Attributes:
        positions: of each token within its sequence, [T] or [B, T].
        mask: True where a query may look at a key, [T, T].
        hook_points: what is watched and edited.
        reads: the cells of each row, Q of them, that are to give logits; the last layer is computed for these only.
        attention_bias: instead of `mask`, zeros and minus infinities that are added to the scores,
            [M * B * H, T, T], and their rows for the reads, [M * B * H, Q, T]. Hooks inside attention are then neither
            called nor cached.
        dtype: number format of all activations; that of the weights unless given.
        dropout: factors [M, B * T, D] for the embedding, or None.
        cache: keys and values of the tokens before, by layer; grows as the pass goes by.
    """

    positions: Tensor
    mask: Tensor
    hook_points: HookPoints
    reads: slice | None = None
    attention_bias: tuple[Tensor, Tensor] | None = None
    dtype: torch.dtype | None = None
    dropout: Tensor | None = None
    cache: dict[int, KeysValues] | None = None

    def tap(self, layer: int, rows: int) -> Callable[[str, Tensor], Tensor]:
        """Return a function for the hooks of one layer, which see the stream [M, B * T, D] as [M, B, T, D]."""
        if self.hook_points.idle:
            return lambda _, value: value
        return lambda site, value: self.hook_points(f"blocks.{layer}.{site}", split_rows(value, rows)).flatten(1, 2)

    def remember(self, layer: int, k: Tensor, v: Tensor) -> KeysValues:
        """Return the keys and values of all tokens so far, [M, B, T, H, d_head], and keep them."""
        assert self.cache is not None
        if layer in self.cache:
            k, v = (torch.cat([old, new], dim=2) for old, new in zip(self.cache[layer], (k, v), strict=True))
        self.cache[layer] = (k, v)
        return k, v


def split_rows(x: Tensor, rows: int) -> Tensor:
    """Return x [M, B * T, D] as [M, B, T, D]."""
    return x.view(len(x), rows, -1, x.shape[-1])


def gather_rows(table: Tensor, ids: Tensor) -> Tensor:
    """Return the rows [M, B, T, D] of each network's table [M, V, D] for its ids [M, B, T]."""
    if len(table) > 1:
        ids = ids + table.shape[1] * torch.arange(len(table), device=ids.device)[:, None, None]
    return F.embedding(ids, table.flatten(0, 1))


def product(x: Tensor, weight: Tensor) -> Tensor:
    """Return x [M, N, D_in] times weight [M, D_in, D_out], in the number format of x.

    For one network as a plain product of matrices: the batched one takes twice as long on the way back in bfloat16.
    """
    weight = weight.to(x.dtype)
    return (x.squeeze(0) @ weight.squeeze(0)).unsqueeze(0) if len(weight) == 1 else x @ weight


class Transformer(nn.Module):
    """M decoders of one shape.

    Args:
        config: the shape.
        context: P, the number of positions known.
        seeds: the seed of each network's weights; as many as there are networks.

    Called with tokens [B, T] (one network) it returns logits [B, T, V]; with tokens [M, B, T], logits [M, B, T, V].
    """

    def __init__(self, config: ModelConfig, context: int, seeds: Sequence[int] = (0,)):
        super().__init__()
        self.config = config
        self.context = context
        networks = len(seeds)
        self.embed = Embedding(networks, config.vocabulary, config.width)
        if config.positions in ("learned", "frozen", "sinusoidal"):
            self.pos_embed = PositionEmbedding(config, networks, context)
        if config.positions == "rotary":
            self.angles: Tensor
            self.register_buffer("angles", angles(context, config.positions_on // config.heads), persistent=False)
        self.blocks = nn.ModuleList([Block(config, networks) for _ in range(config.layers)])
        self.ln_final = Norm(config.norm, networks, config.width)
        self.unembed = Unembedding(networks, config.vocabulary, config.width)
        self.initialise(seeds)

    @property
    def networks(self) -> int:
        """M, the number of networks."""
        return len(self.embed.W_E)

    def block(self, layer: int) -> Block:
        """Return the parameters of a layer."""
        return cast(Block, self.blocks[layer])

    def select(self, networks: Sequence[int]) -> "Transformer":
        """Return some of the networks, by index, as a population of their own; its weights are copies."""
        index = torch.tensor(networks, device=self.embed.W_E.device)
        chosen: dict[int, object] = {id(p): nn.Parameter(p.detach()[index], p.requires_grad) for p in self.parameters()}
        # Angles are the same for all networks; the other buffer is a table for each.
        chosen |= {id(b): b if name == "angles" else b[index] for name, b in self.named_buffers()}
        return copy.deepcopy(self, chosen)

    @torch.no_grad()
    def initialise(self, seeds: Sequence[int]) -> None:
        """Draw each network's weights from its own seed, as published.

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
        if self.config.positions == "sinusoidal":
            self.pos_embed.W_pos.copy_(sinusoidal_table(self.context, self.config.positions_on))

    def forward(self, tokens: Tensor, *, hooks: Mapping[str, Hook] | None = None) -> Tensor:
        """Return the logits of every position, after the hooks (by site) if any are given.

        Args:
            tokens: ids, [B, T] or [M, B, T].
            hooks: for each site's name, a function of the activation there; an edit sees no axis of networks when
                tokens are [B, T].
        """
        return self.run_with_cache(tokens, (), hooks=hooks)[0]

    def run_with_cache(
        self, tokens: Tensor, names: Iterable[str] = ("*",), *, hooks: Mapping[str, Hook] | None = None
    ) -> tuple[Tensor, ActivationCache]:
        """Return the logits and the activations at the hooks `names` (`*` matches any text; all by default)."""
        single = tokens.dim() == 2
        hook_points = HookPoints(self.config.layers, names, hooks or {}, single)
        length = tokens.shape[-1]
        device = tokens.device
        given = ForwardContext(
            positions=torch.arange(length, device=device),
            mask=torch.ones(length, length, dtype=torch.bool, device=device).tril(),
            hook_points=hook_points,
        )
        logits = self.run(tokens.unsqueeze(0) if single else tokens, given)
        return logits[0] if single else logits, ActivationCache(hook_points.kept)

    def run(self, tokens: Tensor, given: ForwardContext) -> Tensor:
        """Return logits [M, B, T, V], or [M, B * Q, V] when Q cells of a row are read. For training and generation."""
        networks, rows, length = tokens.shape
        if networks != self.networks:
            raise ValueError(f"tokens for {networks} networks: expected for {self.networks}, shaped [M, B, T]")
        x = self._embed(tokens, given)
        for layer in range(self.config.layers):
            x = self._block(layer, x, rows, given, given.reads if layer == self.config.layers - 1 else None)
        x = self.ln_final(x)
        if not given.hook_points.idle:
            x = given.hook_points("ln_final.hook_normalized", split_rows(x, rows)).flatten(1, 2)
        logits = product(x, self.unembed.W_U)
        return logits if given.reads is not None else logits.view(networks, rows, length, -1)

    def _embed(self, tokens: Tensor, given: ForwardContext) -> Tensor:
        """Return the embedding of tokens [M, B, T] as [M, B * T, D]."""
        x = given.hook_points("hook_embed", gather_rows(self.embed.W_E, tokens))
        if hasattr(self, "pos_embed"):
            x = x + given.hook_points("hook_pos_embed", self._position_embedding(given.positions, x))
        x = x.flatten(1, 2)
        if given.dropout is not None:
            x = x * given.dropout
        return x.to(given.dtype)

    def _position_embedding(self, positions: Tensor, x: Tensor) -> Tensor:
        """Return the position embedding, zero beyond the first `position_width` coordinates, shaped as x."""
        placed = gather_rows(self.pos_embed.W_pos, positions.expand(self.networks, *x.shape[1:3]))
        return F.pad(placed, (0, self.config.width - self.config.positions_on))

    def _block(self, layer: int, x: Tensor, rows: int, given: ForwardContext, reads: slice | None) -> Tensor:
        """Return the residual stream after a layer, [M, N, D]: N is B * T, or B * Q."""
        block = self.block(layer)
        tap = given.tap(layer, rows)
        x = tap("hook_resid_pre", x)
        keys = queries = tap("ln1.hook_normalized", block.ln1(x))
        if self.config.residual == "published":
            x = keys
        if reads is not None:
            queries = split_rows(keys, rows)[:, :, reads].flatten(1, 2)
            x = queries if x is keys else split_rows(x, rows)[:, :, reads].flatten(1, 2)
        x = tap("hook_resid_mid", x + tap("hook_attn_out", self._attend(layer, queries, keys, rows, given)))
        hidden = tap("mlp.hook_pre", product(tap("ln2.hook_normalized", block.ln2(x)), block.mlp.W_in))
        hidden = tap("mlp.hook_post", F.gelu(hidden))
        return tap("hook_resid_post", x + tap("hook_mlp_out", product(hidden, block.mlp.W_out)))

    def _attend(self, layer: int, queries: Tensor, keys: Tensor, rows: int, given: ForwardContext) -> Tensor:
        """Return what attention adds at each query, [M, N, D]; queries and keys are normalised streams."""
        if given.attention_bias is not None:
            return self._attend_packed(layer, queries, keys, rows, given)
        weights = self.block(layer).attn
        tap = given.tap(layer, rows)
        q, k, v = (
            self._heads(product(tap(f"hook_{name}_input", x), weight), rows)
            for name, x, weight in (
                ("q", queries, weights.W_Q),
                ("k", keys, weights.W_K),
                ("v", keys, weights.W_V),
            )
        )
        q, k, v = (
            given.hook_points(f"blocks.{layer}.attn.hook_{name}", x) for name, x in (("q", q), ("k", k), ("v", v))
        )
        if self.config.positions == "rotary":
            q, k = self._turn(q, k, given)
        if given.cache is not None:
            k, v = given.remember(layer, k, v)
        z = self._explicit(layer, q, k, v, given)
        return product(z.flatten(-2).flatten(1, 2), weights.W_O)

    def _attend_packed(self, layer: int, queries: Tensor, keys: Tensor, rows: int, given: ForwardContext) -> Tensor:
        """Return what `_attend` returns, in fewer operations and without sites, for training.

        A single head is as wide as the stream, so its scores are x (W_Q W_K^T) y^T and its output mixes the streams
        themselves before (W_V W_O): two products of weights replace two of the four products with all tokens, and at
        the last layer all but those at the reads.
        """
        weights = self.block(layer).attn
        single = self.config.heads == 1
        if single and self.config.positions != "rotary":
            q = self._heads(product(queries, product(weights.W_Q, weights.W_K.mT)), rows)
            k = self._heads(keys, rows)
        else:
            q, k = (self._heads(product(x, w), rows) for x, w in ((queries, weights.W_Q), (keys, weights.W_K)))
        if self.config.positions == "rotary":
            q, k = self._turn(q, k, given)
        v = self._heads(keys if single else product(keys, weights.W_V), rows)
        assert given.attention_bias is not None
        z = self._fused(q, k, v, given.attention_bias[q.shape[2] < k.shape[2]]).flatten(-2).flatten(1, 2)
        return product(z, product(weights.W_V, weights.W_O) if single else weights.W_O)

    def _heads(self, x: Tensor, rows: int) -> Tensor:
        """Return x [M, B * T, D] as [M, B, T, H, d_head]."""
        return x.view(len(x), rows, -1, self.config.heads, self.config.head_width)

    def _explicit(self, layer: int, q: Tensor, k: Tensor, v: Tensor, given: ForwardContext) -> Tensor:
        """Return z [M, B, Q, H, d_head] by writing out the attention map [M, B, H, Q, T]."""
        site, hook_points = f"blocks.{layer}.attn.", given.hook_points
        q, k, v = (x.transpose(2, 3) for x in (q, k, v))
        scores = q @ k.transpose(-1, -2) * self.config.head_width**-0.5
        mask = given.mask if q.shape[-2] == len(given.mask) else given.mask[given.reads]
        scores = hook_points(site + "hook_attn_scores", scores.masked_fill(~mask, -torch.inf))
        pattern = hook_points(site + "hook_pattern", scores.softmax(-1))
        return hook_points(site + "hook_z", (pattern @ v).transpose(2, 3))

    @staticmethod
    def _fused(q: Tensor, k: Tensor, v: Tensor, penalty: Tensor) -> Tensor:
        """Return what `_explicit` returns, in fewer operations.

        One axis of rows, networks and heads together; a mask that is added within the product. At some forty tokens a
        row this is faster than PyTorch's fused kernel, forward and backward, and ten times so where cores are scarce.
        """
        networks, rows, _, heads, width = q.shape
        q, k, v = (x.transpose(2, 3).reshape(networks * rows * heads, -1, width) for x in (q, k, v))
        pattern = torch.baddbmm(penalty, q, k.transpose(1, 2), alpha=width**-0.5).softmax(-1)
        return (pattern @ v).view(networks, rows, heads, -1, width).transpose(2, 3)

    def _turn(self, q: Tensor, k: Tensor, given: ForwardContext) -> tuple[Tensor, Tensor]:
        """Return rotary queries and keys; queries may stand at the read cells only."""
        angle = self.angles[given.positions]
        if q.shape[2] == k.shape[2]:
            return rotate(q, angle), rotate(k, angle)
        return rotate(q, angle[..., given.reads, :]), rotate(k, angle)
