"""One evaluation: every row of the tidy table, recomputed with plain loops."""

import importlib
from statistics import fmean, pstdev
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from iterhead.data import make_dataset
from iterhead.measure import evaluate, table
from iterhead.model import Trace, Transformer
from iterhead.settings import DataConfig, ModelConfig
from iterhead.tasks import SequenceLayout, Vocabulary, parity_task, task

EOS, EOI, PROBLEM = 6, 5, 4
LAYERS, HEADS = 2, 3


def network(cot=True):
    """An untrained network with sharp attention maps, and some of every short sequence of parity."""
    config = ModelConfig(width=6, layers=LAYERS, heads=HEADS, vocabulary=7)
    data = DataConfig(min_length=2, max_length=5, train_per_length=1, test_per_length=17, cot=cot)
    model = Transformer(config, data.layout(5).size, [3])
    with torch.no_grad():
        for block in model.blocks:
            block.attn.W_Q.mul_(5)
    return model, make_dataset(parity_task(), data, Vocabulary(7), 3).test


def by_key(records):
    keyed = {(row["length"], row.get("layer"), row.get("head"), row["name"]): row["value"] for row in records}
    assert len(keyed) == len(records)
    return keyed


def test_the_rows_are_complete_and_have_different_keys():
    model, sequences = network()
    keyed = by_key(evaluate(model, parity_task(), sequences))
    names = [f"{role}_{score}" for role in ("first", "second") for score in ("peakiness", "weight", "invariance")]
    masses = ["first_mass", "second_mass"]
    expected = set()
    for length in (2, 3, 4, 5):
        expected |= {(length, None, None, name) for name in ("accuracy", "grammar", *masses)}
        expected |= {(length, layer, None, name) for layer in range(LAYERS) for name in masses}
        expected |= {(length, layer, head, name) for layer in range(LAYERS) for head in range(HEADS) for name in names}
    # Four lengths of 4 + 2 * 2 + 2 * 3 * 6 rows.
    assert len(expected) == 4 * 44
    assert set(keyed) == expected


def test_scores_are_those_of_plain_loops():
    model, sequences = network()
    keyed = by_key(evaluate(model, parity_task(), sequences))
    peaks = []
    for length, tokens in sequences.items():
        trace = model.trace(torch.from_numpy(tokens)[:, :-1])
        eoi = length + 1
        cells = {
            "first": [(eoi + t, eoi) for t in range(1, length + 1)],
            "second": [(eoi + t - 1, t) for t in range(1, length + 1)],
        }
        for role, where in cells.items():
            mass = 0.0
            for layer in range(LAYERS):
                pattern = trace[f"blocks.{layer}.attn.hook_pattern"]
                for head in range(HEADS):
                    weights = [[pattern[b, head, q, k].item() for b in range(len(tokens))] for q, k in where]
                    flat = [weight for column in weights for weight in column]
                    peakiness = fmean(weight > 0.5 for weight in flat)
                    peaks.append(peakiness)
                    expected = {
                        "peakiness": peakiness,
                        "weight": fmean(flat),
                        "invariance": 1 - fmean(pstdev(column) for column in weights),
                    }
                    for name, value in expected.items():
                        assert keyed[length, layer, head, f"{role}_{name}"] == pytest.approx(value, abs=1e-7)
                of_layer = sum(keyed[length, layer, head, f"{role}_weight"] for head in range(HEADS))
                assert keyed[length, layer, None, f"{role}_mass"] == pytest.approx(of_layer)
                mass += of_layer
            assert keyed[length, None, None, f"{role}_mass"] == pytest.approx(mass)
    # The maps say something: heads differ in peakiness.
    assert len(set(peaks)) > 10


@pytest.mark.parametrize("cot", [True, False])
def test_the_size_of_chunks_changes_nothing(cot, monkeypatch):
    model, sequences = network(cot)
    assert max(len(tokens) for tokens in sequences.values()) == 17
    whole = by_key(evaluate(model, parity_task(), sequences, cot=cot))
    # The package's `evaluate` is the function; this is its module.
    monkeypatch.setattr(importlib.import_module("iterhead.measure.evaluate"), "CHUNK", 7)
    chunked = by_key(evaluate(model, parity_task(), sequences, cot=cot))
    assert chunked == pytest.approx(whole, abs=1e-7)


def test_without_chain_of_thought_there_are_only_accuracy_and_grammar():
    model, sequences = network(cot=False)
    keyed = by_key(evaluate(model, parity_task(), sequences, cot=False))
    assert set(keyed) == {(length, None, None, name) for length in (2, 3, 4, 5) for name in ("accuracy", "grammar")}


def scripted(answers):
    """A stand-in for a network that predicts, for the states and EoS of each sequence it knows, what it was told."""

    def trace(tokens, sites):
        logits = torch.zeros(*tokens.shape, 7)
        for b, row in enumerate(tokens.tolist()):
            start = row.index(EOI)
            for offset, token in enumerate(answers[tuple(row)]):
                logits[b, start + offset, token] = 1
        pattern = torch.zeros(len(tokens), 1, *tokens.shape[1:], tokens.shape[1])
        return Trace(logits, {"blocks.0.attn.hook_pattern": pattern})

    return SimpleNamespace(config=SimpleNamespace(layers=1, vocabulary=7), trace=trace)


@pytest.mark.parametrize("chunk", [1, 2, 256])
@pytest.mark.parametrize(("spec", "grammar"), [("parity", 2 / 5), ("mix:copy,polynomial(p=3)", 3 / 5)])
def test_accuracy_and_grammar_by_hand(spec, grammar, chunk, monkeypatch):
    monkeypatch.setattr(importlib.import_module("iterhead.measure.evaluate"), "CHUNK", chunk)
    written = {
        (PROBLEM, 0, 0, EOI, 0, 0): (0, 0, EOS),  # right
        (PROBLEM, 0, 1, EOI, 0, 1): (1, 1, EOS),  # a wrong state, well formed
        (PROBLEM, 1, 0, EOI, 1, 1): (1, 2, EOS),  # 2 is a value of the mixture, whose alphabet is 3, not of parity
        (PROBLEM, 1, 1, EOI, 1, 0): (1, EOI, EOS),  # a second EoI
        (PROBLEM, 1, 1, EOI, 0, 0): (0, 0, 0),  # no EoS
    }
    tokens = np.array([(*row, EOS) for row in written])
    keyed = by_key(evaluate(scripted(written), task(spec), {2: tokens}))
    assert keyed[2, None, None, "accuracy"] == 1 / 5
    assert keyed[2, None, None, "grammar"] == grammar


def test_accuracy_of_a_network_that_knows_its_task_by_half(half_trained):
    model, dataset = half_trained.model, half_trained.dataset
    found = by_key(evaluate(model, parity_task(), dataset.test))
    accuracies = []
    for length, tokens in dataset.test.items():
        layout = SequenceLayout(length)
        right = 0
        for row in torch.from_numpy(tokens):
            logits = model(row[None, :-1])[0]
            # EoI stands at L+1, and the L states and EoS behind it.
            right += all(logits[q].argmax() == row[q + 1] for q in range(length + 1, 2 * length + 2))
        assert layout.size == 2 * length + 3
        accuracies.append(right / len(tokens))
        assert found[length, None, None, "accuracy"] == accuracies[-1]
    assert 0 < sum(accuracies) < 4


def test_the_rows_fit_the_table():
    model, sequences = network()
    records = [{"epoch": 2, "split": "test", **row} for row in evaluate(model, parity_task(), sequences)]
    frame = table(records)
    assert frame.height == len(records)
    assert frame["value"].null_count() == 0
    assert frame.filter(frame["name"] == "accuracy")["layer"].null_count() == 4
