"""Which examples are drawn: different, without the answer among the shots, the same for the same seed."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iterhead.errors import UserError
from iterhead.prompts.draw import draw_examples
from iterhead.tasks import IterativeTask, task


@settings(deadline=None, max_examples=60)
@given(
    name=st.sampled_from(["copy", "parity", "polynomial", "polynomial:p=3"]),
    length=st.integers(2, 5),
    count=st.integers(1, 7),
    shots=st.integers(3, 5),
    seed=st.integers(0, 99),
    longest=st.sampled_from([None, 7]),
)
def test_draws(name, length, count, shots, seed, longest):
    lengths = None if longest is None else tuple(range(1, longest + 1))
    prompts = draw_examples(task(name), length, count, shots, lengths, seed)
    assert len(prompts) == count == len({tuple(example.inputs for example in prompt) for prompt in prompts})
    for *shown, test in prompts:
        assert len(test.inputs) == length
        assert len(shown) == shots
        for shot in shown:
            assert shot.inputs[:length] != test.inputs
            assert len(shot.inputs) in (lengths or range((length + 1) // 2, length + 1))
        for example in (*shown, test):
            assert list(example.states) == task(name).run(example.inputs)
            assert sorted(example.order) == list(range(len(example.inputs)))
    assert prompts == draw_examples(task(name), length, count, shots, lengths, seed)


def test_another_seed_draws_others():
    first, second = (draw_examples(task("polynomial"), 6, 5, 2, None, seed) for seed in (0, 1))
    assert not {prompt[-1].inputs for prompt in first} & {prompt[-1].inputs for prompt in second}


def test_more_shots_leave_the_test_inputs():
    few, many = (draw_examples(task("polynomial"), 6, 5, shots, None, 0) for shots in (0, 4))
    assert [prompt[-1].inputs for prompt in few] == [prompt[-1].inputs for prompt in many]


def test_test_inputs_are_all_used_before_one_repeats():
    prompts = draw_examples(task("parity"), 3, 12, 2, None, 0)
    inputs = [prompt[-1].inputs for prompt in prompts]
    assert len(set(inputs[:8])) == 8
    assert len(prompts) == 12


def test_shots_have_mixed_lengths_by_default():
    prompts = draw_examples(task("polynomial"), 7, 20, 3, None, 0)
    assert {len(shot.inputs) for *shown, _ in prompts for shot in shown} == {4, 5, 6, 7}
    assert all(len({shot.inputs for shot in shown}) == 3 for *shown, _ in prompts)


def test_too_few_inputs():
    with pytest.raises(UserError, match="parity: only 4 different prompts of length 2 exist without shots"):
        draw_examples(task("parity"), 2, 5, 0, None, 0)
    # One shot of length 1, which is the other input: two prompts in all.
    with pytest.raises(UserError, match="parity: too few different prompts of length 1 with 1 shots"):
        draw_examples(task("parity"), 1, 3, 1, None, 0)
    ones = IterativeTask(name="ones", alphabet=2, init=0, inputs=(1,), step=lambda s, x: x)
    with pytest.raises(UserError, match="ones: every example of length 2 shows the test example"):
        draw_examples(ones, 2, 1, 1, (2,), 0)
