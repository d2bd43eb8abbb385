"""One state or input replaced, by hand: polynomial on 3 1 4 (3, 3*1+1 = 4, 4*4+1 = 17 = 6) and on 5 2 2 (5, 0, 1)."""

import numpy as np
import pytest

pytest.importorskip("transformers")

from helpers.tokenizers_made import byte_level, word_level
from iterhead.errors import UserError
from iterhead.prompts import FORMS, make_prompts
from iterhead.prompts.draw import Example
from iterhead.prompts.text import TextRenderer
from iterhead.tasks import IterativeTask, task

EXAMPLES = ((Example((3, 1, 4), (3, 4, 6), (2, 0, 1)),), (Example((5, 2, 2), (5, 0, 1), (0, 1, 2)),))


@pytest.fixture
def batch():
    return TextRenderer(task("polynomial"), word_level(), FORMS["after-input"]).render(EXAMPLES)


def test_a_corrupted_state_whose_successors_stay(batch):
    edited = batch.with_state(2, 9)
    assert edited.texts == ("input: 3 1 4 => states: 3 9 6", "input: 5 2 2 => states: 5 9 1")
    assert edited.states_BL.tolist() == [[3, 9, 6], [5, 9, 1]]
    # What F gives from the text: s_2 as before, s_3 = 9*4+1 = 37 = 4 and 9*2+1 = 19 = 8.
    assert edited.next_states_BL.tolist() == [[3, 4, 4], [5, 0, 8]]
    assert edited.edited_steps_B.tolist() == [2, 2]
    assert edited.original is batch
    assert batch.original is batch.edited_steps_B is None
    changed = (edited.tokens_BT != batch.tokens_BT).nonzero()
    assert [positions.tolist() for positions in changed] == [[0, 1], [9, 9]]


def test_a_corrupted_state_whose_successors_follow(batch):
    edited = batch.with_state([1, 2], [2, 7], follow=True)
    assert edited.states_BL.tolist() == [[2, 3, 2], [5, 7, 4]]  # 2*1+1 = 3, 3*4+1 = 13 = 2; 7*2+1 = 15 = 4
    assert edited.next_states_BL.tolist() == [[3, 3, 2], [5, 0, 4]]  # right but for the step that was replaced
    assert edited.edited_steps_B.tolist() == [1, 2]


def test_a_swapped_input_whose_states_follow(batch):
    edited = batch.with_input([2, 1], [5, 1])
    assert edited.texts == ("input: 3 5 4 => states: 3 5 10", "input: 1 2 2 => states: 1 3 7")
    # 3*5+1 = 16 = 5, 5*4+1 = 21 = 10; 1, 1*2+1 = 3, 3*2+1 = 7
    assert edited.next_states_BL.tolist() == edited.states_BL.tolist() == [[3, 5, 10], [1, 3, 7]]
    assert edited.inputs_BL.tolist() == [[3, 5, 4], [1, 2, 2]]


def test_a_swapped_input_whose_states_stay(batch):
    edited = batch.with_input(3, 1, follow=False)
    assert edited.states_BL.tolist() == batch.states_BL.tolist()
    assert edited.next_states_BL.tolist() == [[3, 4, 5], [5, 0, 1]]  # 4*1+1 = 5; 0*1+1 = 1


def test_the_initial_state_is_followed_too():
    renderer = TextRenderer(task("parity"), word_level(), FORMS["interleaved"])
    batch = renderer.render(((Example((1, 0, 1), (1, 1, 0), (0, 1, 2)),),))
    assert batch.with_input(1, 0).states_BL.tolist() == [[0, 0, 1]]
    assert batch.with_input(1, 0).texts == ("input and state: 0 0 0 0 1 1",)


@pytest.mark.parametrize("form", FORMS)
def test_edits_are_made_in_every_form(form):
    """Values of two bytes replace values of one, so spans move."""
    batch = make_prompts(task("polynomial"), byte_level(), length=3, count=2, shots=1, form=form)
    edited = batch.with_state(2, 10, follow=True).with_input(3, 10)
    assert edited.form == form
    assert edited.states_BL[:, 1].tolist() == [10, 10]
    assert edited.inputs_BL[:, 2].tolist() == [10, 10]
    assert edited.states_BL[:, 2].tolist() == [2, 2]  # 10*10+1 = 101 = 2
    for row, spans in enumerate(edited.state_spans_BL2):
        decoded = [byte_level().decode(edited.tokens_BT[row, slice(*span)]) for span in spans]
        assert decoded == list(map(str, edited.states_BL[row]))


def test_the_form_corrupted_replaces_one_state_but_the_last():
    batch = make_prompts(task("polynomial"), word_level(), length=4, count=64, shots=0, form="corrupted")
    different = batch.states_BL != batch.original.states_BL
    assert (different.sum(1) == 1).all()
    np.testing.assert_array_equal(different.argmax(1) + 1, batch.edited_steps_B)
    assert set(batch.edited_steps_B) == {1, 2, 3}
    np.testing.assert_array_equal(batch.inputs_BL, batch.original.inputs_BL)
    # The step after it follows F from the corrupted state, and this is what next_states says.
    for row, t in enumerate(batch.edited_steps_B):
        after = (batch.states_BL[row, t - 1] * batch.inputs_BL[row, t] + 1) % 11
        assert batch.next_states_BL[row, t] == after
        assert batch.next_states_BL[row, t - 1] == batch.original.states_BL[row, t - 1]


def test_the_form_swapped_replaces_one_input():
    batch = make_prompts(task("polynomial"), word_level(), length=3, count=64, shots=0, form="swapped")
    different = batch.inputs_BL != batch.original.inputs_BL
    assert (different.sum(1) == 1).all()
    np.testing.assert_array_equal(different.argmax(1) + 1, batch.edited_steps_B)
    assert set(batch.edited_steps_B) == {1, 2, 3}
    assert set(batch.inputs_BL.flat) == set(range(1, 11))  # 0 is no input of this task
    np.testing.assert_array_equal(batch.states_BL, task("polynomial").states(batch.inputs_BL))


@pytest.mark.parametrize(
    ("edit", "step", "value", "message"),
    [
        ("with_state", 0, 1, "step=0: expected one of 1, 2, 3"),
        ("with_state", 4, 1, "step=4"),
        ("with_state", 1, 11, "state=11"),
        ("with_input", [1, -1], 1, "step=-1"),
        ("with_input", 1, 0, "input=0: expected one of 1, 2"),
    ],
)
def test_edits_out_of_range(batch, edit, step, value, message):
    with pytest.raises(UserError, match=message):
        getattr(batch, edit)(step, value)


def test_forms_that_need_another_value():
    ones = IterativeTask(name="ones", alphabet=2, init=0, inputs=(1,), step=lambda s, x: x)
    with pytest.raises(UserError, match="form=swapped: ones has one input value"):
        make_prompts(ones, word_level(), length=3, count=1, shots=0, form="swapped")
    with pytest.raises(UserError, match="form=corrupted: length=1"):
        make_prompts(task("parity"), word_level(), length=1, count=1, shots=1, form="corrupted")
