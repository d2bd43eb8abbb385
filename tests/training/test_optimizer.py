"""The flat optimizer: a rate and a norm for each network, schedules by hand."""

import math

import pytest
import torch
from torch import nn

from iterhead.settings import TrainingConfig
from iterhead.training.optimizer import FlatOptimizer, flatten_parameters, rate_factor


class TwoParameters(nn.Module):
    """Three networks with parameters shaped [2] and [1, 2]."""

    def __init__(self):
        super().__init__()
        self.a = nn.Parameter(torch.arange(6.0).view(3, 2))
        self.b = nn.Parameter(torch.arange(6.0).view(3, 1, 2) + 10)


def test_flat_weights_are_the_parameters():
    model = TwoParameters()
    flat = flatten_parameters(list(model.parameters()))
    assert flat.tolist() == [[0, 1, 10, 11], [2, 3, 12, 13], [4, 5, 14, 15]]
    flat[1, 2] = 99
    assert model.b[1, 0, 0] == 99


def test_each_network_has_its_own_rate_and_decay():
    # SGD without momentum: w <- w - lr (g + decay w), with g = 1.
    # Network 0: lr 0.1, decay 0: 0 -> -0.1. Network 1: lr 0.2, decay 0.5: 2 -> 2 - 0.2 (1 + 1) = 1.6.
    # Network 2: lr 0.5, decay 0: 4 -> 3.5.
    configs = [
        TrainingConfig(optimizer="sgd", lr=lr, weight_decay=decay) for lr, decay in ((0.1, 0.0), (0.2, 0.5), (0.5, 0.0))
    ]
    optimizer = FlatOptimizer(TwoParameters(), configs, total_steps=1)
    optimizer.step(torch.ones(3, 4))
    assert optimizer.weights[:, 0].tolist() == pytest.approx([-0.1, 1.6, 3.5])


def test_clipping_looks_at_each_network_alone():
    # Norms 5 (3, 4), 0.5 (0.3, 0.4) and 10 (6, 8) against a clip of 1: factors 1/5, 1 and 1/10.
    gradient = torch.tensor([[3.0, 4, 0, 0], [0.3, 0.4, 0, 0], [6.0, 8, 0, 0]])
    optimizer = FlatOptimizer(TwoParameters(), [TrainingConfig(optimizer="sgd", lr=1.0, clip=1.0)] * 3, total_steps=1)
    before = optimizer.weights.clone()
    optimizer.step(gradient)
    moved = (before - optimizer.weights)[:, :2]
    torch.testing.assert_close(moved, torch.tensor([[0.6, 0.8], [0.3, 0.4], [0.6, 0.8]]), atol=1e-5, rtol=0)


def test_a_neighbour_that_is_not_a_number_stays_alone():
    optimizer = FlatOptimizer(TwoParameters(), [TrainingConfig(clip=1.0)] * 3, total_steps=1)
    gradient = torch.ones(3, 4)
    gradient[1] = math.nan
    optimizer.step(gradient)
    assert optimizer.weights.isnan().any(1).tolist() == [False, True, False]


def test_a_loaded_state_goes_on_as_if_never_stopped():
    torch.manual_seed(0)
    gradients = torch.randn(6, 3, 4)
    whole = FlatOptimizer(TwoParameters(), [TrainingConfig()] * 3, total_steps=6)
    first = FlatOptimizer(TwoParameters(), [TrainingConfig()] * 3, total_steps=6)
    for gradient in gradients:
        whole.step(gradient.clone())
    for gradient in gradients[:3]:
        first.step(gradient.clone())
    second = FlatOptimizer(TwoParameters(), [TrainingConfig()] * 3, total_steps=6)
    second.weights.copy_(first.weights)
    second.load_states([first.state(network) for network in range(3)])
    for gradient in gradients[3:]:
        second.step(gradient.clone())
    assert torch.equal(second.weights, whole.weights)


def test_warm_up_then_constant():
    # Three steps of warm-up: 1/4, 2/4, 3/4, then 1.
    config = TrainingConfig(warmup_steps=3)
    assert [rate_factor(config, step, 100) for step in range(5)] == [0.25, 0.5, 0.75, 1.0, 1.0]


def test_cosine_falls_to_zero_after_warm_up():
    # From step 2 to 10: at 2 the cosine is 1, at 6 it is 0.5, at 10 it is 0; at 4, (1 + cos(pi / 4)) / 2.
    config = TrainingConfig(warmup_steps=2, schedule="cosine")
    factors = [rate_factor(config, step, 10) for step in (2, 4, 6, 10)]
    assert factors == pytest.approx([1.0, (1 + math.sqrt(0.5)) / 2, 0.5, 0.0])
