"""Interventions in scans: what is followed, what heads are made to look at, and what that does to known circuits."""

from functools import cache

import numpy as np
import pytest

pytest.importorskip("transformers")

import torch

from helpers.interleaving import previous_token_model
from helpers.planted import planted_gpt2
from helpers.tiny_models import tiny_model
from helpers.tokenizers_made import byte_level
from iterhead.errors import UserError
from iterhead.huggingface.language_model import LanguageModel
from iterhead.intervene.patterns import attend_to
from iterhead.model.handmade import handmade
from iterhead.model.hooks import PATTERN_HOOKS, pattern_hook
from iterhead.prompts import make_prompts, make_sequences
from iterhead.scans import causal, heads, scores
from iterhead.scans.passes import first_answers
from iterhead.tasks import Vocabulary, task

POLYNOMIAL = task("polynomial:p=5")


@cache
def planted():
    made = planted_gpt2(POLYNOMIAL, 6, layers=4, heads=3)
    return LanguageModel(made.model), made.first, made.second


def experiment(model, batches, seed=0):
    means = heads.head_means(model, batches.values())
    offsets = max(map(scores.offsets_of, batches.values()))
    inputs = {length: scores.measure(model, batch, offsets)["iteration.inputs"] for length, batch in batches.items()}
    return causal.Experiment(model, batches, means, inputs, seed)


@cache
def on_planted():
    model = planted()[0]
    batches = {length: make_sequences(POLYNOMIAL, Vocabulary(64), length=length, count=11) for length in (4, 6)}
    return experiment(model, batches)


def test_answers_that_follow_by_hand():
    """Counted are the answers for which there is another one: two in the first prompt, none in the second."""
    answers, right = np.array([[1, 2, 3], [4, 4, 4]]), np.array([[1, 1, 1], [4, 4, 4]])
    other = np.array([[2, 2, 1], [-1, 4, -1]])
    assert causal.shares_following(answers, right, other) == [0.5, None]


def test_a_row_by_hand():
    """Accuracy (1 + 0.5) / 2. Only the first prompt has a counterfactual answer, so the interval is of one number."""
    row = causal.as_row("name", [(1, 2)], causal.Outcome([1.0, 0.5], [0.25, None], {}))
    assert (row.accuracy, row.follows, row.low, row.high, row.heads) == (0.75, 0.25, 0.25, 0.25, ((1, 2),))
    row = causal.as_row("name", [], causal.Outcome([1.0, 0.5], [None, None], {}))
    assert row.follows is None
    assert row.low <= 0.75 <= row.high


def test_draws_are_averaged_by_prompt():
    outcomes = [
        causal.Outcome([1.0, 0.0], [1.0, None], {"4": [1]}),
        causal.Outcome([0.0, 0.0], [0.5, None], {"4": [2]}),
    ]
    assert causal.average(outcomes) == causal.Outcome([0.5, 0.0], [0.75, None], {"4": [1]})


def test_weights_on_one_input_by_hand():
    """x_1 has tokens 1 and 2, x_2 token 3; the first query looks at x_1, the second at nothing, the third at x_2."""
    found = causal.input_weights(np.array([[[1, 3], [3, 4]]]), np.array([[0, -1, 1]]), tokens=5)
    assert found.tolist() == [[[0, 0.5, 0.5, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 1, 0]]]


def test_the_next_input_and_its_state():
    batch = make_sequences(POLYNOMIAL, Vocabulary(11), length=3, count=4)
    assert causal.next_inputs(batch).tolist() == [[1, 2, -1]] * 4
    x, s = batch.inputs_BL, batch.states_BL
    after = causal.states_after(batch, causal.next_inputs(batch))
    assert np.array_equal(after[:, 0], POLYNOMIAL.first_states[x[:, 1]])
    assert np.array_equal(after[:, 1], POLYNOMIAL.table[s[:, 0], x[:, 2]])
    assert (after[:, 2] == -1).all()


def test_inputs_that_a_query_does_not_see():
    """Interleaved, x_{t+1} comes after the query; the first query sees no other input than x_1."""
    model = previous_token_model(POLYNOMIAL)
    batch = make_prompts(POLYNOMIAL, model.tokenizer, length=4, count=7, form="interleaved", shots=1)
    assert (causal.next_inputs(batch) == -1).all()
    drawn = causal.random_inputs(batch, seed=0)
    assert (drawn[:, 0] == -1).all()
    assert all(set(drawn[:, t]) <= set(range(t)) for t in range(1, 4))
    assert causal.SHIFTED not in experiment(model, {4: batch}).on_heads


def test_random_heads():
    """Of layer 1 two heads of five are chosen, of layer 3 one: the others are drawn, as many, and not the same ones."""
    chosen = [(1, 0), (1, 3), (3, 4)]
    sets = heads.random_heads(chosen, per_layer=5, avoid=chosen, seed=0)
    assert len(sets) == heads.DRAWS == len({tuple(drawn) for drawn in sets})
    for drawn in sets:
        assert sorted(layer for layer, _ in drawn) == [1, 1, 3]
        assert not set(drawn) & set(chosen)
    for drawn in heads.random_heads(chosen, per_layer=5, avoid=[*chosen, (1, 4)], seed=0):
        assert (1, 4) not in drawn
    assert heads.random_heads([(0, 0)], per_layer=1, avoid=[(0, 0)], seed=0) == []
    assert len(heads.random_heads([(0, 0)], per_layer=2, avoid=[(0, 0)], seed=0)) == 1


@torch.no_grad()
def test_mean_outputs_leave_out_the_padding():
    tokenizer = byte_level()
    model = LanguageModel(tiny_model("qwen3", vocab_size=len(tokenizer), max_position_embeddings=256), tokenizer)
    batch = make_prompts(task("polynomial"), tokenizer, length=3, count=4, shots=1)
    assert len(set(batch.sizes_B)) > 1
    outputs = []
    for tokens, size in zip(batch.tokens_BT, batch.sizes_B, strict=True):
        cache = model.run_with_cache(tokens[None, :size], ["blocks.*.attn.hook_z"])[1]
        outputs.append(torch.stack([z[0] for z in cache.values()]))
    torch.testing.assert_close(heads.head_means(model, [batch]), torch.cat(outputs, dim=1).mean(1))


def test_interventions_on_the_planted_head():
    _, _, second = planted()
    tested = on_planted()
    assert tested.unchanged().accuracy == [1.0] * 22
    for name in ("mean ablation", "zero ablation"):
        assert np.mean(tested.change_heads(name, [second]).accuracy) < 0.5
    for name in (causal.SHIFTED, causal.RANDOM):
        outcome = tested.change_heads(name, [second])
        assert {share for share in outcome.follows if share is not None} == {1.0}
        assert np.mean(outcome.accuracy) < 0.6
    for name in ("looking at x_t", "another prompt's map"):
        assert tested.change_heads(name, [second]).accuracy == [1.0] * 22


def test_interventions_on_another_head_change_nothing():
    _, first, second = planted()
    other = next((layer, head) for layer in range(4) for head in range(3) if (layer, head) not in (first, second))
    for name in on_planted().on_heads:
        outcome = on_planted().change_heads(name, [other])
        assert outcome.accuracy == [1.0] * 22
        assert set(outcome.follows) <= {0.0, None}


def test_edits_of_the_text_are_followed():
    for name in on_planted().on_text:
        outcome = on_planted().change_text(name)
        assert {share for share in outcome.follows if share is not None} == {1.0}
        assert np.mean(outcome.accuracy) < 0.5


def test_exchanged_maps_keep_the_rest_of_the_weight_in_place():
    """A donor with 0.5 on x_1 and 0.1 on x_2. x_1 has two tokens here; tokens 0 and 4 keep their proportion 3 : 1."""
    spans = torch.tensor([[[0.0, 1, 1, 0, 0], [0, 0, 0, 1, 0]]])
    new = causal._exchanged(spans, torch.tensor([[[0.5, 0.1]]]))
    pattern = torch.tensor([[[[0.3, 0.2, 0.2, 0.2, 0.1]]]])
    assert new(pattern)[0, 0, 0].tolist() == pytest.approx([0.3, 0.25, 0.25, 0.1, 0.1])


@torch.no_grad()
@pytest.mark.parametrize("kind", ["own", "hugging face"])
def test_attend_to_works_on_both_kinds_of_model(kind):
    batch = make_sequences(POLYNOMIAL, Vocabulary(64), length=4, count=3)
    tokens, queries = torch.from_numpy(batch.tokens_BT), torch.from_numpy(batch.queries_BL)
    rows = causal.input_weights(batch.input_spans_BL2, causal.next_inputs(batch), tokens.shape[1])
    if kind == "own":
        model, (layer, head), options = handmade(POLYNOMIAL, 4), (1, 0), {}
        whole = torch.zeros(3, tokens.shape[1], tokens.shape[1], dtype=rows.dtype)
        rows = whole.scatter(1, queries[..., None].expand_as(rows), rows)
    else:
        model, _, (layer, head) = planted()
        options = {"query_positions": queries}
    logits, cache = model.run_with_cache(tokens, PATTERN_HOOKS, attend_to(rows, layer, head), **options)
    answers = logits.argmax(-1).gather(1, queries).numpy()
    expected = causal.states_after(batch, causal.next_inputs(batch))
    assert np.array_equal(answers[:, :-1], expected[:, :-1])
    assert np.array_equal(answers[:, -1], batch.states_BL[:, -1])  # a row of zeros keeps the model's own weights
    assert torch.equal(cache[pattern_hook(layer)][:, head].sum(-1).round(decimals=4).unique(), torch.ones(1))


def test_attend_to_with_weights_of_another_shape():
    batch = make_sequences(POLYNOMIAL, Vocabulary(64), length=4, count=3)
    hooks = attend_to(torch.zeros(3, 5, 7), 0, 0)
    with pytest.raises(UserError, match=r"weights of shape \[3, 5, 7\]: expected \[3, 4, 10\]"):
        first_answers(planted()[0], batch, lambda _rows, _tokens: hooks)


@torch.no_grad()
def test_first_answers_in_parts_and_with_padding():
    tokenizer = byte_level()
    model = LanguageModel(tiny_model("llama", vocab_size=len(tokenizer), max_position_embeddings=256), tokenizer)
    batch = make_prompts(task("polynomial"), tokenizer, length=3, count=5, shots=1)
    found = first_answers(model, batch)
    for prompt in range(5):
        tokens = batch.tokens_BT[prompt, : batch.sizes_B[prompt]]
        likely = model(tokens[None]).argmax(-1)[0].numpy()
        assert np.array_equal(found[prompt], likely[batch.queries_BL[prompt]])
