"""Attention replaced: the maps by hand, and what becomes of the network set by hand."""

import pytest
import torch
from torch.testing import assert_close

from helpers.oracle import LONGEST, RESIDUALS, TELLING, by_hand, inputs_of, random_network, random_tokens, sequences
from iterhead.errors import UserError
from iterhead.intervene.activations import compose
from iterhead.intervene.effects import accuracy_under, chance_levels
from iterhead.intervene.patterns import (
    ideal_attention,
    random_attention,
    shifted_attention,
    shuffled_attention,
    uniform_attention,
)
from iterhead.model.hooks import pattern_hook
from iterhead.tasks import SequenceLayout, task

LAYOUT = SequenceLayout(3)
"""problem x_1 x_2 x_3 EoI s_1 s_2 s_3 stand at 0 .. 7."""


def maps_of(hooks, layer=1, tokens=None, model=None):
    """A layer's maps before and after an edit, on a random network with three heads."""
    model = model or random_network()
    tokens = random_tokens(5, 8) if tokens is None else tokens
    name = pattern_hook(layer)
    return model.run_with_cache(tokens, [name])[1][name], model.run_with_cache(tokens, [name], hooks=hooks)[1][name]


# Maps by hand


@pytest.mark.parametrize(
    ("hooks", "cells"),
    [
        (ideal_attention(LAYOUT, "first", 1, 2), {5: 4, 6: 4, 7: 4}),
        (ideal_attention(LAYOUT, "second", 1, 2), {4: 1, 5: 2, 6: 3}),
        # x_{t+1}, and at the last step EoI.
        (shifted_attention(LAYOUT, 1, 1, 2), {4: 2, 5: 3, 6: 4}),
        (shifted_attention(LAYOUT, 0, 1, 2), {4: 1, 5: 2, 6: 3}),
        (shifted_attention(LAYOUT, -1, 1, 2), {4: 0, 5: 1, 6: 2}),
        # Nothing stands before the first token: the first query keeps its own map.
        (shifted_attention(LAYOUT, -2, 1, 2), {5: 0, 6: 1}),
        (shifted_attention(LAYOUT, 3, 1, 2), {4: 4, 5: 5, 6: 6}),
        # Beyond the query itself nothing is seen.
        (shifted_attention(LAYOUT, 4, 1, 2), {}),
        (shifted_attention(LAYOUT, 1, 1, 2, role="first"), {5: 5, 6: 5, 7: 5}),
        (shifted_attention(LAYOUT, 2, 1, 2, role="first"), {6: 6, 7: 6}),
        (shifted_attention(LAYOUT, -1, 1, 2, role="first"), {5: 3, 6: 3, 7: 3}),
    ],
)
@pytest.mark.parametrize("networks", [None, 2])
def test_a_heads_queries_look_at_the_key_named_and_all_else_stays(hooks, cells, networks):
    leading = () if networks is None else (networks,)
    before, after = maps_of(hooks, tokens=random_tokens(*leading, 5, 8), model=random_network(networks=networks))
    expected = before.clone()
    for query, key in cells.items():
        expected[..., 2, query, :] = 0
        expected[..., 2, query, key] = 1
    assert torch.equal(after, expected)
    assert list(hooks) == ["blocks.1.attn.hook_pattern"]


@pytest.mark.parametrize("head", [None, [0, 1]])
def test_many_heads_or_all_of_a_layer(head):
    before, after = maps_of(ideal_attention(LAYOUT, "first", 0, head), layer=0)
    for index in range(3):
        changed = head is None or index in head
        assert (after[:, index, 5:, 4] == 1).all() == changed
        assert torch.equal(before[:, index], after[:, index]) != changed


def test_ideal_maps_also_fit_sequences_with_their_last_token():
    _, after = maps_of(ideal_attention(LAYOUT, "second", 1, 0), tokens=random_tokens(5, 9))
    assert after[:, 0, 6, 3].tolist() == [1] * 5


def test_a_uniform_map_by_hand():
    before, after = maps_of(uniform_attention(1, 0, queries=[0, 4, 7]))
    # Queries 0, 4 and 7 see 1, 5 and 8 keys.
    assert after[2, 0, 0].tolist() == [1] + [0] * 7
    assert after[3, 0, 4].tolist() == [0.2] * 5 + [0] * 3
    assert after[1, 0, 7].tolist() == [0.125] * 8
    kept = [1, 2, 3, 5, 6]
    assert torch.equal(after[:, 0, kept], before[:, 0, kept])
    assert torch.equal(after[:, 1:], before[:, 1:])


@pytest.mark.parametrize("networks", [None, 2])
def test_a_random_map_has_one_key_for_each_query_among_those_it_sees(networks):
    shape = (networks or 1, 401, 8)
    tokens = random_tokens(*(shape if networks else shape[1:]))
    before, after = maps_of(random_attention(1, [0, 2], seed=3), tokens=tokens, model=random_network(networks=networks))
    assert torch.equal(after[..., 1, :, :], before[..., 1, :, :])
    drawn = after[..., [0, 2], :, :]
    assert ((drawn == 0) | (drawn == 1)).all()
    assert (drawn.sum(-1) == 1).all()
    assert (drawn.triu(1) == 0).all()
    # Each of the q + 1 keys that query q sees, as often as the others: five standard deviations at most.
    shares = drawn.flatten(0, -4).mean((0, 1))
    n = drawn[..., 0, 0].numel()
    for query in range(8):
        p = 1 / (query + 1)
        assert (shares[query, : query + 1] - p).abs().max() <= 5 * (p * (1 - p) / n) ** 0.5
    # Sequences, heads and networks are drawn apart.
    keys = drawn.argmax(-1)
    assert (keys[..., 0, :, :] != keys[..., 1, :, :]).any()
    assert (keys[..., 0, :] != keys[..., 1, :]).any()


def test_random_maps_follow_their_seed_and_differ_between_applications():
    pattern = torch.zeros(31, 1, 8, 8)

    def draw(hooks):
        return hooks[pattern_hook(1)](pattern)

    hooks = random_attention(1, seed=3)
    first, second = draw(hooks), draw(hooks)
    assert not torch.equal(first, second)
    again = random_attention(1, seed=3)
    assert torch.equal(draw(again), first)
    assert torch.equal(draw(again), second)
    assert not torch.equal(draw(random_attention(1, seed=4)), first)
    other_layer = random_attention(0, seed=3)[pattern_hook(0)](pattern)
    assert not torch.equal(other_layer, first)


def test_shuffling_over_keys_deals_a_rows_weights_out_among_the_keys_it_sees():
    before, after = maps_of(shuffled_attention(1, [0, 1], seed=3), tokens=random_tokens(211, 8))
    assert torch.equal(after[:, 2], before[:, 2])
    assert torch.equal(after[:, :2].sort(-1).values, before[:, :2].sort(-1).values)
    assert (after.triu(1) == 0).all()
    # The last row has eight keys: a weight stays in its place once in eight times, not always and not never.
    stayed = (after[:, :2, 7] == before[:, :2, 7]).double().mean()
    assert 0.1 < stayed < 0.15
    again = shuffled_attention(1, [0, 1], seed=3)
    assert torch.equal(maps_of(again, tokens=random_tokens(211, 8))[1], after)


@pytest.mark.parametrize("networks", [None, 2])
def test_shuffling_over_sequences_gives_each_the_map_of_another(networks):
    leading = () if networks is None else (networks,)
    hooks = shuffled_attention(1, 0, seed=3, over="sequences")
    before, after = maps_of(hooks, tokens=random_tokens(*leading, 13, 8), model=random_network(networks=networks))
    assert torch.equal(after[..., 1:, :, :], before[..., 1:, :, :])
    one_network = (before, after) if networks is None else (before[1], after[1])
    own, given = (maps[:, 0].flatten(1) for maps in one_network)
    donors = [int((own == row).all(-1).nonzero()) for row in given]
    assert sorted(donors) == list(range(13))
    assert all(donor != receiver for receiver, donor in enumerate(donors))


# The network set by hand


@pytest.mark.parametrize("residual", RESIDUALS)
@pytest.mark.parametrize("length", [1, 2, LONGEST])
def test_ideal_maps_change_nothing_where_the_heads_are_ideal(residual, length):
    model, tokens, layout = by_hand(TELLING, residual), inputs_of(TELLING, length), SequenceLayout(length)
    first, second = ideal_attention(layout, "first", 0), ideal_attention(layout, "second", 1)
    before = model(tokens)[:, layout.output_positions]
    for hooks in (first, second, compose(first, second)):
        assert_close(model(tokens, hooks=hooks)[:, layout.output_positions], before, rtol=0, atol=1e-4)


@pytest.mark.parametrize("residual", RESIDUALS)
@pytest.mark.parametrize(("role", "layer"), [("first", 1), ("second", 0)])
def test_ideal_maps_in_the_wrong_place_spoil_everything(role, layer, residual):
    model, data = by_hand(TELLING, residual), sequences(TELLING, LONGEST)
    for role, layer in (("first", 1), ("second", 0)):
        answers = accuracy_under(
            model, data, lambda layout, role=role, layer=layer: ideal_attention(layout, role, layer)
        )
        assert answers[LONGEST].exact.mean() == 0
        assert answers[LONGEST].by_token.mean() < 0.3


SPOILT = {
    "random": lambda _: random_attention(1, seed=3),
    "random, its queries": lambda layout: random_attention(1, seed=3, queries=layout.second_pairs[0]),
    "uniform": lambda _: uniform_attention(1),
    "shuffled": lambda _: shuffled_attention(1, seed=3),
    "shifted": lambda layout: shifted_attention(layout, 1, 1),
}


@pytest.mark.parametrize("residual", RESIDUALS)
@pytest.mark.parametrize("name", SPOILT)
def test_any_other_second_map_brings_the_network_down_to_guessing(residual, name):
    model, data = by_hand(TELLING, residual), sequences(TELLING, LONGEST)
    answers = accuracy_under(model, data, SPOILT[name])[LONGEST]
    chance = chance_levels(task(TELLING), data)[LONGEST].random_map
    # 101 sequences of 9 states: a standard deviation of at most 0.5 / 909 ** 0.5 = 0.017.
    assert answers.by_token.mean() < chance.by_token + 0.05
    assert answers.exact.mean() == 0


@pytest.mark.parametrize("residual", RESIDUALS)
def test_another_sequences_map_is_as_good_where_heads_read_positions(residual):
    """Claim 3: sequences of one length share the maps of the network set by hand, whatever their content."""
    model, tokens, layout = by_hand(TELLING, residual), inputs_of(TELLING, LONGEST), SequenceLayout(LONGEST)
    hooks = compose(*(shuffled_attention(layer, seed=3, over="sequences") for layer in (0, 1)))
    assert_close(
        model(tokens, hooks=hooks)[:, layout.output_positions],
        model(tokens)[:, layout.output_positions],
        rtol=0,
        atol=1e-4,
    )


# Refusals


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ideal_attention(LAYOUT, "secnd", 1), "role='secnd': expected one of first, second: did you mean 'sec"),
        (lambda: shifted_attention(LAYOUT, 1, 1, role="third"), "role='third': expected one of first, second"),
        (lambda: ideal_attention(SequenceLayout(3, cot=False), "first", 0), "data.cot=false: iteration heads are"),
        (lambda: shuffled_attention(1, seed=0, over="key"), "over='key': expected keys or sequences: did you mean 'k"),
        (
            lambda: maps_of(ideal_attention(LAYOUT, "first", 0, 3), 0),
            "head at blocks.0.attn.hook_pattern: 3 does not",
        ),
        (
            lambda: maps_of(ideal_attention(LAYOUT, "first", 0), 0, random_tokens(2, 10)),
            "a map for length=3 was applied to sequences of 10 tokens: expected 8 (or 9 with EoS)",
        ),
        (
            lambda: maps_of(ideal_attention(LAYOUT, "first", 0), 0, random_tokens(2, 7)),
            "a map for length=3 was applied to sequences of 7 tokens: expected 8 (or 9 with EoS)",
        ),
        (
            lambda: maps_of(shuffled_attention(1, seed=0, over="sequences"), 1, random_tokens(1, 8)),
            "over='sequences': the batch has one sequence: expected at least two",
        ),
        (lambda: maps_of(uniform_attention(2)), "unknown hook name 'blocks.2.attn.hook_pattern'"),
    ],
)
def test_mistakes_raise_one_line(make, message):
    with pytest.raises(UserError) as caught:
        make()
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)
