"""Where a new run goes, and how a run is found by what a person types."""

from pathlib import Path

import pytest

from helpers.messages import message
from iterhead.runs.paths import find_runs, open_run
from iterhead.runs.run import load
from iterhead.runs.storage import RunFolder
from iterhead.runs.training import train
from iterhead.settings import parse_config


def make_run(path: Path) -> Path:
    RunFolder(path).write_json("config.json", {})
    return path


def test_runs_are_found_by_path_name_and_beginning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    out = Path("runs")
    made = [make_run(out / name) for name in ("parity-3f", "parity-3f-2", "copy-77")]
    (out / "half").mkdir()
    (out / "notes.txt").touch()
    Path("copy").touch()  # a file of that name here does not hide the run in `out`
    assert find_runs(out) == sorted(made)
    assert find_runs(Path("none")) == []
    for text in ("parity-3f", "runs/parity-3f", "runs/parity-3f/", str(made[0].absolute())):
        assert open_run(text, out).path.absolute() == made[0].absolute()
    assert open_run("copy", out).path == open_run("runs/co", Path("elsewhere")).path == out / "copy-77"
    monkeypatch.chdir(made[0])
    assert open_run(".", out).read_json("config.json", dict) == {}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("par", "par: 2 runs in runs have names that begin so: parity-3f, parity-3f-2; give more of the name"),
        ("party-3f", "party-3f: no such run in runs; the nearest: parity-3f, parity-3f-2, copy-77"),
        ("runs/copy-88", "copy-88: no such run in runs; the nearest: copy-77, "),
        ("half", "runs/half: no run here: expected a folder with config.json (iterhead run makes one)"),
        ("runs", "runs: no run here: expected a folder"),
        ("runs/copy-77/config.json", "runs/copy-77/config.json: a file, no run"),
        ("", ".: no run here"),
        ("empty/x", "x: no such run, empty has none yet (iterhead run makes one"),
        ("x" * 300, "xxx"),
    ],
)
def test_no_single_run_of_that_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, expected: str):
    monkeypatch.chdir(tmp_path)
    for name in ("parity-3f", "parity-3f-2", "copy-77"):
        make_run(Path("runs") / name)
    Path("runs/half").mkdir()
    assert message(open_run, text, Path("runs")).startswith(expected)


def test_long_lists_are_cut_and_a_file_is_no_out_folder(tmp_path: Path):
    for number in range(11):
        make_run(tmp_path / f"a{number:02}")
    assert "11 runs" in (text := message(open_run, "a", tmp_path))
    assert "a07 and 3 more;" in text
    assert "cannot read: Not a directory" in message(find_runs, tmp_path / "a00" / "config.json")


@pytest.mark.parametrize("name", ["a\0b", "\ud800"])
@pytest.mark.parametrize(
    ("call", "action"),
    [
        (lambda out: load("x", out), "read"),
        (lambda out: train(parse_config({"task": "parity", "data": {"train_per_length": 64}}), out=out), "lock"),
    ],
)
def test_a_name_that_no_file_can_have(call, action, name):
    assert f"cannot {action}: no name that a file can have; expected UTF-8" in message(call, name)
