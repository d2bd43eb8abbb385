"""What kind of head: on made-up maps by hand, and on the network set by hand, whole and with parts cut out."""

import math

import numpy as np
import pytest
import torch

from helpers.oracle import LONGEST, POLYNOMIAL, RESIDUALS, TELLING, by_hand, dataset, random_network, sequences
from iterhead.errors import UserError
from iterhead.intervene import effects
from iterhead.intervene.activations import replace, zero
from iterhead.intervene.circuit import HeadKind, average_maps, classify_heads, describe_circuit, role_spread
from iterhead.intervene.patterns import random_attention
from iterhead.measure.heads import ROLES
from iterhead.model.hooks import pattern_hook
from iterhead.tasks import SequenceLayout

LENGTHS = range(4, LONGEST + 1)
residuals = pytest.mark.parametrize("residual", RESIDUALS)


def looking(place):
    """Hooks for each length that make layer 2's head look where `place(layout, query)` says: a key, or several."""

    def make(layout):
        def new(pattern):
            made = torch.zeros_like(pattern)
            for query in range(pattern.shape[-1]):
                keys = place(layout, query)
                keys = [keys] if isinstance(keys, int) else keys
                keys = sorted({key for key in keys if 0 <= key <= query} or {0})
                made[..., query, keys] = 1 / len(keys)
            return made

        return replace(pattern_hook(1), new)

    return make


def second_head(place, lengths=LENGTHS):
    return classify_heads(by_hand(TELLING), sequences(TELLING, *lengths), looking(place))[1]


@pytest.mark.parametrize(
    ("place", "kind", "score"),
    [
        (lambda layout, query: layout.end_of_input, "EoI finder", "eoi"),
        (lambda layout, query: query - layout.length, "iteration head", "iteration"),
        (lambda layout, query: query - 1, "previous token", "previous"),
        (lambda layout, query: query, "own token", "self"),
        (lambda layout, query: 0, "first token", "first"),
        (lambda layout, query: query - 3, "fixed offset", "offset"),
    ],
)
def test_a_head_is_named_for_the_one_place_it_looks_at(place, kind, score):
    head = second_head(place)
    assert head.kind == kind
    assert head.scores[score] == pytest.approx(1.0)
    assert head.scores["uniformity"] == pytest.approx(0.0)
    assert head.scores["keys"] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        (lambda layout, query: list(range(query + 1)), "uniform"),
        # Every other position, counted from the query or from the start.
        (lambda layout, query: list(range(query, -1, -2)), "strided"),
        (lambda layout, query: list(range(query - 1, -1, -2)), "strided"),
        (lambda layout, query: list(range(0, query + 1, 2)), "strided"),
        (lambda layout, query: list(range(1, query + 1, 2)), "strided"),
        # One key a query, but none of the known ones: x_{t+1}, always at an even or an odd distance, is no comb.
        (lambda layout, query: query - layout.length + 1, "other"),
        (lambda layout, query: query - layout.length - 1, "other"),
        (lambda layout, query: layout.end_of_input - 1, "other"),
        # Two of the known places in equal parts: none has more than half.
        (lambda layout, query: [query - layout.length, query], "other"),
        (lambda layout, query: list(range(0, query + 1, 4)), "strided"),
        (lambda layout, query: list(range(0, query + 1, 3)), "other"),
    ],
)
def test_heads_that_spread_or_look_elsewhere(place, kind):
    assert second_head(place).kind == kind


def test_the_distance_of_a_fixed_offset():
    assert second_head(lambda layout, query: query - 3).scores["distance"] == 3
    assert second_head(lambda layout, query: query - 2).scores["distance"] == 2
    # Where only the longer lengths, here 7, 8 and 9, can look so far back, it is those that count.
    head = second_head(lambda layout, query: query - 8)
    assert (head.scores["distance"], head.scores["offset"]) == (8, 1.0)


def test_scores_by_hand():
    # L = 4: EoI at 5, queries 5 .. 9 see 6 .. 10 keys. Half the weight on the query itself, half on EoI.
    scores = second_head(lambda layout, query: [query, layout.end_of_input], lengths=[4]).scores
    # The query EoI has both in one key. EoI from s_1 .. s_4: 1/2. Itself: (1 + 4 * 1/2) / 5. Before: s_1's EoI, 1/2.
    assert scores["eoi"] == pytest.approx(1 / 2)
    assert scores["self"] == pytest.approx(3 / 5)
    assert scores["previous"] == pytest.approx(1 / 10)
    assert scores["iteration"] == scores["first"] == 0
    # EoI at distance 2, 3, 4 each from one of five queries.
    assert (scores["offset"], scores["distance"]) == (pytest.approx(1 / 10), 2)
    # One key once, two keys four times; log 2 over log of 7 .. 10 keys.
    assert scores["keys"] == pytest.approx((1 + 4 * 2) / 5)
    assert scores["uniformity"] == pytest.approx(sum(math.log(2, n) for n in (7, 8, 9, 10)) / 5)
    # Even distances: 0 five times (once 1, four times 1/2), 2 and 4 (1/2 each): 4 of 5. Even positions: 6 and 8 (1/2
    # each): 1 of 5. Both are 0.6 away from balance.
    assert scores["strided"] == pytest.approx(0.6)
    assert scores["content"] == pytest.approx(0)


def test_a_uniform_head_by_hand():
    scores = second_head(lambda layout, query: list(range(query + 1)), lengths=[4, 5]).scores
    # Queries 5 .. 9 at L = 4 see 6 .. 10 keys, 6 .. 11 at L = 5 see 7 .. 12; roles leave out one query each.
    tenths = [sum(1 / n for n in range(*ends)) / count for *ends, count in ((7, 11, 4), (8, 13, 5))]
    assert scores["eoi"] == pytest.approx(sum(tenths) / 2)
    ideal = [sum(1 / n for n in range(*ends)) / count for *ends, count in ((6, 10, 4), (7, 12, 5))]
    assert scores["iteration"] == pytest.approx(sum(ideal) / 2)
    assert scores["uniformity"] == pytest.approx(1.0)
    assert scores["keys"] == pytest.approx((8 + 9.5) / 2)
    assert scores["strided"] < 0.1


def test_a_head_that_looks_elsewhere_in_each_sequence_is_not_uniform():
    head = classify_heads(by_hand(TELLING), sequences(TELLING, 8), lambda _: random_attention(1, seed=3))[1]
    assert head.kind == "other"
    assert head.scores["uniformity"] == pytest.approx(0)
    assert head.scores["content"] > 0.9
    assert head.scores["keys"] == pytest.approx(1)


def test_short_lengths_count_only_where_there_are_no_others():
    """At length 1 the iteration head looks at the token before."""

    def place(layout, query):
        return query - layout.length if layout.length >= 4 else query

    assert second_head(place, lengths=range(1, LONGEST + 1)).scores["iteration"] == 1.0
    assert second_head(place, lengths=[1, 2, 3]).kind == "own token"


def test_chunks_of_unequal_size_weigh_as_many_sequences_as_they_have(monkeypatch):
    model, data = random_network(), sequences(TELLING, 4, 5)
    at_once = classify_heads(model, data)
    maps = average_maps(model, data)
    monkeypatch.setattr(effects, "CHUNK", 60)
    for one, other in zip(at_once, classify_heads(model, data), strict=True):
        assert one.kind == other.kind
        assert one.scores == pytest.approx(other.scores)
    for length, tokens in data.items():
        _, cache = model.run_with_cache(torch.from_numpy(tokens[:, :-1]))
        expected = np.stack([cache[pattern_hook(layer)].mean(0).detach().numpy() for layer in (0, 1)])
        assert maps[length] == pytest.approx(expected)
        assert average_maps(model, data)[length] == pytest.approx(expected)


def test_weights_on_roles_are_those_of_the_scores():
    model, data = random_network(), sequences(TELLING, 6)
    maps, layout = average_maps(model, data)[6], SequenceLayout(6)
    kinds = classify_heads(model, data)
    assert [(kind.layer, kind.head) for kind in kinds] == [(layer, head) for layer in (0, 1) for head in (0, 1, 2)]
    for role in ROLES:
        spread = role_spread(kinds, role)
        for (layer, head), weight in spread.items():
            assert weight == pytest.approx(maps[layer, head][ROLES[role](layout)].mean())


# The network set by hand


@residuals
@pytest.mark.parametrize("spec", [TELLING, POLYNOMIAL])
def test_the_network_set_by_hand_is_named_right(spec, residual):
    kinds = classify_heads(by_hand(spec, residual), dataset(spec).test)
    assert [kind.kind for kind in kinds] == ["EoI finder", "iteration head"]
    assert kinds[0].scores["eoi"] == pytest.approx(1)
    assert kinds[1].scores["iteration"] == pytest.approx(1)
    assert all(kind.scores["content"] == pytest.approx(0, abs=1e-6) for kind in kinds)
    assert role_spread(kinds, "second") == {(0, 0): pytest.approx(0, abs=1e-6), (1, 0): pytest.approx(1)}
    assert describe_circuit(kinds, 1.0) == "iteration head: layer 2, head 1; layer 1, head 1 is an EoI finder"


def test_in_a_mixture_the_head_that_reads_the_problem_looks_at_the_first_token():
    spec = "mix:copy,polynomial(p=5)"
    kinds = classify_heads(by_hand(spec), sequences(spec, *LENGTHS))
    assert [kind.kind for kind in kinds] == ["EoI finder", "first token", "iteration head", "uniform"]
    # The last one has no weights at all. Queries L+1 .. 2L+1 see L+2 .. 2L+2 keys, (3 L + 4) / 2 on average: 8 at
    # L = 4, 15.5 at L = 9, 11.75 in the mean.
    assert describe_circuit(kinds) == (
        "iteration head: layer 2, head 1; layer 1, head 1 is an EoI finder; layer 1, head 2 looks at the first token; "
        "layer 2, head 2 is uniform (12 keys a query)"
    )


@residuals
def test_without_mlp_1_the_diagonal_goes_and_the_line_at_eoi_stays(residual):
    """Claim 5: nothing has subtracted, the second head's query is empty and its map uniform."""
    model, data = by_hand(TELLING, residual), sequences(TELLING, *LENGTHS)
    kinds = classify_heads(model, data, lambda _: zero("blocks.0.hook_mlp_out"))
    assert [kind.kind for kind in kinds] == ["EoI finder", "uniform"]
    assert kinds[0].scores["eoi"] == pytest.approx(1)
    # L queries that see L + 2 .. 2 L + 1 keys, over lengths 4 .. 9.
    ideal = np.mean([np.mean([1 / (length + t + 1) for t in range(1, length + 1)]) for length in LENGTHS])
    assert kinds[1].scores["iteration"] == pytest.approx(ideal, abs=1e-3)


@residuals
def test_without_the_first_head_the_second_finds_nothing(residual):
    model, data = by_hand(TELLING, residual), sequences(TELLING, *LENGTHS)
    kinds = classify_heads(model, data, lambda _: zero("blocks.0.attn.hook_z", head=0))
    assert [kind.kind for kind in kinds] == ["EoI finder", "uniform"]


def test_an_untrained_network_has_no_iteration_head():
    kinds = classify_heads(random_network(), sequences(TELLING, *LENGTHS))
    assert all(kind.kind in ("other", "uniform", "own token", "first token") for kind in kinds)
    assert all(kind.scores["iteration"] < 0.3 for kind in kinds)


# In words


def head(layer, index, kind, **scores):
    zeros = dict.fromkeys(
        ("eoi", "iteration", "previous", "self", "first", "offset", "distance", "strided", "uniformity", "keys"), 0.0
    )
    return HeadKind(layer, index, kind, zeros | scores)


FINDER = head(0, 0, "EoI finder", eoi=0.9)
ITERATION = head(1, 2, "iteration head", iteration=0.9)


@pytest.mark.parametrize(
    ("kinds", "accuracy", "sentence"),
    [
        ([ITERATION], 0.95, "iteration head: layer 2, head 3"),
        (
            [FINDER, ITERATION, head(2, 0, "iteration head", iteration=0.8)],
            0.99,
            "iteration heads: layer 2, head 3, layer 3, head 1; layer 1, head 1 is an EoI finder",
        ),
        (
            [FINDER, head(1, 0, "strided", strided=0.7)],
            0.95,
            "solves the task without an iteration head: layer 1, head 1 is an EoI finder; "
            "layer 2, head 1 is strided (85% of its weight on every other position)",
        ),
        (
            [head(0, 0, "fixed offset", distance=4.0), head(1, 0, "other", previous=0.375, first=0.25)],
            0.949,
            "does not solve the task (accuracy 0.95); without an iteration head: layer 1, head 1 looks back 4 "
            "positions; layer 2, head 1 is of no known kind (most weight: 0.38 on the token before)",
        ),
        (
            [FINDER, ITERATION],
            0.25,
            "does not solve the task (accuracy 0.25); iteration head: layer 2, head 3; "
            "layer 1, head 1 is an EoI finder",
        ),
        (
            [
                head(0, 0, "previous token", iteration=0.0625),
                head(1, 0, "own token", iteration=0.25),
                head(1, 1, "other", iteration=0.375),
            ],
            1.0,
            "solves the task without a single iteration head, its role (weight 0.69 in all) spread over layer 2, "
            "head 1 (0.25), layer 2, head 2 (0.38): layer 1, head 1 looks at the previous token; layer 2, head 1 looks "
            "at the own token; layer 2, head 2 is of no known kind (most weight: 0.38 on x_t)",
        ),
        (
            [head(0, 0, "uniform", keys=7.0)],
            None,
            "without an iteration head: layer 1, head 1 is uniform (7 keys a query)",
        ),
    ],
)
def test_a_circuit_in_words(kinds, accuracy, sentence):
    assert describe_circuit(kinds, accuracy) == sentence


def test_a_role_that_does_not_exist_is_refused():
    with pytest.raises(UserError, match="role='third': expected one of first, second"):
        role_spread([FINDER], "third")


def test_weights_of_a_role_by_head():
    assert role_spread([FINDER, ITERATION], "first") == {(0, 0): 0.9, (1, 2): 0.0}
    assert role_spread([FINDER, ITERATION], "second") == {(0, 0): 0.0, (1, 2): 0.9}


def test_a_head_reads_as_a_sentence():
    assert repr(FINDER) == "HeadKind(layer 1, head 1 is an EoI finder)"
    assert repr(ITERATION) == "HeadKind(layer 2, head 3 is an iteration head)"
