"""Dropout from a hash: the right rate, nothing in common between tokens, steps and networks, and no state."""

import pytest
import torch

from helpers.members import members
from iterhead.seeds import IntegerStream
from iterhead.training.dropout import Dropout, dropout_words
from iterhead.training.trainer import Trainer

TOKENS, WIDTH = 60, 64
SHAPE = (3, 20, WIDTH)
SIGMAS = 5.0
"""With fixed seeds the tests are sure; by chance a bound of five standard deviations fails once in two million."""


def dropped(probability, seeds=(0,), epoch=0, steps=40, tokens=TOKENS, width=WIDTH):
    """What is dropped, [S, M, tokens, width], as 0 and 1 in double precision."""
    dropout = Dropout(probability, (3, tokens // 3, width))
    words = dropout_words(seeds, epoch, steps)
    return torch.stack([(dropout.factors(step, torch.float64).flatten(1, 2) == 0).double() for step in words])


def z_score(values, probability, axes):
    """How many standard deviations the means over `axes` lie from the probability, if all values are independent."""
    count = 1
    for axis in axes:
        count *= values.shape[axis]
    return ((values.mean(axes) - probability).abs() / (probability * (1 - probability) / count) ** 0.5).max().item()


def correlation(a, b):
    """Pearson's, times the root of the number of pairs: about N(0, 1) where the two are independent."""
    a, b = a.flatten() - a.mean(), b.flatten() - b.mean()
    return float((a * b).sum() / (a.square().sum() * b.square().sum()).sqrt() * len(a) ** 0.5)


@pytest.mark.parametrize("probability", [0.01, 0.1, 0.5, 0.9])
def test_the_rate_is_right_in_every_step_row_and_column(probability):
    found = dropped(probability, seeds=(0, 1, 2))
    # 460,800 factors; 3,840 of a step and network; 7,680 of a token; 7,200 of a coordinate; 120 of one place.
    assert z_score(found, probability, (0, 1, 2, 3)) < SIGMAS
    assert z_score(found, probability, (2, 3)) < SIGMAS
    assert z_score(found, probability, (0, 1, 3)) < SIGMAS
    assert z_score(found, probability, (0, 1, 2)) < SIGMAS
    if probability in (0.1, 0.5, 0.9):  # 120 * 0.01 is too small a number for a normal distribution
        assert z_score(found, probability, (0, 1)) < SIGMAS + 1  # the largest of 3,840


def test_factors_are_zero_or_what_keeps_the_mean_at_one():
    # 1 / (1 - 0.2) = 1.25.
    factors = Dropout(0.2, (5, 100, 64)).factors(dropout_words([3], 0, 1)[0], torch.float32)
    assert factors.shape == (1, 5, 100, 64)
    assert factors.dtype == torch.float32
    assert set(factors.unique().tolist()) == {0.0, 1.25}
    # 32,000 factors of standard deviation 0.5 (1.25 or 0, at 0.8 and 0.2).
    assert abs(factors.mean().item() - 1) < SIGMAS * 0.5 / 32_000**0.5


@pytest.mark.parametrize("probability", [0.1, 0.5])
def test_cells_and_coordinates_have_nothing_in_common(probability):
    found = dropped(probability)[:, 0]
    flat = found.flatten(1)
    for lag in (1, 2, 3, 4, 8, 16, 32, WIDTH - 1, WIDTH, WIDTH + 1, 128, 256, 512, 1024, 2048):
        assert abs(correlation(flat[:, lag:], flat[:, :-lag])) < SIGMAS, lag
    # Each pair of coordinates over 2,400 tokens, each pair of tokens over 2,560 coordinates: the largest of 2,000 is at
    # four standard deviations; dropping 1 in 10 makes tails a little heavier than the normal distribution's.
    for rows in (found.flatten(0, 1).T, found.transpose(0, 1).flatten(1)):
        together = torch.corrcoef(rows) * rows.shape[1] ** 0.5
        assert together.fill_diagonal_(0).abs().max() < SIGMAS + 1


def test_steps_epochs_and_networks_have_nothing_in_common():
    first, second = dropped(0.3, seeds=(0, 1)), dropped(0.3, seeds=(0, 1), epoch=1)
    assert abs(correlation(first[:, 0], first[:, 1])) < SIGMAS
    assert abs(correlation(first, second)) < SIGMAS
    for lag in range(1, 12):
        assert abs(correlation(first[lag:], first[:-lag])) < SIGMAS, lag
    # Shifted against each other, too: a step must not be the one before, moved.
    for shift in (1, WIDTH, 7 * WIDTH + 3):
        assert abs(correlation(first[1:].flatten(2)[..., shift:], first[:-1].flatten(2)[..., :-shift])) < SIGMAS, shift
    masks = {tuple(mask.flatten().tolist()) for part in (first, second) for mask in part.flatten(0, 1)}
    assert len(masks) == 2 * 2 * 40


@pytest.mark.parametrize("probability", [0.1, 0.5])
@pytest.mark.parametrize("seed", [0, 1])
def test_no_two_of_many_steps_have_anything_in_common(probability, seed):
    """Of 19,900 pairs the largest correlation lies near four standard deviations; a poorer hash has some at ten."""
    masks = dropped(probability, [seed], steps=200)[:, 0].flatten(1)
    together = torch.corrcoef(masks)[*torch.triu_indices(200, 200, 1)] * masks.shape[1] ** 0.5
    assert together.abs().max() < SIGMAS
    assert together.std() == pytest.approx(1, abs=0.02)  # of 19,900: 0.5% is one standard deviation


def test_words_are_those_of_the_seed_the_epoch_and_the_step():
    words = dropout_words([3, 5], epoch=2, steps=4)
    assert words.shape == (4, 2, 2)
    assert words.dtype == torch.int32
    assert torch.equal(words[:, 1], dropout_words([5], epoch=2, steps=4)[:, 0])
    # More steps go on from there; both words are used to their full range.
    assert torch.equal(dropout_words([3, 5], 2, 9)[:4], words)
    raw = IntegerStream(5, "dropout", 2).integers(2**32, (4, 2))
    assert ((words[:, 1].long() + 2**31).numpy() == raw).all()
    assert len(dropout_words([3], 0, 1000).unique()) == 2000


def test_both_words_matter():
    words = dropout_words([0], 0, 40)[:, 0]
    of_one_second, of_one_first = words.clone(), words.clone()
    of_one_second[:, 1] = of_one_first[:, 0] = 7
    dropout = Dropout(0.5, SHAPE)
    masks = dropout.factors(of_one_second, torch.float64).flatten(1)
    assert (torch.corrcoef(masks) * masks.shape[1] ** 0.5).fill_diagonal_(0).abs().max() < SIGMAS
    # The second word is mixed less well: masks with one first word, which no two steps have, are others, no more.
    masks = dropout.factors(of_one_first, torch.float64).flatten(1)
    assert torch.corrcoef(masks).fill_diagonal_(0).abs().max() < 0.5


def test_a_network_of_a_population_drops_what_it_drops_alone():
    seeds = (3, 1, 4)
    together = dropped(0.1, seeds)
    for network, seed in enumerate(seeds):
        assert torch.equal(together[:, [network]], dropped(0.1, [seed]))


def test_factors_owe_nothing_to_earlier_calls_and_leave_the_words_alone():
    dropout = Dropout(0.1, SHAPE)
    words = dropout_words([0], 0, 2)
    kept = words.clone()
    first = dropout.factors(words[0], torch.float32)
    dropout.factors(words[1], torch.float32)
    assert torch.equal(dropout.factors(words[0], torch.float32), first)
    assert torch.equal(words, kept)


def test_without_dropout_it_is_idle():
    assert Dropout(0.0, SHAPE).idle
    assert not Dropout(0.001, SHAPE).idle
    assert (Dropout(0.0, SHAPE).factors(dropout_words([0], 0, 1)[0], torch.float32) == 1).all()


def step_dropout(probability):
    """The dropout mask of a step of three networks, with the seeds 0, 4 and 9."""
    phase = Trainer(members(model={"dropout": probability})).phase(0)
    words = dropout_words([0, 4, 9], 0, 1)[0]
    return phase.step_context(words, torch.float64).dropout, words, phase.batches.packing.slot_RT.shape


def test_the_context_of_a_step_has_the_factors_of_its_words():
    factors, words, (rows, tokens) = step_dropout(0.1)
    assert factors.shape == (3, rows, tokens, 12)
    assert torch.equal(factors, Dropout(0.1, (rows, tokens, 12)).factors(words, torch.float64))
    assert not torch.equal(factors[0], factors[1])


def test_without_dropout_a_step_has_no_factors():
    assert step_dropout(0.0)[0] is None
