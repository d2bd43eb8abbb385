"""`iterhead transfer`: the new run, and how it is compared."""

import json
import shlex

import pytest

from iterhead.cli import transfer_command
from iterhead.runs.paths import find_runs
from iterhead.runs.run import load

CHILD = "--task copy --threads 1 --training.epochs 3"


@pytest.fixture
def parent(copied):
    return copied.name


def test_transfer_is_compared_with_a_run_from_scratch(call, parent):
    output = call(f"transfer --from parity {CHILD} --only last-mlp")
    assert (output.code, output.err) == (0, "")
    (child,) = [load(path) for path in find_runs(load(parent).folder.path.parent) if path.name != parent]
    assert child.config.start.run == parent
    assert (child.config.task, child.config.training.train, child.config.training.epochs) == ("copy", "last-mlp", 3)
    assert child.config.model == load(parent).config.model
    assert "epoch 3/3" in output.out
    # Lengths 1 .. 3 of 2 values cannot be copied after three epochs of four steps.
    assert f"Mean accuracy 0.9 on lengths 1 to 3:\n  not within 3 epochs       from {parent}\n" in output.out
    command = output.out.partition("to compare, train from scratch:\n  ")[2].partition("\n")[0]
    assert "--start" not in command
    assert "--training.train" not in command
    words = shlex.split(command)
    assert call(*words[1:], "--quiet --threads 1").code == 0
    again = call(f"transfer --from parity {CHILD} --only last-mlp")
    scratch = next(path.name for path in find_runs(child.folder.path.parent) if path.name not in (parent, child.name))
    assert f"  not within 3 epochs       from scratch, {scratch}\n" in again.out
    assert "is not trained again" in again.out
    assert again.out.rstrip().endswith("report.html")


def test_json_with_the_epochs_from_a_path_into_another_folder(call, parent, tmp_path, monkeypatch):
    monkeypatch.setattr(transfer_command, "LEARNED_ACCURACY", 0.0)
    output = call(f"transfer --from runs/{parent} {CHILD} --epoch 1 --out others --json")
    results = json.loads(output.out)
    assert output.out.count("\n") == 1
    assert len(find_runs(tmp_path / "others")) == 1
    comparison = results["transfer"]
    command = comparison["scratch"].pop("command")
    assert command.startswith("iterhead run --task copy --data.max-length 3")
    assert command.endswith(" --out others")
    assert comparison == {
        "from": parent,
        "epoch": 1,
        "only": "all",
        "accuracy": 0.0,
        "epochs": 0,
        "trained": 3,
        "scratch": {"run": None, "epochs": None, "trained": None},
    }
    assert results["config"]["start"] == {"run": parent, "epoch": 1}


BAD = {
    "transfer": "--from: expected the run",
    "transfer --from parity": "--task: expected the task",
    "transfer --from nothing --task copy": "nothing: no such run in runs",
    "transfer --from parity --task copi": "did you mean 'copy'",
    "transfer --from parity --task copy --only mlp": "--only mlp: expected all, last-mlp or not-attention",
    "transfer --from parity --task copy --epoch x": "--epoch x: expected a whole number from 0 to 2,147,483,647",
    "transfer --from parity --task copy --epoch -1": "--epoch -1: expected a whole number from 0 to 2,147,483,647",
    "transfer --from parity --task copy --epoch 99": "no checkpoint of epoch 99: expected one of 0, 1, 2",
    "transfer --from parity --task copy --data.max-length 4": "knows 9 positions",
    "transfer --from parity --task copy --model.width 16": "model.width=16: the network to start from has width=8",
    "transfer --from parity --task copy --start.run x": "unknown option --start.run",
    "transfer --from parity --task copy --threads 0": "--threads 0: expected a whole number from 1 to 1,024",
    "run --start.run nothing": "cannot start from nothing: nothing: no such run in runs",
    "run --start.epoch 3": "start.run is missing",
    "run --start.run runs/parity": "start.run='runs/parity': expected the name of a run's folder",
}


@pytest.mark.parametrize(("words", "part"), BAD.items())
def test_bad_input_gives_one_line(call, parent, words, part):
    output = call(words)
    assert output.code == 2
    assert part in output.line
    assert len(find_runs(load(parent).folder.path.parent)) == 1


def test_run_can_start_from_another_run(call, parent):
    output = call(
        f"run --start.run {parent} --training.train not-attention {CHILD} --data.max-length 3 --model.width 8"
    )
    assert output.code == 0
    assert "--start.run" in output.out, "the next step keeps the start"


def test_help_shows_no_defaults_since_they_are_the_parents(call):
    text = " ".join(call("transfer --help").out.split())
    assert "--data.max-length N longest number of inputs L --data" in text
    assert "--training.optimizer WORD update rule [adam, adamw, sgd]" in text
    assert "--start" not in text
    assert "--training.train" not in text
