"""Networks of a population get, in double precision, what each gets alone."""

import math

import pytest
import torch

from helpers.members import MEMBERS, member, members
from iterhead.errors import UserError
from iterhead.settings import RunConfig, parse_config
from iterhead.training.trainer import Trainer, population_key

ALMOST = 1e-9
"""Sums in another order differ by units of 2**-53 (1e-16); Adam enlarges that where a gradient is near zero."""


def train_steps(trainer, epochs):
    """Train, and return the losses of every step, [S, M]."""
    losses = []
    for _ in range(epochs):
        losses += list(trainer.step_losses())
        trainer.epoch += 1
    return torch.stack(losses)


def difference(weights, expected):
    assert weights.keys() == expected.keys()
    return max(float((tensor - expected[name]).detach().abs().max()) for name, tensor in weights.items())


def check_equal_to_alone(configs, epochs=3):
    """Eight steps an epoch; the first one sees the lengths 1 .. 3 only, at four of each a batch: 6 steps."""
    population = Trainer(configs)
    together = train_steps(population, epochs)
    for network, config in enumerate(configs):
        single = Trainer([config])
        losses = train_steps(single, epochs)
        assert len(losses) >= 6 + 8 * (epochs - 1)
        assert float((together[:, network] - losses[:, 0]).abs().max()) < ALMOST
        assert difference(population.weights(network), single.weights(0)) < ALMOST
    # They have learnt different things.
    assert (together[-1].unsqueeze(0) - together[-1].unsqueeze(1)).abs().fill_diagonal_(1).min() > 1e-3
    return together


SGD = {"optimizer": "sgd", "momentum": 0.9}


@pytest.mark.parametrize(
    "common",
    [
        {},
        {"model": {"heads": 2}},
        {"model": {"heads": 2, "positions": "rotary"}},
        {"model": {"positions": "rotary", "position_width": 6}},
        {"model": {"norm": "rms", "residual": "pre-norm"}},
        {"model": {"positions": "frozen", "layers": 3}},
        {"model": {"positions": "sinusoidal", "dropout": 0.0}},
        {"model": {"norm": "none", "positions": "none", "layers": 1}},
        {"training": {"clip": 0.5, "warmup_steps": 5}},
        {"training": {"schedule": "cosine", "epochs": 3, "optimizer": "adamw"}},
        {"training": SGD},
        {"data": {"cot": False}},
        {"data": {"max_length": 5}, "training": {"batch_size": 5}},
    ],
    ids=lambda common: "-".join(f"{n}={v}" for part in common.values() for n, v in part.items()) or "default",
)
def test_each_network_gets_what_it_gets_alone(common):
    check_equal_to_alone(members(**common))


def test_clipping_and_warm_up_have_work_to_do_here():
    """The case above would say nothing if the norm were never above its bound, or the rate never below its own."""
    plain = train_steps(Trainer(members()), 1)
    clipped, warmed, both = (
        train_steps(Trainer(members(training=training)), 1)
        for training in ({"clip": 0.5, **SGD}, {"warmup_steps": 5}, SGD)
    )
    for found, without in ((clipped, both), (warmed, plain)):
        assert torch.equal(found[0], without[0])
        assert (found[-1] - without[-1]).abs().min() > 1e-4


def test_networks_of_one_task_differ_by_seed_and_rate():
    configs = [member({"seed": seed, "training": {"lr": lr}}) for seed, lr in ((1, 1e-3), (2, 1e-3), (1, 1e-2))]
    losses = check_equal_to_alone(configs)
    # The first and the last network start with the same weights, batches and dropout.
    assert float((losses[0, 0] - losses[0, 2]).abs()) < ALMOST
    assert float((losses[0, 0] - losses[0, 1]).abs()) > 1e-2


@pytest.mark.parametrize("training", [{}, {"clip": 0.5, "warmup_steps": 9}, SGD], ids=["adam", "clip-warm-up", "sgd"])
@pytest.mark.parametrize("kept", [[2, 0], [1], [0, 1, 2]], ids=str)
def test_networks_that_are_kept_go_on_as_if_nothing_were(kept, training):
    # The first epoch is one of short lengths, so both phases must select.
    configs = members(training=training)
    population = Trainer(configs)
    first = train_steps(population, 1)
    population.select(kept)
    assert population.networks == len(kept)
    assert population.configs == [configs[network] for network in kept]
    assert [data.fingerprint for data in population.datasets] == [
        Trainer([configs[network]]).datasets[0].fingerprint for network in kept
    ]
    rest = train_steps(population, 2)
    for place, network in enumerate(kept):
        single = Trainer([configs[network]])
        losses = train_steps(single, 3)[:, 0]
        assert float((torch.cat([first[:, network], rest[:, place]]) - losses).abs().max()) < ALMOST
        assert difference(population.weights(place), single.weights(0)) < ALMOST


def test_networks_can_be_kept_before_the_first_step_and_again_and_again():
    configs = members()
    population = Trainer(configs)
    population.select([1, 2])
    train_steps(population, 2)
    population.select([1])
    losses = train_steps(population, 1)
    single = Trainer([configs[2]])
    assert float((losses[:, 0] - train_steps(single, 3)[-len(losses) :, 0]).abs().max()) < ALMOST
    assert difference(population.weights(0), single.weights(0)) < ALMOST


def test_a_neighbour_that_is_not_a_number_changes_nothing():
    # Without norms, SGD at a rate of 3,000 overflows within the first epochs.
    common = {"model": {"norm": "none"}, "training": {"optimizer": "sgd"}}
    rates = (0.1, 3000.0, 0.05)
    configs = [member({**own, "training": {"lr": lr}}, **common) for own, lr in zip(MEMBERS, rates, strict=True)]
    population = Trainer(configs)
    losses = [population.train_epoch() for _ in range(3)]
    assert [math.isfinite(loss) for loss in losses[-1]] == [True, False, True]
    assert population.is_finite() == [True, False, True]
    for network in (0, 2):
        single = Trainer([configs[network]])
        alone = [single.train_epoch() for _ in range(3)]
        assert [epoch[network] for epoch in losses] == pytest.approx([loss for (loss,) in alone], abs=ALMOST)
        assert difference(population.weights(network), single.weights(0)) < ALMOST


def test_the_state_of_one_network_goes_on_alone_and_in_another_population():
    configs = members()
    population = Trainer(configs)
    train_steps(population, 2)
    states = [population.state(network) for network in range(3)]
    kept = {name: tensor.clone() for name, tensor in states[1].items()}
    losses = train_steps(population, 1)
    assert all(torch.equal(tensor, kept[name]) for name, tensor in states[1].items()), "a state must be a copy"
    for networks in ([1], [2, 0]):
        other = Trainer([configs[network] for network in networks])
        other.load_states([states[network] for network in networks])
        assert other.epoch == 2
        found = train_steps(other, 1)
        assert float((found - losses[:, networks]).abs().max()) < ALMOST


def test_an_epoch_gives_the_mean_loss_of_each_network():
    first, second = Trainer(members()), Trainer(members())
    losses = first.train_epoch()
    assert first.epoch == 1
    assert losses == pytest.approx(train_steps(second, 1).mean(0).tolist(), abs=1e-12)


def test_one_network_s_steps_are_compiled_and_a_population_s_are_not(monkeypatch):
    compiled = []
    monkeypatch.setattr(torch, "compile", lambda run, **given: compiled.append(run) or run)
    configs = members()
    plain, translated = Trainer(configs[:1]), Trainer(configs[:1], compiled=True)
    assert torch.equal(train_steps(plain, 2), train_steps(translated, 2))
    assert [run.__self__ for run in compiled] == [translated.model]
    with pytest.raises(UserError, match=r"^compiled=True: expected with one network, not 3: "):
        Trainer(configs, compiled=True)


# Who can be together


@pytest.mark.parametrize(
    ("part", "settings"),
    [
        ("model", {"width": 24}),
        ("model", {"dropout": 0.0}),
        ("data", {"train_per_length": 23}),
        ("data", {"cot": False}),
        ("training", {"batch_size": 16}),
        ("training", {"clip": 1.0}),
        ("training", {"beta2": 0.99}),
        ("training", {"short_epochs": 0}),
        ("training", {"precision": "float32"}),
        ("training", {"train": "last-mlp"}),
    ],
)
def test_networks_that_do_not_agree_are_refused(part, settings):
    configs = [member(MEMBERS[0]), member(MEMBERS[1], **{part: settings})]
    assert population_key(configs[0]) != population_key(configs[1])
    with pytest.raises(UserError, match="must agree"):
        Trainer(configs)


def test_what_networks_need_not_agree_in():
    own = {
        "task": "parity",
        "seed": 3,
        "start": {"run": "copy-1", "epoch": 3},
        "data": {"split": "iid", "test_per_length": 3},
        "training": {
            "lr": 0.1,
            "weight_decay": 0.2,
            "evaluate_every": 3,
            "evaluation_per_length": 2,
            "early_stop": False,
            "epochs": 7,
        },
    }
    assert population_key(parse_config(own)) == population_key(RunConfig())


def test_the_epoch_limit_is_common_where_the_schedule_depends_on_it():
    one, other = (member({"training": {"schedule": "cosine", "epochs": epochs}}) for epochs in (7, 8))
    assert population_key(one) != population_key(other)
