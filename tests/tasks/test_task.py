"""Tasks and mixtures: the plain run is the definition, everything else must agree with it."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.messages import message
from helpers.polynomial_cases import CASES
from iterhead.errors import UserError
from iterhead.tasks import IterativeTask, Mixture, catalogue, task
from iterhead.tasks.catalogue import copy_task, parity_task

CATALOGUE = [component for entry in catalogue() for component in entry.task.components]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_worked_sequences(case):
    found = task(case.spec)
    assert found.run(case.inputs) == list(case.states)
    assert found.states(np.array([case.inputs])).tolist() == [list(case.states)]


def test_trace_is_the_sequence_as_written_in_the_paper():
    assert parity_task().worked_example([0, 1, 1]) == "0 1 1 | EoI | 0 1 0 | EoS"


def test_an_empty_sequence_has_no_states():
    assert parity_task().run([]) == []


@st.composite
def random_tasks(draw):
    """A task with a random table: nothing about F can be guessed from s or x."""
    alphabet = draw(st.integers(1, 7))
    values = st.integers(0, alphabet - 1)
    rows = draw(st.lists(st.lists(values, min_size=alphabet, max_size=alphabet), min_size=alphabet, max_size=alphabet))
    return IterativeTask(
        name="random",
        alphabet=alphabet,
        step=lambda s, x: rows[s][x],
        init=draw(st.none() | values),
        inputs=draw(st.none() | st.lists(values, min_size=1, unique=True).map(tuple)),
    )


@settings(deadline=None)
@given(data=st.data(), length=st.integers(1, 6))
def test_vectorized_states_are_those_of_the_plain_run(data, length):
    found = data.draw(random_tasks() | st.sampled_from(CATALOGUE))
    symbols = st.sampled_from(found.symbols)
    sequences = st.lists(st.lists(symbols, min_size=length, max_size=length), min_size=1, max_size=5)
    inputs = data.draw(sequences)
    assert found.states(np.array(inputs)).tolist() == [found.run(sequence) for sequence in inputs]


def test_table_has_states_as_rows_and_marks_illegal_inputs():
    # F(s, x) = s - x mod 3 for x in {1, 2}: 0-1 = 2, 0-2 = 1; 1-1 = 0, 1-2 = 2; 2-1 = 1, 2-2 = 0.
    found = IterativeTask("difference", 3, lambda s, x: (s - x) % 3, inputs=(1, 2))
    assert found.table.tolist() == [[-1, 2, 1], [-1, 0, 2], [-1, 1, 0]]
    assert found.first_states.tolist() == [-1, 1, 2]


def test_first_states_go_through_the_step_when_there_is_an_init():
    # 2-1 = 1, 2-2 = 0 mod 3.
    found = IterativeTask("difference", 3, lambda s, x: (s - x) % 3, init=2, inputs=(1, 2))
    assert found.first_states.tolist() == [-1, 1, 0]


def test_a_task_is_its_own_only_component():
    assert parity_task().components == (parity_task(),)
    assert parity_task().weights == (1.0,)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alphabet": 0}, r"bad: alphabet=0: expected at least one value"),
        ({"init": 3}, r"bad: init is 3: expected an integer in 0 \.\. 2"),
        ({"init": -1}, r"bad: init is -1: expected"),
        ({"init": 0.5}, r"bad: init is 0\.5: expected"),
        ({"inputs": (0, 3)}, r"bad: an input is 3: expected an integer in 0 \.\. 2"),
        ({"inputs": ()}, r"bad: inputs=\(\): expected at least one"),
        ({"inputs": (1, 2, 1)}, r"bad: inputs=\(1, 2, 1\): expected each value once"),
    ],
)
def test_bad_values_are_named(options, message):
    with pytest.raises(UserError, match=message):
        IterativeTask(**{"name": "bad", "alphabet": 3, "step": lambda s, x: 0, **options})


@pytest.mark.parametrize("value", [3, -1, 1.0, None])
def test_a_step_that_leaves_the_alphabet_is_named(value):
    found = IterativeTask("bad", 3, lambda s, x: value if (s, x) == (2, 1) else 0)
    with pytest.raises(UserError, match=rf"bad: F\(2, 1\) is {value}: expected an integer in 0 \.\. 2"):
        found.table  # noqa: B018


def test_the_step_is_never_asked_about_illegal_inputs():
    found = IterativeTask("inverse", 5, lambda s, x: s * pow(x, -1, 5) % 5, inputs=(1, 2, 3, 4))
    assert found.table[3].tolist() == [-1, 3, 4, 1, 2]  # inverses 1 3 2 4: 3, 9 = 4, 6 = 1, 12 = 2


def changed(**options):
    return IterativeTask(**{"name": "t", "alphabet": 3, "step": lambda s, x: (s + x) % 3, "init": 0, **options})


@pytest.mark.parametrize(
    "options",
    [
        {"step": lambda s, x: (s + x + (s == x == 2)) % 3},
        {"init": None, "step": lambda s, x: (s + x + 1) % 3},
        {"init": 1},
        {"inputs": (1, 2)},
        {"alphabet": 4},
    ],
    ids=["one entry of F", "F and init", "init", "inputs", "alphabet"],
)
def test_digest_changes_with_what_a_task_does(options):
    assert changed(**options).digest != changed().digest


@pytest.mark.parametrize(
    "options",
    [
        {"name": "another", "formula": "x+s"},
        {"step": lambda s, x: (x + s + 3) % 3},
        {"inputs": tuple(np.arange(3))},
        {"init": None},  # s_1 = x_1 is what 0 + x_1 gives
    ],
    ids=["name", "same F", "numpy integers", "same first states"],
)
def test_digest_does_not_change_with_how_a_task_is_written(options):
    assert changed(**options).digest == changed().digest


@pytest.mark.parametrize("found", CATALOGUE, ids=lambda found: found.name)
def test_catalogue_tasks_reach_other_processes(found):
    copy = pickle.loads(pickle.dumps(found))
    assert copy == found
    assert copy.digest == found.digest


def mixture(weights=(0.25, 0.75), components=None):
    return Mixture("m", components or (copy_task(), changed()), weights)


def test_mixture_has_the_largest_alphabet():
    assert mixture().alphabet == 3


def test_digest_of_a_mixture_changes_with_weights_order_and_components():
    others = (
        mixture((0.75, 0.25)),
        mixture(components=(changed(), copy_task())),
        mixture(components=(parity_task(), changed())),
    )
    assert len({mixture().digest, *(other.digest for other in others)}) == 4
    assert mixture(tuple(np.array([0.25, 0.75]))).digest == mixture().digest


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ((1.0,), r"m: weights=\(1\.0,\): expected 2 positive numbers"),
        ((1.0, 0.0), r"expected 2 positive numbers"),
        ((1.5, -0.5), r"expected 2 positive numbers"),
        ((float("nan"), 0.5), r"expected 2 positive numbers"),
        ((0.3, 0.8), r"m: weights=\(0\.3, 0\.8\) sum to 1\.1: expected 1"),
        ((0.5, 0.5000001), r"sum to 1\.0000001: expected 1"),
    ],
)
def test_bad_weights_are_named(weights, message):
    with pytest.raises(UserError, match=message):
        mixture(weights)


def test_weights_may_be_off_by_rounding():
    assert mixture((0.1 + 0.2, 0.7)).weights == (0.1 + 0.2, 0.7)


def test_a_mixture_of_one_is_refused():
    with pytest.raises(UserError, match="m: a mixture needs two tasks or more"):
        Mixture("m", (copy_task(),), (1.0,))


def test_an_illegal_input_is_named_by_the_vectorized_run():
    doubled = IterativeTask(name="doubled", alphabet=5, step=lambda s, x: (2 * s + x) % 5, init=0, inputs=(1, 3))
    with pytest.raises(UserError, match="doubled: input 2: expected one of 1, 3"):
        doubled.states(np.array([[1, 3], [3, 2]]))


def test_a_step_that_raises_is_told_with_its_arguments():
    broken = IterativeTask(name="broken", alphabet=3, step=lambda s, x: s // (x - 2), init=0)
    with pytest.raises(UserError, match=r"broken: F\(0, 2\) failed with ZeroDivisionError"):
        _ = broken.table


class Odd:
    """As a step may answer: even its class cannot be asked for."""

    __class__ = property(lambda self: 1 / 0)


def test_a_step_that_answers_with_an_odd_object():
    odd = IterativeTask("odd", 2, lambda s, x: Odd(), init=0)
    assert message(lambda: odd.table).startswith("odd: F(0, 0) is <")


@pytest.mark.parametrize("alphabet", [True, 2.0, "2", None])
def test_an_alphabet_is_a_whole_number(alphabet):
    expected = f"t: alphabet={alphabet!r}: expected a whole number, at most 4,096"
    assert message(lambda: IterativeTask("t", alphabet, max)) == expected


def test_values_are_pythons_own_integers():
    odd = IterativeTask("odd", 2, lambda s, x: s != x, init=True, inputs=[False, np.int64(1)])
    assert (odd.init, odd.inputs) == (1, (0, 1))
    assert {type(value) for value in (odd.init, *odd.inputs)} == {int}
    assert odd.first_states.tolist() == [1, 0]  # 1 != 0, 1 != 1
