"""Scores of heads with intervals over prompts, and with p-values that allow for how many heads were tried.

Letters: `P` prompts, `A` all heads of the model (layers times heads), `L` steps, `E` explanations, `W` windows, `R`
permutations.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from iterhead.criteria import FALSE_DISCOVERIES, PEAK
from iterhead.estimates import bootstrap_interval
from iterhead.scans.result import HeadScore, Role
from iterhead.seeds import IntegerStream

PERMUTATIONS = 999
"""The least p is 1 / (PERMUTATIONS + 1)."""

Floats = NDArray[np.float64]
Weights = dict[str, Floats]
"""What `scores.measure` returns for one length."""


def input_p_values(inputs: Sequence[Floats], seed: int) -> Floats:
    """Return for each head the p-value of its weight on x_t, [A], from weights on all inputs, [P, A, L, L] by length.

    The null hypothesis, for all heads at once: within a prompt it does not matter which input is paired with which
    query, so the weights of the query that writes s_t on x_1 .. x_L are exchangeable under permutations of the inputs.
    In each permutation every prompt pairs its inputs with its queries at random, in the same way for all heads. The
    statistic is the mean weight on the paired input, less that on all inputs. p is the share of permutations, the true
    pairing among them, in which the largest statistic of any head reaches the head's own (Westfall and Young's maximum
    statistic): so the chance of any p below 0.05 is at most 5%, however many heads there are and however they depend on
    each other.

    A head that looks by position alone, such as one with a fixed lag, breaks this null without iterating. Therefore a
    head must also look at x_t more than at any fixed offset and any other competing key: see `score_p_values`. Where a
    query cannot see all inputs (the form `interleaved`) the null is false, and p says nothing.
    """
    statistics = np.zeros((PERMUTATIONS + 1, inputs[0].shape[1]))
    for weights in inputs:
        P, A, L, _ = weights.shape
        shares = IntegerStream(seed, "scan", "permutations", L).uniform(P * PERMUTATIONS * L)
        orders = np.argsort(shares.reshape(P, PERMUTATIONS, L), axis=-1)
        excess = (weights - weights.mean((2, 3), keepdims=True)).reshape(P, A, L * L)
        for prompt, order in zip(excess, orders, strict=True):
            inputs_RL = np.concatenate([np.arange(L)[None], order])  # first, the true pairing
            pairs = np.zeros((PERMUTATIONS + 1, L * L))
            np.put_along_axis(pairs, np.arange(L) * L + inputs_RL, 1 / L, axis=1)
            statistics += pairs @ prompt.T
    return maximum_p_values(statistics)


def window_p_values(windows: Sequence[Floats], seed: int) -> Floats:
    """Return for each head the p-value of its weight on the end of the input, [A], from `first.windows` by length.

    The null hypothesis: for the written states the end of the input is a place like any other in the example. In each
    permutation every prompt draws one of its windows of that size. A head that likes the marker's token for another
    reason, as a random head may, is no false discovery of this test: it does look there.
    """
    statistics = np.zeros((PERMUTATIONS + 1, windows[0].shape[1]))
    for weights in windows:
        P, _, W = weights.shape
        drawn = IntegerStream(seed, "scan", "windows", P, W).integers(W, (PERMUTATIONS, P))
        drawn = np.concatenate([np.full((1, P), W - 1), drawn])  # first, the end of the input
        excess = weights - weights.mean(-1, keepdims=True)
        for prompt, chosen in zip(excess, drawn.T, strict=True):
            statistics += prompt[:, chosen].T
    return maximum_p_values(statistics)


def score_p_values(difference_PA: Floats, seed: int) -> Floats:
    """Return for each head the p-value of its score, [A], from the differences of which the score is the mean, [P, A].

    The null hypothesis of a head: on average over all prompts that could be drawn, its key gets no more weight than the
    best competing one. Prompts are drawn again with replacement, the same for all heads. p is the share of draws in
    which the largest deviation of any head from its own mean, in standard errors, reaches the head's score (a maximum
    statistic again, so for all heads together). A difference is nan in prompts that do not count for the head.
    """
    counts = np.maximum(np.isfinite(difference_PA).sum(0), 1)
    means = np.nansum(difference_PA, axis=0) / counts
    centred = np.nan_to_num(difference_PA - means)
    errors = np.maximum(np.sqrt((centred**2).sum(0) / counts / np.maximum(counts - 1, 1)), 1e-12)
    P = len(difference_PA)
    drawn = IntegerStream(seed, "scan", "prompts drawn", P).integers(P, (PERMUTATIONS, P))
    times_RP = np.stack([np.bincount(draw, minlength=P) for draw in drawn]).astype(float)
    deviations = (times_RP @ centred) / np.maximum(times_RP @ np.isfinite(difference_PA), 1) / errors
    return maximum_p_values(np.concatenate([(means / errors)[None], deviations]))


def maximum_p_values(statistics: Floats) -> Floats:
    """Return the p-values of the maximum statistic, [A]: row 0 of [R + 1, A] is observed, the others are permuted."""
    largest = statistics.max(1)
    tolerance = 1e-9  # rounding must not make a pairing that equals the true one smaller
    return np.asarray((largest[:, None] >= statistics[0] - tolerance).mean(0))


def score_heads(by_length: Sequence[Weights], names: dict[Role, list[str]], seed: int) -> tuple[HeadScore, ...]:
    """Return every head in both roles, best score first.

    Args:
        by_length: the weights of each length, in float64, [P, layers, heads, ...].
        names: of the explanations, for each role.
        seed: of the permutations.
    """
    heads = by_length[0]["iteration.target"].shape[2]
    scores = []
    tests: Mapping[Role, tuple[str, Callable[[Sequence[Floats], int], Floats]]] = {
        "iteration": ("iteration.inputs", input_p_values),
        "first": ("first.windows", window_p_values),
    }
    for role, (tested, test) in tests.items():
        looks = test([_flat(weights[tested]) for weights in by_length], seed)
        own, others = (np.concatenate([_flat(w[f"{role}.{name}"]) for w in by_length]) for name in ("own", "others"))
        targets = [_flat(weights[f"{role}.target"]) for weights in by_length]
        weight = np.concatenate([target.mean(-1) for target in targets]).mean(0)
        peakiness = np.concatenate([(target > PEAK).mean(-1) for target in targets]).mean(0)
        best, difference_PA = best_competitors(own - others)
        p_values = np.maximum(looks, score_p_values(difference_PA, seed))
        for index, (p, column) in enumerate(zip(p_values.tolist(), difference_PA.T, strict=True)):
            counted = column[np.isfinite(column)]
            low, high = bootstrap_interval(counted)
            scores.append(
                HeadScore(
                    layer=index // heads,
                    head=index % heads,
                    role=role,
                    score=float(counted.mean()),
                    low=low,
                    high=high,
                    competing=names[role][best[index]],
                    p=p,
                    weight=float(weight[index]),
                    peakiness=float(peakiness[index]),
                    significant=p <= FALSE_DISCOVERIES and low > 0,
                )
            )
    return tuple(sorted(scores, key=lambda score: -score.score))


def best_competitors(difference_PAE: Floats) -> tuple[NDArray[np.int64], Floats]:
    """Return each head's strongest other explanation [A], and what the role's key gets more than it, [P, A].

    It is nan in prompts where the two never differ. Where that is so in all prompts, they cannot tell the two apart,
    and the difference is 0.
    """
    counts = np.isfinite(difference_PAE).sum(0)
    best = (np.nansum(difference_PAE, axis=0) / np.maximum(counts, 1)).argmin(-1)
    chosen = np.take_along_axis(difference_PAE, best[None, :, None], axis=-1)[..., 0]
    return best, np.where(np.isnan(chosen).all(0), 0.0, chosen)


def competing_weights(by_length: Sequence[Weights], names: Sequence[str]) -> dict[str, Floats]:
    """Return each head's mean weight on the keys of the iteration role's other explanations, [layers, heads] each."""
    others = np.concatenate([weights["iteration.others"] for weights in by_length])
    return dict(zip(names, np.nan_to_num(others).mean(0).transpose(2, 0, 1), strict=True))


def _flat(weights: Floats) -> Floats:
    """Return [P, layers, heads, ...] as [P, A, ...]."""
    return weights.reshape(len(weights), -1, *weights.shape[3:])
