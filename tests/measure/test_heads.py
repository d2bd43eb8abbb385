"""Scores of heads, by hand on attention maps that were made up."""

import pytest
import torch
from torch.testing import assert_close

from iterhead.errors import UserError
from iterhead.measure.heads import ROLES, RoleSums
from iterhead.tasks import SequenceLayout

LAYOUT = SequenceLayout(2)
# Length 2: problem, x_1, x_2, EoI, s_1, s_2 stand at 0 .. 5. The first head looks from s_1 and s_2 at EoI; the second
# from EoI, which writes s_1, at x_1, and from s_1, which writes s_2, at x_2.
FIRST = ((4, 3), (5, 3))
SECOND = ((3, 1), (4, 2))


def role_scores(pattern, pairs):
    """The scores from all sequences at once."""
    sums = RoleSums(pairs)
    sums.add(pattern)
    return sums.scores()


def maps(weights):
    """Maps [B, H, 6, 6] with weights[role][head][cell][sequence] on the roles' cells and 0.9 elsewhere."""
    pattern = torch.full((2, 2, 6, 6), 0.9)
    for role, cells in (("first", FIRST), ("second", SECOND)):
        for head, by_cell in enumerate(weights[role]):
            for (query, key), values in zip(cells, by_cell, strict=True):
                pattern[:, head, query, key] = torch.tensor(values)
    return pattern


PATTERN = maps(
    {
        "first": [[(0.5, 0.75), (0.25, 1.0)], [(0.25, 0.25), (0.5, 0.0)]],
        "second": [[(1.0, 0.75), (0.625, 0.375)], [(0.0, 0.125), (0.0, 0.25)]],
    }
)

BY_HAND = {
    # Head 0: 0.75 and 1.0 of four are above one half, 0.5 is not: 2/4. Sum 2.5: 2.5/4. The standard deviations of
    # (0.5, 0.75) and (0.25, 1.0) are 0.125 and 0.375: 1 - 0.25.
    # Head 1: none. Sum 1: 1/4. Standard deviations 0 and 0.25: 1 - 0.125. Mass 0.625 + 0.25.
    "first": {"peakiness": [0.5, 0.0], "weight": [0.625, 0.25], "invariance": [0.75, 0.875], "mass": 0.875},
    # Head 0: 1.0, 0.75, 0.625 of four. Sum 2.75. Standard deviations 0.125 and 0.125.
    # Head 1: none. Sum 0.375. Standard deviations 0.0625 and 0.125: 1 - 0.09375. Mass 0.6875 + 0.09375.
    "second": {
        "peakiness": [0.75, 0.0],
        "weight": [0.6875, 0.09375],
        "invariance": [0.875, 0.90625],
        "mass": 0.78125,
    },
}


@pytest.mark.parametrize("role", ["first", "second"])
def test_scores_by_hand(role):
    scores = role_scores(PATTERN, ROLES[role](LAYOUT))
    for name, expected in BY_HAND[role].items():
        assert getattr(scores, name).tolist() == expected, name


def test_the_roles_are_first_and_second():
    assert list(ROLES) == ["first", "second"]


@pytest.mark.parametrize("role", ["first", "second"])
def test_leading_axes_are_layers_or_networks(role):
    # Layer 1 has the heads of layer 0 in the other order; layer 2 has no weight anywhere, which is always the same.
    layers = torch.stack([PATTERN, PATTERN.flip(1), torch.zeros_like(PATTERN)])
    scores = role_scores(layers, ROLES[role](LAYOUT))
    for name in ("peakiness", "weight", "invariance"):
        expected = BY_HAND[role][name]
        rest = 1.0 if name == "invariance" else 0.0
        assert getattr(scores, name).tolist() == [expected, expected[::-1], [rest, rest]]
    assert scores.mass.tolist() == [BY_HAND[role]["mass"], BY_HAND[role]["mass"], 0.0]


@pytest.mark.parametrize("role", ["first", "second"])
def test_ideal_maps_have_the_highest_scores(role):
    length = 5
    layout = SequenceLayout(length)
    pattern = torch.zeros(3, 1, 12, 12)
    for t in range(1, length + 1):
        # EoI stands at e = 6: s_t stands at e + t and is written from e + t - 1.
        query, key = (6 + t, 6) if role == "first" else (6 + t - 1, t)
        pattern[:, 0, query, key] = 1
    scores = role_scores(pattern, ROLES[role](layout))
    assert (scores.peakiness, scores.weight, scores.invariance, scores.mass) == (1, 1, 1, 1)
    other = role_scores(pattern, ROLES["second" if role == "first" else "first"](layout))
    assert (other.peakiness, other.weight, other.mass) == (0, 0, 0)


@pytest.mark.parametrize("sizes", [(1, 1), (1, 0, 1)])
def test_sums_over_chunks_are_those_of_all_at_once(sizes):
    cells = LAYOUT.first_pairs
    sums = RoleSums(cells)
    for chunk in PATTERN.split(sizes):
        sums.add(chunk)
    scores = sums.scores()
    for name, expected in BY_HAND["first"].items():
        assert getattr(scores, name).tolist() == expected


def test_chunks_of_unequal_size_weigh_as_many_sequences_as_they_have():
    # Weights that single precision does not hold exactly, and that hardly vary: sums of squares must not spoil them.
    generator = torch.Generator().manual_seed(0)
    pattern = 0.9 + 1e-3 * torch.rand(3, 17, 2, 12, 12, generator=generator)
    cells = SequenceLayout(5).second_pairs
    sums = RoleSums(cells)
    for chunk in pattern.split((7, 7, 3), dim=1):
        sums.add(chunk)
    scores, expected = sums.scores(), role_scores(pattern, cells)
    weights = pattern[..., cells[0], cells[1]].double()
    deviation = weights.std(dim=1, correction=0).mean(-1)
    assert_close(scores.invariance, 1 - deviation, rtol=0, atol=1e-10)
    for name in ("peakiness", "weight", "invariance", "mass"):
        assert_close(getattr(scores, name), getattr(expected, name), rtol=0, atol=1e-12)


def test_there_are_no_iteration_heads_without_a_chain_of_thought():
    for role in ROLES.values():
        with pytest.raises(UserError, match="only with a chain of thought"):
            role(SequenceLayout(2, cot=False))
