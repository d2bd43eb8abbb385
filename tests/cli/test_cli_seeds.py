"""`iterhead run --seeds`: several networks side by side."""

import json

import pytest

from iterhead.cli.main import find
from iterhead.errors import UserError
from iterhead.runs.run import load


@pytest.mark.parametrize(
    ("text", "seeds"), [("3", [3]), ("0..3", [0, 1, 2, 3]), ("1,4,7..9", [1, 4, 7, 8, 9]), ("2, 1,2", [2, 1])]
)
def test_lists_of_seeds(text, seeds):
    assert find("run").parse(["--seeds", text]).seeds == seeds


@pytest.mark.parametrize("text", ["", "a", "1..", "-1", "3..1", "1...3", "0..10000", "1;2"])
def test_bad_lists_of_seeds(text):
    with pytest.raises(UserError, match=r"^--seeds .*: expected "):
        find("run").parse(["--seeds", text])


def test_every_seed_is_trained_and_reported(call, tiny, tmp_path):
    words = f"run --seeds 4,2 --out others --workers 1 {tiny}"
    out = " ".join(call(words).out.split())
    assert "Training 2 networks on parity" in out
    for seed in (2, 4):
        assert f"seed {seed}: accuracy" in out
    assert "The iteration head emerged in 0 of 2 runs." in out
    assert "iterhead show --out others" in out
    assert sorted(load(path).config.seed for path in (tmp_path / "others").iterdir()) == [2, 4]
    output = call(f"{words} --json")
    assert (output.code, output.err) == (0, "")
    results = json.loads(output.out)
    assert [run["config"]["seed"] for run in results["runs"]] == [4, 2]
    assert results["failed"] == []


def test_failed_seed_is_reported_and_gives_exit_code_1(call, tiny, copied):
    (copied / "status.json").unlink()
    (copied / "state.safetensors").write_bytes(b"?")
    output = call(f"run --seeds 0 {tiny}")
    assert output.code == 1
    assert "seed 0: failed: " in output.out
    assert output.err.startswith("seed 0 failed: ")
    failed = json.loads(call(f"run --seeds 0 {tiny} --json").out)["failed"]
    assert [entry["seed"] for entry in failed] == [0]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--workers 2", "--workers: expected together with --seeds; one run is one process"),
        ("--seeds 1 --workers 0", "--workers 0: expected a whole number from 1 to 1,024"),
        ("--seeds 1 --again", "--again: expected for one run, not with --seeds"),
        ("--device tpu", "device=tpu: expected one of auto, cpu, cuda, mps"),
    ],
)
def test_mistakes_give_one_line(call, tiny, tmp_path, words, message):
    assert call(f"run {words} {tiny}").line == f"iterhead: {message}"
    assert not list(tmp_path.iterdir())
