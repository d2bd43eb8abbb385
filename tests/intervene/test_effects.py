"""Accuracy under hooks, by sequence and token, and what guessing gets: by hand on few sequences."""

import numpy as np
import pytest
import torch

from helpers.oracle import (
    LONGEST,
    POLYNOMIAL,
    TELLING,
    VOCABULARY,
    by_hand,
    dataset,
    half_right,
    random_network,
    sequences,
)
from iterhead.intervene import effects
from iterhead.intervene.activations import replace, zero
from iterhead.intervene.effects import Answers, accuracy_under, chance_levels
from iterhead.intervene.patterns import ideal_attention, uniform_attention
from iterhead.measure.evaluate import evaluate
from iterhead.tasks import IterativeTask, SequenceLayout, Vocabulary, task


def whole(spec, inputs, component=0):
    iterative = task(spec).components[component]
    inputs = np.array(inputs)
    return SequenceLayout(inputs.shape[1]).assemble(VOCABULARY, inputs, iterative.states(inputs), component)


def saying(answers):
    """An edit of the last stream after which a network set by hand for `TELLING` writes these tokens, EoI first."""
    model = by_hand(TELLING)
    coordinates = model.unembed.W_U[0].argmax(0)

    def new(x):
        stream = torch.zeros_like(x)
        for row, tokens in enumerate(answers):
            for position, token in enumerate(tokens, start=x.shape[-2] - len(tokens)):
                stream[row, position, coordinates[token]] = 1
        return stream

    return replace("ln_final.hook_normalized", new)


def test_which_answers_are_right_by_hand():
    # s - x mod 7 from 0: 1 2 3 gives 6 4 1; 4 4 1 gives 3 6 5.
    tokens = {3: whole(TELLING, [[1, 2, 3], [4, 4, 1]])}
    said = [(6, 4, 2, 63), (3, 6, 5, 62)]
    answers = accuracy_under(by_hand(TELLING), tokens, lambda _: saying(said))[3]
    assert answers.states.tolist() == [[True, True, False], [True, True, True]]
    assert answers.end.tolist() == [True, False]
    assert answers.exact.tolist() == [False, False]
    assert answers.by_token.tolist() == [2 / 3, 1]
    assert repr(answers) == "Answers(2 sequences: exact 0.000, by token 0.833)"
    right = accuracy_under(by_hand(TELLING), tokens, lambda _: saying([(6, 4, 1, 63), (3, 6, 6, 63)]))[3]
    assert right.exact.tolist() == [True, False]


def test_without_an_edit_it_is_the_accuracy_of_an_evaluation():
    data = sequences("parity", 3, 4, 5)
    records = evaluate(half_right(), task("parity"), data)
    expected = {row["length"]: row["value"] for row in records if row["name"] == "accuracy"}
    by_length = accuracy_under(half_right(), data)
    assert {length: answers.exact.mean() for length, answers in by_length.items()} == expected
    assert 0 < np.mean(list(expected.values())) < 1


def test_edits_are_made_for_each_length():
    asked = []

    def make(layout):
        asked.append(layout)
        return ideal_attention(layout, "second", 1)

    by_length = accuracy_under(by_hand(TELLING), sequences(TELLING, 2, 5), make)
    assert asked == [SequenceLayout(2), SequenceLayout(5)]
    assert [answers.exact.all() for answers in by_length.values()] == [True, True]


@pytest.mark.parametrize("rows", [1, 6, 7, 13])
def test_chunks_change_nothing_but_the_memory(rows, monkeypatch):
    data = {LONGEST: dataset(TELLING).test[LONGEST][:rows]}

    def broken(_):
        return uniform_attention(1, queries=[LONGEST + 4])

    at_once = accuracy_under(by_hand(TELLING), data, broken)[LONGEST]
    monkeypatch.setattr(effects, "CHUNK", 3)
    sizes = []

    def watched(_):
        return {**broken(_), "hook_embed": lambda x: sizes.append(len(x)) or x}

    in_parts = accuracy_under(by_hand(TELLING), data, watched)[LONGEST]
    assert in_parts.states.tolist() == at_once.states.tolist()
    assert sum(sizes) == rows
    # Parts of nearly equal size, so that there is always another sequence to shuffle with.
    assert max(sizes) <= 3
    assert min(sizes) >= max(sizes) - 1


def test_a_population_answers_along_its_axis():
    model = random_network(networks=2)
    tokens = np.stack([dataset(TELLING).test[4][:5], dataset(TELLING).test[4][5:10]])
    answers = accuracy_under(model, {4: tokens}, lambda _: zero("blocks.1.hook_mlp_out"))[4]
    assert answers.states.shape == (2, 5, 4)
    assert answers.exact.shape == answers.end.shape == answers.by_token.shape == (2, 5)


def test_without_chain_of_thought_there_is_one_state():
    layout = SequenceLayout(4, cot=False)
    model = random_network()
    tokens = layout.assemble(VOCABULARY, np.ones((3, 4), dtype=np.int64), np.ones((3, 4), dtype=np.int64))
    answers = accuracy_under(model, {4: tokens}, lambda own: zero("hook_embed", positions=[own.size - 2]), cot=False)
    assert answers[4].states.shape == (3, 1)


def test_an_untrained_network_is_right_nowhere():
    answers = accuracy_under(random_network(), sequences(TELLING, LONGEST))[LONGEST]
    assert answers.exact.mean() == 0
    assert answers.by_token.mean() < 0.2


def test_answers_of_a_population_by_hand():
    states = np.array([[[True, False], [True, True]]])
    answers = Answers(states, np.array([[True, True]]))
    assert answers.exact.tolist() == [[False, True]]
    assert answers.by_token.tolist() == [[0.5, 1.0]]


# Guessing


def test_chance_of_a_polynomial_by_hand():
    # s * x + 1 mod 5 from s_1 = x_1, inputs 1 .. 4: 1 4 -> 1 0, 2 3 -> 2 2, 3 3 -> 3 0, 4 1 -> 4 0.
    tokens = whole(POLYNOMIAL, [[1, 4], [2, 3], [3, 3], [4, 1]])
    assert tokens[:, 4:6].tolist() == [[1, 0], [2, 2], [3, 0], [4, 0]]
    levels = chance_levels(task(POLYNOMIAL), {2: tokens})[2]
    assert levels.alphabet.by_token == pytest.approx(1 / 5)
    assert levels.alphabet.exact == pytest.approx(1 / 25)
    # s_1 takes four values, s_2 two.
    assert levels.values.by_token == pytest.approx((1 / 4 + 1 / 2) / 2)
    assert levels.values.exact == pytest.approx(1 / 8)
    # s_1 is one of four, equally likely; after s = 1, 2, 3, 4 so is s_2.
    assert levels.state.by_token == pytest.approx(1 / 4)
    assert levels.state.exact == pytest.approx(1 / 16)
    # The query that writes s_1 stands at 3 and sees 4 tokens, the next one 5: x_t is hit with 1/4 and 1/5.
    first, second = 1 / 4 + 3 / 4 / 4, 1 / 5 + 4 / 5 / 4
    assert levels.random_map.by_token == pytest.approx((first + second) / 2)
    assert levels.random_map.exact == pytest.approx(first * second)


def test_a_state_that_settles_the_next_is_no_guess():
    # After s = 0 the next state is 1 whatever x is. 1 4 1 -> 1 0 1 and 2 3 2 -> 2 2 0: (1/4, 1/4, 1) and (1/4)^3.
    tokens = whole(POLYNOMIAL, [[1, 4, 1], [2, 3, 2]])
    assert tokens[:, 5:8].tolist() == [[1, 0, 1], [2, 2, 0]]
    levels = chance_levels(task(POLYNOMIAL), {3: tokens})[3]
    assert levels.state.by_token == pytest.approx((1.5 + 0.75) / 6)
    assert levels.state.exact == pytest.approx((1 / 16 + 1 / 64) / 2)


def test_an_uneven_step_is_guessed_by_its_likeliest_state():
    # max(s, x) from 0 over 0, 1, 2: after s = 0 each of three; after 1: 1, 1, 2; after 2 always 2.
    maximum = IterativeTask(name="maximum", alphabet=3, init=0, step=max)
    layout = SequenceLayout(3)
    inputs = np.array([[1, 2, 0]])
    tokens = layout.assemble(VOCABULARY, inputs, maximum.states(inputs))
    levels = chance_levels(maximum, {3: tokens})[3]
    # s_1 from s_0: 1/3. s_2 after 1: 2/3. s_3 after 2: 1.
    assert levels.state.by_token == pytest.approx((1 / 3 + 2 / 3 + 1) / 3)
    assert levels.state.exact == pytest.approx(2 / 9)


def test_in_a_mixture_each_sequence_has_the_chance_of_its_own_task():
    spec = "mix:copy,polynomial(p=5)"
    # Copy: two values, 0 0 and 1 0; polynomial: 1 4 -> 1 0.
    rows = [whole(spec, [[0, 0], [1, 0]]), whole(spec, [[1, 4]], component=1)]
    levels = chance_levels(task(spec), {2: np.concatenate(rows)})[2]
    assert levels.alphabet.by_token == pytest.approx((1 / 2 + 1 / 2 + 1 / 5) / 3)
    assert levels.alphabet.exact == pytest.approx((1 / 4 + 1 / 4 + 1 / 25) / 3)
    # Copy shows two first states and one second; the polynomial one of each.
    assert levels.values.exact == pytest.approx((1 / 2 + 1 / 2 + 1) / 3)
    assert levels.state.exact == pytest.approx((1 / 4 + 1 / 4 + 1 / 16) / 3)


def test_another_vocabulary_and_no_chain_of_thought():
    small = Vocabulary(9)
    layout = SequenceLayout(3, cot=False)
    inputs = np.array([[1, 2, 3], [4, 4, 1]])
    tokens = layout.assemble(small, inputs, task(POLYNOMIAL).states(inputs))
    levels = chance_levels(task(POLYNOMIAL), {3: tokens}, small, cot=False)[3]
    assert levels.alphabet.exact == levels.alphabet.by_token == pytest.approx(1 / 5)
    assert levels.state is levels.random_map is None
