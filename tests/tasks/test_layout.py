"""Geometry, every position by hand for L = 3.

with chain of thought       0 problem | 1 2 3 x | 4 EoI | 5 6 7 s_1 s_2 s_3 | 8 EoS
without                     0 problem | 1 2 3 x | 4 EoI | 5 s_3             | 6 EoS
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iterhead.errors import UserError
from iterhead.tasks import SequenceLayout, Vocabulary

WITH, WITHOUT = SequenceLayout(3), SequenceLayout(3, cot=False)
INPUTS, STATES = np.array([[0, 1, 1], [5, 6, 4]]), np.array([[0, 1, 0], [7, 9, 8]])


def test_positions_with_chain_of_thought():
    assert WITH.end_of_input == 4
    assert WITH.written == 3
    assert WITH.size == 9
    assert WITH.input_size == 8
    assert WITH.inputs == slice(1, 4)
    assert WITH.states == slice(5, 8)
    assert WITH.targets == slice(5, 9)
    assert WITH.output_positions == slice(4, 8)


def test_positions_without_chain_of_thought():
    assert WITHOUT.end_of_input == 4
    assert WITHOUT.written == 1
    assert WITHOUT.size == 7
    assert WITHOUT.input_size == 6
    assert WITHOUT.inputs == slice(1, 4)
    assert WITHOUT.states == slice(5, 6)
    assert WITHOUT.targets == slice(5, 7)
    assert WITHOUT.output_positions == slice(4, 6)


def test_first_head_looks_at_end_of_input_from_every_state():
    queries, keys = WITH.first_pairs
    assert queries.tolist() == [5, 6, 7]
    assert keys.tolist() == [4, 4, 4]


def test_second_head_looks_at_the_input_of_the_state_it_writes():
    queries, keys = WITH.second_pairs
    assert queries.tolist() == [4, 5, 6]
    assert keys.tolist() == [1, 2, 3]


@pytest.mark.parametrize("pairs", ["first_pairs", "second_pairs"])
def test_there_are_no_cells_without_chain_of_thought(pairs):
    with pytest.raises(UserError, match=r"data\.cot=false"):
        getattr(WITHOUT, pairs)


def test_assemble_with_chain_of_thought():
    # Of 64 ids: 63 is EoS, 62 EoI, 61 the problem token.
    assert WITH.assemble(Vocabulary(), INPUTS, STATES).tolist() == [
        [61, 0, 1, 1, 62, 0, 1, 0, 63],
        [61, 5, 6, 4, 62, 7, 9, 8, 63],
    ]


def test_assemble_without_chain_of_thought_keeps_the_last_state():
    assert WITHOUT.assemble(Vocabulary(), INPUTS, STATES).tolist() == [
        [61, 0, 1, 1, 62, 0, 63],
        [61, 5, 6, 4, 62, 8, 63],
    ]


def test_assemble_tells_the_components_of_a_mixture_by_the_problem_token():
    # Of 20 ids: 19 is EoS, 18 EoI, 17 and 15 the problem tokens of components 0 and 2.
    tokens = WITHOUT.assemble(Vocabulary(20), INPUTS, STATES, np.array([2, 0]))
    assert tokens.tolist() == [[15, 0, 1, 1, 18, 0, 19], [17, 5, 6, 4, 18, 8, 19]]
    assert WITH.assemble(Vocabulary(20), INPUTS, STATES, 1)[:, 0].tolist() == [16, 16]


def test_assemble_one_input():
    for cot in (True, False):
        tokens = SequenceLayout(1, cot).assemble(Vocabulary(10), np.array([[3]]), np.array([[4]]))
        assert tokens.tolist() == [[7, 3, 8, 4, 9]]


@given(length=st.integers(1, 40), cot=st.booleans())
def test_every_position_has_one_role_and_targets_follow_reads(length, cot):
    layout = SequenceLayout(length, cot)
    positions = np.arange(layout.size)
    roles = [[0], positions[layout.inputs], [layout.end_of_input], positions[layout.states], [layout.size - 1]]
    assert np.concatenate(roles).tolist() == positions.tolist()
    assert (positions[layout.output_positions] + 1).tolist() == positions[layout.targets].tolist()
    assert layout.input_size == positions[layout.output_positions][-1] + 1


def test_names_are_what_a_person_reads():
    tokens = WITH.assemble(Vocabulary(), INPUTS, STATES, np.array([0, 1]))
    assert Vocabulary().names(tokens[0]) == ["task", "0", "1", "1", "EoI", "0", "1", "0", "EoS"]
    assert Vocabulary().names(tokens[1]) == ["task 2", "5", "6", "4", "EoI", "7", "9", "8", "EoS"]


def test_vocabulary_accepts_what_just_fits():
    # 5 values, 3 problem tokens, EoI and EoS: 10 ids; the lowest problem token, 10-3-2 = 5, is no value.
    Vocabulary(10).check(alphabet=5, components=3)
    assert Vocabulary(10).problem(2) == 5


@pytest.mark.parametrize(("alphabet", "components"), [(6, 3), (5, 4)])
def test_vocabulary_says_how_many_ids_are_needed(alphabet, components):
    with pytest.raises(UserError, match=r"model.vocabulary=10: .* need 11 ids; set --model.vocabulary 11"):
        Vocabulary(10).check(alphabet, components)


def test_a_sequence_has_at_least_one_input():
    with pytest.raises(UserError, match="length=0: expected at least 1 input"):
        SequenceLayout(0)
