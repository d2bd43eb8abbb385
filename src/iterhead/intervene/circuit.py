"""What kind of circuit a network has: each attention head named by where it looks.

Maps are averaged over sequences of each length, scores over queries from EoI on and over lengths (from 4 on, as the
headline scores; at shorter ones roles coincide: with L = 1 the iteration head looks at the token before EoI).

Letters: `B` sequences, `H` heads, `Q` queries from EoI on, `T` tokens.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from iterhead.criteria import MAIN_TARGET_WEIGHT, STRIDED_KEYS, STRIDED_SCORE, UNIFORM_ENTROPY
from iterhead.intervene.effects import MakeHooks, Sequences, chunks
from iterhead.measure import headline_lengths
from iterhead.model import PATTERN_HOOKS, Transformer, pattern_hook
from iterhead.tasks import SequenceLayout

PLACES = {
    "eoi": "EoI finder",
    "iteration": "iteration head",
    "previous": "previous token",
    "self": "own token",
    "first": "first token",
    "offset": "fixed offset",
}
"""Kinds of head by the score that names them, its weight on one place. The first above `MAIN_TARGET_WEIGHT` decides, so
that roles go before what they coincide with at a single length. The other kinds: strided, uniform, other."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class HeadKind:
    """What one head does.

    Attributes:
        layer: from 0.
        head: from 0.
        kind: EoI finder, iteration head, previous token, own token, first token, fixed offset, strided, uniform or
            other.
        scores: what the kind was told by. Mean weights, 0 .. 1: `eoi` (on EoI, queries s_1 .. s_L), `iteration` (on
            x_t, queries EoI .. s_{L-1}), and over all queries from EoI on `previous`, `self`, `first` (the problem
            token), `offset` (the best single distance of two or more that is the same at every length) and its
            `distance`. `strided`: 0 if positions at even distance get as much weight as those at odd distance (or at
            even positions as at odd ones), 1 if one sort gets it all. `uniformity`: entropy of a query's weights over
            that of a uniform row, 0 .. 1; `keys`: the effective number of keys a query, e to that entropy. `content`:
            how much of the entropy of the averaged map comes from sequences that differ, 0 (reads positions) .. 1.
    """

    layer: int
    head: int
    kind: str
    scores: Mapping[str, float]

    @property
    def name(self) -> str:
        """`layer 2, head 1`: counted from 1, as the paper does."""
        return f"layer {self.layer + 1}, head {self.head + 1}"


@dataclass
class _Averages:
    """Running sums over the sequences of one length, for one layer: maps [H, T, T] and entropies of rows [H, T]."""

    layout: SequenceLayout
    sequences: int = 0
    maps: Floats = field(default_factory=lambda: np.zeros(()))
    entropies: Floats = field(default_factory=lambda: np.zeros(()))

    def add(self, pattern: torch.Tensor) -> None:
        maps = pattern.double().cpu()
        self.sequences += len(maps)
        self.maps = self.maps + maps.sum(0).numpy()
        self.entropies = self.entropies + torch.special.entr(maps).sum(-1).sum(0).numpy()

    @property
    def mean(self) -> Floats:
        """The averaged maps, [H, T, T]."""
        return np.asarray(self.maps / self.sequences)

    @property
    def queries(self) -> NDArray[np.int64]:
        """Positions of the queries that scores average over: EoI and the written states, [Q]."""
        return np.arange(self.layout.size)[self.layout.output_positions]

    def distances(self) -> Floats:
        """Return the mean weight at each distance of query and key that every query can look back, [H, e + 1]."""
        queries = self.queries[:, None]
        back = np.arange(self.layout.end_of_input + 1)
        return np.asarray(self.mean[:, queries, queries - back].mean(1))

    def scores(self) -> list[dict[str, float]]:
        """Return the scores of each head, but for those of fixed distances, which need every length."""
        entropies = (self.entropies / self.sequences)[:, self.queries]
        return [self._head(weights, entropy) for weights, entropy in zip(self.mean, entropies, strict=True)]

    def _head(self, weights: Floats, entropy: Floats) -> dict[str, float]:
        queries = self.queries
        rows = weights[queries]
        largest = np.log(queries + 1)
        averaged = -np.sum(rows * np.log(np.where(rows > 0, rows, 1.0)), axis=-1)
        return {
            "eoi": float(weights[self.layout.first_pairs].mean()),
            "iteration": float(weights[self.layout.second_pairs].mean()),
            "previous": float(weights[queries, queries - 1].mean()),
            "self": float(weights[queries, queries].mean()),
            "first": float(rows[:, 0].mean()),
            "strided": _strided(rows, queries),
            "uniformity": float((entropy / largest).mean()),
            "keys": float(np.exp(entropy).mean()),
            "content": float(((averaged - entropy) / largest).mean()),
        }


def _strided(rows: Floats, queries: NDArray[np.int64]) -> float:
    """Return how one-sidedly weight falls on every other position, by distance or by position, 0 .. 1."""
    keys = np.arange(rows.shape[1])
    even_distance = (queries[:, None] - keys) % 2 == 0
    shares = (rows[even_distance].sum() / len(rows), rows[:, keys % 2 == 0].sum() / len(rows))
    return float(max(abs(2 * share - 1) for share in shares))


def classify_heads(model: Transformer, sequences: Sequences, make_hooks: MakeHooks | None = None) -> list[HeadKind]:
    """Return what each head of each layer does.

    Args:
        model: one network.
        sequences: whole sequences with chain of thought, by length. With one length only, the iteration head also
            looks back a fixed distance; it is named for its role.
        make_hooks: gives the hooks for each length: what do heads do when the network is edited?
    """
    counted = {length: sequences[length] for length in headline_lengths(sorted(sequences))}
    averages = _averages(model, counted, make_hooks)
    kinds = []
    for layer, of_layer in enumerate(averages):
        by_length = [average.scores() for average in of_layer]
        for head in range(model.config.heads):
            scores = {name: float(np.mean([heads[head][name] for heads in by_length])) for name in by_length[0][head]}
            scores |= _best_offset(of_layer, head)
            kinds.append(HeadKind(layer, head, _kind(scores), scores))
    return kinds


def average_maps(model: Transformer, sequences: Sequences, make_hooks: MakeHooks | None = None) -> dict[int, Floats]:
    """Return attention averaged over sequences for each length, [layers, H, T, T], queries by keys: what to show.

    Arguments as `classify_heads`.
    """
    averages = _averages(model, sequences, make_hooks)
    return {length: np.stack([of_layer[n].mean for of_layer in averages]) for n, length in enumerate(sequences)}


@torch.no_grad()
def _averages(model: Transformer, sequences: Sequences, make_hooks: MakeHooks | None) -> list[list[_Averages]]:
    """Return the averages of each layer, at each length in the order given."""
    averages: list[list[_Averages]] = [[] for _ in range(model.config.layers)]
    for length, tokens in sequences.items():
        layout = SequenceLayout(length)
        hooks = {} if make_hooks is None else make_hooks(layout)
        for of_layer in averages:
            of_layer.append(_Averages(layout))
        for part in chunks(torch.from_numpy(tokens).to(model.embed.W_E.device)):
            _, cache = model.run_with_cache(part[:, :-1], PATTERN_HOOKS, hooks=hooks)
            for layer, of_layer in enumerate(averages):
                of_layer[-1].add(cache[pattern_hook(layer)])
    return averages


def _best_offset(of_layer: list[_Averages], head: int) -> dict[str, float]:
    """Return the distance, two or more, with the largest mean weight, and that weight.

    The mean is over the lengths whose queries can all look so far back; three of them (all, if there are fewer), since
    a head on a diagonal that moves with L, such as x_{t-1}, has a fixed distance at each one length.
    """
    longest = max(average.layout.end_of_input for average in of_layer)
    weights, lengths = np.zeros(longest + 1), np.zeros(longest + 1)
    for average in of_layer:
        found = average.distances()[head]
        weights[: len(found)] += found
        lengths[: len(found)] += 1
    enough = lengths >= min(3, len(of_layer))
    means = (weights[enough] / lengths[enough])[2:]
    return {"offset": float(means.max()), "distance": float(means.argmax() + 2)}


def _kind(scores: Mapping[str, float]) -> str:
    for place, kind in PLACES.items():
        if scores[place] > MAIN_TARGET_WEIGHT:
            return kind
    if scores["strided"] >= STRIDED_SCORE and scores["keys"] >= STRIDED_KEYS:
        return "strided"
    return "uniform" if scores["uniformity"] >= UNIFORM_ENTROPY else "other"
