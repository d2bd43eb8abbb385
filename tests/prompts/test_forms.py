"""Every form by hand: its text, and the position of each token, with a tokenizer of one token a word.

Parity on 0 1 1: 0+0 = 0, 0+1 = 1, 1+1 = 0.
Polynomial, s_t = s_{t-1} x_t + 1 mod 11, on 3 1 4: 3, 3*1+1 = 4, 4*4+1 = 17 = 6.
"""

import numpy as np
import pytest

pytest.importorskip("transformers")

from helpers.tokenizers_made import byte_level, word_level
from iterhead.errors import UserError
from iterhead.prompts import FORMS, make_prompts
from iterhead.prompts.draw import Example
from iterhead.prompts.text import TextRenderer
from iterhead.tasks import IterativeTask, task

PARITY, POLYNOMIAL = Example((0, 1, 1), (0, 1, 0), (1, 2, 0)), Example((3, 1, 4), (3, 4, 6), (2, 0, 1))


def render(name, form, *examples, tokenizer=None, **options):
    return TextRenderer(task(name), tokenizer or word_level(), FORMS[form], **options).render((examples,))


def values(spans):
    """The positions of spans that are one token each."""
    assert (spans[..., 1] - spans[..., 0] == 1).all()
    return spans[0, :, 0].tolist()


# input : a b c => states : d e f        0 input, 1 ':', 2-4 x, 5-7 the marker '=>' 'states' ':', 8-10 s
AFTER = ([2, 3, 4], [8, 9, 10], [5, 8])


@pytest.mark.parametrize(
    ("form", "parity", "polynomial", "inputs", "states", "marker"),
    [
        ("after-input", "input: 0 1 1 => states: 0 1 0", "input: 3 1 4 => states: 3 4 6", *AFTER),
        ("corrupted", "input: 0 1 1 => states: 0 1 0", "input: 3 1 4 => states: 3 4 6", *AFTER),
        ("swapped", "input: 0 1 1 => states: 0 1 0", "input: 3 1 4 => states: 3 4 6", *AFTER),
        (
            "interleaved",  # 0-3 input and state ':', then x and s in turn
            "input and state: 0 0 1 1 1 0",
            "input and state: 3 3 1 4 4 6",
            [4, 6, 8],
            [5, 7, 9],
            [0, 4],
        ),
        (
            "labelled",  # 0 input, 1 ':', step t ':' x_t (2-5, 6-9, 10-13), marker 14-16, step t ':' s_t (17-20, ...)
            "input: step 1: 0 step 2: 1 step 3: 1 => states: step 1: 0 step 2: 1 step 3: 0",
            "input: step 1: 3 step 2: 1 step 3: 4 => states: step 1: 3 step 2: 4 step 3: 6",
            [5, 9, 13],
            [20, 24, 28],
            [14, 17],
        ),
    ],
)
def test_text_and_positions(form, parity, polynomial, inputs, states, marker):
    for name, example, text in (("parity", PARITY, parity), ("polynomial", POLYNOMIAL, polynomial)):
        batch = render(name, form, example)
        assert batch.texts == (text,)
        assert batch.form == form
        assert values(batch.input_spans_BL2) == inputs
        assert values(batch.state_spans_BL2) == states
        assert batch.queries_BL.tolist() == [[position - 1 for position in states]]
        assert batch.state_ends_BL.tolist() == [states]
        assert batch.marker_spans_B2.tolist() == [marker]
        assert batch.starts_B.tolist() == [0]
        assert batch.inputs_BL.tolist() == [list(example.inputs)]
        assert batch.states_BL.tolist() == batch.next_states_BL.tolist() == [list(example.states)]


def test_shuffled_spans_are_by_step():
    parity, polynomial = render("parity", "shuffled", PARITY), render("polynomial", "shuffled", POLYNOMIAL)
    assert parity.texts == ("input: 0 1 1 => states: 1 0 0",)  # s_2, s_3, s_1
    assert values(parity.state_spans_BL2) == [10, 8, 9]
    assert polynomial.texts == ("input: 3 1 4 => states: 6 3 4",)  # s_3, s_1, s_2
    assert values(polynomial.state_spans_BL2) == [9, 10, 8]
    assert polynomial.queries_BL.tolist() == [[8, 9, 7]]
    assert polynomial.states_BL.tolist() == [[3, 4, 6]]


def test_shots_come_first_on_lines_of_their_own():
    shot = Example((5, 2), (5, 0), (0, 1))  # 5*2+1 = 11 = 0
    batch = render("polynomial", "after-input", shot, shot, POLYNOMIAL)
    line = "input: 5 2 => states: 5 0\n"
    assert batch.texts == (f"{line}{line}input: 3 1 4 => states: 3 4 6",)
    # A shot is 9 tokens: input : 5 2 => states : 5 0
    assert batch.starts_B.tolist() == [18]
    assert values(batch.input_spans_BL2) == [20, 21, 22]
    assert batch.marker_spans_B2.tolist() == [[23, 26]]
    assert values(batch.state_spans_BL2) == [26, 27, 28]
    assert batch.sizes_B.tolist() == [29]


def test_prompts_of_different_sizes_are_padded_on_the_right():
    tokenizer, short, long = (
        byte_level(),
        POLYNOMIAL,
        Example((3, 3, 3), (3, 10, 9), (0, 1, 2)),
    )  # 3*3+1 = 10, 10*3+1 = 31 = 9
    batch = TextRenderer(task("polynomial"), tokenizer, FORMS["after-input"]).render(((short,), (long,)))
    assert batch.sizes_B.tolist() == [29, 30]  # bytes of "input: 3 1 4 => states: 3 4 6"
    assert batch.tokens_BT.shape == (2, 30)
    assert tokenizer.decode(batch.tokens_BT[0, :29]) == batch.texts[0]
    assert tokenizer.decode(batch.tokens_BT[1]) == batch.texts[1]
    assert batch.state_spans_BL2[1].tolist() == [[24, 25], [26, 28], [29, 30]]  # 10 is two bytes


def test_values_as_letters():
    letters = word_level(words=tuple("abcdefghijk"))
    batch = render("polynomial", "after-input", POLYNOMIAL, tokenizer=letters, words=tuple("abcdefghijk"))
    assert batch.texts == ("input: d b e => states: d e g",)


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("polynomial", "rule: s starts as the first input; after that, each input x changes s to s*x+1 mod 11"),
        ("parity", "rule: s starts as 0; after that, each input x changes s to s+x mod 2"),
    ],
)
def test_the_rule_is_the_first_line(name, rule):
    batch = make_prompts(task(name), byte_level(), length=3, count=1, shots=1, rule=True)
    assert batch.texts[0].splitlines()[0] == rule
    assert len(batch.texts[0].splitlines()) == 3
    plain = make_prompts(task(name), byte_level(), length=3, count=1, shots=1)
    assert batch.texts[0] == f"{rule}\n{plain.texts[0]}"


def test_there_is_no_rule_without_a_formula_or_with_letters():
    silent = IterativeTask(name="maximum", alphabet=3, init=0, step=max)
    with pytest.raises(UserError, match="rule=True: maximum has no formula"):
        make_prompts(silent, byte_level(), length=3, count=1, rule=True)
    with pytest.raises(UserError, match="rule=True: parity has one for numbers only"):
        make_prompts(task("parity"), byte_level(), length=3, count=1, rule=True, words=("a", "b"))


@pytest.mark.parametrize("words", [("a",), ("a", "a"), ("a", "b c"), ("a", ""), ("a", " b")])
def test_bad_words(words):
    with pytest.raises(UserError, match="expected 2 different words without spaces, one for each value of parity"):
        make_prompts(task("parity"), byte_level(), length=3, count=1, words=words)


def test_unknown_form():
    with pytest.raises(UserError, match=r"form='label': did you mean 'labelled'\?"):
        make_prompts(task("parity"), word_level(), length=3, count=1, form="label")


@pytest.mark.parametrize("form", FORMS)
def test_the_same_seed_gives_the_same_values_in_every_form(form):
    batch, plain = (
        make_prompts(task("polynomial"), word_level(), length=5, count=4, shots=3, seed=2, form=name)
        for name in (form, "after-input")
    )
    for example, other in zip(batch.examples, plain.examples, strict=True):
        assert example[:-1] == other[:-1]
    before = batch.original or batch
    np.testing.assert_array_equal(before.inputs_BL, plain.inputs_BL)
    np.testing.assert_array_equal(before.states_BL, plain.states_BL)
    assert before.form == batch.form == form
