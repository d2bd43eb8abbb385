"""What a model writes: values read from tokens, and right states, against plain twins."""

import numpy as np
import pytest

pytest.importorskip("transformers")

import torch

from helpers.interleaving import previous_token_model
from helpers.tiny_models import tiny_model
from helpers.tokenizers_made import byte_level
from iterhead.huggingface.language_model import LanguageModel
from iterhead.prompts import make_prompts, make_sequences
from iterhead.scans.behaviour import Shares, free_states, measure, read_values, right_states, summarize
from iterhead.tasks import Vocabulary, task

IDS = ((7,), (5,), (5, 7))  # 0, 1 and 2 are written 7, 5 and 5 7


@pytest.mark.parametrize(
    ("tokens", "separator", "values"),
    [
        ([7, 5, 7], (), [0, 2, -1]),  # the longest value that fits
        ([5, 5, 5], (), [1, 1, 1]),
        ([7, 9, 7, 7], (), [0, -1, -1]),  # nothing after the first token that is no value
        ([7, 3, 5, 3, 5, 7], (3,), [0, 1, 2]),
        ([7, 5, 3, 7], (3,), [0, 1, 0]),  # a separator may be missing
        ([3, 7], (3,), [-1, -1, -1]),  # the first one belongs to the prompt
        ([], (), [-1, -1, -1]),
    ],
)
def test_values_are_read_from_tokens(tokens, separator, values):
    assert read_values(tokens, IDS, separator, 3) == values


def text_model(seed=0):
    """A random model with a tokenizer in which every digit is a token, so that 10 has two."""
    tokenizer = byte_level()
    return LanguageModel(tiny_model("llama", seed, vocab_size=len(tokenizer), max_position_embeddings=512), tokenizer)


@torch.no_grad()
def test_right_states_of_several_tokens():
    """A twin: prompt by prompt, without padding, state by state. A random model is right now and then by chance."""
    model = text_model()
    batch = make_prompts(task("polynomial"), model.tokenizer, length=3, count=40, shots=1)
    found, expected = right_states(model, batch), np.zeros((40, 3), dtype=bool)
    for prompt in range(40):
        tokens = batch.tokens_BT[prompt, : batch.sizes_B[prompt]]
        likely = model(tokens[None]).argmax(-1)[0].numpy()
        for t, (start, end) in enumerate(batch.state_spans_BL2[prompt]):
            expected[prompt, t] = (likely[start - 1 : end - 1] == tokens[start:end]).all()
    assert {end - start for start, end in batch.state_spans_BL2.reshape(-1, 2)} == {1, 2}
    assert np.array_equal(found, expected)


def constant_model(value):
    """A model that writes one token everywhere."""
    model = LanguageModel(tiny_model("gpt2"))
    with torch.no_grad():
        model.hf.transformer.ln_f.weight.zero_()
        model.hf.transformer.ln_f.bias.fill_(1.0)
        model.hf.lm_head.weight.zero_()
        model.hf.lm_head.weight[value] = 1.0
    return model


def test_a_model_that_writes_one_value_is_right_where_it_is_the_state():
    model = constant_model(3)
    batch = make_sequences(task("polynomial:p=5"), Vocabulary(model.vocabulary), length=4, count=9)
    for right in (right_states(model, batch), free_states(model, batch)):
        assert np.array_equal(right, batch.states_BL == 3)
    assert right.any()


def test_an_edited_prompt_is_right_where_the_answer_follows_from_its_text():
    model = previous_token_model(task("polynomial:p=5"))
    batch = make_prompts(task("polynomial:p=5"), model.tokenizer, length=5, count=7, form="interleaved", shots=1)
    assert right_states(model, batch).all()
    edited = batch.with_state(3, (batch.states_BL[:, 2] + 1) % 5)
    right = right_states(model, edited)
    assert right.all()  # also at step 4, where the written state is not F of the replaced one
    assert (edited.next_states_BL != edited.states_BL)[:, 3].any()


def test_free_writing_needs_states_without_other_text_between():
    model = previous_token_model(task("polynomial:p=5"))
    for form in ("interleaved", "labelled", "shuffled"):
        batch = make_prompts(task("polynomial:p=5"), model.tokenizer, length=3, count=2, form=form, shots=0)
        assert free_states(model, batch) is None


def test_means_by_hand():
    """Two lengths: shares 1, 0.5 and 0, 0.5, so 0.5 in all; the guess is expected to get (0.2 + 0.4) / 2."""
    shares = {
        4: Shares(teacher_forced=[1.0, 0.5], free=None, guess=[0.2, 0.2]),
        8: Shares(teacher_forced=[0.0, 0.5], free=None, guess=[0.4, 0.4]),
    }
    found = summarize(shares)
    assert (found.teacher_forced, found.free, found.free_interval) == (0.5, None, None)
    assert found.guess == pytest.approx(0.3)
    assert found.by_length == {
        "4": {"teacher_forced": 0.75, "free": None},
        "8": {"teacher_forced": 0.25, "free": None},
    }


def test_the_guess_level_is_that_of_the_state():
    """Parity: x_t is 0 or 1 alike, so no guess without it is better than 1/2."""
    model = LanguageModel(tiny_model("gpt2"))
    batch = make_sequences(task("parity"), Vocabulary(model.vocabulary), length=4, count=5)
    assert measure(model, batch).guess == [0.5] * 5
