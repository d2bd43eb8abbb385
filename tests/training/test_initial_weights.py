"""Networks that start from another's weights, and training that moves some weights only."""

from itertools import islice

import pytest
import torch

from helpers.members import MEMBERS, member, members
from iterhead.errors import UserError
from iterhead.model.transformer import Transformer
from iterhead.model.weights import load_weights
from iterhead.settings import ModelConfig, parse_config
from iterhead.training.initial_weights import check_fit, is_trainable
from iterhead.training.plain import PlainTrainer
from iterhead.training.trainer import Trainer

ALMOST = 1e-9
TRAINS = ["all", "last-mlp", "not-attention"]
ATTENTION = {f"blocks.{layer}.attn.W_{part}" for layer in (0, 1) for part in "QKVO"}
LAST_MLP = {"blocks.1.mlp.W_in", "blocks.1.mlp.W_out"}
NAMES = {
    *ATTENTION,
    *LAST_MLP,
    *("embed.W_E", "pos_embed.W_pos", "blocks.0.ln1.w", "blocks.0.ln2.w", "blocks.1.ln1.w", "blocks.1.ln2.w"),
    *("blocks.0.mlp.W_in", "blocks.0.mlp.W_out", "ln_final.w", "unembed.W_U"),
}
MOVING = {"all": NAMES, "last-mlp": LAST_MLP, "not-attention": NAMES - ATTENTION}


def trained(seed):
    """The weights of a network after an epoch on another task."""
    parent = Trainer([member({"task": "copy", "seed": seed})])
    parent.train_epoch()
    return copies(parent)


def copies(trainer, network=0):
    return {name: tensor.clone() for name, tensor in trainer.weights(network).items()}


@pytest.fixture(scope="module")
def parents():
    """Of three networks; the second draws its weights from its own seed."""
    return [trained(5), None, trained(6)]


@pytest.mark.parametrize("train", TRAINS)
def test_which_weights_move(train):
    assert {name for name in NAMES if is_trainable(name, train, layers=2)} == MOVING[train]
    assert is_trainable("blocks.2.mlp.W_in", "last-mlp", layers=3)
    assert not is_trainable("blocks.1.mlp.W_in", "last-mlp", layers=3)
    assert not is_trainable("blocks.1.mlp.W_in", "last-mlp", layers=12), "11 is the last, and begins as 1 does"


@pytest.mark.parametrize("train", TRAINS)
@pytest.mark.parametrize(
    "training",
    [{}, {"optimizer": "adamw"}, {"optimizer": "sgd", "momentum": 0.9}, {"clip": 0.5, "precision": "bfloat16"}],
    ids=["adam", "adamw", "sgd", "clip-bfloat16"],
)
def test_frozen_weights_keep_every_bit_and_the_others_move(train, training, parents):
    # Of these three networks two have a weight decay, which would move what is not frozen against it.
    configs = members(training={"train": train, **training})
    population = Trainer(configs, starts=parents)
    before = [copies(population, network) for network in range(3)]
    population.train_epoch()
    population.select([2, 1])
    population.train_epoch()
    population.select([1, 0])
    population.train_epoch()
    for place, network in enumerate((1, 2)):
        after = population.weights(place)
        assert after.keys() == NAMES
        moved = {name for name, tensor in after.items() if not torch.equal(tensor, before[network][name])}
        assert moved == MOVING[train]
    assert sum(moment.numel() for moment in population.optimizer.moments.values()) == (
        2 * len(population.optimizer.moments) * sum(before[0][name].numel() for name in MOVING[train])
    )


@pytest.mark.parametrize("train", TRAINS)
def test_a_network_begins_with_the_weights_that_it_is_given(train, parents):
    population = Trainer(members(training={"train": train}), starts=parents)
    for network in (0, 2):
        assert all(torch.equal(population.weights(network)[name], tensor) for name, tensor in parents[network].items())
    own = Trainer(members()[1:2])
    assert all(torch.equal(population.weights(1)[name], tensor) for name, tensor in own.weights(0).items())
    kept = parents[0]["embed.W_E"].clone()
    population.train_epoch()
    assert torch.equal(parents[0]["embed.W_E"], kept), "the parent's weights are its own"


@pytest.mark.parametrize("common", [{}, {"model": {"positions": "frozen"}}], ids=["learned", "frozen-positions"])
@pytest.mark.parametrize("train", TRAINS)
def test_networks_of_different_parents_get_what_each_gets_alone(train, common, parents):
    configs = members(training={"train": train}, **common)
    population = Trainer(configs, starts=parents)
    together = [population.train_epoch() for _ in range(3)]
    for network, config in enumerate(configs):
        single = Trainer([config], starts=[parents[network]])
        alone = [single.train_epoch()[0] for _ in range(3)]
        assert [losses[network] for losses in together] == pytest.approx(alone, abs=ALMOST)
        for name, tensor in single.weights(0).items():
            assert float((tensor - population.weights(network)[name]).abs().max()) < ALMOST
    assert min(abs(together[-1][i] - together[-1][j]) for i, j in ((0, 1), (1, 2), (0, 2))) > 1e-3


@pytest.mark.parametrize(
    ("train", "optimizer"),
    [("all", "adam"), ("last-mlp", "adam"), ("last-mlp", "sgd"), ("not-attention", "adamw"), ("not-attention", "sgd")],
)
def test_the_plain_twin_agrees(train, optimizer, parents):
    training = {"train": train, "optimizer": optimizer, "lr": 3e-3 if optimizer != "sgd" else 0.1, "weight_decay": 0.1}
    config = member({"seed": 2, "training": {**training, "short_epochs": 0}}, data={"train_per_length": 60})
    packed, plain = Trainer([config], starts=[parents[0]]), PlainTrainer(config, parents[0])
    # 60 sequences of each of four lengths, three of each a batch: 20 steps.
    fast, slow = torch.cat(list(packed.step_losses())), torch.stack(list(islice(plain.step_losses(0), 20)))
    assert len(fast) == len(slow) == 20
    assert float((fast - slow).abs().max()) < ALMOST
    moved = [(plain.weights[name] - parents[0][name][0]).detach().abs().max() for name in MOVING[train]]
    assert min(moved) > 1e-2, "the twins must have moved for the comparison to mean anything"
    for name, tensor in packed.weights(0).items():
        assert float((tensor[0] - plain.weights[name]).detach().abs().max()) < ALMOST, name


@pytest.mark.parametrize("train", TRAINS)
def test_a_state_goes_on_to_the_same_bits(train, parents):
    config = member({"training": {"train": train}}, model={"positions": "frozen"})
    straight, begun, resumed = (Trainer([config], starts=[parents[2]]) for _ in range(3))
    for _ in range(3):
        straight.train_epoch()
    begun.train_epoch()
    resumed.load_states([begun.state()])
    for _ in range(2):
        resumed.train_epoch()
    assert resumed.epoch == 3
    assert all(torch.equal(tensor, straight.weights(0)[name]) for name, tensor in resumed.weights(0).items())


def test_networks_that_move_other_weights_are_refused_as_one_population():
    with pytest.raises(UserError, match="must agree"):
        Trainer([member(MEMBERS[0]), member(MEMBERS[1], training={"train": "last-mlp"})])


# What fits


def network(context, seed=0, **model):
    return Transformer(ModelConfig(width=8, vocabulary=16, **model), context, [seed])


def test_a_longer_table_of_positions_gives_its_first_rows():
    parent, child = network(13), network(9, seed=1)
    load_weights(child, 0, parent.state_dict())
    assert torch.equal(child.pos_embed.W_pos, parent.pos_embed.W_pos[:, :9])


def test_computed_positions_are_the_networks_own_at_any_length():
    for context in (9, 13):
        parent, child = network(11, positions="sinusoidal"), network(context, seed=1, positions="sinusoidal")
        before = child.pos_embed.W_pos.clone()
        load_weights(child, 0, parent.state_dict())
        assert torch.equal(child.pos_embed.W_pos, before)
        assert torch.equal(child.embed.W_E, parent.embed.W_E)


def test_weights_are_taken_over_in_the_networks_own_number_format():
    parent, child = network(9), network(9, seed=1).double()
    load_weights(child, 0, parent.state_dict())
    assert child.embed.W_E.dtype == torch.float64
    assert torch.equal(child.embed.W_E.float(), parent.embed.W_E)


def test_weights_that_are_not_there_or_of_another_shape_are_named():
    weights = dict(network(9).state_dict())
    for wrong, found in (
        (weights | {"blocks.1.mlp.W_in": torch.zeros(1, 8, 31)}, "expected shape .8, 32., got .8, 31."),
        (
            {name: tensor for name, tensor in weights.items() if name != "blocks.1.mlp.W_in"},
            "missing, expected shape .8, 32.",
        ),
    ):
        with pytest.raises(UserError, match=rf"blocks.1.mlp.W_in: {found}"):
            load_weights(network(9), 0, wrong)
    with pytest.raises(UserError, match=r"pos_embed.W_pos: expected shape .10, 8., got .9, 8."):
        load_weights(network(10), 0, weights)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"width": 32}, "model.width=64: the network to start from has width=32: expected the same"),
        ({"layers": 3}, "model.layers=2: the network to start from has layers=3: expected the same"),
        ({"heads": 2}, "model.heads=1: the network to start from has heads=2: expected the same"),
        ({"mlp_width": 64}, "model.mlp_width=256: the network to start from has mlp_width=64: expected the same"),
        ({"vocabulary": 32}, "model.vocabulary=64: the network to start from has vocabulary=32: expected the same"),
        ({"norm": "rms"}, "model.norm=layer: the network to start from has norm=rms: expected the same"),
        (
            {"positions": "frozen"},
            "model.positions=learned: the network to start from has positions=frozen: expected the same",
        ),
        (
            {"residual": "pre-norm"},
            "model.residual=published: the network to start from has residual=pre-norm: expected the same",
        ),
        (
            {"position_width": 5},
            "model.position_width=64: the network to start from has position_width=5: expected the same",
        ),
        (
            # Length 16: problem + 16 + EoI + 16 + EoS = 35 tokens.
            {"context": 34},
            "data.max_length=16, model.context=35: the network to start from knows 34 positions: "
            "expected at most as many",
        ),
    ],
)
def test_a_parent_that_does_not_fit_is_told_in_one_line(model, message):
    short = {"max_length": 15} if "context" in model else {}
    with pytest.raises(UserError) as caught:
        check_fit(parse_config({}), parse_config({"model": model, "data": short}))
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "parent",
    [
        {"model": {"mlp_width": 256, "position_width": 64}},
        {"model": {"dropout": 0.0, "context": 99}},
        {"data": {"max_length": 20}, "task": "parity", "seed": 3, "training": {"optimizer": "sgd"}},
        {"data": {"cot": False, "max_length": 31}},
    ],
)
def test_what_need_not_agree(parent):
    check_fit(parse_config({}), parse_config(parent))


@pytest.mark.parametrize("positions", ["sinusoidal", "rotary", "none"])
def test_computed_positions_know_no_longest_parent(positions):
    model = {"model": {"positions": positions}}
    check_fit(parse_config(model), parse_config(model | {"data": {"max_length": 4}}))
