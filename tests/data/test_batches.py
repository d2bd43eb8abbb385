"""Packed batches: every sequence comes out whole, once, and without padding."""

from collections import Counter

import numpy as np
import pytest
import torch

from iterhead.data.batches import IGNORED, Batches, make_packing
from iterhead.data.splits import make_dataset
from iterhead.settings import DataConfig
from iterhead.tasks import Vocabulary, task

VOCABULARY = Vocabulary(23)
EOS, EOI = 22, 21

F, T = False, True


def batches_of(spec="polynomial", batch_size=3, seed=5, **settings):
    config = DataConfig(**{"max_length": 3, "train_per_length": 7, "test_per_length": 2} | settings)
    dataset = make_dataset(task(spec), config, VOCABULARY, seed=3)
    return Batches([dataset], config, batch_size, [seed]), dataset


def population_of(specs, seeds, batch_size=7, **settings):
    """Batches for networks of several tasks, each with a dataset of its own; and each one's alone."""
    config = DataConfig(**{"max_length": 3, "train_per_length": 7, "test_per_length": 2} | settings)
    datasets = [make_dataset(task(spec), config, VOCABULARY, seed) for spec, seed in zip(specs, seeds, strict=True)]
    alone = [Batches([dataset], config, batch_size, [seed]) for dataset, seed in zip(datasets, seeds, strict=True)]
    return Batches(datasets, config, batch_size, seeds), alone


def size(length, cot=True):
    """Tokens that the network is given: problem, x_1 .. x_L, EoI, and s_1 .. s_L or s_L alone."""
    return 1 + length + 1 + (length if cot else 1)


# Geometry, by hand


def test_packing_of_lengths_one_to_three_by_hand():
    # Row 0:   problem x EoI s | problem x x x EoI s s s      4 + 8 columns; EoI stands at 2 and at 4. Outputs are at
    #          2, 3 (predicting s_1 and EoS) and at 4 .. 7 (s_1, s_2, s_3 and EoS): these come first, then 0, 1, 0 .. 3.
    # Row 1:   problem x x EoI s s | the same as a filler     6 + 6 columns; EoI at 3: outputs at 3, 4, 5 of each.
    packing = make_packing(DataConfig(max_length=3), per_length=1)
    assert packing.slots == (1, 2, 3)
    assert packing.slot_RT.tolist() == [[0, 0, 2, 2, 2, 2, 0, 0, 2, 2, 2, 2], [1] * 12]
    assert packing.positions_RT.tolist() == [[2, 3, 4, 5, 6, 7, 0, 1, 0, 1, 2, 3], [3, 4, 5, 3, 4, 5, 0, 1, 2, 0, 1, 2]]
    assert packing.outputs_per_row == 6
    assert packing.weights_RQ.tolist() == [[1, 1, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0]]
    assert packing.counts_RT.tolist() == [[T] * 12, [T, T, T, F, F, F, T, T, T, F, F, F]]
    assert not packing.is_full


def test_packing_without_chain_of_thought_by_hand():
    # Row 0:   problem x EoI s | problem x x x EoI s          4 + 6 columns; EoI at 2 and 4: outputs 2, 3; 4, 5.
    # Row 1:   problem x x EoI s | the same as a filler       5 + 5 columns; EoI stands at 3: outputs at 3, 4 of each.
    packing = make_packing(DataConfig(max_length=3, cot=False), per_length=1)
    assert packing.slot_RT.tolist() == [[0, 0, 2, 2, 0, 0, 2, 2, 2, 2], [1] * 10]
    assert packing.positions_RT.tolist() == [[2, 3, 4, 5, 0, 1, 0, 1, 2, 3], [3, 4, 3, 4, 0, 1, 2, 0, 1, 2]]
    assert packing.outputs_per_row == 4
    assert packing.weights_RQ.tolist() == [[1, 1, 1, 1], [1, 1, 0, 0]]
    assert packing.counts_RT.tolist() == [[T] * 10, [T, T, F, F, T, T, T, F, F, F]]


def test_mask_of_lengths_one_and_two_by_hand():
    # Without chain of thought: 4 + 5 columns. In the row stand the positions 2, 3 of the first sequence and 3, 4 of the
    # second, then 0, 1 of the first and 0, 1, 2 of the second. Each sees those of its own that are not later.
    packing = make_packing(DataConfig(max_length=2, cot=False), per_length=1)
    assert packing.mask_RTT.tolist() == [
        [
            [T, F, F, F, T, T, F, F, F],
            [T, T, F, F, T, T, F, F, F],
            [F, F, T, F, F, F, T, T, T],
            [F, F, T, T, F, F, T, T, T],
            [F, F, F, F, T, F, F, F, F],
            [F, F, F, F, T, T, F, F, F],
            [F, F, F, F, F, F, T, F, F],
            [F, F, F, F, F, F, T, T, F],
            [F, F, F, F, F, F, T, T, T],
        ]
    ]


@pytest.mark.parametrize("cot", [True, False])
@pytest.mark.parametrize(("shortest", "longest", "per_length"), [(1, 3, 2), (1, 4, 1), (2, 7, 5), (3, 5, 3), (5, 5, 4)])
def test_masks_are_causal_and_keep_to_one_sequence(shortest, longest, per_length, cot):
    packing = make_packing(DataConfig(min_length=shortest, max_length=longest, cot=cot), per_length)
    for row, mask in enumerate(packing.mask_RTT):
        positions = packing.positions_RT[row].tolist()
        # A filler has the slot of the sequence that it repeats, and does not count.
        sequence = list(zip(packing.slot_RT[row].tolist(), packing.counts_RT[row].tolist(), strict=True))
        allowed = [
            [positions[key] <= positions[query] and sequence[key] == sequence[query] for key in range(len(positions))]
            for query in range(len(positions))
        ]
        assert mask.tolist() == allowed


@pytest.mark.parametrize("cot", [True, False])
@pytest.mark.parametrize(("shortest", "longest", "per_length"), [(1, 3, 2), (1, 4, 1), (2, 7, 5), (3, 5, 3), (5, 5, 1)])
def test_no_token_is_padding(shortest, longest, per_length, cot):
    packing = make_packing(DataConfig(min_length=shortest, max_length=longest, cot=cot), per_length)
    tokens = [size(length, cot) for length in range(shortest, longest + 1) for _ in range(per_length)]
    is_odd = len(tokens) % 2 == 1
    filler = size((shortest + longest) // 2, cot) if is_odd else 0
    assert packing.slot_RT.numel() == sum(tokens) + filler
    assert packing.counts_RT.sum() == sum(tokens)
    assert packing.is_full is not is_odd
    # The loss counts every written state and one EoS of each sequence that is no filler.
    written = [length if cot else 1 for length in range(shortest, longest + 1) for _ in range(per_length)]
    assert packing.weights_RQ.sum() == sum(written) + len(written)
    assert packing.weights_RQ.numel() == packing.outputs_per_row * len(packing.slot_RT)


# Contents


def sequences_in(packing, row):
    """Each sequence's columns in a row, in order of positions: [(slot, does it count, columns)], fillers last."""
    by_sequence = {}
    marks = zip(packing.slot_RT[row].tolist(), packing.counts_RT[row].tolist(), strict=True)
    for column, (slot, counts) in enumerate(marks):
        by_sequence.setdefault((slot, counts), []).append(column)
    positions = packing.positions_RT[row].tolist()
    found = []
    for (slot, counts), columns in by_sequence.items():
        columns.sort(key=lambda column: positions[column])
        assert [positions[column] for column in columns] == list(range(len(columns)))
        found.append((slot, counts, columns))
    assert len(found) == 2
    return sorted(found, key=lambda one: not one[1])


@pytest.mark.parametrize("cot", [True, False])
@pytest.mark.parametrize("spec", ["polynomial", "mix:copy,parity"])
@pytest.mark.parametrize(("shortest", "batch_size"), [(1, 3), (1, 7), (2, 5)])
def test_rows_hold_whole_training_sequences_and_their_next_tokens(spec, shortest, batch_size, cot):
    batches, dataset = batches_of(spec, batch_size, min_length=shortest, cot=cot)
    known = {tuple(row) for part in dataset.train.values() for row in part.tolist()}
    packing = batches.packing
    steps = list(batches.epoch(2))
    assert len(steps) == batches.steps
    for inputs, targets in steps:
        assert inputs.dtype == targets.dtype == torch.int64
        assert inputs.shape == (1, *packing.slot_RT.shape)
        assert targets.shape == (1, len(packing.slot_RT), packing.outputs_per_row)
        found = Counter()
        for r, row in enumerate(inputs[0].tolist()):
            answers = {}
            for slot, counts, columns in sequences_in(packing, r):
                whole = (*(row[column] for column in columns), EOS)
                assert whole in known
                assert whole.index(EOI) - 1 == packing.slots[slot]
                found[packing.slots[slot]] += counts
                for place in range(whole.index(EOI), len(columns)):
                    answers[columns[place]] = whole[place + 1]
                    assert packing.weights_RQ[r, columns[place]] == counts
            # The outputs are the first columns of the row, and there is an answer to each.
            assert sorted(answers) == list(range(packing.outputs_per_row))
            assert targets[0, r].tolist() == [answers[column] for column in range(packing.outputs_per_row)]
        # Equal numbers of each length, fillers left out.
        assert found == dict.fromkeys(range(shortest, 4), batches.per_length)


def test_the_filler_repeats_its_partner():
    # Its columns are, in the row above: outputs 3, 4, 5 and the rest 9, 10, 11.
    batches, _ = batches_of(batch_size=3)
    for inputs, targets in batches.epoch(0):
        assert torch.equal(inputs[0, 1, [0, 1, 2, 6, 7, 8]], inputs[0, 1, [3, 4, 5, 9, 10, 11]])
        assert torch.equal(targets[0, 1, :3], targets[0, 1, 3:])


@pytest.mark.parametrize("batch_size", [3, 7, 8])
def test_padded_batches_hold_the_same_sequences_in_the_same_order(batch_size):
    batches, _ = batches_of(batch_size=batch_size)
    packing = batches.packing
    packed = list(batches.epoch(4))
    padded = list(batches.padded(4))
    assert len(padded) == batches.steps
    for (inputs, targets), (packed_inputs, packed_targets) in zip(padded, packed, strict=True):
        assert inputs.shape == targets.shape == (len(packing.slots), size(3))
        seen = set()
        for row in range(len(packing.slot_RT)):
            for slot, _, columns in sequences_in(packing, row):
                seen.add(slot)
                length = packing.slots[slot]
                assert inputs[slot, : size(length)].tolist() == packed_inputs[0, row, columns].tolist()
                assert inputs[slot, size(length) :].tolist() == [0] * (size(3) - size(length))
                # Nothing is counted before EoI (position L+1), L+1 targets from it on, nothing behind them.
                after = targets[slot, length + 1 : size(length)].tolist()
                ignored = [IGNORED] * (size(3) - size(length))
                assert targets[slot].tolist() == [IGNORED] * (length + 1) + after + ignored
                assert after == [*inputs[slot, length + 2 : size(length)].tolist(), EOS]
                assert after == packed_targets[0, row, columns[length + 1 :]].tolist()
        assert seen == set(range(len(packing.slots)))


# Many networks


SPECS, SEEDS = ("polynomial", "parity", "mix:copy,parity"), (5, 2, 7)


def equal_steps(found, expected):
    for (inputs, targets), (other_inputs, other_targets) in zip(found, expected, strict=True):
        if not (torch.equal(inputs, other_inputs) and torch.equal(targets, other_targets)):
            return False
    return True


def network_steps(batches, epoch, network):
    return [(inputs[[network]], targets[[network]]) for inputs, targets in batches.epoch(epoch)]


@pytest.mark.parametrize("epoch", [0, 3])
def test_each_network_of_a_population_is_shown_what_it_is_shown_alone(epoch):
    # Parity has fewer short sequences than the polynomial: their tokens begin at other places.
    population, alone = population_of(SPECS, SEEDS)
    starts = population.starts(epoch)
    assert starts.shape == (population.steps, 3, len(population.packing.slots))
    assert starts.flatten(0, 0).unique().numel() > alone[0].starts(epoch).unique().numel()
    for network, single in enumerate(alone):
        assert equal_steps(network_steps(population, epoch, network), single.epoch(epoch))
    assert not equal_steps(network_steps(population, epoch, 0), alone[1].epoch(epoch))


def test_networks_of_one_task_and_two_seeds_are_shown_different_things():
    population, _ = population_of(("polynomial", "polynomial"), (5, 6))
    assert not equal_steps(network_steps(population, 0, 0), network_steps(population, 0, 1))


def test_selected_networks_go_on_with_their_own_sequences():
    population, alone = population_of(SPECS, SEEDS)
    population.select([2, 0])
    for network, single in enumerate((alone[2], alone[0])):
        assert equal_steps(network_steps(population, 1, network), single.epoch(1))
    population.select([1])
    assert equal_steps(population.epoch(2), alone[0].epoch(2))


# Epochs


def numbers_shown(batches, dataset, epoch, network=0):
    """Which training sequences an epoch shows, [steps, slots]: numbered through all lengths, the shortest first."""
    number_of, place = {}, 0
    for part in dataset.train.values():
        for _ in part:
            number_of[place] = len(number_of)
            place += part.shape[1]
    return np.array([[number_of[start] for start in step] for step in batches.starts(epoch)[:, network].tolist()])


def test_batch_sizes_are_rounded_down_to_equal_numbers_of_each_length():
    # 17 = 5 * 3 + 2: 5 of each of three lengths; 31 // 5 = 6 steps.
    batches, _ = batches_of(batch_size=17, train_per_length=31)
    assert (batches.per_length, batches.steps, len(batches.packing.slots)) == (5, 6, 15)


def test_an_epoch_shows_every_sequence_of_a_long_length_once():
    # 30 = 6 steps of 5. Lengths 3 .. 5 of the polynomial have a thousand sequences and more.
    batches, dataset = batches_of(batch_size=15, train_per_length=30, min_length=3, max_length=5)
    for epoch in range(3):
        numbers = numbers_shown(batches, dataset, epoch)
        assert numbers.shape == (6, 15)
        for column, first in ((0, 0), (5, 30), (10, 60)):
            assert sorted(numbers[:, column : column + 5].ravel()) == list(range(first, first + 30))
    shown = Counter()
    for inputs, _ in batches.epoch(1):
        for r, row in enumerate(inputs[0].tolist()):
            shown.update((*(row[c] for c in columns), EOS) for _, _, columns in sequences_in(batches.packing, r))
    # Fifteen sequences are seven pairs and one of the middle length, 4, which is shown twice, once as a filler.
    twice = {sequence for sequence, times in shown.items() if times == 2}
    assert set(shown) == {tuple(row) for part in dataset.train.values() for row in part.tolist()}
    assert len(twice) == 6
    assert {sequence.index(EOI) for sequence in twice} == {5}


def test_what_does_not_divide_is_left_for_other_epochs():
    # 31 = 6 * 5 + 1: each epoch leaves one out, not always the same.
    batches, dataset = batches_of(batch_size=15, train_per_length=31, min_length=3, max_length=5)
    left_out = []
    for epoch in range(5):
        shown = numbers_shown(batches, dataset, epoch)[:, :5].ravel().tolist()
        assert len(set(shown)) == 30
        left_out += set(range(31)) - set(shown)
    assert len(set(left_out)) > 1


def test_short_lengths_are_repeated():
    # Parity of length 1 has 2 sequences, one of them for training: it is shown 30 times; length 2 keeps
    # 4 - round(4 * 2/32) = 3, shown 10 times each; length 3 keeps 8 - round(8 * 2/32) = 7: 30 = 4 * 7 + 2.
    batches, dataset = batches_of("parity", batch_size=15, train_per_length=30)
    assert [len(part) for part in dataset.train.values()] == [1, 3, 7]
    numbers = numbers_shown(batches, dataset, 0)
    assert Counter(numbers[:, :5].ravel().tolist()) == {0: 30}
    assert Counter(numbers[:, 5:10].ravel().tolist()) == {1: 10, 2: 10, 3: 10}
    assert Counter(Counter(numbers[:, 10:].ravel().tolist()).values()) == {4: 5, 5: 2}


def test_each_component_of_a_mixture_has_its_share_of_every_length():
    # 20 sequences of each length an epoch: 0.3 * 20 = 6 of the first task, whose problem token is the largest, and 14
    # of the second; also of length 1, of which each task has only one training sequence.
    batches, dataset = batches_of(
        "mix:copy,parity:weights=0.3,0.7", batch_size=12, train_per_length=20, test_per_length=20, max_length=3
    )
    problems = np.concatenate([dataset.train[length][:, 0] for length in (1, 2, 3)])
    shown = problems[numbers_shown(batches, dataset, 0)].reshape(5, 3, 4)
    for length in range(3):
        assert Counter(shown[:, length].ravel().tolist()) == {VOCABULARY.problem(0): 6, VOCABULARY.problem(1): 14}


def test_a_batch_larger_than_the_training_set_repeats_it():
    # 11 of each length from 7: all of them once, four twice.
    batches, dataset = batches_of(batch_size=33, min_length=3, max_length=5)
    assert batches.steps == 1
    assert Counter(Counter(numbers_shown(batches, dataset, 0)[0, :11].tolist()).values()) == {1: 3, 2: 4}


def test_epochs_are_shuffled_by_the_seed_and_their_number_alone():
    batches, dataset = batches_of(batch_size=15, train_per_length=30, min_length=3, max_length=5)
    again, _ = batches_of(batch_size=15, train_per_length=30, min_length=3, max_length=5)
    other, _ = batches_of(batch_size=15, train_per_length=30, min_length=3, max_length=5, seed=6)
    third = numbers_shown(again, dataset, 3)
    for epoch in range(3):
        for _ in batches.epoch(epoch):
            pass
    assert np.array_equal(numbers_shown(batches, dataset, 3), third)
    orders = [numbers_shown(batches, dataset, 2), third, numbers_shown(other, dataset, 3)]
    assert len({order.tobytes() for order in orders}) == 3
    # The three lengths are shuffled each in its own way.
    assert not np.array_equal(third[:, :5], third[:, 5:10] - 30)
    assert equal_steps(batches.epoch(3), again.epoch(3))
