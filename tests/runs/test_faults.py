"""Run folders that are incomplete, or made by a stranger; malformed ones: cli/test_malformed_folders.py."""

import errno
import json
import pickle
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from helpers.messages import message
from helpers.stored_runs import stored, untrained
from iterhead import atomic
from iterhead.cli import main
from iterhead.errors import UserError
from iterhead.runs.notes import PROVENANCE, STATUS, provenance
from iterhead.runs.run import MEASUREMENTS, Run, load
from iterhead.runs.storage import table_bytes, tensor_bytes
from iterhead.settings import parse_config

MODULE = "from pathlib import Path\nfrom iterhead import IterativeTask\nPath('ran').touch()\n"
TASK = "t = IterativeTask('t', 2, lambda s, x: {step}, init=0)\n"


@pytest.fixture
def run(tmp_path):
    model = untrained(4, width=8, vocabulary=8)
    made = stored(tmp_path / "runs" / "mine", model, "parity", max_length=4, test_per_length=4)
    with made.folder.lock():
        made.folder.write_json(PROVENANCE, provenance(made.config))
        made.folder.write("checkpoints/epoch-00000.safetensors", tensor_bytes(model.state_dict()))
    return made


NAMES = ["checkpoints/epoch-00000.safetensors", "checkpoints/epoch-00001.safetensors", PROVENANCE, STATUS, MEASUREMENTS]


@pytest.mark.parametrize("name", NAMES)
def test_a_deleted_file_is_named(run, name):
    (run.folder.path / name).unlink()
    expected = "is missing: checksums.json names it; train it again with --again, or restore the file"
    assert message(load, run.folder.path) == f"{run.folder.path / name} {expected}"


@pytest.mark.parametrize("words", ["verify", "show", "report", "transfer --task copy --from"])
def test_every_command_names_a_deleted_checkpoint(run, words, capsys):
    path = run.folder.path / "checkpoints/epoch-00001.safetensors"
    path.unlink()
    assert main([*words.split(), str(run.folder.path)]) == 2
    assert capsys.readouterr().err.startswith(f"iterhead: {path} is missing: ")


def test_files_that_a_run_removes_leave_the_checksums(run):
    with run.folder.lock():
        run.folder.remove(["checkpoints/epoch-00000.safetensors"])
    assert Run(run.folder).checkpoints == [1]
    assert "checkpoints/epoch-00000.safetensors" not in (run.folder.path / "checksums.json").read_text()


def test_a_kill_before_a_new_file_is_there_damages_nothing(run, monkeypatch):
    class KilledError(BaseException):
        pass

    real = type(run.folder.path).replace

    def replace(temporary, path):
        if path.name == "new.png":
            raise KilledError
        return real(temporary, path)

    with monkeypatch.context() as patch:
        patch.setattr(type(run.folder.path), "replace", replace)
        with pytest.raises(KilledError):
            run.folder.write("new.png", b"1")
    assert "new.png" in (run.folder.path / "checksums.json").read_text()
    assert Run(run.folder).checkpoints == [0, 1]
    with run.folder.lock():  # whoever comes next
        pass
    assert "new.png" not in (run.folder.path / "checksums.json").read_text()


@pytest.mark.parametrize("words", ["show", "show ESC"])
def test_a_strangers_texts_command_no_terminal(run, words, capsys):
    title = "\x1b]0;taken\x07"
    with run.folder.lock():
        run.folder.write_json(STATUS, {**vars(run.status), "state": "diverged", "message": title})
    run.folder.path.rename(run.folder.path.with_name(f"ESC{title}"))
    assert main([*words.split(), "--out", str(run.folder.path.parent)]) == 0
    printed = capsys.readouterr().out
    assert r"ESC\x1b]0;taken\x07" in printed
    assert "\x1b" not in printed


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A run whose settings name a task of a module in the current folder, not imported by anybody."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    model = untrained(4, width=8, vocabulary=8)
    (tmp_path / "evil.py").write_text(MODULE + TASK.format(step="s ^ x"))
    made = stored(tmp_path / "runs" / "own", model, "evil:t", max_length=4, test_per_length=4)
    with made.folder.lock():
        made.folder.write_json(PROVENANCE, provenance(made.config))
    del sys.modules["evil"]
    (tmp_path / "ran").unlink()
    yield made.folder.path
    sys.modules.pop("evil", None)


@pytest.mark.parametrize("words", ["show", "show own", "show own --json", "verify own", "report own"])
def test_opening_a_run_imports_nothing(own, tmp_path, words, capsys):
    code = main(words.split())
    assert not (tmp_path / "ran").exists()
    captured = capsys.readouterr()
    if words.startswith("show"):
        assert (code, captured.err) == (0, "")
        assert "evil:t" in captured.out
    else:
        assert code == 2
        assert captured.err.startswith("iterhead: the task evil:t is code in the module evil, which a run's folder")
        assert "--task evil:t" in captured.err


def test_a_task_that_is_named_is_imported_if_it_is_the_runs(own, tmp_path):
    assert message(lambda: load("own", task="mine:t")) == "task='mine:t': runs/own has the task evil:t"
    assert not (tmp_path / "ran").exists()
    assert load("own", task="evil:t").task.run([1, 1, 0]) == [1, 0, 0]
    assert (tmp_path / "ran").exists()


def test_a_named_task_that_has_changed_is_an_error(own, tmp_path):
    (tmp_path / "evil.py").write_text(MODULE + TASK.format(step="s & x"))
    assert "the task evil:t has changed since this run was made" in message(lambda: load("own", task="evil:t"))


def test_settings_from_a_folder_import_nothing_in_another_process_either(own, tmp_path):
    pickled = pickle.dumps(load("own").config)
    code = "import pickle, sys; pickle.load(sys.stdin.buffer)"
    subprocess.run([sys.executable, "-c", code], input=pickled, check=True)
    assert not (tmp_path / "ran").exists()
    subprocess.run([sys.executable, "-c", code], input=pickle.dumps(parse_config({"task": "evil:t"})), check=True)
    assert (tmp_path / "ran").exists()


def test_an_export_needs_the_task_by_name_too(own, tmp_path, capsys):
    pytest.importorskip("transformers")
    assert main(["export", "own", "--to", "exported"]) == 2
    assert "--task evil:t" in capsys.readouterr().err
    assert not (tmp_path / "ran").exists()
    assert main(["export", "own", "--to", "exported", "--task", "evil:t"]) == 0
    assert (tmp_path / "exported/model.safetensors").exists()


@pytest.mark.parametrize(("accuracy", "expected"), [(0.5, "not learnt"), (0.9, "learnt in part")])
def test_a_list_knows_what_guessing_gets_without_the_task(own, capsys, accuracy, expected):
    """`guessing` is noted when the run is made: its task may not be imported to compute it."""
    run = load("own")
    with run.folder.lock():
        run.folder.write_json(STATUS, {**vars(run.status), "state": "finished", "emerged": False})
        table = run.measurements.with_columns(
            pl.when(pl.col("name") == "accuracy").then(accuracy).otherwise("value").alias("value")
        )
        run.folder.write(MEASUREMENTS, table_bytes(table))
        guess = {"guessing": 0.5}
        run.folder.write_json(PROVENANCE, run.folder.read_json(PROVENANCE, dict) | guess)
    assert main(["show", "own", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["outcome"] == expected


def test_settings_that_ask_for_billions_of_scores_are_not_listed(run, capsys):
    """The rows that the settings of a stranger ask for are counted before they are made."""
    values = run.config.model_dump(mode="json")
    values["model"] |= {"layers": 96, "heads": 8192, "width": 8192}
    values["data"] |= {"max_length": 1024}
    values["model"]["context"] = None
    with run.folder.lock():
        run.folder.write_json("config.json", values)
    assert main(["show", "--out", str(run.folder.path.parent), "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["runs"]
    assert "\n" not in row["problem"]


def test_a_file_that_cannot_be_looked_at_is_not_forgotten(run, monkeypatch):
    def lstat(path):
        raise OSError(errno.EIO, "Input/output error")

    with run.folder.lock():
        run.folder.write("new.png", b"1")
        with monkeypatch.context() as patch:
            patch.setattr(Path, "lstat", lstat)
            with pytest.raises(UserError, match=r"new\.png: cannot read: Input/output error"):
                atomic.settle(run.folder.path)
    assert "new.png" in run.folder.names()
