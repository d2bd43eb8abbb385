"""The network against arithmetic by hand, against plain loops, and against itself: alone, in a population, packed."""

import math

import pytest
import torch
from torch.testing import assert_close

from helpers import floats
from helpers.networks import (
    CONTEXT,
    FEW_OPTIONS,
    OPTIONS,
    POSITIONS,
    alone,
    config_of,
    name_of,
    network,
    random_tokens,
)
from iterhead.data.batches import Batches
from iterhead.data.splits import make_dataset
from iterhead.model.context import packed_context
from iterhead.model.layers import Norm
from iterhead.model.transformer import Transformer
from iterhead.settings import DataConfig, ModelConfig, RunConfig
from iterhead.tasks import Vocabulary
from iterhead.tasks.catalogue import parity_task

TIGHT = {"rtol": 1e-10, "atol": 1e-12}

every_option = pytest.mark.parametrize("config", OPTIONS, ids=name_of)


# By hand


def test_the_published_network_has_414720_parameters():
    config = RunConfig(model=ModelConfig(width=128))
    model = Transformer(config.model, config.context)
    # Embedding and output 2 * 64*128 = 16384; positions 35*128 = 4480 (the longest sequence has 2*16+3 tokens);
    # two layers of 4*128^2 + 8*128^2 = 196608; five norms of 128: 16384 + 4480 + 393216 + 640.
    assert sum(parameter.numel() for parameter in model.parameters()) == 414_720


@pytest.mark.parametrize("residual", ["published", "pre-norm"])
def test_a_network_of_width_two_by_hand(residual):
    config = ModelConfig(width=2, layers=1, mlp_width=1, vocabulary=4, norm="none", positions="none", residual=residual)
    model = Transformer(config, 3).double()
    ln3 = math.sqrt(2) * math.log(3)
    by_hand = {
        "embed.W_E": [[1, 0], [0, 1], [9, 9], [9, 9]],
        "blocks.0.attn.W_Q": [[ln3, 0], [0, ln3]],
        "blocks.0.attn.W_K": [[1, 0], [0, 1]],
        "blocks.0.attn.W_V": [[4, 0], [0, 4]],
        "blocks.0.attn.W_O": [[0, 1], [1, 0]],
        "blocks.0.mlp.W_in": [[1], [-1]],
        "blocks.0.mlp.W_out": [[0, 1]],
        "unembed.W_U": [[1, 0, 1, -1], [0, 1, 1, 0]],
    }
    model.load_state_dict({name: torch.tensor([value], dtype=torch.float64) for name, value in by_hand.items()})
    # Token 0 is (1, 0), token 1 is (0, 1). A score is ln 3 times the product (the root of 2 takes away 1 / sqrt(2)).
    #
    # Position 0 sees itself: 4 * (1, 0), swapped by W_O: (0, 4); stream (1, 4). MLP: 1 - 4 = -3, GELU(-3) =
    # -3 * 0.0013498980 = -0.0040496941; stream (1, 3.9959503059).
    # Position 1 has the scores 0 and ln 3, so the weights 1/4 and 3/4: 4 * (1/4, 3/4) = (1, 3), swapped (3, 1);
    # stream (0, 1) + (3, 1) = (3, 2). MLP: 3 - 2 = 1, GELU(1) = 0.8413447461; stream (3, 2.8413447461).
    # Logits: first, second, their sum, minus the first.
    expected = [
        [1, 3.9959503059, 4.9959503059, -1],
        [3, 2.8413447461, 5.8413447461, -3],
    ]
    assert_close(model(torch.tensor([[0, 1]])), torch.tensor([expected], dtype=torch.float64), rtol=0, atol=1e-9)


def test_layer_norm_by_hand():
    norm = Norm("layer", 2, 3)
    norm.w.data = torch.tensor([[1.0, 2, 3], [1.0, -1, 0]])
    # (2, 4, 9): mean 5, differences (-3, -1, 4), mean square 26/3 = 2.943920^2: (-1.019049, -0.339683, 1.358732).
    # (0, 0, 3): mean 1, differences (-1, -1, 2), mean square 2: (-0.707107, -0.707107, 1.414214).
    x = torch.tensor([[[2.0, 4, 9]], [[0.0, 0, 3]]])
    expected = torch.tensor([[[-1.019049, -0.679366, 4.076197]], [[-0.707107, 0.707107, 0.0]]])
    assert_close(norm(x), expected, rtol=0, atol=1e-5)


def test_rms_norm_by_hand():
    norm = Norm("rms", 2, 2)
    norm.w.data = torch.tensor([[1.0, 10], [2.0, 3]])
    # (3, 4): mean square 12.5 = 3.535534^2: (0.848528, 1.131371). (1, 7): mean square 25: (0.2, 1.4).
    x = torch.tensor([[[3.0, 4]], [[1.0, 7]]])
    expected = torch.tensor([[[0.848528, 11.313708]], [[0.4, 4.2]]])
    assert_close(norm(x), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", ["layer", "rms"])
@pytest.mark.parametrize("networks", [1, 2])
def test_norms_have_the_published_epsilon(kind, networks):
    # (0.001, -0.001): mean square 1e-6, so divided by sqrt(1e-6 + 1e-5) = 0.00331662.
    x = torch.tensor([[0.001, -0.001]]).expand(networks, 1, 2)
    assert_close(Norm(kind, networks, 2)(x)[0, 0], torch.tensor([0.301511, -0.301511]), rtol=0, atol=1e-5)


def test_no_norm_has_no_weight():
    norm = Norm("none", 1, 2)
    assert list(norm.parameters()) == []
    x = torch.tensor([[[3.0, 4]]])
    assert torch.equal(norm(x), x)


@every_option
def test_logits_are_those_of_plain_loops(config):
    model = network(config)
    weights = {name: tensor[0].tolist() for name, tensor in model.state_dict().items()}
    tokens = random_tokens(2, 5)
    expected = torch.tensor([floats.logits(weights, config, row) for row in tokens.tolist()], dtype=torch.float64)
    assert_close(model(tokens), expected, **TIGHT)


# Initial weights


def test_initial_weights_are_as_published():
    model = Transformer(ModelConfig(width=61, mlp_width=211, vocabulary=97), 101)
    weights = {name: tensor[0] for name, tensor in model.state_dict().items()}
    bounds = {"W_Q": 61, "W_K": 61, "W_V": 61, "W_O": 61, "W_in": 61, "W_out": 211, "W_U": 61}
    seen = set()
    for name, weight in weights.items():
        kind = name.rpartition(".")[2]
        seen.add(kind)
        if kind == "w":
            assert (weight == 1).all()
        elif kind in bounds:
            # Uniform in +-1 / sqrt(D_in), whose standard deviation is the bound over sqrt(3).
            bound = bounds[kind] ** -0.5
            assert 0.99 * bound < weight.abs().max() <= bound
            assert weight.std() == pytest.approx(bound / 3**0.5, rel=0.05)
            assert abs(weight.mean()) < 0.05 * bound
        else:
            # N(0, 1): of about 6,000 numbers the mean lies within 0.065 (five standard deviations), the largest
            # beyond 3.
            assert abs(weight.mean()) < 0.065
            assert weight.std() == pytest.approx(1, abs=0.05)
            assert 3 < weight.abs().max() < 6
    assert seen == {*bounds, "w", "W_E", "W_pos"}


@pytest.mark.parametrize("positions", POSITIONS)
def test_network_i_of_a_population_starts_as_it_would_alone(positions):
    config = config_of(positions=positions)
    seeds = (5, 2, 7)
    population = Transformer(config, CONTEXT, seeds)
    assert population.networks == 3
    for index, seed in enumerate(seeds):
        single = Transformer(config, CONTEXT, [seed]).state_dict()
        for name, tensor in population.state_dict().items():
            assert torch.equal(tensor[index], single[name][0]), name
    embeddings = population.embed.W_E
    assert not torch.equal(embeddings[0], embeddings[1])
    assert not torch.equal(embeddings[1], embeddings[2])


def test_initial_weights_owe_nothing_to_the_global_generator():
    state = torch.get_rng_state()
    first = Transformer(config_of(), CONTEXT).state_dict()
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(123)
    second = Transformer(config_of(), CONTEXT).state_dict()
    torch.set_rng_state(state)
    assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())


def test_layers_start_with_weights_of_their_own():
    model = Transformer(config_of(layers=3), CONTEXT)
    weights = [tensor for name, tensor in model.state_dict().items() if not name.endswith(".w")]
    for i, a in enumerate(weights):
        assert not any(a.shape == b.shape and torch.equal(a, b) for b in weights[i + 1 :])


# Alone, in a population, packed


@every_option
def test_each_network_of_a_population_gives_what_it_gives_alone(config):
    population = network(config, seeds=(5, 2, 7))
    tokens = random_tokens(3, 2, 5)
    found = population(tokens)
    assert found.shape == (3, 2, 5, 7)
    for index in range(3):
        assert_close(found[index], alone(population, index)(tokens[index]), **TIGHT)


def packed_batch(per_length, seed):
    data = DataConfig(max_length=3, train_per_length=4, test_per_length=1)
    dataset = make_dataset(parity_task(), data, Vocabulary(7), seed)
    batches = Batches([dataset], data, 3 * per_length, [seed])
    return batches.packing, next(batches.epoch(0))[0][0]


def logits_one_by_one(model, row, packing, r):
    """What M networks give at the outputs of packed row r [M, T], each of its sequences passed alone."""
    found = {}
    slots, counts = packing.slot_RT[r], packing.counts_RT[r]
    for slot, counted in set(zip(slots.tolist(), counts.tolist(), strict=True)):
        columns = torch.where((slots == slot) & (counts == counted))[0]
        columns = columns[packing.positions_RT[r, columns].argsort()]
        logits = model(row[:, None, columns])[:, 0]
        found |= {column: logits[:, place] for place, column in enumerate(columns.tolist())}
    return torch.stack([found[column] for column in range(packing.outputs_per_row)], dim=1)


def check_packed_outputs(config, per_length, seeds=(5, 2)):
    """Each network gets tokens of its own; that it gives what it gives alone is tested above."""
    model = network(config, seeds)
    packed = [packed_batch(per_length, seed) for seed in seeds]
    tokens = torch.stack([first for _, first in packed])
    assert not any(torch.equal(tokens[0], other) for other in tokens[1:])
    packing = packed[0][0]
    expected = torch.cat([logits_one_by_one(model, row, packing, r) for r, row in enumerate(tokens.unbind(1))], dim=1)
    given = packed_context(packing, config, model.embed.W_E.dtype, networks=len(seeds))
    assert_close(model.logits(tokens, given).flatten(1, 2), expected, **TIGHT)


@every_option
def test_packed_outputs_are_the_logits_of_each_sequence_alone(config):
    # Lengths 1, 3 in a row, 2 and its filler in another.
    check_packed_outputs(config, per_length=1)


@pytest.mark.parametrize("config", FEW_OPTIONS, ids=name_of)
def test_packed_outputs_in_larger_batches(config):
    check_packed_outputs(config, per_length=4)


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("seeds", [(5,), (5, 2, 7)])
def test_packed_outputs_in_networks_of_other_depths_and_populations_of_other_sizes(layers, seeds):
    check_packed_outputs(config_of(layers=layers, positions="rotary", heads=2), 2, seeds)


@pytest.mark.parametrize("shape", [(2, 2, 5), (1, 2, 5), (2, 5), (4, 2, 5)])
def test_a_population_refuses_tokens_of_another_number_of_networks(shape):
    """One network's tokens, too: they would fit all three, and give logits of 21 tokens."""
    with pytest.raises(ValueError, match="networks"):
        network(config_of(), seeds=(5, 2, 7))(random_tokens(*shape))


# What a decoder must not do


@every_option
def test_later_tokens_change_no_earlier_logits(config):
    model = network(config)
    tokens = random_tokens(2, 7)
    before = model(tokens)
    for place in (0, 3, 6):
        changed = tokens.clone()
        changed[:, place] = (tokens[:, place] + 1) % 7
        after = model(changed)
        assert_close(after[:, :place], before[:, :place], **TIGHT)
        # Every position from there on has it in view.
        assert (after[:, place:] - before[:, place:]).abs().amax(-1).min() > 1e-9


@every_option
def test_sequences_of_a_batch_do_not_see_each_other(config):
    model = network(config)
    tokens = random_tokens(3, 5)
    changed = tokens.clone()
    changed[1] = (changed[1] + 1) % 7
    before, after = model(tokens), model(changed)
    assert_close(after[[0, 2]], before[[0, 2]], **TIGHT)
    assert not torch.allclose(after[1], before[1])


def test_dropout_is_no_business_of_a_forward_pass():
    tokens = random_tokens(2, 5)
    without = network(config_of(dropout=0.0))(tokens)
    model = network(config_of(dropout=0.9))
    for mode in (model.train(), model.eval()):
        assert torch.equal(mode(tokens), without)


def test_forward_shapes():
    model = network(config_of(), seeds=(0,))
    assert model(random_tokens(3, 5)).shape == (3, 5, 7)
    assert model(random_tokens(1, 3, 5)).shape == (1, 3, 5, 7)
    assert model(random_tokens(3, CONTEXT)).shape == (3, CONTEXT, 7)
