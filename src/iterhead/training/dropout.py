"""Dropout whose random numbers are a hash of where and when, the same on every device.

A factor depends on two words of its network and step and on the number of its cell, and on nothing that was drawn
before. So a network of a population gets the factors that it would get alone, and a GPU makes its own.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from iterhead.seeds import IntegerStream

_GOLDEN = 0x9E3779B1
_FIRST, _SECOND = 0x7FEB352D, 0x846CA68B - 2**32
"""Multipliers of a 32-bit hash (C. Wellons, "lowbias32"), signed. Its shifts are logical and ours arithmetic, so
that two inputs give one output; tests hold the rate and the independence of cells, steps and networks to bounds."""


class Dropout:
    """Factors for the embedding: 0 with the dropout's probability, else 1 / (1 - probability).

    Args:
        probability: of a zero, 0 <= probability < 1.
        shape: [R, T, D]: the rows of a batch, their tokens, the width.
        device: where the factors are made.
    """

    def __init__(self, probability: float, shape: Sequence[int], device: str = "cpu"):
        self._keep = 1 - probability
        self._shape = tuple(shape)
        numbers = torch.arange(math.prod(shape), device=device) * _GOLDEN
        self._numbers = numbers.to(torch.int32)
        self._least = round(probability * 2**32) - 2**31

    @property
    def idle(self) -> bool:
        """Whether nothing is ever dropped."""
        return self._keep == 1

    def factors(self, words_M2: Tensor, dtype: torch.dtype) -> Tensor:
        """Return factors [M, R, T, D].

        Args:
            words_M2: two words for each network, int32, drawn at random.
            dtype: of the factors.
        """
        x = self._numbers ^ words_M2[:, :1]
        x ^= x >> 16
        x *= _FIRST
        x ^= words_M2[:, 1:]
        x ^= x >> 15
        x *= _SECOND
        return x.ge_(self._least).to(dtype).div_(self._keep).view(len(x), *self._shape)


def dropout_words(seeds: Sequence[int], epoch: int, steps: int) -> Tensor:
    """Return the words of every step of an epoch, [S, M, 2] int32, each network's from its own seed."""
    words = [
        torch.from_numpy(IntegerStream(seed, "dropout", epoch).integers(2**32, (steps, 2)) - 2**31) for seed in seeds
    ]
    return torch.stack(words, dim=1).to(torch.int32)
