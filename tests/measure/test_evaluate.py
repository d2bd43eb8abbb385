"""One evaluation: every row of the tidy table, recomputed with plain loops."""

import importlib
from statistics import fmean, pstdev
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from iterhead.data.splits import make_dataset
from iterhead.measure.evaluate import evaluate, evaluate_population
from iterhead.measure.records import table
from iterhead.model.transformer import Transformer
from iterhead.settings import DataConfig, ModelConfig
from iterhead.tasks import SequenceLayout, Vocabulary, task
from iterhead.tasks.catalogue import parity_task

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
        _, cache = model.run_with_cache(torch.from_numpy(tokens)[:, :-1])
        eoi = length + 1
        cells = {
            "first": [(eoi + t, eoi) for t in range(1, length + 1)],
            "second": [(eoi + t - 1, t) for t in range(1, length + 1)],
        }
        for role, where in cells.items():
            mass = 0.0
            for layer in range(LAYERS):
                pattern = cache[f"blocks.{layer}.attn.hook_pattern"]
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


def scripted(*answers):
    """A stand-in for networks that predict, for the states and EoS of each sequence they know, given tokens."""

    def run_with_cache(tokens, names, output_positions):
        logits = torch.zeros(*tokens.shape, 7)
        for m, rows in enumerate(tokens.tolist()):
            for b, row in enumerate(rows):
                start = row.index(EOI)
                for offset, token in enumerate(answers[m][tuple(row)]):
                    logits[m, b, start + offset, token] = 1
        pattern = torch.zeros(*tokens.shape[:2], 1, *tokens.shape[2:], tokens.shape[2])
        cache = {"blocks.0.attn.hook_pattern": pattern[..., output_positions, :]}
        return logits[:, :, output_positions], cache

    return SimpleNamespace(layers=1, vocabulary=7, device=torch.device("cpu"), run_with_cache=run_with_cache)


WRITTEN = {
    (PROBLEM, 0, 0, EOI, 0, 0): (0, 0, EOS),  # right
    (PROBLEM, 0, 1, EOI, 0, 1): (1, 1, EOS),  # a wrong state, well formed
    (PROBLEM, 1, 0, EOI, 1, 1): (1, 2, EOS),  # 2 is a value of the mixture, whose alphabet is 3, not of parity
    (PROBLEM, 1, 1, EOI, 1, 0): (1, EOI, EOS),  # a second EoI
    (PROBLEM, 1, 1, EOI, 0, 0): (0, 0, 0),  # no EoS
}
TOKENS = np.array([(*row, EOS) for row in WRITTEN])


@pytest.mark.parametrize("chunk", [1, 2, 256])
@pytest.mark.parametrize(("spec", "grammar"), [("parity", 2 / 5), ("mix:copy,polynomial(p=3)", 3 / 5)])
def test_accuracy_and_grammar_by_hand(spec, grammar, chunk, monkeypatch):
    monkeypatch.setattr(importlib.import_module("iterhead.measure.evaluate"), "CHUNK", chunk)
    keyed = by_key(evaluate(scripted(WRITTEN), task(spec), {2: TOKENS}))
    assert keyed[2, None, None, "accuracy"] == 1 / 5
    assert keyed[2, None, None, "grammar"] == grammar


@pytest.mark.parametrize("chunk", [1, 5, 6, 256])
def test_each_network_is_scored_by_its_own_task_and_sequences_by_hand(chunk, monkeypatch):
    monkeypatch.setattr(importlib.import_module("iterhead.measure.evaluate"), "CHUNK", chunk)
    knows = {row: (*row[4:], EOS) for row in WRITTEN}
    tasks = [task(spec) for spec in ("parity", "mix:copy,polynomial(p=3)", "parity")]
    # The second network sees the sequences in another order; the third one knows them all.
    sequences = [{2: TOKENS}, {2: TOKENS[::-1].copy()}, {2: TOKENS}]
    records = evaluate_population(scripted(WRITTEN, WRITTEN, knows), tasks, sequences)
    scores = [[by_key(rows)[2, None, None, name] for name in ("accuracy", "grammar")] for rows in records]
    assert scores == [[1 / 5, 2 / 5], [1 / 5, 3 / 5], [1, 1]]


# Many networks


SPECS = ("parity", "copy", "mix:copy,parity")


def population(cot=True, counts=(17, 17, 17)):
    """Three untrained networks with sharp attention maps, each with a task and sequences of its own."""
    config = ModelConfig(width=6, layers=LAYERS, heads=HEADS, vocabulary=7)
    model = Transformer(config, DataConfig(max_length=5, cot=cot).layout(5).size, [3, 4, 5])
    with torch.no_grad():
        for block in model.blocks:
            block.attn.W_Q.mul_(5)
    tests = []
    for spec, count, seed in zip(SPECS, counts, (3, 4, 5), strict=True):
        data = DataConfig(min_length=4, max_length=5, train_per_length=1, test_per_length=count, cot=cot, split="iid")
        tests.append(make_dataset(task(spec), data, Vocabulary(7), seed).test)
    return model, [task(spec) for spec in SPECS], tests


@pytest.mark.parametrize("chunk", [2, 7, 256])
@pytest.mark.parametrize("cot", [True, False])
def test_a_population_is_scored_as_its_networks_one_by_one(cot, chunk, monkeypatch):
    model, tasks, sequences = population(cot)
    one_by_one = [
        by_key(evaluate(model.select([network]), tasks[network], sequences[network], cot=cot)) for network in range(3)
    ]
    monkeypatch.setattr(importlib.import_module("iterhead.measure.evaluate"), "CHUNK", chunk)
    together = [by_key(rows) for rows in evaluate_population(model, tasks, sequences, cot=cot)]
    for rows, expected in zip(together, one_by_one, strict=True):
        assert rows == pytest.approx(expected, abs=1e-6)
        assert list(rows) == list(expected)
    if cot:
        assert together[0] != pytest.approx(together[1], abs=1e-3)


@pytest.mark.parametrize(("chunk", "in_a_pass"), [(7, 2), (6, 2), (2, 1), (256, 17)])
def test_no_forward_pass_of_a_population_is_larger_than_a_chunk(chunk, in_a_pass, monkeypatch):
    # Three networks: 7 // 3 and 6 // 3 are 2 sequences of each, 2 // 3 is 0, so one; 256 // 3 is more than there are.
    monkeypatch.setattr(importlib.import_module("iterhead.measure.evaluate"), "CHUNK", chunk)
    model, tasks, sequences = population()
    shapes = passes_of(model, monkeypatch)
    evaluate_population(model, tasks, sequences)
    assert {networks for networks, _, _ in shapes} == {3}
    assert max(rows for _, rows, _ in shapes) == in_a_pass
    assert sum(rows for _, rows, _ in shapes) == 2 * 17


def passes_of(model, monkeypatch):
    """The shapes of the tokens that the network is given from now on."""
    shapes = []
    logits = model.logits

    def recorded(tokens, context):
        shapes.append(tuple(tokens.shape))
        return logits(tokens, context)

    monkeypatch.setattr(model, "logits", recorded)
    return shapes


def test_the_memory_of_an_evaluation_does_not_grow_with_the_test_set(monkeypatch):
    model, _ = network()
    shapes = passes_of(model, monkeypatch)
    largest = []
    for count in (100, 600, 1200):
        data = DataConfig(min_length=5, max_length=5, train_per_length=1, test_per_length=count, split="iid")
        shapes.clear()
        evaluate(model, parity_task(), make_dataset(parity_task(), data, Vocabulary(7), 3).test)
        assert sum(rows for _, rows, _ in shapes) == count
        largest.append(max(rows for _, rows, _ in shapes))
    assert largest == [100, 177, 177]  # 2,304 tokens hold 177 sequences of 13


def test_accuracy_of_a_network_that_knows_its_task_by_half(half_trained):
    model, dataset = half_trained.model, half_trained.datasets[0]
    scores = by_key(evaluate(model, parity_task(), dataset.test))
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
        assert scores[length, None, None, "accuracy"] == accuracies[-1]
    assert 0 < sum(accuracies) < 4


def test_the_rows_fit_the_table():
    model, sequences = network()
    records = [{"epoch": 2, "split": "test", **row} for row in evaluate(model, parity_task(), sequences)]
    frame = table(records)
    assert frame.height == len(records)
    assert frame["value"].null_count() == 0
    assert frame.filter(frame["name"] == "accuracy")["layer"].null_count() == 4
