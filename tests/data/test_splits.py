"""Training and test sequences: disjoint, complete where there are few, right, and the same on every platform."""

from dataclasses import replace

import numpy as np
import pytest

from iterhead.data.splits import Dataset, apportion, make_dataset
from iterhead.errors import UserError
from iterhead.settings import DataConfig
from iterhead.tasks import IterativeTask, Vocabulary, task

VOCABULARY = Vocabulary(23)
EOS, EOI, FIRST, SECOND = 22, 21, 20, 19
TRAIN, TEST = 37, 29

SPECS = (
    "parity",
    "polynomial",
    "polynomial:p=2,zero=true",
    "polynomial:p=3",
    "polynomial:p=3,start=init,zero=true",
    "polynomial:p=7,f=s-x,start=init",
    "mix:copy,parity",
    "mix:copy,polynomial(p=5):weights=0.3,0.7",
)


def data_of(spec, seed=3, **settings):
    config = DataConfig(**{"max_length": 9, "train_per_length": TRAIN, "test_per_length": TEST} | settings)
    return make_dataset(task(spec), config, VOCABULARY, seed)


def rows(tokens):
    return [tuple(row) for row in tokens.tolist()]


def inputs_of(tokens, length):
    return [row[1 : length + 1] for row in rows(tokens)]


@pytest.mark.parametrize("cot", [True, False])
@pytest.mark.parametrize("spec", SPECS)
def test_no_test_sequence_stands_in_the_training_set(spec, cot):
    data = data_of(spec, cot=cot)
    assert list(data.train) == list(data.test) == list(range(1, 10))
    for length in data.train:
        train, test = rows(data.train[length]), rows(data.test[length])
        assert train
        assert test
        assert not set(train) & set(test)
        assert len(set(train)) == len(train)
        assert len(set(test)) == len(test)


@pytest.mark.parametrize("split", ["disjoint", "iid"])
@pytest.mark.parametrize("cot", [True, False])
@pytest.mark.parametrize("spec", SPECS)
def test_every_sequence_is_what_the_plain_run_of_its_task_gives(spec, cot, split):
    components = task(spec).components
    data = data_of(spec, cot=cot, split=split)
    seen = set()
    for length in data.train:
        for row in rows(data.train[length]) + rows(data.test[length]):
            component = components[FIRST - row[0]]
            seen.add(row[0])
            inputs = row[1 : length + 1]
            assert set(inputs) <= set(component.symbols)
            states = component.run(inputs)
            written = states if cot else states[-1:]
            assert row[length + 1 :] == (EOI, *written, EOS)
    assert seen == {FIRST, SECOND}.intersection(range(FIRST + 1 - len(components), FIRST + 1))


def test_sizes_of_short_lengths_are_in_proportion():
    data = data_of("parity")
    # 66 are asked for, of which 29 for testing; there are 2^L of them, and 29/66 = 0.4394 of these are
    # 0.88, 1.76, 3.52, 7.03, 14.06, 28.12: rounded. From length 7 on (128) there are enough.
    sizes = [(len(data.train[length]), len(data.test[length])) for length in range(1, 10)]
    assert sizes == [(1, 1), (2, 2), (4, 4), (9, 7), (18, 14), (36, 28), (TRAIN, TEST), (TRAIN, TEST), (TRAIN, TEST)]


def test_both_sets_have_a_sequence_however_uneven_they_are():
    # 4 * 1/1001 = 0.004 would round to no test sequence, and 4 * 1000/1001 = 3.996 to no training sequence.
    few_tests = data_of("parity", train_per_length=1000, test_per_length=1)
    few_trains = data_of("parity", train_per_length=1, test_per_length=1000)
    assert (len(few_tests.train[2]), len(few_tests.test[2])) == (3, 1)
    assert (len(few_trains.train[2]), len(few_trains.test[2])) == (1, 3)


def test_just_enough_sequences_are_all_used():
    # Length 6 has 2^6 = 64 = 41 + 23 sequences.
    data = data_of("parity", train_per_length=41, test_per_length=23)
    assert (len(data.train[6]), len(data.test[6])) == (41, 23)
    assert len(set(rows(data.train[6]) + rows(data.test[6]))) == 64


@pytest.mark.parametrize(("spec", "symbols"), [("parity", 2), ("polynomial:p=3", 2), ("polynomial", 10)])
def test_short_lengths_are_enumerated_completely(spec, symbols):
    data = data_of(spec)
    short = [length for length in data.train if symbols**length <= TRAIN + TEST]
    # 2^6 = 64 and 10^1 = 10 are the last that are not more than 66.
    assert len(short) == {2: 6, 10: 1}[symbols]
    for length in short:
        every = inputs_of(data.train[length], length) + inputs_of(data.test[length], length)
        assert len(every) == len(set(every)) == symbols**length


def test_sets_are_shuffled_whether_enumerated_or_drawn():
    # Length 8 is enumerated (2^8 = 256 <= 4 * 66), length 9 is drawn (512). In the order of numbers every training
    # sequence would begin with 0.
    data = data_of("parity")
    for length in (6, 8, 9):
        for part in (data.train[length], data.test[length]):
            assert 0.2 < part[:, 1].mean() < 0.8
            assert rows(part) != sorted(rows(part))


def test_drawn_symbols_are_uniform_at_every_place():
    # 2 * 1024 draws of 10 symbols: 204.8 of each, standard deviation sqrt(2048 * 0.1 * 0.9) = 13.6; five of them.
    data = data_of("polynomial", min_length=13, max_length=13, train_per_length=1024, test_per_length=1024)
    drawn = np.concatenate([data.train[13], data.test[13]])[:, 1:14]
    for symbol in range(1, 11):
        assert np.abs((drawn == symbol).sum(axis=0) - 204.8).max() < 68


def test_independent_draws_have_the_sizes_asked_for_and_overlap():
    data = data_of("parity", split="iid")
    assert {len(part) for part in data.train.values()} == {TRAIN}
    assert {len(part) for part in data.test.values()} == {TEST}
    for length in (1, 2):
        assert set(rows(data.test[length])) <= set(rows(data.train[length]))


def test_as_published_two_thirds_of_the_test_sequences_of_length_three_were_trained_on():
    # Of 1,000 sequences 1,024 draws miss (1 - 1/1000)^1024 = 0.359; the share of 1,024 tests has the standard
    # deviation sqrt(0.359 * 0.641 / 1024) = 0.015. (The paper's account says 67%.)
    sizes = {"min_length": 3, "max_length": 3, "train_per_length": 1024, "test_per_length": 1024}
    data = data_of("polynomial", split="iid", **sizes)
    trained_on = set(rows(data.train[3]))
    assert np.mean([row in trained_on for row in rows(data.test[3])]) == pytest.approx(0.641, abs=0.06)


# Seeds


@pytest.mark.parametrize(
    ("spec", "settings", "fingerprint"),
    [
        ("parity", {}, "aae9c0b3d94c1406"),
        ("polynomial:start=init", {"min_length": 2, "max_length": 5, "split": "iid", "cot": False}, "f02c33b7e9c4cb9a"),
        ("mix:copy,polynomial(p=5):weights=0.3,0.7", {"max_length": 5}, "ea4f5e4176180b87"),
    ],
)
def test_the_same_seed_gives_the_same_data_on_every_platform(spec, settings, fingerprint):
    assert data_of(spec, **settings).fingerprint == fingerprint
    assert data_of(spec, seed=4, **settings).fingerprint != fingerprint


def test_a_length_does_not_depend_on_which_others_are_asked_for():
    all_lengths, some = data_of("polynomial"), data_of("polynomial", min_length=3, max_length=5)
    for length in (3, 4, 5):
        assert np.array_equal(all_lengths.train[length], some.train[length])
        assert np.array_equal(all_lengths.test[length], some.test[length])


def test_a_fingerprint_sees_every_token_and_which_set_it_is_in():
    data = data_of("parity", max_length=3)
    changed = {length: tokens.copy() for length, tokens in data.test.items()}
    changed[3][-1, -1] += 1
    renamed = {length + 1: tokens for length, tokens in data.train.items()}
    variants = [data, replace(data, test=changed), replace(data, train=renamed), Dataset(data.test, data.train)]
    assert len({variant.fingerprint for variant in variants}) == 4
    assert replace(data, train=dict(reversed(data.train.items()))).fingerprint == data.fingerprint


# Mixtures


@pytest.mark.parametrize(
    ("total", "weights", "counts"),
    [
        (7, (1.0,), [7]),
        # 1.5 and 1.5: equal remainders, the first one gets what is left.
        (3, (0.5, 0.5), [2, 1]),
        # 8.7 and 20.3: floors 8 and 20, the one that is left goes to 0.7.
        (29, (0.3, 0.7), [9, 20]),
        # 11.1 and 25.9.
        (37, (0.3, 0.7), [11, 26]),
        # 2.2, 3.3, 5.5: floors 2, 3, 5; one left, to 0.5.
        (11, (0.2, 0.3, 0.5), [2, 3, 6]),
        # 3 thirds of 10: 3.33 each.
        (10, (1 / 3, 1 / 3, 1 / 3), [4, 3, 3]),
        # 0.29 * 100 is 28.999999999999996 in floating point: nothing is lost by it.
        (100, (0.29, 0.71), [29, 71]),
        (0, (0.3, 0.7), [0, 0]),
    ],
)
def test_counts_are_apportioned_by_largest_remainders(total, weights, counts):
    assert apportion(total, weights) == counts


def test_a_mixture_has_the_shares_of_its_weights():
    data = data_of("mix:copy,polynomial(p=5):weights=0.3,0.7")
    # 37 * 0.3 = 11.1, and 29 * 0.3 = 8.7; copy has 2^L sequences, and 5 > log2(11 + 9).
    for length in (5, 6, 7, 8, 9):
        assert np.bincount(data.train[length][:, 0])[[FIRST, SECOND]].tolist() == [11, 26]
        assert np.bincount(data.test[length][:, 0])[[FIRST, SECOND]].tolist() == [9, 20]


def test_short_lengths_of_a_mixture_are_split_task_by_task():
    data = data_of("mix:copy,polynomial(p=5):weights=0.3,0.7", max_length=2)
    # copy: 2 sequences, 2 * 9/20 = 0.9; 4, 4 * 0.45 = 1.8. polynomial: 4 inputs, 4 * 20/46 = 1.74; 16 * 0.435 = 6.96.
    assert np.bincount(data.test[1][:, 0])[[FIRST, SECOND]].tolist() == [1, 2]
    assert np.bincount(data.train[1][:, 0])[[FIRST, SECOND]].tolist() == [1, 2]
    assert np.bincount(data.test[2][:, 0])[[FIRST, SECOND]].tolist() == [2, 7]
    assert np.bincount(data.train[2][:, 0])[[FIRST, SECOND]].tolist() == [2, 9]


def test_the_tasks_of_a_mixture_draw_inputs_of_their_own():
    data = data_of("mix:copy,parity", min_length=13, max_length=13, train_per_length=26)
    by_task = [{row[1:14] for row in rows(data.train[13]) if row[0] == problem} for problem in (FIRST, SECOND)]
    assert [len(inputs) for inputs in by_task] == [13, 13]
    assert not by_task[0] & by_task[1]


@pytest.mark.parametrize("split", ["disjoint", "iid"])
def test_the_first_few_sequences_of_a_mixture_are_a_sample_of_all_its_tasks(split):
    # Regular evaluations look at the first few test sequences of each length.
    data = data_of("mix:copy,parity", min_length=7, train_per_length=101, test_per_length=101, split=split)
    for part in (data.train, data.test):
        for tokens in part.values():
            assert 5 <= (tokens[:31, 0] == FIRST).sum() <= 26


# What is refused


def test_one_input_symbol_cannot_be_split():
    with pytest.raises(UserError) as caught:
        data_of("polynomial:p=2")
    assert str(caught.value) == (
        "polynomial:p=2: only 1 sequence of length 1 exists, so training and test sequences cannot be disjoint: "
        "admit more input values (zero=true) or use --data.split iid"
    )
    # 1, 1*1+1 = 0, 0*1+1 = 1.
    assert set(rows(data_of("polynomial:p=2", split="iid").test[3])) == {(FIRST, 1, 1, 1, EOI, 1, 0, 1, EOS)}


def test_an_alphabet_of_one_symbol_cannot_be_split():
    constant = IterativeTask("constant", 1, lambda s, x: 0)
    config = DataConfig(max_length=3)
    with pytest.raises(UserError, match="constant: only 1 sequence of length 1 exists"):
        make_dataset(constant, config, VOCABULARY, 0)


def test_a_task_that_does_not_fit_the_vocabulary_is_refused():
    with pytest.raises(UserError, match="14 ids"):
        make_dataset(task("polynomial"), DataConfig(), Vocabulary(13), 0)
