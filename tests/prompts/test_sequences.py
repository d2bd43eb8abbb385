"""Prompts as token ids of our own layout. For L = 3: 0 problem, 1-3 x, 4 EoI, 5-7 s (8 EoS is left out)."""

import numpy as np
import pytest

from iterhead.errors import UserError
from iterhead.prompts import make_sequences
from iterhead.prompts.draw import Example
from iterhead.prompts.sequences import TokenRenderer
from iterhead.tasks import SequenceLayout, Vocabulary, task

VOCABULARY = Vocabulary(17)


def test_positions_and_tokens_by_hand():
    inputs, states = [[3, 1, 4], [5, 2, 2]], [[3, 4, 6], [5, 0, 1]]
    rows = zip(inputs, states, strict=True)
    examples = tuple((Example(tuple(row), tuple(chain), (0, 1, 2)),) for row, chain in rows)
    batch = TokenRenderer(task("polynomial"), VOCABULARY).render(examples)
    assert batch.tokens_BT.tolist() == [[14, 3, 1, 4, 15, 3, 4, 6], [14, 5, 2, 2, 15, 5, 0, 1]]
    assert batch.texts == ("task 3 1 4 EoI 3 4 6", "task 5 2 2 EoI 5 0 1")
    assert batch.form == "after-input"
    assert batch.sizes_B.tolist() == [8, 8]
    assert batch.input_spans_BL2.tolist() == [[[1, 2], [2, 3], [3, 4]]] * 2
    assert batch.state_spans_BL2.tolist() == [[[5, 6], [6, 7], [7, 8]]] * 2
    assert batch.queries_BL.tolist() == [[4, 5, 6]] * 2
    assert batch.state_ends_BL.tolist() == [[5, 6, 7]] * 2
    assert batch.marker_spans_B2.tolist() == [[4, 5]] * 2
    assert batch.starts_B.tolist() == [0, 0]
    assert batch.inputs_BL.tolist() == inputs
    assert batch.next_states_BL.tolist() == batch.states_BL.tolist() == states
    assert batch.value_ids == tuple((value,) for value in range(11))
    edited = batch.with_state(2, [9, 1])
    assert edited.tokens_BT[:, 6].tolist() == [9, 1]
    assert edited.next_states_BL[:, 2].tolist() == [4, 3]  # 9*4+1 = 37 = 4; 1*2+1 = 3


def test_queries_and_keys_are_the_layouts():
    batch, layout = make_sequences(task("parity"), VOCABULARY, length=5, count=3), SequenceLayout(5)
    queries, keys = layout.second_pairs
    assert batch.queries_BL.tolist() == [queries.tolist()] * 3
    assert batch.input_spans_BL2[..., 0].tolist() == [keys.tolist()] * 3
    queries, keys = layout.first_pairs
    assert batch.state_ends_BL.tolist() == [queries.tolist()] * 3
    assert batch.marker_spans_B2[:, 0].tolist() == keys[:3].tolist()


def test_drawn_sequences_are_different_and_edited():
    batch = make_sequences(task("polynomial"), VOCABULARY, length=3, count=30, form="corrupted", seed=3)
    assert batch.form == "corrupted"
    assert len({tuple(row) for row in batch.inputs_BL}) == 30
    assert ((batch.tokens_BT != batch.original.tokens_BT).sum(1) == 1).all()
    again = make_sequences(task("polynomial"), VOCABULARY, length=3, count=30, form="corrupted", seed=3)
    np.testing.assert_array_equal(batch.tokens_BT, again.tokens_BT)


def test_forms_that_are_no_sequences():
    with pytest.raises(UserError, match="form=labelled: sequences of token ids have after-input"):
        make_sequences(task("parity"), VOCABULARY, length=3, count=1, form="labelled")


def test_tasks_that_do_not_fit():
    with pytest.raises(UserError, match="a mixture has no prompts"):
        make_sequences(task("mix:copy,parity"), VOCABULARY, length=2, count=1)
    with pytest.raises(UserError, match="vocabulary=4"):
        make_sequences(task("parity"), Vocabulary(4), length=2, count=1)
