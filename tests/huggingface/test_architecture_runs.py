"""Runs of other architectures in what comes after training: interventions, claims, figure, page, export, studies."""

import json
import subprocess
import sys

import pytest

pytest.importorskip("transformers")

import polars as pl
import torch

import iterhead as ih
from helpers.architectures import architecture_run
from helpers.made_tables import runs_table
from helpers.pages import facts_of
from iterhead.cli import main
from iterhead.intervene.activations import shared_heads
from iterhead.intervene.counterfactuals import swap_follows_f
from iterhead.intervene.path_patching import path_patch
from iterhead.report.run_page import run_report
from iterhead.runs.training import train
from iterhead.studies.architectures import NETWORKS, OURS, architectures
from iterhead.studies.verification import verify
from iterhead.training.trainer import Trainer

KINDS = (("llama", 4, 2), ("gpt2", 2, None), ("gpt-neox", 2, None))


@pytest.fixture(scope="module", params=KINDS, ids=lambda kind: kind[0])
def run(request, tmp_path_factory):
    return train(architecture_run(*request.param, lr=1e-2, epochs=6), out=tmp_path_factory.mktemp("runs"), threads=1)


@pytest.fixture(scope="module")
def grouped(tmp_path_factory):
    return train(architecture_run("llama", 4, 2, epochs=2), out=tmp_path_factory.mktemp("runs"), threads=1)


def test_the_figure_and_the_scores(run):
    assert run.folder.has("figure.png")
    assert run.scores.second_peakiness is not None
    assert 0 <= run.scores.accuracy <= 1


def test_the_checks_of_a_network(run):
    verification = verify(run, 8)
    assert verification.effects[0].name == "as it is"
    assert {check.id for check in verification.checks} >= {"1", "4g", "5a", "6"}
    # An ideal map is another map than that of an almost untrained network: the answers change.
    assert len({effect.by_token for effect in verification.effects}) > 2


def test_the_page_says_why_the_network_cannot_run_in_it(run):
    facts = facts_of(run_report(run, "iterhead run"))
    assert facts["network"]["left_out"].startswith(f"This network has the architecture {run.config.model.architecture}")
    assert facts["network"]["parameters"] == sum(weight.numel() for weight in run.model.parameters())
    assert "shape" not in facts["network"]
    # Settings that do not apply are not shown.
    shown = facts["run"]["settings"]["model"]
    assert ("kv_heads" in shown) == (shown["architecture"] == "llama")
    assert not {"residual", "norm", "positions", "position_width"} & set(shown)


def test_notebook_tables(run):
    rows = ih.head_scores(run)
    assert len(rows) == 5 * 2 * run.config.model.heads * 2  # lengths, layers, heads, roles
    assert rows["weight"].is_between(0, 1.000001).all()


@pytest.mark.parametrize(("head", "heads", "shared", "expected"), [
    (3, 4, 2, [1]), (0, 4, 2, [0]), ([0, 1], 4, 2, [0]), ([1, 2], 4, 2, [0, 1]), (2, 4, 4, 2), (None, 4, 2, None),
    ([5], 6, 1, [0]),
])  # fmt: skip
def test_the_key_value_heads_that_heads_read(head, heads, shared, expected):
    assert shared_heads(head, heads, torch.zeros(2, 7, shared, 5)) == expected


class Recorder:
    """Notes which key-value heads, at which positions, a hook at `hook_v` changes."""

    def __init__(self, model, name):
        self.model, self.name, self.changed = model, name, set()

    def __getattr__(self, name):
        return getattr(self.model, name)

    def __call__(self, tokens, hooks=None):
        values = self.model.run_with_cache(tokens, [self.name])[1][self.name]
        places = (hooks[self.name](values) != values).any(-1).any(0).nonzero()
        self.changed |= {(head, position) for position, head in places.tolist()}
        return self.model(tokens, hooks=hooks)


def test_a_swapped_input_is_that_of_the_group(grouped):
    """Head 3 of four reads the second of two key-value heads. Inputs are at positions 1 .. L."""
    tokens = {3: grouped.dataset.test[3][:5]}
    recorder = Recorder(grouped.model, "blocks.1.attn.hook_v")
    swap_follows_f(recorder, grouped.config.iterative_task, tokens, 1, 3)
    assert recorder.changed == {(1, 1), (1, 2), (1, 3)}


@pytest.mark.parametrize("into", ["q", "k", "v"])
def test_path_patching_reaches_the_receiver(grouped, into):
    tokens = grouped.tokens(5)[:4]
    donor = tokens.flip(0)
    # What a head reads changes by way of the sender alone, so with the sender's own tokens nothing changes.
    where = {"sender": (0, 1), "receiver": (1, 3), "into": into}
    model, name = grouped.model, f"blocks.1.attn.hook_{into}"
    _, own = model.run_with_cache(tokens, [name])
    same = path_patch(model, tokens, tokens, **where)[name](own[name])
    other = path_patch(model, tokens, donor, **where)[name](own[name])
    assert torch.allclose(same, own[name], atol=1e-6)
    heads = (other - own[name]).abs().amax((0, 1, 3)) > 1e-6
    assert heads.tolist() == ([False, False, False, True] if into == "q" else [False, True])


def test_an_exported_network_is_a_plain_checkpoint(grouped, tmp_path):
    folder = ih.export(grouped, tmp_path / "net")
    assert json.loads((folder / "config.json").read_text())["model_type"] == "llama"
    assert not (folder / "modeling_iterhead.py").exists()
    card = (folder / "README.md").read_text()
    assert "trust_remote_code" not in card
    assert "`model.layers[" in card
    tokens = grouped.tokens(5)
    with torch.no_grad():
        loaded = ih.LanguageModel.from_pretrained(str(folder))
        assert torch.allclose(loaded(tokens), grouped.model(tokens), atol=1e-5)
    with pytest.raises(ih.UserError, match="--format gpt2: only for architecture=iterhead: llama needs auto"):
        ih.export(grouped, tmp_path / "gpt2", "gpt2")


def test_the_command_line(tmp_path, capsys):
    words = "run --task polynomial:p=5 --data.max-length 4 --data.train-per-length 20 --data.test-per-length 8 "
    words += "--model.architecture gpt-neox --model.width 16 --training.batch-size 16 --training.epochs 1 --json"
    assert main([*words.split(), "--out", str(tmp_path), "--threads", "1"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["config"]["model"]["architecture"] == "gpt-neox"
    for command in ("show", "report", "verify"):
        assert main([command, "polynomial", "--out", str(tmp_path), "--json"]) in (0, 1), command
        assert json.loads(capsys.readouterr().out)
    assert main(["run", "--model.architecture", "llama", "--model.norm", "rms", "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err == "iterhead: model.norm=rms: only for architecture=iterhead, not llama\n"


def test_transformers_is_imported_only_for_these_architectures(monkeypatch):
    code = "import sys, iterhead.runs.training, iterhead.report.run_page, iterhead.studies.registry as r\n"
    code += "from iterhead.training.trainer import Trainer; from iterhead.settings import RunConfig\n"
    code += "Trainer([RunConfig()]); r.find_studies('architectures', 'laptop'); print('transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ih.UserError, match=r"transformers is not installed: pip install 'iterhead\[hf\]'"):
        Trainer([architecture_run()])


def test_generation(grouped):
    prompts = grouped.tokens(4)[:3, :6]  # problem, four inputs, EoI
    written = grouped.model.reader().generate(prompts, 4)
    tokens = prompts
    for _ in range(4):
        tokens = torch.cat([tokens, grouped.model(tokens)[:, -1:].argmax(-1)], dim=1)
    assert torch.equal(written, tokens[:, 6:])
    with pytest.raises(ih.UserError, match=r"expected a Transformer; use model\.reader\(\)\.generate"):
        ih.generate(grouped.model, prompts, 4)


# The study


def check(tables, *ids):
    findings = {finding.id: finding for finding in architectures("laptop").check(tables)}
    return [findings[id_] for id_ in ids]


def row(network, seed, accuracy, peakiness, emerged=True, epochs=12.0):
    scores = {"accuracy": accuracy, "second_peakiness": peakiness, "emerged": emerged, "full_epochs": epochs}
    return {"network": network, "seed": seed, **scores}


def test_the_head_and_the_accuracy_of_each_network():
    rows = [row("gpt2", seed, 0.96 + 0.01 * seed, 0.6 + 0.1 * seed) for seed in range(3)]
    rows += [row("llama", seed, 0.2, 0.1 + 0.1 * seed, emerged=False, epochs=36.0) for seed in range(3)]
    head, accuracy, lacking, unlearned, missing = check(runs_table(rows), "A3a", "A3b", "A5a", "A5b", "A4a")
    assert (head.verdict, head.value, head.low, head.high) == ("holds", 0.7, 0.6, 0.8)
    assert head.sentence.endswith("the head emerged in 3 of 3 runs, after 12 epochs in the median.")
    assert (accuracy.verdict, accuracy.value) == ("holds", 0.97)
    assert (lacking.verdict, lacking.value) == ("does not hold", pytest.approx(0.2))
    assert lacking.sentence.endswith("the head emerged in 0 of 3 runs.")
    assert unlearned.verdict == "does not hold"
    assert (missing.verdict, missing.seeds) == ("undecided", 0)


def test_causes_are_counted_in_the_other_architectures_only():
    checks = [{"network": "gpt2", "seed": s, "id": "4g", "value": 0.95 + 0.01 * s} for s in range(3)]
    checks += [{"network": "iterhead", "seed": 0, "id": "4g", "value": 0.0}]
    checks += [{"network": "llama", "seed": s, "id": "6", "value": 0.5} for s in range(3)]
    shift, swap = check(runs_table([row("gpt2", 0, 1.0, 1.0)], checks=pl.DataFrame(checks)), "A8", "A9")
    assert (shift.verdict, shift.value) == ("holds", pytest.approx(0.96))
    assert (swap.verdict, swap.value) == ("does not hold", 0.5)


def test_its_cells_differ_only_in_the_model():
    for scale in ("smoke", "laptop", "paper"):
        cells = architectures(scale).cells
        assert [cell.axes["network"] for cell in cells] == list(NETWORKS)
        assert len({cell.config.model_copy(update={"model": cells[0].config.model}) for cell in cells}) == 1
    assert [name for name in NETWORKS if NETWORKS[name].get("architecture") is None] == list(OURS)
