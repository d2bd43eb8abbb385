"""Greedy generation with a cache: what repeated full passes give, token for token."""

import numpy as np
import pytest
import torch

from helpers.networks import CONTEXT, OPTIONS, POSITIONS, alone, config_of, name_of, network, random_tokens
from iterhead.measure.accuracy import exact_match
from iterhead.model.generate import generate


def one_by_one(model, prompts, steps):
    """Greedy generation without a cache: the whole sequence is passed again for every token."""
    tokens = prompts
    for _ in range(steps):
        tokens = torch.cat([tokens, model(tokens)[..., -1:, :].argmax(-1)], dim=-1)
    return tokens[..., prompts.shape[-1] :]


@pytest.mark.parametrize("config", OPTIONS, ids=name_of)
def test_a_cache_changes_no_token(config):
    # A prompt of 3 and 6 tokens written: the last is never given to the network, so 8 positions are enough.
    assert CONTEXT == 8
    model = network(config, seeds=(3,))
    prompts = random_tokens(5, 3)
    found = generate(model, prompts, 6)
    assert found.shape == (5, 6)
    assert torch.equal(found, one_by_one(model, prompts, 6))


def test_the_tokens_generated_above_are_no_constant():
    written = [generate(network(config, seeds=(3,)), random_tokens(5, 3), 6) for config in OPTIONS]
    assert all(tokens.unique().numel() > 1 for tokens in written)
    assert sum(int((tokens != tokens[:1]).any()) for tokens in written) > len(written) / 2


@pytest.mark.parametrize("positions", POSITIONS)
def test_each_network_of_a_population_writes_what_it_writes_alone(positions):
    model = network(config_of(positions=positions, heads=3), seeds=(5, 2, 7))
    prompts = random_tokens(3, 2, 4)
    found = generate(model, prompts, 5)
    assert found.shape == (3, 2, 5)
    for index in range(3):
        assert torch.equal(found[index], one_by_one(alone(model, index), prompts[index], 5))
    assert not torch.equal(found[0], found[1])


def test_generation_needs_no_gradient_and_repeats_itself():
    model = network(config_of())
    prompts = random_tokens(2, 4)
    first = generate(model, prompts, 3)
    assert not first.requires_grad
    assert torch.equal(generate(model, prompts, 3), first)
    assert torch.equal(generate(model, prompts, 1), first[:, :1])


def test_generation_is_exactly_right_where_teacher_forced_predictions_are(half_trained):
    """Greedy generation goes wrong where, and only where, the first teacher-forced prediction does."""
    model, dataset = half_trained.model, half_trained.datasets[0]
    verdicts = []
    for length in range(1, 5):
        layout = half_trained.configs[0].data.layout(length)
        tokens = torch.from_numpy(np.concatenate([dataset.train[length], dataset.test[length]]))
        targets = tokens[:, layout.targets]
        written = generate(model, tokens[:, : layout.end_of_input + 1], targets.shape[1])
        forced = model(tokens[:, :-1])[:, layout.output_positions].argmax(-1)
        assert torch.equal(exact_match(written, targets), exact_match(forced, targets))
        for generated, predicted, target in zip(written, forced, targets, strict=True):
            wrong = (predicted != target).nonzero().flatten().tolist()
            first = wrong[0] if wrong else len(target)
            assert torch.equal(generated[:first], target[:first])
            assert torch.equal(generated[: first + 1], predicted[: first + 1])
        verdicts += exact_match(written, targets).tolist()
    # 2 + 4 + 8 + 16 sequences, of which the network must know some and not others for this to say anything.
    assert len(verdicts) == 30
    assert 5 <= sum(verdicts) <= 25
