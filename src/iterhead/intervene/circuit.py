"""What kind of circuit a network has: each attention head is named for where it attends.

Maps are averaged over sequences of each length, scores over queries from EoI on and over the headline lengths (4 and
more: at shorter ones roles coincide, as with L = 1 the iteration head attends to the token before EoI).

Letters: `B` sequences, `H` heads, `Q` queries from EoI on, `T` tokens.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from iterhead.criteria import (
    MAIN_TARGET_WEIGHT,
    SHARED_ROLE_WEIGHT,
    SOLVED_ACCURACY,
    STRIDED_KEYS,
    STRIDED_SCORE,
    UNIFORM_ENTROPY,
)
from iterhead.errors import UserError, nearest
from iterhead.formatting import head_label
from iterhead.intervene.effects import MakeHooks, Sequences, chunks
from iterhead.measure.records import Head, headline_lengths
from iterhead.model.hooks import PATTERN_HOOKS, HookedModel, pattern_hook
from iterhead.tasks import SequenceLayout

_TARGETS = {
    "eoi": ("EoI finder", "EoI"),
    "iteration": ("iteration head", "x_t"),
    "previous": ("previous token", "the token before"),
    "self": ("own token", "itself"),
    "first": ("first token", "the first token"),
    "offset": ("fixed offset", "a fixed distance back"),
}
"""Scores that are the mean weight on one target: the kind of head named for it, and the target in words. The first
score above `MAIN_TARGET_WEIGHT` decides, so roles come before what they coincide with at a single length."""

_ROLE_SCORES = {"first": "eoi", "second": "iteration"}
"""The score of how much a head plays each role of `measure.heads.ROLES`."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class HeadKind:
    """What one head does.

    Attributes:
        layer, head: from 0.
        kind: EoI finder, iteration head, previous token, own token, first token, fixed offset, strided, uniform or
            other.
        scores: what decided the kind. Mean weights, 0 .. 1: `eoi` (on EoI, queries s_1 .. s_L), `iteration` (on x_t,
            queries EoI .. s_{L-1}), and over all queries from EoI on `previous`, `self`, `first` (the problem token)
            and `offset` (the best distance of two or more that is the same at every length), with its `distance`.
            `strided`: 0 if even and odd distances (and positions) get equal weight, 1 if one parity gets it all.
            `uniformity`: entropy of a query's weights over that of a uniform row, 0 .. 1. `keys`: effective number of
            keys a query, e to that entropy. `content`: share of the averaged map's entropy that comes from differences
            between sequences, 0 (attends by position) .. 1.
    """

    layer: int
    head: int
    kind: str
    scores: Mapping[str, float]

    @property
    def name(self) -> str:
        """`layer 2, head 1`: counted from 1, as in the paper."""
        return head_label((self.layer, self.head))

    @property
    def summary(self) -> str:
        """What the head does, e.g. `layer 1, head 1 is an EoI finder`."""
        scores = self.scores
        match self.kind:
            case "EoI finder" | "iteration head":
                does = f"is an {self.kind}"
            case "strided":
                does = f"is strided ({(1 + scores['strided']) / 2:.0%} of its weight on every other position)"
            case "uniform":
                does = f"is uniform ({scores['keys']:.0f} keys a query)"
            case "fixed offset":
                does = f"looks back {scores['distance']:.0f} positions"
            case "other":
                best = max(_TARGETS, key=lambda name: scores[name])
                does = f"is of no known kind (most weight: {scores[best]:.2f} on {_TARGETS[best][1]})"
            case token:
                does = f"looks at the {token}"
        return f"{self.name} {does}"

    def __repr__(self) -> str:
        return f"HeadKind({self.summary})"


def classify_heads(model: HookedModel, sequences: Sequences, make_hooks: MakeHooks | None = None) -> list[HeadKind]:
    """Return what each head of each layer does, from whole sequences with chain of thought, by length.

    With `make_hooks`, which returns the hooks for each length, heads are classified under an intervention.
    """
    counted = {length: sequences[length] for length in headline_lengths(sorted(sequences))}
    averages = _averages(model, counted, make_hooks)
    by_length = [_scores(average) for average in averages]
    means = {name: np.mean([scores[name] for scores in by_length], axis=0) for name in by_length[0]}
    means["offset"], means["distance"] = _best_offset(averages)
    kinds = []
    for layer, head in np.ndindex(model.layers, model.heads):
        scores = {name: float(values[layer, head]) for name, values in means.items()}
        kinds.append(HeadKind(layer, head, _kind(scores), scores))
    return kinds


def average_maps(model: HookedModel, sequences: Sequences, make_hooks: MakeHooks | None = None) -> dict[int, Floats]:
    """Return attention maps averaged over sequences, [layers, H, T, T], by length. Arguments as `classify_heads`."""
    return {average.layout.length: average.maps for average in _averages(model, sequences, make_hooks)}


class _Averages(NamedTuple):
    """Averages over the sequences of one length: maps [layers, H, T, T] and entropies of their rows [layers, H, T]."""

    layout: SequenceLayout
    maps: Floats
    entropies: Floats


@torch.no_grad()
def _averages(model: HookedModel, sequences: Sequences, make_hooks: MakeHooks | None) -> list[_Averages]:
    """Return the averages for each length."""
    averages = []
    for length, tokens in sequences.items():
        layout = SequenceLayout(length)
        hooks = {} if make_hooks is None else make_hooks(layout)
        maps = entropies = torch.zeros((), dtype=torch.float64)
        for part in chunks(torch.from_numpy(tokens).to(model.device)):
            _, cache = model.run_with_cache(part[:, :-1], PATTERN_HOOKS, hooks=hooks)
            patterns = [cache[pattern_hook(layer)].double().cpu() for layer in range(model.layers)]
            maps = maps + torch.stack([pattern.sum(0) for pattern in patterns])
            entropies = entropies + torch.stack([torch.special.entr(pattern).sum(-1).sum(0) for pattern in patterns])
        averages.append(_Averages(layout, (maps / len(tokens)).numpy(), (entropies / len(tokens)).numpy()))
    return averages


def _scores(average: _Averages) -> dict[str, Floats]:
    """Return the scores of each head, [layers, H], except those of fixed distances, which need all lengths."""
    layout, maps, entropies = average
    queries = np.arange(layout.size)[layout.output_positions]
    rows, entropy = maps[..., queries, :], entropies[..., queries]
    largest = np.log(queries + 1)
    averaged = -np.sum(rows * np.log(np.where(rows > 0, rows, 1.0)), axis=-1)
    keys = np.arange(maps.shape[-1])
    even_distance = (queries[:, None] - keys) % 2 == 0
    even = (rows[..., even_distance].sum(-1), rows[..., keys % 2 == 0].sum((-2, -1)))
    return {
        "eoi": maps[..., *layout.first_pairs].mean(-1),
        "iteration": maps[..., *layout.second_pairs].mean(-1),
        "previous": maps[..., queries, queries - 1].mean(-1),
        "self": maps[..., queries, queries].mean(-1),
        "first": rows[..., 0].mean(-1),
        "strided": np.maximum(*(np.abs(2 * weight / len(queries) - 1) for weight in even)),
        "uniformity": (entropy / largest).mean(-1),
        "keys": np.exp(entropy).mean(-1),
        "content": ((averaged - entropy) / largest).mean(-1),
    }


def _best_offset(averages: list[_Averages]) -> tuple[Floats, Floats]:
    """Return the largest mean weight at a distance of two or more, and that distance, both [layers, H].

    The mean is over the lengths whose queries can all look so far back, at least three (or all, if there are fewer),
    since a head on a diagonal that moves with L, such as x_{t-1}, has a fixed distance at each single length.
    """
    longest = max(average.layout.end_of_input for average in averages)
    weights, lengths = np.zeros((*averages[0].maps.shape[:2], longest + 1)), np.zeros(longest + 1)
    for layout, maps, _ in averages:
        distances = np.arange(layout.end_of_input + 1)
        queries = np.arange(layout.size)[layout.output_positions, None]
        weights[..., distances] += maps[..., queries, queries - distances].mean(-2)
        lengths[distances] += 1
    enough = lengths >= min(3, len(averages))
    means = (weights[..., enough] / lengths[enough])[..., 2:]
    return means.max(-1), means.argmax(-1) + 2.0


def _kind(scores: Mapping[str, float]) -> str:
    for score, (kind, _) in _TARGETS.items():
        if scores[score] > MAIN_TARGET_WEIGHT:
            return kind
    if scores["strided"] >= STRIDED_SCORE and scores["keys"] >= STRIDED_KEYS:
        return "strided"
    return "uniform" if scores["uniformity"] >= UNIFORM_ENTROPY else "other"


def role_spread(kinds: Sequence[HeadKind], role: str) -> dict[Head, float]:
    """Return the mean weight that each head puts on the ideal keys of a role, "first" (EoI) or "second" (x_t).

    The sum is the role's mass (claim 18).

    Raises:
        UserError: for another role.
    """
    if role not in _ROLE_SCORES:
        raise UserError(f"role={role!r}: expected one of {', '.join(_ROLE_SCORES)}{nearest(role, _ROLE_SCORES)}")
    return {(kind.layer, kind.head): kind.scores[_ROLE_SCORES[role]] for kind in kinds}


def describe_circuit(kinds: Sequence[HeadKind], accuracy: float | None = None) -> str:
    """Return what kind of circuit a network has, as one sentence; layers and heads counted from 1, as in the paper.

    `iteration head: layer 2, head 1; layer 1, head 1 is an EoI finder`, or
    `solves the task without an iteration head: layer 1, head 1 is an EoI finder; layer 2, head 1 is strided`.

    Args:
        kinds: from `classify_heads`.
        accuracy: exact match, 0 .. 1, to say whether the task is solved (from 0.95 on); None says nothing about it.
    """
    heads = [kind for kind in kinds if kind.kind == "iteration head"]
    rest = "; ".join(kind.summary for kind in kinds if kind not in heads)
    if heads:
        what = f"iteration head{'s' if len(heads) > 1 else ''}: {', '.join(kind.name for kind in heads)}"
    else:
        what = _without_iteration_head(kinds)
    if accuracy is not None and accuracy < SOLVED_ACCURACY:
        what = f"does not solve the task (accuracy {accuracy:.2f}); {what}"
    elif accuracy is not None and not heads:
        what = f"solves the task {what}"
    separator = "; " if heads else ": "
    return f"{what}{separator}{rest}" if rest else what


def _without_iteration_head(kinds: Sequence[HeadKind]) -> str:
    """Return `without an iteration head`, or which heads share its role if their weights add up to most of it."""
    mass = sum(role_spread(kinds, "second").values())
    if mass <= MAIN_TARGET_WEIGHT:
        return "without an iteration head"
    sharing = [kind for kind in kinds if kind.scores["iteration"] >= SHARED_ROLE_WEIGHT]
    names = ", ".join(f"{kind.name} ({kind.scores['iteration']:.2f})" for kind in sharing)
    return f"without a single iteration head, its role (weight {mass:.2f} in all) spread over {names or 'all heads'}"
