"""Positions: the tables by hand, and what each kind may and may not depend on."""

import math
from typing import get_args

import pytest
import torch
from torch.testing import assert_close

from helpers.networks import CONTEXT, POSITIONS, config_of, network, random_tokens
from iterhead.errors import UserError
from iterhead.model.generate import generate
from iterhead.model.positions import POSITION_ENCODINGS, position_angles, rotate, sinusoidal_table
from iterhead.model.size import parameters
from iterhead.model.transformer import Transformer
from iterhead.settings import ModelConfig

DOUBLE = torch.float64


def test_sinusoidal_table_by_hand():
    # Four coordinates: frequencies 1 and 10000^(-2/4) = 1/100. sin 1 = 0.841471, cos 1 = 0.540302, sin 2 = 0.909297,
    # cos 2 = -0.416147; sin 0.01 = 0.0099998, cos 0.01 = 0.99995, sin 0.02 = 0.0199987, cos 0.02 = 0.9998.
    expected = [[0, 1, 0, 1], [0.841471, 0.540302, 0.0099998, 0.99995], [0.909297, -0.416147, 0.0199987, 0.9998]]
    assert_close(sinusoidal_table(3, 4), torch.tensor(expected, dtype=DOUBLE), rtol=0, atol=1e-6)


def test_sinusoidal_table_with_an_odd_number_of_coordinates():
    # Frequencies 1 and 10000^(-2/3) = 0.00215443; the last cosine has no room.
    expected = [[0, 1, 0], [0.841471, 0.540302, 0.0021544]]
    assert_close(sinusoidal_table(2, 3), torch.tensor(expected, dtype=DOUBLE), rtol=0, atol=1e-6)


def test_angles_by_hand():
    # Six coordinates: 10000^0 = 1, 10000^(-1/3) = 0.0464159, 10000^(-2/3) = 0.00215443.
    expected = torch.tensor([[0, 0, 0], [1, 0.0464159, 0.00215443], [2, 0.0928318, 0.00430887]], dtype=DOUBLE)
    assert_close(position_angles(3, 6), expected, rtol=0, atol=1e-6)


def test_rotation_by_hand():
    # The first pair turns by 90 degrees, (1, 2) -> (-2, 1); the second by 180, (3, 4) -> (-3, -4); 5 is left alone.
    x = torch.tensor([[[1.0, 2, 3, 4, 5]]], dtype=DOUBLE)
    angle = torch.tensor([[math.pi / 2, math.pi]], dtype=DOUBLE)
    assert_close(rotate(x, angle), torch.tensor([[[-2.0, 1, -3, -4, 5]]], dtype=DOUBLE))


def test_rotation_takes_the_angle_of_each_token_to_all_its_heads():
    # Two tokens of two heads: the first token is not turned, the second by 90 degrees.
    x = torch.tensor([[[1.0, 0], [2, 0]], [[3, 0], [0, 4]]], dtype=DOUBLE)
    angle = torch.tensor([[0.0], [math.pi / 2]], dtype=DOUBLE)
    expected = torch.tensor([[[1.0, 0], [2, 0]], [[0, 3], [-4, 0]]], dtype=DOUBLE)
    assert_close(rotate(x, angle), expected)


@pytest.mark.parametrize(
    ("positions", "parameters", "stored"),
    [
        ("learned", {"pos_embed.W_pos"}, {"pos_embed.W_pos"}),
        ("frozen", set(), {"pos_embed.W_pos"}),
        ("sinusoidal", set(), {"pos_embed.W_pos"}),
        ("rotary", set(), set()),
        ("none", set(), set()),
    ],
)
def test_only_learned_positions_are_parameters(positions, parameters, stored):
    model = Transformer(config_of(positions=positions), CONTEXT)
    blank = Transformer(config_of(positions="none"), CONTEXT)
    assert {name for name, _ in model.named_parameters()} - {name for name, _ in blank.named_parameters()} == parameters
    assert set(model.state_dict()) - set(blank.state_dict()) == stored


def test_learned_and_frozen_positions_start_alike_and_change_no_other_weight():
    learned, frozen, sinusoidal = (
        Transformer(config_of(positions=positions), CONTEXT).state_dict()
        for positions in ("learned", "frozen", "sinusoidal")
    )
    for name in learned:
        assert torch.equal(learned[name], frozen[name])
        assert name == "pos_embed.W_pos" or torch.equal(learned[name], sinusoidal[name])
    assert_close(sinusoidal["pos_embed.W_pos"][0].double(), sinusoidal_table(CONTEXT, 12), rtol=0, atol=1e-6)


@pytest.mark.parametrize("positions", ["learned", "frozen", "sinusoidal"])
def test_positions_are_added_to_their_coordinates_only(positions):
    model = network(config_of(positions=positions, position_width=5))
    tokens = random_tokens(2, 7)
    _, cache = model.run_with_cache(tokens)
    added = cache["hook_pos_embed"]
    assert added.shape == (2, 7, 12)
    assert (added[..., 5:] == 0).all()
    assert torch.equal(added[0, :, :5], model.pos_embed.W_pos[0, :7])
    assert torch.equal(added[0], added[1])
    assert added[..., :5].abs().min() > 0 or positions == "sinusoidal"
    assert torch.equal(cache["hook_embed"], model.embed.W_E[0][tokens])
    assert torch.equal(cache["blocks.0.hook_resid_pre"], cache["hook_embed"] + added)


def scores_of_one_constant_token(**settings):
    """The attention scores [H, T, T] of layer 0 where all tokens are the same."""
    model = network(config_of(**settings))
    _, cache = model.run_with_cache(torch.full((1, 7), 3), ["blocks.0.attn.hook_attn_scores"])
    return cache["blocks.0.attn.hook_attn_scores"][0]


@pytest.mark.parametrize("position_width", [None, 4])
@pytest.mark.parametrize("heads", [1, 2])
def test_rotary_scores_depend_on_relative_positions_alone(heads, position_width):
    scores = scores_of_one_constant_token(positions="rotary", heads=heads, position_width=position_width)
    for distance in range(7):
        along = scores.diagonal(-distance, 1, 2)
        assert_close(along, along[:, :1].expand_as(along), rtol=1e-9, atol=1e-12)
    # And they do depend on them.
    distances = scores[:, 6]
    assert all(row.unique().numel() == 7 for row in distances)


@pytest.mark.parametrize("positions", ["learned", "frozen", "sinusoidal"])
def test_embedded_positions_are_absolute(positions):
    scores = scores_of_one_constant_token(positions=positions)
    assert not torch.allclose(scores[0].diagonal(-1)[0], scores[0].diagonal(-1)[1])


def test_rotary_positions_rotate_only_queries_and_keys():
    # The hooks come before the rotation, as in TransformerLens; values and stream do not depend on positions.
    cache = network(config_of(positions="rotary")).run_with_cache(torch.full((1, 7), 3))[1]
    for name in ("hook_resid_pre", "attn.hook_q", "attn.hook_k", "attn.hook_v", "hook_resid_mid"):
        stream = cache[f"blocks.0.{name}"]
        assert_close(stream, stream[:, :1].expand_as(stream))


def test_without_positions_the_order_of_earlier_tokens_is_nothing_to_one_layer():
    model = network(config_of(positions="none", layers=1, heads=3))
    tokens = torch.tensor([[0, 1, 2, 3, 4], [3, 2, 0, 1, 4]])
    logits = model(tokens)
    assert_close(logits[0, -1], logits[1, -1])
    assert not torch.allclose(logits[0, 1], logits[1, 1])


def test_networks_without_a_table_of_positions_take_sequences_of_any_length():
    assert network(config_of(positions="none"), context=4)(random_tokens(1, 9)).shape == (1, 9, 7)


@pytest.mark.parametrize("positions", ["learned", "frozen", "sinusoidal", "rotary"])
def test_the_table_ends_with_the_context(positions):
    """In a population, too, where a row beyond the table would be the next network's first."""
    for seeds in ((0,), (0, 1)):
        model = network(config_of(positions=positions), seeds, context=5)
        model(random_tokens(len(seeds), 1, 5))
        for too_long in (model, lambda tokens, model=model: generate(model, tokens[..., :3], 4)):
            with pytest.raises(UserError, match=r"^sequences of 6 tokens: expected at most 5, the context$"):
                too_long(random_tokens(len(seeds), 1, 6))


# The registry


def test_every_name_of_the_setting_has_a_class():
    assert set(POSITION_ENCODINGS) == set(get_args(ModelConfig.model_fields["positions"].annotation))


@pytest.mark.parametrize("positions", POSITIONS)
def test_a_class_says_what_its_networks_do(positions):
    """In how many weights two networks of different context differ, what is stored, added and rotated."""
    config = config_of(positions=positions, heads=3, position_width=None if positions == "none" else 6)
    encoding = POSITION_ENCODINGS[positions]
    model, longer = network(config, context=7), network(config, context=11)
    _, cache = model.run_with_cache(random_tokens(2, 5))
    assert type(model.pos_embed) is encoding
    assert encoding.is_added == ("hook_pos_embed" in cache)
    assert encoding.is_rotary == (model.pos_embed.angles(torch.arange(5)) is not None)
    assert not (encoding.is_added and encoding.is_rotary)
    stored, more = (sum(t.numel() for t in m.state_dict().values()) for m in (model, longer))
    counted = parameters(config, 11) - parameters(config, 7)
    assert counted == ((more - stored) if encoding.has_weights else 0)
    assert (counted > 0) == encoding.has_weights == (positions in ("learned", "frozen"))
