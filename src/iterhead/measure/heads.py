"""Scores of attention heads against the ideal circuit (section 3 of the paper).

There are two roles. The *first* head attends from every written state to EoI. The *second*, the iteration head, attends
from the token that writes s_t to x_t. `SequenceLayout` has the pairs of query and key of each role.

Letters: `B` sequences, `H` heads, `Q` queries, `T` tokens.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from iterhead.criteria import OUTLINED_ROLE_WEIGHT, PEAK
from iterhead.tasks import SequenceLayout
from iterhead.tasks.layout import QueryKeyPairs

ROLES: Mapping[str, Callable[[SequenceLayout], QueryKeyPairs]] = {
    "first": lambda layout: layout.first_pairs,
    "second": lambda layout: layout.second_pairs,
}
"""The pairs of query and key of each role's ideal head."""


@dataclass(frozen=True)
class RoleScores:
    """How well each head of a layer plays a role; every tensor is [..., H], `mass` [...].

    Attributes:
        peakiness: fraction of sequences and queries whose weight on the ideal key is above one half, 0 .. 1.
        weight: mean weight on the ideal key, 0 .. 1.
        invariance: 1 minus the standard deviation of that weight over sequences, averaged over queries, 0.5 .. 1.
        mass: weight on the ideal key summed over heads, averaged over sequences and queries, 0 .. H.
    """

    peakiness: Tensor
    weight: Tensor
    invariance: Tensor
    mass: Tensor


class RoleSums:
    """Running sums over sequences that give `RoleScores`; memory does not grow with the number of sequences.

    Args:
        pairs: query and key positions of the role's ideal head.
        first_query: position of the first query in the maps that will be added.
    """

    def __init__(self, pairs: QueryKeyPairs, first_query: int = 0):
        queries, keys = pairs
        self._queries, self._keys = torch.from_numpy(queries - first_query), torch.from_numpy(keys)
        self._sequences = 0
        self._peaks = self._weights = self._squares = torch.zeros(())

    def add(self, pattern: Tensor) -> None:
        """Add attention maps [..., B, H, Q, T]."""
        weights = pattern[..., self._queries, self._keys].to("cpu", torch.float64)
        self._sequences += weights.shape[-3]
        self._peaks = self._peaks + (weights > PEAK).sum(-3)
        self._weights = self._weights + weights.sum(-3)
        self._squares = self._squares + weights.square().sum(-3)

    def scores(self) -> RoleScores:
        """Return the scores over all sequences added; at least one."""
        mean = self._weights / self._sequences
        deviation = (self._squares / self._sequences - mean.square()).clamp(min=0).sqrt()
        return RoleScores(
            peakiness=(self._peaks.double() / self._sequences).mean(-1),
            weight=mean.mean(-1),
            invariance=1 - deviation.mean(-1),
            mass=mean.sum(-2).mean(-1),
        )


def outlined_role(weights: NDArray[np.float64], layout: SequenceLayout) -> tuple[QueryKeyPairs | None, str]:
    """Return the pairs of the role that a map [T, T] plays most, and its weight, e.g. `: 0.97 on x_t`.

    There are none, and no text, if it has little weight on either or the layout no chain of thought.
    """
    if not layout.cot:
        return None, ""
    means = {role: float(weights[pairs(layout)].mean()) for role, pairs in ROLES.items()}
    role = max(means, key=lambda name: means[name])
    if means[role] < OUTLINED_ROLE_WEIGHT:
        return None, ""
    return ROLES[role](layout), f": {means[role]:.2f} on {'EoI' if role == 'first' else 'x_t'}"
