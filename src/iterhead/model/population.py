"""What every population of networks has, whatever its architecture.

Letters: `M` networks, `B` sequences, `T` tokens of each, `V` vocabulary, `D` width.
"""

from abc import abstractmethod
from collections.abc import Iterable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from iterhead.model.context import EVERY_POSITION
from iterhead.model.hooks import ActivationCache, Hook
from iterhead.model.size import check_network
from iterhead.settings import ModelConfig

Tokens = Tensor | NDArray[np.int64]


class Population(nn.Module):
    """M networks of one shape, whose parameters have a leading axis of networks.

    Called with tokens [B, T] (one network) it returns logits [B, T, V]; with tokens [M, B, T], logits [M, B, T, V].

    Args:
        config: settings of each network.
        context: P, the number of positions.
        networks: M.

    Raises:
        UserError: the networks do not fit into the memory.
    """

    def __init__(self, config: ModelConfig, context: int, networks: int):
        super().__init__()
        check_network(config, context, networks)
        self.config = config
        self.context = context

    @property
    @abstractmethod
    def embeddings(self) -> Tensor:
        """The weights of the token embedding, [M, V, D]."""

    @abstractmethod
    def run_with_cache(
        self,
        tokens: Tokens,
        names: str | Iterable[str] = ("*",),
        hooks: Mapping[str, Hook] | None = None,
        *,
        output_positions: slice = EVERY_POSITION,
    ) -> tuple[Tensor, ActivationCache]:
        """Return logits and activations."""

    def forward(self, tokens: Tokens, hooks: Mapping[str, Hook] | None = None) -> Tensor:
        """Return the logits of every position; arguments and errors as in `run_with_cache`."""
        return self.run_with_cache(tokens, (), hooks)[0]

    def run_with_hooks(self, tokens: Tokens, hooks: Mapping[str, Hook]) -> Tensor:
        """Return the logits with hooks applied: `forward`, under TransformerLens's name."""
        return self.run_with_cache(tokens, (), hooks)[0]

    @property
    def networks(self) -> int:
        """M, the number of networks."""
        return len(self.embeddings)

    @property
    def layers(self) -> int:
        """Number of layers."""
        return self.config.layers

    @property
    def heads(self) -> int:
        """H, the number of attention heads (of queries) in each layer."""
        return self.config.heads

    @property
    def vocabulary(self) -> int:
        """V, the number of token ids."""
        return self.config.vocabulary

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.embeddings.device

    @property
    def dtype(self) -> torch.dtype:
        """Dtype of the weights."""
        return self.embeddings.dtype
