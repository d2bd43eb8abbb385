"""`iterhead export`: what is written and printed, and one line for each mistake."""

import json
import shlex
import sys

import pytest

pytest.importorskip("transformers")


def test_folder_is_written_and_named(call, finished, tmp_path):
    output = call("export", str(finished), "--to", "nets/parity")
    assert (output.code, output.err) == (0, "")
    assert output.out == "nets/parity\nREADME.md in it says how to load it.\n"
    card = (tmp_path / "nets" / "parity" / "README.md").read_text()
    assert f"from run {finished.name}, epoch 2," in card
    assert [path.name for path in (tmp_path / "nets").iterdir()] == ["parity"]


def test_json_and_an_earlier_checkpoint(call, copied, tmp_path, strict_json):
    last = strict_json(call("export parity --to last --json").out)
    assert last["run"] == f"runs/{copied.name}"
    assert (last["folder"], last["format"]) == ("last", "auto")
    assert last["files"] == sorted(path.name for path in (tmp_path / "last").iterdir())
    assert call("export parity --to first --epoch 0").code == 0
    origins = [json.loads((tmp_path / name / "config.json").read_text())["iterhead"] for name in ("first", "last")]
    assert [origin["epoch"] for origin in origins] == [0, 2]
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("first", "last")]
    assert weights[0] != weights[1]


def test_pre_norm_run_as_gpt2(call, tiny, tmp_path):
    assert call(f"run {tiny} --model.residual pre-norm").code == 0
    assert call("export parity --to a --format gpt2").code == 0
    names = [path.name for path in (tmp_path / "a").iterdir()]
    assert "modeling_iterhead.py" not in names
    assert json.loads((tmp_path / "a" / "config.json").read_text())["model_type"] == "gpt2"


def test_replacing_needs_force(call, copied):
    assert call("export parity --to a").code == 0
    again = call("export parity --to a")
    assert again.code == 2
    assert again.line == ("iterhead: a: an earlier export: choose another folder with --to, or replace it with --force")
    assert call("export parity --to a --force").code == 0


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("export parity", "the following arguments are required: --to"),
        ("export parity --to", "--to: expected a value"),
        ("export parity --to a --format onnx", "--format onnx: expected auto, gpt2 or transformer-lens"),
        ("export parity --to a --epoch -1", "--epoch -1: expected a whole number from 0 to 2,147,483,647"),
        ("export parity --to a --epoch 9", "{run}: no checkpoint of epoch 9: expected one of 0, 1, 2"),
        (
            "export parity --to a --format gpt2",
            "--format gpt2: GPT-2 has no layer that carries on the normalized stream (published): use --format auto",
        ),
        (
            "export parity --to a --format transformer-lens",
            "--format transformer-lens: TransformerLens has no block that carries on the normalized stream "
            "(published): use --format auto",
        ),
        ("export parity --to runs", "runs: not empty, and no earlier export: choose another folder with --to"),
        ("export copy --to a", "copy: no such run in runs; the nearest: {name}"),
    ],
)
def test_one_line_for_each_mistake(call, copied, tmp_path, words, line):
    output = call(words)
    assert output.code == 2
    assert output.line == "iterhead: " + line.format(run=f"runs/{copied.name}", name=copied.name)
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


def test_without_transformers(call, copied, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    output = call("export parity --to a")
    assert output.code == 2
    assert output.line == "iterhead: transformers is not installed: pip install 'iterhead[hf]'"


def test_place_that_cannot_be_written(call, copied, tmp_path):
    (tmp_path / "file").write_text("")
    output = call("export parity --to file/a")
    assert output.code == 2
    assert output.line.startswith(f"iterhead: {tmp_path / 'file' / 'a'}: cannot write: ")
    assert shlex.split(output.line.rpartition("; ")[2])  # what to do
    assert output.line.endswith("--to")
