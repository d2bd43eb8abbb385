"""Scores and p-values of heads on made-up maps, by hand and against slow twins."""

from itertools import permutations, product

import numpy as np
import pytest

pytest.importorskip("transformers")

import torch

from helpers.tiny_models import tiny_model
from iterhead.huggingface.language_model import LanguageModel
from iterhead.model.hooks import PATTERN_HOOKS, pattern_hook
from iterhead.prompts import competing_spans, make_sequences
from iterhead.scans import scores
from iterhead.scans.significance import (
    PERMUTATIONS,
    best_competitors,
    input_p_values,
    maximum_p_values,
    score_heads,
    score_p_values,
    window_p_values,
)
from iterhead.tasks import Vocabulary, task


def batch_of(length, count=3):
    return make_sequences(task("polynomial:p=5"), Vocabulary(11), length=length, count=count)


def test_weights_by_hand():
    """One prompt, two queries, five tokens; the key is token 1 for the first query and token 2 for the second.

    "here" is the query itself, tokens 3 and 4; "there" is token 1 for both, so it differs from the key only for the
    second query; "nowhere" has no key. Two tokens back are tokens 1 (the key itself) and 2 (the key itself); three
    tokens back are 0 and 1.
    """
    pattern = torch.tensor([[[[0.1, 0.6, 0.1, 0.2, 0.0], [0.0, 0.1, 0.3, 0.2, 0.4]]]])
    keys = scores.RoleKeys(
        np.array([[3, 4]]),
        np.array([[[1, 2], [2, 3]]]),
        {
            "here": np.array([[[3, 4], [4, 5]]]),
            "there": np.array([[[1, 2], [1, 2]]]),
            "nowhere": np.array([[[0, 0], [0, 0]]]),
        },
    )
    found = {name: weights[0, 0].tolist() for name, weights in scores.compare(pattern, keys, offsets=2).items()}
    assert found["target"] == pytest.approx([0.6, 0.3])
    # own: here (0.6 + 0.3) / 2; there, the second query only; nowhere as here; 2 back: none; 3 back as here.
    assert found["own"] == pytest.approx([0.45, 0.3, 0.45, np.nan, 0.45], nan_ok=True)
    # others: here (0.2 + 0.4) / 2; there 0.1; nowhere 0; 2 back: none; 3 back (0.1 + 0.1) / 2
    assert found["others"] == pytest.approx([0.3, 0.1, 0.0, np.nan, 0.1], nan_ok=True)


def test_keys_of_several_tokens_count_as_a_whole():
    pattern = torch.tensor([[[[0.1, 0.2, 0.3, 0.4]]]])
    keys = scores.RoleKeys(np.array([[3]]), np.array([[[1, 3]]]), {"wide": np.array([[[0, 1]]])})
    found = scores.compare(pattern, keys, offsets=2)
    assert found["target"].item() == pytest.approx(0.5)
    assert found["own"][0, 0].tolist() == pytest.approx([0.5, np.nan, 0.5], nan_ok=True)  # 2 back is in the key, 3 is 0
    assert found["others"][0, 0].tolist() == pytest.approx([0.1, np.nan, 0.1], nan_ok=True)


def test_an_ideal_head_and_one_with_a_fixed_lag():
    """Lengths 4 and 6: in the layout of token ids x_t is L tokens back, so 4 back is x_t in the prompts of length 4."""
    by_length = []
    for length in (4, 6):
        batch = batch_of(length)
        T = batch.tokens_BT.shape[1]
        queries = scores.role_keys(batch)["iteration"].queries_PQ
        maps = torch.zeros(3, 2, length, T)
        maps[:, 0, np.arange(length), np.arange(1, length + 1)] = 1.0  # x_t is token t
        maps[:, 1].scatter_(-1, torch.from_numpy(queries - 4)[..., None], 1.0)
        keys = scores.role_keys(batch)["iteration"]
        by_length.append(scores.compare(maps, keys, offsets=6))
    own, others = (torch.cat([found[name] for found in by_length]).double().numpy() for name in ("own", "others"))
    names = [*competing_spans(batch_of(4)), *(f"{back} tokens back" for back in range(2, 8))]
    best, difference_PA = best_competitors(own - others)
    assert np.nanmean(difference_PA[:, 0]) == 1.0
    assert names[best[1]] == "4 tokens back"
    assert np.isnan(difference_PA[:3, 1]).all()  # length 4: it is x_t
    assert np.nanmean(difference_PA[:, 1]) == -1.0


def test_measured_weights_are_those_of_the_maps():
    """A plain twin: every sum again, from whole maps, by loops; and parts of a batch give the same as all at once."""
    model = LanguageModel(tiny_model("llama"))
    batch = make_sequences(task("polynomial:p=5"), Vocabulary(model.vocabulary), length=5, count=3)
    offsets = scores.offsets_of(batch)
    found = scores.measure(model, batch, offsets)
    with torch.no_grad():
        cache = model.run_with_cache(torch.from_numpy(batch.tokens_BT), [PATTERN_HOOKS])[1]
    maps = torch.stack([cache[pattern_hook(layer)] for layer in range(model.layers)], dim=1)
    for prompt, t, j in product(range(3), range(5), range(5)):
        query = batch.queries_BL[prompt, t]
        expected = maps[prompt, :, :, query, batch.input_spans_BL2[prompt, j, 0]]
        torch.testing.assert_close(found["iteration.inputs"][prompt, :, :, t, j], expected)
    end = batch.marker_spans_B2[0, 0]
    states = maps[:, :, :, batch.state_spans_BL2[0, :, 0]]
    torch.testing.assert_close(found["first.target"], states[..., end])
    torch.testing.assert_close(found["first.windows"], states.mean(3)[..., : end + 1])
    previous = list(competing_spans(batch)).index("previous token")
    rows = [maps[..., query, query - 1] for query in batch.queries_BL[0] if query - 1 > 0]
    torch.testing.assert_close(found["iteration.others"][..., previous], torch.stack(rows).mean(0))


def test_parts_of_a_batch_give_the_same(monkeypatch):
    model = LanguageModel(tiny_model("qwen3"))
    batch = make_sequences(task("polynomial:p=5"), Vocabulary(model.vocabulary), length=5, count=5)
    whole = scores.measure(model, batch, 7)
    monkeypatch.setattr("iterhead.scans.passes.TOKENS_AT_ONCE", 25)  # two prompts of 12 tokens
    in_parts = scores.measure(model, batch, 7)
    assert whole.keys() == in_parts.keys()
    for name, weights in whole.items():
        torch.testing.assert_close(in_parts[name], weights, atol=1e-6, rtol=1e-5, equal_nan=True)


def test_p_of_the_inputs_by_brute_force():
    """Two prompts of three inputs: all 36 pairings, and the share whose best head reaches each head's weight."""
    weights = np.random.default_rng(0).dirichlet(np.ones(3), size=(2, 4, 3))
    weights[:, 1] = 0.25 * weights[:, 1] + 0.75 * np.eye(3)  # one head that looks at x_t
    excess = weights - weights.mean((2, 3), keepdims=True)

    def statistic(pairing):
        return np.mean([excess[p][:, range(3), list(order)].mean(-1) for p, order in enumerate(pairing)], axis=0)

    every = np.stack([statistic(pairing) for pairing in product(permutations(range(3)), repeat=2)])
    exact = (every.max(1)[:, None] >= statistic([range(3)] * 2) - 1e-12).mean(0)
    assert exact[1] == pytest.approx(1 / 36)
    assert input_p_values([weights], seed=0) == pytest.approx(exact, abs=4 * (0.25 / PERMUTATIONS) ** 0.5)


def test_p_of_the_end_of_the_input_by_brute_force():
    windows = np.random.default_rng(1).dirichlet(np.ones(5), size=(3, 2))
    windows[:, 0, -1] += 1.0
    excess = windows - windows.mean(-1, keepdims=True)
    every = np.array([[excess[p, :, w] for p, w in enumerate(drawn)] for drawn in product(range(5), repeat=3)]).mean(1)
    exact = (every.max(1)[:, None] >= excess[..., -1].mean(0) - 1e-12).mean(0)
    assert exact[0] == pytest.approx(1 / 125)
    assert window_p_values([windows], seed=0) == pytest.approx(exact, abs=4 * (0.25 / PERMUTATIONS) ** 0.5)


def test_maximum_p_values_by_hand():
    """Observed 3 and 1; the largest of the draws are 2, 3 and 0.5: 3 is reached by itself and one draw of three."""
    statistics = np.array([[3.0, 1.0], [2.0, 0.0], [1.0, 3.0], [0.5, 0.5]])
    assert maximum_p_values(statistics).tolist() == [2 / 4, 3 / 4]


def test_p_of_scores():
    noise = np.random.default_rng(2).normal(size=(50, 3))
    noise -= noise.mean(0)
    difference = noise + np.array([0.0, 1.0, -1.0])  # mean 0, seven standard errors above, seven below
    difference[:10, 1] = np.nan
    p = score_p_values(difference, seed=0)
    assert 0.5 < p[0] <= 1.0
    assert p[1] == pytest.approx(1 / (PERMUTATIONS + 1))
    assert p[2] == 1.0


def test_p_of_scores_allows_for_the_number_of_heads():
    """Scores of pure noise: among 40 heads the smallest p is below 0.05 in about one of 20 sets, not in most."""
    least = [score_p_values(np.random.default_rng(i).normal(size=(60, 40)), seed=i).min() for i in range(60)]
    assert np.mean(np.array(least) <= 0.05) <= 0.15


def test_where_the_prompts_cannot_tell_the_score_is_at_most_zero():
    """A head all on x_t, which is the current token at every query: no difference to measure, so no score."""
    difference_PAE = np.stack([np.full((4, 1), np.nan), np.ones((4, 1))], axis=-1)
    best, difference_PA = best_competitors(difference_PAE)
    assert best.tolist() == [0]
    assert difference_PA.tolist() == [[0.0]] * 4


def test_all_heads_are_listed_in_both_roles_best_first():
    model = LanguageModel(tiny_model("gpt2"))
    batch = make_sequences(task("polynomial:p=5"), Vocabulary(model.vocabulary), length=4, count=5)
    weights = {name: x.double().numpy() for name, x in scores.measure(model, batch, 5).items()}
    names = {role: scores.explanations(batch, role, 5) for role in ("iteration", "first")}
    heads = score_heads([weights], names, seed=0)
    assert len({(*head.place, head.role) for head in heads}) == len(heads) == 2 * model.layers * model.heads
    assert [head.score for head in heads] == sorted((head.score for head in heads), reverse=True)
    for head in heads:
        assert head.low <= head.score <= head.high
        weight = weights[f"{head.role}.target"][:, head.layer, head.head].mean()
        assert head.weight == pytest.approx(weight)
