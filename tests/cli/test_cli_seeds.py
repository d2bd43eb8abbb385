"""`iterhead run --seeds`: several networks side by side."""

import json
import os
import resource
import subprocess
import sys

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


def test_failed_seed_is_reported_and_gives_the_exit_code_of_a_single_run(call, tiny, copied):
    (copied / "status.json").unlink()
    (copied / "state.safetensors").write_bytes(b"?")
    output = call(f"run --seeds 0 {tiny}")
    assert (output.code, call(f"run {tiny}").code) == (2, 2)
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


def test_file_in_the_place_of_the_folder_is_one_line(call, tiny, tmp_path):
    (tmp_path / "file").touch()
    result = call(f"run --seeds 0..3 --out file {tiny}")
    assert result.code == 2
    assert result.err == (
        "iterhead: file: cannot write: Not a directory; a file is in the place of a folder: move it, or choose "
        "another folder with --out\n"
    )


def program(words, folder, **how):
    command = [sys.executable, "-m", "iterhead", *words.split()]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, **how)


def test_full_disk_gives_the_exit_code_of_a_single_run(tiny, tmp_path):
    def limited():  # no file may have more than 1,000 bytes, as on a full disk
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))

    done = program(f"run --seeds 7 --quiet {tiny}", tmp_path, preexec_fn=limited)
    assert done.returncode == 2
    assert done.stderr.startswith("seed 7 failed: runs/parity-")
    assert "File too large; raise the limit on file sizes (ulimit -f)" in done.stderr
    assert done.stderr.count("\n") == 1


def test_long_temporary_folder_is_named(tiny, tmp_path):
    (folder := tmp_path / ("x" * 100)).mkdir()
    done = program(f"run --seeds 0,1 --quiet {tiny}", tmp_path, env=os.environ | {"TMPDIR": str(folder)})
    assert done.returncode == 2
    assert done.stderr == "iterhead: AF_UNIX path too long; set TMPDIR to a folder with a shorter path\n"
    assert list(folder.iterdir()) == []
