"""Every random number comes from here: a generator for each named purpose, derived from one integer seed.

Two purposes never share a stream, so adding a draw in one place moves no number in another, and a stream can be
made again at any time without a stored state (an epoch's shuffle is the stream named after the epoch). Integers are
taken from raw 64-bit words rather than from `Generator.integers`, since NumPy promises stable raw streams across
versions and platforms but not stable distributions.
"""

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch


def named_seed(seed: int, *purpose: str | int) -> int:
    """Return a 63-bit seed for one purpose, e.g. `named_seed(3, "batches", epoch)`."""
    text = "/".join(str(part) for part in (seed, *purpose))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


class IntegerStream:
    """Uniform integers and permutations that are the same on every platform and NumPy version."""

    def __init__(self, seed: int, *purpose: str | int):
        self._bits = np.random.Philox(key=named_seed(seed, *purpose))

    def integers(self, high: int, shape: tuple[int, ...]) -> NDArray[np.int64]:
        """Return integers in [0, high), shaped `shape`; the modulo's bias is below high / 2**64."""
        raw = self._bits.random_raw(int(np.prod(shape)))
        return (raw % np.uint64(high)).astype(np.int64).reshape(shape)

    def uniform(self, size: int) -> NDArray[np.float64]:
        """Return `size` floats in [0, 1), from the top 53 bits of each word."""
        raw = self._bits.random_raw(size)
        return (raw >> np.uint64(11)).astype(np.float64) * 2.0**-53

    def others(self, values: NDArray[np.int64], among: Sequence[int]) -> NDArray[np.int64]:
        """Return for each of `values` another one of the two or more values `among`, drawn uniformly."""
        ordered = np.sort(among)
        ranks = np.searchsorted(ordered, values) + 1 + self.integers(len(ordered) - 1, values.shape)
        return np.asarray(ordered[ranks % len(ordered)])

    def permutation(self, size: int) -> NDArray[np.int64]:
        """Return a permutation of range(size): the order that sorts `size` random words."""
        return np.argsort(self._bits.random_raw(size), kind="stable").astype(np.int64)


def torch_generator(seed: int, *purpose: str | int) -> "torch.Generator":
    """Return a CPU generator of torch for one purpose."""
    import torch

    return torch.Generator().manual_seed(named_seed(seed, *purpose))
