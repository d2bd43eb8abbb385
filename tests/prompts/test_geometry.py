"""Where competing explanations look, by hand on one prompt, and the repeats against a plain loop."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("transformers")

from helpers.tokenizers_made import byte_level, word_level
from iterhead.prompts import FORMS, competing_spans, make_prompts, span_mask
from iterhead.prompts.draw import Example
from iterhead.prompts.geometry import last_repeat
from iterhead.prompts.text import TextRenderer
from iterhead.tasks import task


def test_competing_keys_by_hand():
    """Polynomial on 3 4 3, s = 3, 3*4+1 = 13 = 2, 2*3+1 = 7.

    0     1 2 3 4 5  6      7 8 9 10
    input : 3 4 3 => states : 3 2 7        queries 7, 8, 9 write s_1 = 3, s_2 = 2, s_3 = 7
    """
    renderer = TextRenderer(task("polynomial"), word_level(), FORMS["after-input"])
    batch = renderer.render(((Example((3, 4, 3), (3, 2, 7), (0, 1, 2)),),))
    spans = competing_spans(batch)
    starts = {name: span[0, :, 0].tolist() for name, span in spans.items()}
    last = {name: (span[0, :, 1] - 1).tolist() for name, span in spans.items()}
    expected = {
        "current token": [7, 8, 9],
        "previous token": [6, 7, 8],
        "first token": [0, 0, 0],
        "same token": [1, 4, -1],  # ':' before; the last 3; 2 occurs once
        "after same token": [2, 5, -1],
        "after same two tokens": [-1, 3, -1],  # 'states :' and '3 2' occur once, ': 3' ends at 2 before
        "previous input": [-1, 2, 3],
        "next input": [3, 4, -1],
    }
    assert last == expected
    assert {name: [max(p, 0) for p in positions] for name, positions in last.items()} == starts
    mask = span_mask(spans["same token"], 11)
    assert mask.shape == (1, 3, 11)
    assert mask.sum(-1).tolist() == [[1, 1, 0]]
    assert np.argwhere(mask[0]).tolist() == [[0, 1], [1, 4]]


def test_masks_cover_every_token_of_a_value():
    batch = make_prompts(task("polynomial:p=97"), byte_level(), length=3, count=5, shots=1)
    tokens = batch.tokens_BT.shape[1]
    widths = [[len(str(x)) for x in row] for row in batch.inputs_BL]
    assert span_mask(batch.input_spans_BL2, tokens).sum(-1).tolist() == widths
    previous = span_mask(competing_spans(batch)["previous input"], tokens).sum(-1)
    assert previous.tolist() == [[0, *row[:-1]] for row in widths]
    assert span_mask(batch.marker_spans_B2, tokens).sum(-1).tolist() == [len("=> states:")] * 5


@pytest.mark.parametrize("tokenizer", [word_level(), byte_level(), byte_level(400)])
def test_an_induction_head_is_enough_for_labels(tokenizer):
    """The token after the last `t:` is the first of x_t, or the space before it."""
    batch = make_prompts(task("polynomial"), tokenizer, length=9, count=7, shots=3, form="labelled")
    spaced = len(tokenizer.tokenize(" 1")) == 2  # the query is then that space, and what repeats is `: `
    if spaced:
        keys = last_repeat(batch.tokens_BT, batch.queries_BL, 3) + 1
    else:
        keys = competing_spans(batch)["after same two tokens"][..., 0]
    np.testing.assert_array_equal(keys, batch.input_spans_BL2[..., 0])


def test_a_current_token_head_is_enough_for_interleaved():
    """The query that writes s_t is x_t, and the token before it is s_{t-1}."""
    batch = make_prompts(task("polynomial"), word_level(), length=4, count=3, shots=2, form="interleaved")
    spans = competing_spans(batch)
    np.testing.assert_array_equal(spans["current token"], batch.input_spans_BL2)
    np.testing.assert_array_equal(spans["previous token"][:, 1:], batch.state_spans_BL2[:, :-1])
    assert (spans["next input"] == 0).all()  # it comes after the query


def plain_last_repeat(tokens, query, size):
    if query < size - 1:  # fewer tokens end here
        return -1
    wanted = tokens[query - size + 1 : query + 1]
    for place in range(query - 1, size - 2, -1):
        if tokens[place - size + 1 : place + 1] == wanted:
            return place
    return -1


@settings(max_examples=60)
@given(st.lists(st.integers(0, 2), min_size=8, max_size=8), st.integers(1, 3))
def test_repeats_against_a_plain_loop(tokens, size):
    queries = list(range(8))
    found = last_repeat(np.array([tokens]), np.array([queries]), size)
    assert found.tolist() == [[plain_last_repeat(tokens, query, size) for query in queries]]
