"""Dropout whose random numbers are a hash, the same on every device.

A factor is a hash of two random words of its network and step and of its place in the batch. So each network of a
population gets the factors that it would get alone, and a GPU computes its own.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from iterhead.seeds import IntegerStream

_GOLDEN = 0x9E3779B1
_FIRST, _SECOND = 0x7FEB352D, 0x846CA68B - 2**32
"""Multipliers of a 32-bit hash (C. Wellons, "lowbias32"), signed. Its shifts are logical and these arithmetic, so pairs
of inputs collide; tests bound the rate and the correlation between places, steps and networks."""


class Dropout:
    """Factors for the embedding: 0 with the dropout's probability, in [0, 1), else 1 / (1 - probability).

    `shape` is [R, T, D]: the rows of a batch, their tokens, the width.
    """

    def __init__(self, probability: float, shape: Sequence[int], device: str = "cpu"):
        self._keep = 1 - probability
        self.idle = self._keep == 1  # nothing is dropped
        self._shape = tuple(shape)
        self._numbers = (torch.arange(math.prod(shape), device=device) * _GOLDEN).to(torch.int32)
        self._least = round(probability * 2**32) - 2**31

    def factors(self, words_M2: Tensor, dtype: torch.dtype) -> Tensor:
        """Return factors [M, R, T, D] from two random words for each network, int32 (see `dropout_words`)."""
        x = self._numbers ^ words_M2[:, :1]
        x ^= x >> 16
        x *= _FIRST
        x ^= words_M2[:, 1:]
        x ^= x >> 15
        x *= _SECOND
        return x.ge_(self._least).to(dtype).div_(self._keep).view(len(x), *self._shape)


def dropout_words(seeds: Sequence[int], epoch: int, steps: int) -> Tensor:
    """Return two random words for each step of an epoch, [S, M, 2] int32, each network's from its own seed."""
    words = [IntegerStream(seed, "dropout", epoch).integers(2**32, (steps, 2)) - 2**31 for seed in seeds]
    return torch.from_numpy(np.stack(words, axis=1)).to(torch.int32)
