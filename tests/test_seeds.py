"""Named streams: apart from each other, and the same on every platform."""

import itertools

import numpy as np
import pytest
import torch

from iterhead.seeds import IntegerStream, named_seed, torch_generator

PURPOSE = (3, "batches", 7)

# What Philox4x64-10 gives for the key named_seed(3, "batches", 7) and the counters 1 and 2 (worked out with Python's
# integers from the description in Salmon et al., 2011), four words each.
WORDS = (2265836308336586913, 10743364202814536732, 5290708031345996550, 9881464654596744681, 12809261738626679328)


def test_a_named_seed_is_the_same_everywhere():
    # printf 3/batches/7 | sha256sum begins 36 35 02 61 5c 74 b7 2c: little endian 0x2cb7745c61023536, halved.
    assert named_seed(*PURPOSE) == 0x2CB7745C61023536 // 2 == 1611085999260113563


def test_named_seeds_differ_and_fit_into_63_bits():
    purposes = list(itertools.product((0, 1, 11), ("data", "batches"), ("iid", 1, 11), (0, 1, 11)))
    seeds = {named_seed(*purpose) for purpose in purposes} | {named_seed(0), named_seed(1), named_seed(11)}
    assert len(seeds) == 3 * 2 * 3 * 3 + 3
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_integers_are_the_same_everywhere():
    # The last decimal digit is what is left after division by 10; the last two decide that by 4: ...13 = 3 * 4 + 1.
    assert IntegerStream(*PURPOSE).integers(10, (5,)).tolist() == [3, 2, 0, 1, 8]
    assert IntegerStream(*PURPOSE).integers(4, (5,)).tolist() == [1, 0, 2, 1, 0]
    assert IntegerStream(*PURPOSE).integers(11, (2, 3)).tolist() == [[4, 10, 5], [10, 2, 7]]


def test_integers_can_be_as_large_as_an_array_holds():
    # 2**62 = 4611686018427387904; the second word less twice that: 10743364202814536732 - 9223372036854775808.
    found = IntegerStream(*PURPOSE).integers(2**62, (2,))
    assert found.dtype == np.int64
    assert found.tolist() == [2265836308336586913, 1519992165959760924]


def test_uniform_numbers_are_the_same_everywhere():
    # Words over 2**64 = 18446744073709551616: 2.2658/18.4467 = 0.12283, 10.7434/18.4467 = 0.58240, 5.2907/18.4467.
    found = IntegerStream(*PURPOSE).uniform(3).tolist()
    assert [number.hex() for number in found] == [
        "0x1.f71de1e1595b0p-4",
        "0x1.2a3031a4b2d0fp-1",
        "0x1.25b17bb14abccp-2",
    ]
    assert found == pytest.approx([word / 2**64 for word in WORDS[:3]], abs=2**-53)


def test_permutations_are_the_same_everywhere():
    # Of the words 2.27, 10.74, 5.29, 9.88, 12.81 (times 10**18) the smallest is number 0, then 2, 3, 1, 4.
    assert IntegerStream(*PURPOSE).permutation(5).tolist() == [0, 2, 3, 1, 4]


def test_streams_of_different_purposes_share_nothing():
    streams = [IntegerStream(seed, name, n) for seed in (0, 1) for name in ("data", "batches") for n in (0, 1)]
    rows = [stream.integers(2**62, (13,)).tolist() for stream in streams]
    assert len({number for row in rows for number in row}) == 8 * 13


def test_a_stream_goes_on_where_it_was():
    stream = IntegerStream(*PURPOSE)
    pieces = [*stream.integers(97, (2,)), *stream.integers(97, (3,)), *stream.integers(97, (1, 2)).ravel()]
    assert pieces == IntegerStream(*PURPOSE).integers(97, (7,)).tolist()


@pytest.mark.parametrize("high", [1, 2, 7, 10])
def test_integers_stay_below_their_bound_and_reach_everything_in_it(high):
    found = IntegerStream(0, "bounds").integers(high, (31, 37))
    assert found.shape == (31, 37)
    assert np.unique(found).tolist() == list(range(high))


def test_uniform_numbers_fill_the_unit_interval():
    found = IntegerStream(0, "bounds").uniform(10_007)
    assert found.min() >= 0
    assert found.max() < 1
    # The mean of n uniform numbers has the standard deviation 1 / sqrt(12 * 10007) = 0.0029; five of them.
    assert abs(found.mean() - 0.5) < 0.0145
    assert np.histogram(found, bins=10, range=(0, 1))[0].min() > 850


@pytest.mark.parametrize("size", [0, 1, 2, 97])
def test_a_permutation_has_every_number_once(size):
    found = IntegerStream(0, "bounds").permutation(size)
    assert found.dtype == np.int64
    assert sorted(found.tolist()) == list(range(size))


def test_generators_of_torch_are_named_too_and_leave_the_global_one_alone():
    before = torch.get_rng_state()

    def draw(*purpose):
        return torch.rand(5, generator=torch_generator(*purpose)).tolist()

    assert draw(*PURPOSE) == draw(*PURPOSE)
    others = [PURPOSE, (4, "batches", 7), (3, "dropout", 7), (3, "batches", 8)]
    assert len({tuple(draw(*purpose)) for purpose in others}) == 4
    assert torch_generator(*PURPOSE).initial_seed() == named_seed(*PURPOSE)
    assert torch.equal(torch.get_rng_state(), before)


def test_others_are_uniform_among_the_other_values():
    values = np.repeat([9, 2, 5], 3000)
    drawn = IntegerStream(0, "others").others(values, (5, 9, 2))
    assert not (drawn == values).any()
    for value, rest in ((9, {2, 5}), (2, {5, 9}), (5, {2, 9})):
        found, counts = np.unique(drawn[values == value], return_counts=True)
        assert set(found.tolist()) == rest
        assert abs(counts[0] - 1500) < 150  # 5 standard deviations of a fair coin
