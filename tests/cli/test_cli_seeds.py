"""`iterhead run --seeds`: several networks side by side."""

import json

import pytest

from iterhead.cli.main import main
from iterhead.cli.seeds import read_seeds
from iterhead.errors import UserError
from iterhead.runs.run import load

SMALL = (
    *("--task", "parity", "--data.max-length", "4", "--data.train-per-length", "32", "--data.test-per-length", "8"),
    *("--model.width", "16", "--model.vocabulary", "8", "--training.batch-size", "16", "--training.epochs", "2"),
)


@pytest.mark.parametrize(
    ("text", "seeds"), [("3", [3]), ("0..3", [0, 1, 2, 3]), ("1,4,7..9", [1, 4, 7, 8, 9]), ("2, 1,2", [2, 1])]
)
def test_lists_of_seeds(text, seeds):
    assert read_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "a", "1..", "-1", "3..1", "1...3", "0..10000", "1;2"])
def test_what_is_no_list_of_seeds_is_refused(text):
    with pytest.raises(UserError, match=r"^--seeds .*: expected "):
        read_seeds(text)


def test_every_seed_is_trained_and_told_of(tmp_path, capsys):
    words = ["run", "--seeds", "4,2", "--out", str(tmp_path), *SMALL]
    assert main(words) == 0
    told = capsys.readouterr().out
    assert "Training 2 networks on parity" in told
    for seed in (2, 4):
        assert f"seed {seed}: accuracy" in told
    assert "In 0 of 2 runs the iteration head emerged." in " ".join(told.split())
    assert f"iterhead show --out {tmp_path}" in " ".join(told.split())
    assert sorted(load(path).config.seed for path in tmp_path.iterdir()) == [2, 4]
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [run["config"]["seed"] for run in found["runs"]] == [4, 2]
    assert found["failed"] == []


def test_a_failed_seed_is_told_of_and_gives_exit_code_1(tmp_path, capsys):
    assert main(["run", "--seeds", "1", "--out", str(tmp_path), *SMALL, "--quiet"]) == 0
    (folder,) = tmp_path.iterdir()
    (folder / "status.json").unlink()
    (folder / "state.safetensors").write_bytes(b"?")
    capsys.readouterr()
    assert main(["run", "--seeds", "0,1", "--out", str(tmp_path), *SMALL, "--json"]) == 1
    told = capsys.readouterr()
    assert [failed["seed"] for failed in json.loads(told.out)["failed"]] == [1]
    assert "seed 1 failed: " in told.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--workers", "2"], "--workers: expected together with --seeds; one run is one process"),
        (["--seeds", "1", "--workers", "0"], "--workers 0: expected at least 1"),
        (["--seeds", "1", "--again"], "--again: expected for one run, not with --seeds"),
        (["--device", "tpu"], "device=tpu: expected one of auto, cpu, cuda, mps"),
    ],
)
def test_mistakes_are_told_in_one_line(tmp_path, capsys, words, message):
    assert main(["run", "--out", str(tmp_path), *words, *SMALL]) == 2
    assert capsys.readouterr().err == f"iterhead: {message}\n"
    assert not list(tmp_path.iterdir())
