"""Exact match and grammar, by hand."""

import pytest
import torch

from iterhead.measure.accuracy import exact_match, grammatical
from iterhead.tasks import Vocabulary

EOS, EOI, PROBLEM = 6, 5, 4


def test_a_sequence_counts_only_when_every_target_is_right():
    targets = torch.tensor([[1, 0, EOS], [1, 0, EOS], [0, 1, EOS], [1, 1, EOS], [0, 0, EOS]])
    predictions = torch.tensor([[1, 0, EOS], [0, 0, EOS], [0, 0, EOS], [1, 1, 1], [1, 1, 0]])
    assert exact_match(predictions, targets).tolist() == [True, False, False, False, False]
    assert exact_match(predictions[:, None], targets[:, None]).shape == (5, 1)


@pytest.mark.parametrize(
    ("written", "is_formed"),
    [
        ((1, 0, EOS), True),
        ((0, EOS, EOS), True),
        ((EOS, EOS, EOS), True),
        # Missing EoS.
        ((1, 0, 1), False),
        # A value after EoS, with and without another EoS.
        ((1, EOS, 0), False),
        ((EOS, 0, EOS), False),
        # A second EoI, before and after EoS.
        ((1, EOI, EOS), False),
        ((1, EOS, EOI), False),
        # A problem token.
        ((PROBLEM, 0, EOS), False),
        # The first value beyond the alphabet {0, 1}.
        ((1, 2, EOS), False),
    ],
)
def test_grammar(written, is_formed):
    assert grammatical(torch.tensor([written]), 2, Vocabulary(7)).tolist() == [is_formed]


def test_grammar_depends_on_the_alphabet_and_judges_each_sequence_for_itself():
    written = torch.tensor([[2, 2, EOS], [3, 0, EOS], [1, 1, EOI], [0, EOS, EOS]])
    assert grammatical(written, 3, Vocabulary(7)).tolist() == [True, False, False, True]
    assert grammatical(written, 2, Vocabulary(7)).tolist() == [False, False, False, True]
    assert grammatical(written[:, None], 3, Vocabulary(7)).shape == (4, 1)
