"""Scans of models whose heads are known: planted circuits, exported networks, random weights."""

import pytest

pytest.importorskip("transformers")

import torch

import iterhead as ih
from helpers.planted import planted_gpt2, planted_llama
from helpers.tiny_models import ARCHITECTURES, tiny_model
from iterhead.huggingface.language_model import LanguageModel

PLANTED = {"gpt2": planted_gpt2, "llama": planted_llama}
LENGTHS = (3, 4, 6, 9, 12)


def places(heads, role):
    return [head.place for head in heads if head.role == role]


def scan_planted(architecture, seed, out):
    task = ih.task("polynomial:p=5")
    model, first, second = PLANTED[architecture](task, max(LENGTHS), seed=seed)
    result = ih.scan(LanguageModel(model), task=task.name, lengths=LENGTHS, prompts=8, seed=seed, out=out)
    return result, first, second


@pytest.mark.parametrize("architecture", PLANTED)
def test_the_planted_circuit_is_found_and_proved(architecture, tmp_path):
    result, first, second = scan_planted(architecture, 3, tmp_path)
    assert result.verdict == "iteration-head"
    assert (places(result.heads, "iteration")[0], places(result.heads, "first")[0]) == (second, first)
    assert [head.place for head in result.heads if head.significant and head.role == "iteration"] == [second]
    assert (result.behaviour.teacher_forced, result.behaviour.free) == (1.0, 1.0)
    rows = {row.intervention: row for row in result.causal}
    assert rows["none"].accuracy == 1.0
    assert rows["looking at x_{t+1}"].follows > 0.95
    assert rows["mean ablation"].accuracy < 0.6
    random_rows = [row for name, row in rows.items() if "random heads" in name and "ablation" in name]
    assert random_rows
    assert all(row.accuracy > 0.9 for row in random_rows)
    assert rows["a written state replaced"].follows > 0.95


@pytest.mark.slow
@pytest.mark.parametrize("architecture", PLANTED)
def test_twenty_of_twenty_planted_circuits_are_found_first_in_both_roles(architecture, tmp_path):
    found = {}
    for seed in range(20):
        result, first, second = scan_planted(architecture, seed, tmp_path)
        best = (places(result.heads, "first")[0], places(result.heads, "iteration")[0])
        found[seed] = (best == (first, second), result.verdict)
    assert found == dict.fromkeys(range(20), (True, "iteration-head"))


@pytest.mark.parametrize("architecture", ["gpt2", "gemma2", "qwen3"])
def test_random_weights_do_not_do_the_task(architecture, tmp_path):
    result = ih.scan(LanguageModel(tiny_model(architecture)), task="parity", lengths=(4, 6, 9), prompts=8, out=tmp_path)
    assert result.verdict == "task-not-done"
    assert 0 <= result.behaviour.teacher_forced < 0.6


@pytest.mark.slow
def test_false_discoveries_over_random_models(tmp_path):
    """At most 5% of models without any circuit have a significant iteration head, up to the error of counting."""
    discovered = []
    seeds = range(10)
    for architecture in ARCHITECTURES:
        for seed in seeds:
            model = LanguageModel(tiny_model(architecture, seed))
            heads = ih.scan(model, task="polynomial", prompts=16, seed=seed, out=tmp_path).heads
            if any(head.significant for head in heads if head.role == "iteration"):
                discovered.append((architecture, seed))
    models = len(ARCHITECTURES) * len(seeds)
    assert models >= 100
    assert len(discovered) <= 0.05 * models + 2 * (0.05 * 0.95 * models) ** 0.5, discovered


@pytest.mark.parametrize("kind", ["handmade", "untrained"])
def test_an_exported_network_has_the_scores_that_it_had(kind, tmp_path):
    """The same heads with the same weight on x_t, in the exported model as in ours, which reads whole maps."""
    task, lengths, prompts = ih.task("polynomial:p=7"), (4, 6, 9), 8
    model = ih.handmade(task, 9)
    if kind == "untrained":
        model = ih.Transformer(ih.ModelConfig(heads=4), context=21, seeds=[5])
    ih.export(model, tmp_path / "model", task=task)
    exported = LanguageModel.from_pretrained(str(tmp_path / "model"))
    result = ih.scan(exported, task=task.name, lengths=lengths, prompts=prompts, out=tmp_path / "scans")
    assert result.verdict == {"handmade": "iteration-head", "untrained": "task-not-done"}[kind]
    assert result.settings["tokens"] == "ids"
    weights = []
    for length in lengths:
        batch = ih.make_sequences(task, ih.Vocabulary(), length=length, count=prompts)
        with torch.no_grad():
            _, cache = model.run_with_cache(torch.from_numpy(batch.tokens_BT), "blocks.*.attn.hook_pattern")
        queries, keys = ih.SequenceLayout(length).second_pairs
        weights.append(torch.stack([pattern[:, :, queries, keys].mean((0, 2)) for pattern in cache.values()]))
    expected = torch.stack(weights).mean(0)  # equally many prompts of each length
    for head in result.heads:
        if head.role == "iteration":
            assert head.weight == pytest.approx(float(expected[head.place]), abs=1e-5)
