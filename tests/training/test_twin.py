"""The packed trainer against its plain padded twin: same seed, same batches, the same losses and weights."""

from itertools import islice

import pytest
import torch

from iterhead.errors import UserError
from iterhead.settings import parse_config
from iterhead.training.plain import PlainTrainer
from iterhead.training.trainer import Trainer

STEPS = 50


def small_run(**training):
    """Lengths 1..5 at two of each a batch: 130 sequences of each length give 65 steps, above the 50 compared."""
    return {
        "task": "polynomial:p=7",
        "data": {"max_length": 5, "train_per_length": 130, "test_per_length": 20},
        "model": {"width": 12, "heads": 3, "mlp_width": 29, "dropout": 0.1},
        "training": {"batch_size": 11, "lr": 3e-3, "precision": "float64", "short_epochs": 0, **training},
    }


def differences(config):
    """Return the largest differences (losses, weights) between the twins after STEPS steps."""
    packed, plain = Trainer([config]), PlainTrainer(config)
    fast = torch.cat(list(islice(packed.step_losses(), STEPS)))
    slow = torch.stack(list(islice(plain.step_losses(0), STEPS)))
    assert len(fast) == STEPS
    assert slow[-1] < slow[0] - 0.1, "the twins must have learnt something for the comparison to mean anything"
    weights = [
        (tensor[0] - plain.weights[name]).detach().abs().max() for name, tensor in packed.model.state_dict().items()
    ]
    return float((fast - slow).abs().max()), float(torch.stack(weights).max())


@pytest.mark.parametrize(
    "training",
    [
        {"optimizer": "adam"},
        {"optimizer": "adam", "weight_decay": 0.1},
        {"optimizer": "adamw", "weight_decay": 0.1, "beta1": 0.8, "beta2": 0.95},
        {"optimizer": "sgd", "lr": 0.3, "momentum": 0.9, "weight_decay": 0.001},
    ],
    ids=["adam", "adam-decay", "adamw", "sgd"],
)
def test_float64_twins_agree_to_a_billionth(training):
    losses, weights = differences(parse_config(small_run(**training)))
    assert losses < 1e-9
    assert weights < 1e-9


@pytest.mark.parametrize(
    "model",
    [
        {"residual": "pre-norm"},
        {"layers": 3},
        {"layers": 1, "heads": 1},
        {"positions": "frozen", "position_width": 5},
        {"dropout": 0.0},
    ],
    ids=["pre-norm", "three-layers", "one-layer", "frozen-positions", "no-dropout"],
)
def test_float64_twins_agree_for_other_networks(model):
    values = small_run()
    values["model"] |= model
    losses, weights = differences(parse_config(values))
    assert losses < 1e-9
    assert weights < 1e-9


def test_float64_twins_agree_where_a_sequence_has_no_partner():
    # One of each of five lengths: the middle one stands alone beside a filler.
    losses, weights = differences(parse_config(small_run(batch_size=5)))
    assert losses < 1e-9
    assert weights < 1e-9


def test_float64_twins_agree_without_chain_of_thought():
    values = small_run()
    values["data"]["cot"] = False
    losses, weights = differences(parse_config(values))
    assert losses < 1e-9
    assert weights < 1e-9


def test_float64_twins_agree_from_the_short_epochs_into_the_full_ones():
    # An epoch of lengths 1 and 2, six of each a batch: 130 // 6 = 21 steps; then one of all five lengths: 65 steps.
    config = parse_config(small_run(batch_size=12, short_epochs=1, short_lengths=2))
    packed, plain = Trainer([config]), PlainTrainer(config)
    for epoch, steps in ((0, 21), (1, 65)):
        fast, slow = torch.cat(list(packed.step_losses())), torch.stack(list(plain.step_losses(epoch)))
        assert len(fast) == len(slow) == steps
        assert float((fast - slow).abs().max()) < 1e-9
        packed.epoch += 1


def test_the_short_epochs_see_the_shortest_lengths_only():
    config = parse_config(small_run(short_epochs=2, short_lengths=3))
    trainer = Trainer([config])
    assert [set(trainer.phase(epoch).batches.packing.slots) for epoch in (0, 1, 2)] == [
        {1, 2, 3},
        {1, 2, 3},
        {1, 2, 3, 4, 5},
    ]


def test_float32_twins_agree_to_what_rounding_allows():
    """In float32 the two sum in different orders, each loss off by some units of 2**-24 (6e-8) times its size of 2.

    Adam divides a gradient by its own size: where a gradient is near zero, rounding may move a weight by as much as
    the learning rate (3e-3) in one step, in rare coordinates. So losses are held to 1e-4 (seen: under 1e-5), which a
    wrong mask, dropout or target (0.01 and more) cannot pass, and weights to one learning rate.
    """
    losses, weights = differences(parse_config(small_run(precision="float32")))
    assert losses < 1e-4
    assert weights < 3e-3


def test_a_wrong_batch_is_noticed():
    """The comparison can fail: with the packed trainer on another seed's shuffle the losses part at once."""
    config = parse_config(small_run())
    packed, plain = Trainer([config]), PlainTrainer(config)
    packed.epoch = 1
    fast, slow = next(packed.step_losses()), next(plain.step_losses(0))
    assert abs(float(fast - slow)) > 1e-3


@pytest.mark.parametrize(
    ("part", "values"),
    [
        ("training", {"schedule": "cosine"}),
        ("training", {"clip": 1.0}),
        ("model", {"positions": "rotary"}),
        ("model", {"norm": "rms"}),
    ],
)
def test_the_plain_twin_refuses_what_it_does_not_know(part, values):
    config = small_run()
    config[part] |= values
    with pytest.raises(UserError, match="plain twin supports"):
        PlainTrainer(parse_config(config))


def test_the_largest_epoch_limit_takes_no_time():
    trainer = Trainer([parse_config(small_run(epochs=10**6, short_epochs=2, schedule="cosine"))])
    short = 130 // (11 // 3)  # 3 short lengths: 3 sequences of each in a batch of 11
    assert trainer.optimizer.total_steps == 2 * short + (10**6 - 2) * 65
