"""The two directed tests: on the network set by hand the predicted wrong answer comes out every time."""

import numpy as np
import pytest
import torch

from helpers.oracle import (
    LONGEST,
    POLYNOMIAL,
    RESIDUALS,
    TELLING,
    VOCABULARY,
    by_hand,
    dataset,
    half_right,
    random_network,
    sequences,
)
from iterhead.errors import UserError
from iterhead.intervene import counterfactuals
from iterhead.intervene.counterfactuals import CounterfactualCounts, shift_follows_f, swap_follows_f
from iterhead.intervene.patterns import shifted_attention
from iterhead.model.handmade import handmade
from iterhead.tasks import SequenceLayout, next_states, task

residuals = pytest.mark.parametrize("residual", RESIDUALS)

EVERY_LENGTH = range(1, LONGEST + 1)
MIXTURE = "mix:copy,polynomial(p=5)"


def inputs_and_states(spec, length):
    tokens = dataset(spec).test[length]
    layout = SequenceLayout(length)
    return tokens[:, layout.inputs], tokens[:, layout.states]


# F as one table


def test_next_states_by_hand():
    # s * x + 1 mod 3 from s_1 = x_1, inputs 1 and 2; the last row is s_0.
    assert next_states(task("polynomial:p=3")).tolist() == [[[-1, 1, 1], [-1, 2, 0], [-1, 0, 2], [-1, 1, 2]]]
    # In a mixture the smaller task leaves the rest open.
    copy, polynomial = next_states(task("mix:copy,polynomial(p=3)"))
    assert copy.tolist() == [[0, 1, -1], [0, 1, -1], [-1, -1, -1], [0, 1, -1]]
    assert polynomial.tolist() == next_states(task("polynomial:p=3"))[0].tolist()


# Shift


@residuals
@pytest.mark.parametrize("spec", [TELLING, POLYNOMIAL, MIXTURE])
def test_a_head_that_looks_too_far_gives_the_state_of_what_it_sees(spec, residual):
    counts = shift_follows_f(by_hand(spec, residual), task(spec), sequences(spec, *EVERY_LENGTH), 1, 0)
    assert (counts.fraction, counts.fraction_kept) == (1.0, 0.0)
    assert counts.steps.sum() > 1000
    assert (counts.by_sequence == 1).all()


@pytest.mark.parametrize("k", [2, -1, LONGEST - 1])
def test_other_shifts_are_followed_too(k):
    counts = shift_follows_f(by_hand(TELLING), task(TELLING), sequences(TELLING, *EVERY_LENGTH), 1, k=k)
    assert counts.fraction == 1.0
    assert counts.steps.sum() > 50


@pytest.mark.parametrize("k", [1, 2, -1])
def test_only_steps_that_can_tell_are_counted(k):
    inputs, _ = inputs_and_states(TELLING, 5)
    counts = shift_follows_f(by_hand(TELLING), task(TELLING), sequences(TELLING, 5), 1, k=k)
    # s - x differs wherever x does.
    first, second = (inputs[:, k:], inputs[:, :-k]) if k > 0 else (inputs[:, :k], inputs[:, -k:])
    assert counts.steps.tolist() == (first != second).sum(-1).tolist()


def test_a_state_that_settles_the_next_cannot_tell():
    # s * x + 1 mod 5 from s_1 = x_1 on 1 4 2 1: step 1 (1 or 4) and step 2 (1 * 4 + 1 = 0 or 1 * 2 + 1 = 3) can tell;
    # step 3 (0 * 2 + 1 = 0 * 1 + 1) cannot, and step 4 has no next input.
    layout = SequenceLayout(4)
    inputs = np.array([[1, 4, 2, 1]])
    tokens = layout.assemble(VOCABULARY, inputs, task(POLYNOMIAL).states(inputs))
    assert tokens[0, layout.states].tolist() == [1, 0, 1, 2]
    counts = shift_follows_f(by_hand(POLYNOMIAL), task(POLYNOMIAL), {4: tokens}, 1)
    assert (counts.steps.tolist(), counts.followed.tolist(), counts.kept.tolist()) == ([2], [2], [0])


@residuals
def test_shifting_a_head_that_does_not_read_x_moves_nothing_as_predicted(residual):
    counts = shift_follows_f(by_hand(TELLING, residual), task(TELLING), sequences(TELLING, 5, 8), 0)
    assert counts.fraction < 0.3


def test_a_network_of_another_task_does_not_follow_this_f():
    # It adds 2 where the task adds 1, so it writes neither F(s, x_{t+1}) nor F(s, x_t) wherever those differ by 1 mod 5
    # from its own; from s_1 = x_1 the first step is the same.
    other = handmade(task("polynomial:p=5,f=s*x+2"), LONGEST)
    counts = shift_follows_f(other, task(POLYNOMIAL), sequences(POLYNOMIAL, 8), 1)
    assert counts.fraction < 0.35


def test_an_untrained_network_follows_nothing():
    model = random_network()
    assert shift_follows_f(model, task(TELLING), sequences(TELLING, 5, 8), 1).fraction < 0.1
    assert swap_follows_f(model, task(TELLING), sequences(TELLING, 5), 1).fraction < 0.1


def test_lengths_without_a_step_add_nothing():
    counts = shift_follows_f(by_hand(TELLING), task(TELLING), sequences(TELLING, 1), 1)
    assert len(counts.steps) == 0
    assert np.isnan(counts.fraction)
    assert len(counts.by_sequence) == 0


def test_counts_by_hand():
    """On a network that is right by half: outputs under the shifted map, compared one by one."""
    model, tokens = half_right(), dataset("parity").test[4]
    parity, layout = task("parity"), SequenceLayout(4)
    with torch.no_grad():
        logits = model(torch.from_numpy(tokens[:, :-1]), hooks=shifted_attention(layout, 1, 1, 0))
    expected = {"steps": [], "followed": [], "kept": []}
    for row, outputs in zip(tokens.tolist(), logits.argmax(-1).tolist(), strict=True):
        counts = dict.fromkeys(expected, 0)
        for t in (1, 2, 3):
            # problem, x_1 .. x_4 at 1 .. 4, EoI at 5, s_1 .. s_4 at 6 .. 9; the query at 4 + t writes s_t.
            s = 0 if t == 1 else row[4 + t]
            right, moved = parity.step(s, row[t]), parity.step(s, row[t + 1])
            if right != moved:
                counts["steps"] += 1
                counts["followed"] += outputs[4 + t] == moved
                counts["kept"] += outputs[4 + t] == right
        for name, count in counts.items():
            expected[name].append(count)
    result = shift_follows_f(model, parity, {4: tokens}, 1, 0)
    assert {name: getattr(result, name).tolist() for name in expected} == expected
    assert 0 < result.fraction < 1


def test_readings_by_hand():
    counts = CounterfactualCounts(np.array([4, 0, 2]), np.array([3, 0, 0]), np.array([1, 0, 1]))
    assert counts.fraction == 3 / 6
    assert counts.fraction_kept == 2 / 6
    assert counts.by_sequence.tolist() == [3 / 4, 0]


# Swap


@residuals
@pytest.mark.parametrize(
    ("spec", "pairs"),
    [
        # Seven states and s_0, six inputs.
        (TELLING, 8 * 6),
        # States 1 .. 4 and s_0, four inputs; s = 0 cannot tell.
        (POLYNOMIAL, 5 * 4),
        # Copy: two states and s_0, two inputs; the polynomial as above.
        (MIXTURE, 3 * 2 + 5 * 4),
    ],
)
def test_the_output_follows_f_for_every_pair(spec, pairs, residual):
    swaps = swap_follows_f(by_hand(spec, residual), task(spec), sequences(spec, 3, LONGEST), 1, 0)
    assert swaps.pairs == pairs
    assert swaps.fraction == 1.0
    assert (swaps.counts.fraction, swaps.counts.fraction_kept) == (1.0, 0.0)
    counted = swaps.steps > 0
    assert (swaps.table[counted] == 1).all()
    assert np.isnan(swaps.table[~counted]).all()
    assert swaps.steps.sum() == swaps.counts.steps.sum()


def test_every_other_input_is_drawn_about_equally_often():
    swaps = swap_follows_f(by_hand(TELLING), task(TELLING), sequences(TELLING, LONGEST), 1, seed=5)
    # x' is never x, so all 101 * 9 steps can tell: about 151.5 for each of six inputs, standard deviation 11.2.
    by_input = swaps.steps.sum((0, 1))
    assert by_input[0] == 0
    assert by_input.sum() == 909
    assert abs(by_input[1:] - 151.5).max() < 56
    assert swaps.counts.steps.tolist() == [9] * 101


def test_draws_follow_their_seed():
    def steps(seed):
        return swap_follows_f(by_hand(TELLING), task(TELLING), sequences(TELLING, 3), 1, seed=seed).steps.tolist()

    assert steps(1) == steps(1) != steps(2)


@residuals
def test_swapping_what_no_head_reads_changes_nothing(residual):
    """Layer 1's head reads EoI's value, not x_t's."""
    swaps = swap_follows_f(by_hand(TELLING, residual), task(TELLING), sequences(TELLING, 5), 0)
    assert (swaps.fraction, swaps.counts.fraction_kept) == (0.0, 1.0)


def test_swaps_by_hand(monkeypatch):
    """Only the value of head 1 at x_t's own position is swapped, in a network that mixes everything, and in chunks.

    x' = 1 - x is the only other input of parity, and this network says nothing but 0 and 1.
    """
    monkeypatch.setattr("iterhead.intervene.effects.CHUNK", 5)
    model, tokens = random_network(), dataset("parity").test[7]
    with torch.no_grad():
        model.unembed.W_U[..., 1] = -model.unembed.W_U[..., 0]
        model.unembed.W_U[..., 2:] = 0
    parity, given = task("parity"), torch.from_numpy(tokens[:, :-1])
    values, pattern, z = (f"blocks.1.attn.hook_{name}" for name in ("v", "pattern", "z"))
    steps, followed = np.zeros((1, 3, 2), dtype=int), np.zeros((1, 3, 2), dtype=int)
    for t in range(1, 8):
        donor = given.clone()
        donor[:, t] = 1 - donor[:, t]
        with torch.no_grad():
            own, other = model.run_with_cache(given)[1], model.run_with_cache(donor)[1]
            # z = sum over keys of weight times value; only the value of key t is the donor's.
            brought = own[z].clone()
            brought[:, :, 1] += own[pattern][:, 1, :, t, None] * (other[values] - own[values])[:, None, t, 1]
            outputs = model(given, hooks={z: lambda _, brought=brought: brought}).argmax(-1)
        for row, output in zip(tokens.tolist(), outputs[:, 7 + t].tolist(), strict=True):
            s = 2 if t == 1 else row[7 + t]
            steps[0, s, 1 - row[t]] += 1
            followed[0, s, 1 - row[t]] += output == parity.step(s % 2, 1 - row[t])
    swaps = swap_follows_f(model, parity, {7: tokens}, 1, 1)
    assert swaps.steps.tolist() == steps.tolist()
    assert swaps.followed.tolist() == followed.tolist()
    assert 0 < swaps.fraction < 1
    counted = steps > 0
    assert swaps.fraction == pytest.approx((followed[counted] / steps[counted]).mean())


def test_swaps_of_nothing():
    empty = np.zeros((1, 3, 2), dtype=int)
    none = np.zeros(0, dtype=int)
    swaps = counterfactuals.SwapCounts(CounterfactualCounts(none, none, none), empty, empty)
    assert swaps.pairs == 0
    assert np.isnan(swaps.fraction)


def test_a_task_with_one_input_has_nothing_to_swap():
    single = task("polynomial:p=2")
    model = handmade(single, 3)
    layout = SequenceLayout(3)
    inputs = np.ones((2, 3), dtype=np.int64)
    tokens = layout.assemble(VOCABULARY, inputs, single.states(inputs))
    with pytest.raises(UserError, match="polynomial:p=2: its only input is 1: there is nothing to swap it for"):
        swap_follows_f(model, single, {3: tokens}, 1)


def test_counts_read_as_sentences():
    counts = CounterfactualCounts(np.array([4, 2]), np.array([3, 0]), np.array([1, 1]))
    assert repr(counts) == "CounterfactualCounts(6 steps: 0.500 followed)"
    pairs = np.array([[[2, 0], [4, 0]]])
    swaps = counterfactuals.SwapCounts(counts, pairs, pairs // 4 * 3)
    assert repr(swaps) == "SwapCounts(2 pairs (s, x'): 0.375 followed)"
