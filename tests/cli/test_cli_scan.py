"""`iterhead scan`: what it prints and writes, progress, interruption, and one line for each kind of bad input."""

import json
import sys
from pathlib import Path

import pytest

pytest.importorskip("transformers")

import torch

from helpers.planted import planted_gpt2
from helpers.tiny_models import tiny_model
from helpers.tokenizers_made import word_level
from iterhead.cli.scan_command import length_list
from iterhead.runs.storage import RunFolder
from iterhead.tasks import task

QUICK = "--task polynomial:p=5 --lengths 4,6 --prompts 6 --device cpu"


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """Folders of models: planted, tiny, with-words (a tokenizer that knows 0 .. 4), mamba, bert, pickled, empty."""
    root = tmp_path_factory.mktemp("models")
    planted_gpt2(task("polynomial:p=5"), 6, layers=3, heads=2).model.save_pretrained(root / "planted")
    tiny_model("llama").save_pretrained(root / "tiny")
    tokenizer = word_level(values=5)
    tiny_model("llama", vocab_size=len(tokenizer)).save_pretrained(root / "with-words")
    tokenizer.save_pretrained(root / "with-words")
    for name in ("mamba", "bert"):
        tiny_model(name).save_pretrained(root / name)
    model = tiny_model("gpt2")
    model.config.save_pretrained(root / "pickled")
    torch.save(model.state_dict(), root / "pickled/pytorch_model.bin")
    tiny_model("gpt2").save_pretrained(root / "remote")
    config = json.loads((root / "remote/config.json").read_text())
    config |= {
        "model_type": "unheard-of",
        "auto_map": {"AutoConfig": "code.Config", "AutoModelForCausalLM": "code.Model"},
    }
    (root / "remote/config.json").write_text(json.dumps(config))
    (root / "remote/code.py").write_text("raise SystemExit('it was run')\n")
    (root / "empty").mkdir()
    return root


def test_tables_and_verdict_in_80_columns(call, stored, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    output = call(f"scan {stored / 'planted'} {QUICK}")
    assert (output.code, output.err) == (0, "")
    assert "States right: 100% given the right ones before, 100% when it writes the whole" in output.out
    assert "Iteration head: layer" in output.out
    assert "looking at x_{t+1}, random heads" in output.out
    folder = Path(output.out.rstrip().splitlines()[-1].strip())
    for line in output.out.splitlines():
        assert len(line) <= 80 or str(folder) in line or str(stored) in line
    for name in ("scan.html", "scan.png", "scan.pdf", "result.json"):
        assert (folder / name).stat().st_size
        assert name in output.out


def test_json_and_a_second_call(call, stored, strict_json):
    first = call(f"scan {stored / 'planted'} {QUICK} --json")
    assert (first.code, first.err) == (0, "")
    result = strict_json(first.out)
    assert first.out.count("\n") == 1
    assert result["verdict"] == "iteration-head"
    stored_result = RunFolder(Path(result["folder"])).read_json("result.json", dict)
    assert stored_result == {name: value for name, value in result.items() if name != "folder"}
    assert call(f"scan {stored / 'planted'} {QUICK} --json").out == first.out


def test_the_exit_code_is_0_for_every_verdict(call, stored):
    output = call(f"scan {stored / 'tiny'} {QUICK}")
    assert output.code == 0
    assert "The model does not do the task" in " ".join(output.out.split())
    assert "intervention" not in output.out


def test_interrupted_it_says_how_to_go_on(call, stored, monkeypatch):
    from iterhead.scans import run

    def interrupt(*_arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(run, "head_means", interrupt)
        output = call(f"scan {stored / 'planted'} {QUICK}")
    assert output.code == 130
    assert output.err.startswith("Interrupted: finished steps are saved. Go on with: ")
    assert f"scan {stored / 'planted'}" in output.err
    assert "iteration-head" in call(f"scan {stored / 'planted'} {QUICK} --json").out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("./nowhere", "./nowhere: no such folder"),
        ("{root}/empty", "no config.json here"),
        ("{root}/mamba", "has no softmax attention"),
        ("{root}/bert", "expected a causal language model"),
        ("{root}/pickled", "its weights are pickled (pytorch_model.bin)"),
        ("{root}/remote", "it needs code that comes with it"),
        ("{root}/with-words", "cannot write '5'"),
        ("{root}/tiny --tokens text", "the model has no tokenizer"),
        ("{root}/tiny --lengths 80", "length 80: its prompts have 162 tokens, but the model's context 128"),
        ("{root}/with-words --task parity --shots 20 --lengths 8", "but the model's context 128: take fewer shots"),
        ("{root}/tiny --task mix:copy,parity", "a mixture has no prompts"),
        ("{root}/tiny --task parrot", "did you mean 'parity'"),
        ("{root}/tiny --form sideways", "form='sideways'"),
        ("{root}/tiny --form labelled", "token ids have after-input, corrupted and swapped only"),
        ("{root}/tiny --lengths 4,,8", "--lengths 4,,8: expected whole numbers with commas, such as 4,8,16"),
        ("{root}/tiny --lengths 1", "lengths=1: expected from 2"),
        ("{root}/tiny --prompts 1", "--prompts 1: expected a whole number from 2 to 2,147,483,647"),
        ("{root}/tiny --dtype float8", "--dtype float8: expected auto, float32, bfloat16 or float16"),
        ("{root}/tiny --device tpu", "device=tpu: expected one of auto"),
        ("{root}/tiny --tokens words", "--tokens words: expected auto, text or ids"),
        ("{root}/tiny --out {root}/tiny/config.json", "a file is in the place of a folder"),
        ("{root}/tiny --length 4", "unknown option --length: did you mean --lengths?"),
        ("", "the following arguments are required: MODEL"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(call, stored, words, message):
    output = call(*f"scan {words} --json".format(root=stored).split())
    assert output.code == 2
    assert message in output.line


def test_without_a_network_a_hub_name_is_one_line(call, monkeypatch):
    monkeypatch.setattr("iterhead.huggingface.loading._hub_is_known", lambda: False)
    output = call("scan someone/some-model --json")
    assert (output.code, output.line) == (
        2,
        "iterhead: someone/some-model: no such folder, and the hub cannot be reached",
    )


def test_without_transformers_one_line_says_how_to_install_it(call, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    output = call("scan anything")
    assert output.code == 2
    assert "pip install 'iterhead[hf]'" in output.line


def test_lengths():
    assert length_list("4") == (4,)
    assert length_list("4,8,16") == (4, 8, 16)
