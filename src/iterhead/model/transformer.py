"""The decoder of the paper (section 4), as a population: every parameter has a leading axis of networks.

Letters: `M` networks, `B` sequences (rows, when packed), `T` tokens of a row, `Q` queries of a row (T, unless only the
positions that the loss reads), `D` width, `H` heads, `V` vocabulary, `P` positions. A weight is `[M, D_in, D_out]`, so
one batched product serves M networks; a network alone is a population of one, and its axis is hidden from whoever
passes tokens shaped `[B, T]`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from iterhead.model.layers import Block, Embedding, Norm, PositionEmbedding, Unembedding
from iterhead.model.positions import angles, rotate, sinusoidal_table
from iterhead.model.sites import Edit, Taps, Trace
from iterhead.seeds import torch_generator
from iterhead.settings import ModelConfig

KeysValues = tuple[Tensor, Tensor]


@dataclass
class Pass:
    """What one forward pass is given beside the tokens.

    Attributes:
        positions: of each token within its sequence, [T] or [B, T].
        mask: True where a query may look at a key, [T, T].
        taps: what is watched and edited.
        reads: the only cells [N] of the flattened rows whose logits are wanted, as many in each row; None for all.
        penalties: instead of `mask`, zeros and minus infinities that are added to the scores, [M * B * H, T, T], and
            their rows for the reads, [M * B * H, Q, T]. Sites inside attention are then neither kept nor edited.
        dropout: factors [M, B * T, D] for the embedding, or None.
        cache: keys and values of the tokens before, by layer; grows as the pass goes by.
    """

    positions: Tensor
    mask: Tensor
    taps: Taps
    reads: Tensor | None = None
    penalties: tuple[Tensor, Tensor] | None = None
    dropout: Tensor | None = None
    cache: dict[int, KeysValues] | None = None

    def tap(self, layer: int, rows: int) -> Callable[[str, Tensor], Tensor]:
        """Return a function that taps a site of one layer with the stream [M, B * T, D] shown as [M, B, T, D]."""
        if self.taps.idle:
            return lambda _, value: value
        return lambda site, value: self.taps(f"blocks.{layer}.{site}", split_rows(value, rows)).flatten(1, 2)

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

    def forward(self, tokens: Tensor, *, edits: Mapping[str, Edit] | None = None) -> Tensor:
        """Return the logits of every position, after the edits (by site) if any are given.

        Args:
            tokens: ids, [B, T] or [M, B, T].
            edits: for each site's name, a function of the activation there; an edit sees no axis of networks when
                tokens are [B, T].
        """
        return self.trace(tokens, (), edits=edits).logits

    def trace(self, tokens: Tensor, sites: Iterable[str] = ("*",), *, edits: Mapping[str, Edit] | None = None) -> Trace:
        """Return the logits and the activations at `sites` (`*` matches any text; all of them by default)."""
        single = tokens.dim() == 2
        taps = Taps(self.config.layers, sites, edits or {}, single)
        length = tokens.shape[-1]
        device = tokens.device
        given = Pass(
            positions=torch.arange(length, device=device),
            mask=torch.ones(length, length, dtype=torch.bool, device=device).tril(),
            taps=taps,
        )
        logits = self.run(tokens.unsqueeze(0) if single else tokens, given)
        return Trace(logits[0] if single else logits, taps.kept)

    def run(self, tokens: Tensor, given: Pass) -> Tensor:
        """Return logits [M, B, T, V], or [M, N, V] when only N cells are read. For training and generation."""
        networks, rows, length = tokens.shape
        x = self._embed(tokens, given)
        for layer in range(self.config.layers):
            reads = given.reads if layer == self.config.layers - 1 else None
            x = self._block(layer, x, rows, given, reads)
        x = self.ln_final(x)
        if not given.taps.idle:
            x = given.taps("ln_final.hook_normalized", split_rows(x, rows)).flatten(1, 2)
        logits = x @ self.unembed.W_U
        return logits if given.reads is not None else logits.view(networks, rows, length, -1)

    def _embed(self, tokens: Tensor, given: Pass) -> Tensor:
        """Return the embedding of tokens [M, B, T] as [M, B * T, D]."""
        networks, rows, length = tokens.shape
        x = torch.stack([F.embedding(ids, table) for ids, table in zip(tokens, self.embed.W_E, strict=True)])
        x = given.taps("hook_embed", x)
        if hasattr(self, "pos_embed"):
            x = x + given.taps("hook_pos_embed", self._position_embedding(given.positions, x))
        x = x.view(networks, rows * length, -1)
        return x if given.dropout is None else x * given.dropout

    def _position_embedding(self, positions: Tensor, x: Tensor) -> Tensor:
        """Return the position embedding, zero beyond the first `position_width` coordinates, shaped as x."""
        table = F.pad(self.pos_embed.W_pos, (0, self.config.width - self.config.positions_on))
        placed = table[:, positions]
        return (placed.unsqueeze(1) if positions.dim() == 1 else placed).expand_as(x)

    def _block(self, layer: int, x: Tensor, rows: int, given: Pass, reads: Tensor | None) -> Tensor:
        """Return the residual stream after a layer, [M, N, D]: N is B * T, or the number of reads."""
        block = self.block(layer)
        tap = given.tap(layer, rows)
        x = tap("hook_resid_pre", x)
        keys = queries = tap("ln1.hook_normalized", block.ln1(x))
        if self.config.residual == "published":
            x = keys
        if reads is not None:
            x, queries = x[:, reads], keys[:, reads]
        x = tap("hook_resid_mid", x + tap("hook_attn_out", self._attend(layer, queries, keys, rows, given)))
        hidden = tap("mlp.hook_pre", tap("ln2.hook_normalized", block.ln2(x)) @ block.mlp.W_in)
        hidden = tap("mlp.hook_post", F.gelu(hidden))
        return tap("hook_resid_post", x + tap("hook_mlp_out", hidden @ block.mlp.W_out))

    def _attend(self, layer: int, queries: Tensor, keys: Tensor, rows: int, given: Pass) -> Tensor:
        """Return what attention adds at each query, [M, N, D]; queries and keys are normalised streams."""
        weights = self.block(layer).attn
        tap = given.tap(layer, rows)
        q, k, v = (
            self._heads(tap(f"hook_{name}_input", x) @ weight, rows)
            for name, x, weight in (
                ("q", queries, weights.W_Q),
                ("k", keys, weights.W_K),
                ("v", keys, weights.W_V),
            )
        )
        q, k, v = (given.taps(f"blocks.{layer}.attn.hook_{name}", x) for name, x in (("q", q), ("k", k), ("v", v)))
        if self.config.positions == "rotary":
            q, k = self._turn(q, k, given)
        if given.cache is not None:
            k, v = given.remember(layer, k, v)
        if given.penalties is None:
            z = self._explicit(layer, q, k, v, given)
        else:
            z = self._fused(q, k, v, given.penalties[q.shape[2] < k.shape[2]])
        return z.flatten(-2).flatten(1, 2) @ weights.W_O

    def _heads(self, x: Tensor, rows: int) -> Tensor:
        """Return x [M, B * T, D] as [M, B, T, H, d_head]."""
        return x.view(len(x), rows, -1, self.config.heads, self.config.head_width)

    def _explicit(self, layer: int, q: Tensor, k: Tensor, v: Tensor, given: Pass) -> Tensor:
        """Return z [M, B, Q, H, d_head] by writing out the attention map [M, B, H, Q, T]."""
        site, taps = f"blocks.{layer}.attn.", given.taps
        q, k, v = (x.transpose(2, 3) for x in (q, k, v))
        scores = q @ k.transpose(-1, -2) * self.config.head_width**-0.5
        scores = taps(site + "hook_attn_scores", scores.masked_fill(~given.mask, -torch.inf))
        pattern = taps(site + "hook_pattern", scores.softmax(-1))
        return taps(site + "hook_z", (pattern @ v).transpose(2, 3))

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

    def _turn(self, q: Tensor, k: Tensor, given: Pass) -> tuple[Tensor, Tensor]:
        """Return rotary queries and keys; queries may stand at the read cells only."""
        angle = self.angles[given.positions]
        if q.shape[2] == k.shape[2]:
            return rotate(q, angle), rotate(k, angle)
        read = angle.flatten(0, 1)[given.reads].view(q.shape[1], q.shape[2], -1)
        return rotate(q, read), rotate(k, angle)
