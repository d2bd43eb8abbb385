"""Packed batches: every sequence comes out whole, once, and without padding."""

from collections import Counter

import numpy as np
import pytest
import torch

from iterhead.data import Batches, make_dataset, make_packing
from iterhead.data.batches import IGNORED
from iterhead.settings import DataConfig
from iterhead.tasks import Vocabulary, task

VOCABULARY = Vocabulary(23)
EOS, EOI = 22, 21

F, T = False, True


def batches_of(spec="polynomial", batch_size=3, seed=5, **settings):
    config = DataConfig(**{"max_length": 3, "train_per_length": 7, "test_per_length": 2} | settings)
    dataset = make_dataset(task(spec), config, VOCABULARY, seed=3)
    return Batches(dataset, config, batch_size, seed), dataset


def size(length, cot=True):
    """Tokens that the network is given: problem, x_1 .. x_L, EoI, and s_1 .. s_L or s_L alone."""
    return 1 + length + 1 + (length if cot else 1)


# Geometry, by hand


def test_packing_of_lengths_one_to_three_by_hand():
    # Row 0:   problem x EoI s | problem x x x EoI s s s      4 + 8 cells; EoI stands in cells 2 and 4 + 4 = 8.
    # Row 1:   problem x x EoI s s | the same as a filler     6 + 6 cells; EoI stands in cells 3 and 6 + 3 = 9.
    packing = make_packing(DataConfig(max_length=3), per_length=1)
    assert packing.slots == (1, 2, 3)
    assert packing.slot_RT.tolist() == [[0] * 4 + [2] * 8, [1] * 12]
    assert packing.positions_RT.tolist() == [[0, 1, 2, 3, 0, 1, 2, 3, 4, 5, 6, 7], [0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5]]
    # s_1 and EoS are predicted for length 1; s_1, s_2, s_3 and EoS for length 3; s_1, s_2 and EoS for length 2.
    assert packing.reads_RQ.tolist() == [[2, 3, 8, 9, 10, 11], [3, 4, 5, 9, 10, 11]]
    assert packing.weights_RQ.tolist() == [[1, 1, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0]]
    assert not packing.is_full


def test_packing_without_chain_of_thought_by_hand():
    # Row 0:   problem x EoI s | problem x x x EoI s          4 + 6 cells; EoI stands in cells 2 and 4 + 4 = 8.
    # Row 1:   problem x x EoI s | the same as a filler       5 + 5 cells; EoI stands in cells 3 and 5 + 3 = 8.
    packing = make_packing(DataConfig(max_length=3, cot=False), per_length=1)
    assert packing.slot_RT.tolist() == [[0] * 4 + [2] * 6, [1] * 10]
    assert packing.positions_RT.tolist() == [[0, 1, 2, 3, 0, 1, 2, 3, 4, 5], [0, 1, 2, 3, 4, 0, 1, 2, 3, 4]]
    assert packing.reads_RQ.tolist() == [[2, 3, 8, 9], [3, 4, 8, 9]]
    assert packing.weights_RQ.tolist() == [[1, 1, 1, 1], [1, 1, 0, 0]]


def test_mask_of_lengths_one_and_two_by_hand():
    # Without chain of thought: 4 + 5 cells.
    packing = make_packing(DataConfig(max_length=2, cot=False), per_length=1)
    assert packing.mask_RTT.tolist() == [
        [
            [T, F, F, F, F, F, F, F, F],
            [T, T, F, F, F, F, F, F, F],
            [T, T, T, F, F, F, F, F, F],
            [T, T, T, T, F, F, F, F, F],
            [F, F, F, F, T, F, F, F, F],
            [F, F, F, F, T, T, F, F, F],
            [F, F, F, F, T, T, T, F, F],
            [F, F, F, F, T, T, T, T, F],
            [F, F, F, F, T, T, T, T, T],
        ]
    ]


@pytest.mark.parametrize("cot", [True, False])
@pytest.mark.parametrize(("shortest", "longest", "per_length"), [(1, 3, 2), (1, 4, 1), (2, 7, 5), (3, 5, 3), (5, 5, 4)])
def test_masks_are_causal_and_keep_to_one_sequence(shortest, longest, per_length, cot):
    packing = make_packing(DataConfig(min_length=shortest, max_length=longest, cot=cot), per_length)
    for positions, mask in zip(packing.positions_RT.tolist(), packing.mask_RTT, strict=True):
        sequence = np.cumsum([position == 0 for position in positions])
        allowed = [
            [key <= query and sequence[key] == sequence[query] for key in range(len(positions))]
            for query in range(len(positions))
        ]
        assert mask.tolist() == allowed


@pytest.mark.parametrize("cot", [True, False])
@pytest.mark.parametrize(("shortest", "longest", "per_length"), [(1, 3, 2), (1, 4, 1), (2, 7, 5), (3, 5, 3), (5, 5, 1)])
def test_no_cell_is_padding(shortest, longest, per_length, cot):
    packing = make_packing(DataConfig(min_length=shortest, max_length=longest, cot=cot), per_length)
    tokens = [size(length, cot) for length in range(shortest, longest + 1) for _ in range(per_length)]
    is_odd = len(tokens) % 2 == 1
    filler = size((shortest + longest) // 2, cot) if is_odd else 0
    assert packing.slot_RT.numel() == sum(tokens) + filler
    assert packing.is_full is not is_odd
    # The loss counts every written state and one EoS of each sequence that is no filler.
    written = [length if cot else 1 for length in range(shortest, longest + 1) for _ in range(per_length)]
    assert packing.weights_RQ.sum() == sum(written) + len(written)


# Contents


def sequences_in(row, positions):
    """Cut a row where positions start again: [(first cell, tokens)]."""
    starts = [cell for cell, position in enumerate(positions) if position == 0]
    ends = [*starts[1:], len(row)]
    for start, end in zip(starts, ends, strict=True):
        assert positions[start:end] == list(range(end - start))
    return [(start, row[start:end]) for start, end in zip(starts, ends, strict=True)]


@pytest.mark.parametrize("cot", [True, False])
@pytest.mark.parametrize("spec", ["polynomial", "mix:copy,parity"])
@pytest.mark.parametrize(("shortest", "batch_size"), [(1, 3), (1, 7), (2, 5)])
def test_rows_hold_whole_training_sequences_and_their_next_tokens(spec, shortest, batch_size, cot):
    batches, dataset = batches_of(spec, batch_size, min_length=shortest, cot=cot)
    known = {tuple(row) for part in dataset.train.values() for row in part.tolist()}
    packing = batches.packing
    inputs, targets = batches.epoch(2)
    assert inputs.dtype == targets.dtype == torch.int64
    assert inputs.shape == (batches.steps, *packing.slot_RT.shape)
    assert targets.shape == (batches.steps, *packing.reads_RQ.shape)
    for step in range(batches.steps):
        found = Counter()
        for r, row in enumerate(inputs[step].tolist()):
            reads, answers = packing.reads_RQ[r].tolist(), targets[step, r].tolist()
            expected_reads, expected_answers = [], []
            for start, tokens in sequences_in(row, packing.positions_RT[r].tolist()):
                whole = (*tokens, EOS)
                assert whole in known
                counted = packing.weights_RQ[r, len(expected_reads)].item()
                found[whole.index(EOI) - 1] += int(counted)
                for place in range(whole.index(EOI), len(tokens)):
                    expected_reads.append(start + place)
                    expected_answers.append(whole[place + 1])
            assert reads == expected_reads
            assert answers == expected_answers
        # Equal numbers of each length, fillers left out.
        assert found == dict.fromkeys(range(shortest, 4), batches.per_length)


def test_the_filler_repeats_its_partner():
    batches, _ = batches_of(batch_size=3)
    inputs, targets = batches.epoch(0)
    assert torch.equal(inputs[:, 1, :6], inputs[:, 1, 6:])
    assert torch.equal(targets[:, 1, :3], targets[:, 1, 3:])


@pytest.mark.parametrize("batch_size", [3, 7, 8])
def test_padded_batches_hold_the_same_sequences_in_the_same_order(batch_size):
    batches, _ = batches_of(batch_size=batch_size)
    packing = batches.packing
    packed_inputs, packed_targets = batches.epoch(4)
    padded = list(batches.padded(4))
    assert len(padded) == batches.steps
    for step, (inputs, targets) in enumerate(padded):
        assert inputs.shape == targets.shape == (len(packing.slots), size(3))
        for slot, length in enumerate(packing.slots):
            row, cells = (found[: size(length)] for found in torch.where(packing.slot_RT == slot))
            assert inputs[slot, : size(length)].tolist() == packed_inputs[step][row, cells].tolist()
            assert inputs[slot, size(length) :].tolist() == [0] * (size(3) - size(length))
            # Nothing is counted before EoI (position L+1), L+1 targets from it on, nothing behind them.
            after = targets[slot, length + 1 : size(length)].tolist()
            assert targets[slot].tolist() == [IGNORED] * (length + 1) + after + [IGNORED] * (size(3) - size(length))
            assert after == [*inputs[slot, length + 2 : size(length)].tolist(), EOS]
            where = packing.reads_RQ[row[0]].tolist().index(int(cells[length + 1]))
            assert after == packed_targets[step, row[0], where : where + length + 1].tolist()


# Epochs


def test_batch_sizes_are_rounded_down_to_equal_numbers_of_each_length():
    # 17 = 5 * 3 + 2: 5 of each of three lengths; 31 // 5 = 6 steps.
    batches, _ = batches_of(batch_size=17, train_per_length=31)
    assert (batches.per_length, batches.steps, len(batches.packing.slots)) == (5, 6, 15)


def test_an_epoch_shows_every_sequence_of_a_long_length_once():
    # 30 = 6 steps of 5. Lengths 3 .. 5 of the polynomial have a thousand sequences and more.
    batches, dataset = batches_of(batch_size=15, train_per_length=30, min_length=3, max_length=5)
    for epoch in range(3):
        numbers = batches.sequences(epoch)
        assert numbers.shape == (6, 15)
        for column, first in ((0, 0), (5, 30), (10, 60)):
            assert sorted(numbers[:, column : column + 5].ravel()) == list(range(first, first + 30))
    shown = Counter()
    inputs, _ = batches.epoch(1)
    for row, positions in zip(inputs.flatten(0, 1).tolist(), batches.packing.positions_RT.tolist() * 6, strict=True):
        shown.update((*tokens, EOS) for _, tokens in sequences_in(row, positions))
    # Fifteen sequences are seven pairs and one of the middle length, 4, which is shown twice, once as a filler.
    twice = {sequence for sequence, times in shown.items() if times == 2}
    assert set(shown) == {tuple(row) for part in dataset.train.values() for row in part.tolist()}
    assert len(twice) == 6
    assert {sequence.index(EOI) for sequence in twice} == {5}


def test_what_does_not_divide_is_left_for_other_epochs():
    # 31 = 6 * 5 + 1: each epoch leaves one out, not always the same.
    batches, _ = batches_of(batch_size=15, train_per_length=31, min_length=3, max_length=5)
    left_out = []
    for epoch in range(5):
        shown = batches.sequences(epoch)[:, :5].ravel().tolist()
        assert len(set(shown)) == 30
        left_out += set(range(31)) - set(shown)
    assert len(set(left_out)) > 1


def test_short_lengths_go_round():
    # Parity of length 1 has 2 sequences, one of them for training: it is shown 30 times; length 2 keeps
    # 4 - round(4 * 2/32) = 3, shown 10 times each; length 3 keeps 8 - round(8 * 2/32) = 7: 30 = 4 * 7 + 2.
    batches, dataset = batches_of("parity", batch_size=15, train_per_length=30)
    assert [len(part) for part in dataset.train.values()] == [1, 3, 7]
    numbers = batches.sequences(0)
    assert Counter(numbers[:, :5].ravel().tolist()) == {0: 30}
    assert Counter(numbers[:, 5:10].ravel().tolist()) == {1: 10, 2: 10, 3: 10}
    assert Counter(Counter(numbers[:, 10:].ravel().tolist()).values()) == {4: 5, 5: 2}


def test_a_batch_larger_than_the_training_set_repeats_it():
    # 11 of each length from 7: all of them once, four twice.
    batches, _ = batches_of(batch_size=33, min_length=3, max_length=5)
    assert batches.steps == 1
    assert Counter(Counter(batches.sequences(0)[0, :11].tolist()).values()) == {1: 3, 2: 4}


def test_epochs_are_shuffled_by_the_seed_and_their_number_alone():
    batches, _ = batches_of(batch_size=15, train_per_length=30, min_length=3, max_length=5)
    again, _ = batches_of(batch_size=15, train_per_length=30, min_length=3, max_length=5)
    other, _ = batches_of(batch_size=15, train_per_length=30, min_length=3, max_length=5, seed=6)
    third = again.sequences(3)
    for epoch in range(3):
        batches.epoch(epoch)
    assert np.array_equal(batches.sequences(3), third)
    orders = [batches.sequences(2), batches.sequences(3), other.sequences(3)]
    assert len({order.tobytes() for order in orders}) == 3
    # The three lengths are shuffled each in its own way.
    assert not np.array_equal(third[:, :5], third[:, 5:10] - 30)
    for found, expected in zip(batches.epoch(3), again.epoch(3), strict=True):
        assert torch.equal(found, expected)
