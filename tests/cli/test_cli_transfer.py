"""`iterhead transfer`: the child, and how it is compared."""

import json
import shlex

import pytest

from iterhead.runs.paths import find_runs
from iterhead.runs.run import load

CHILD = "--task copy --threads 1 --training.epochs 3"


@pytest.fixture
def parent(copied):
    return copied.name


def test_it_trains_the_child_and_compares_it_with_the_run_from_scratch(call, parent):
    said = call(f"transfer --from parity {CHILD} --only last-mlp")
    assert (said.code, said.err) == (0, "")
    (child,) = [load(path) for path in find_runs(load(parent).folder.path.parent) if path.name != parent]
    assert child.config.start.run == parent
    assert (child.config.task, child.config.training.train, child.config.training.epochs) == ("copy", "last-mlp", 3)
    assert child.config.model == load(parent).config.model
    assert "epoch 3/3" in said.out
    # Lengths 1 .. 3 of 2 values cannot be copied after three epochs of four steps.
    assert f"Mean accuracy 0.9 on lengths 1 to 3:\n  not within 3 epochs       from {parent}\n" in said.out
    command = said.out.partition("how long it takes from scratch:\n  ")[2].partition("\n")[0]
    assert "--start" not in command
    assert "--training.train" not in command
    words = shlex.split(command)
    assert call(*words[1:], "--quiet --threads 1").code == 0
    again = call(f"transfer --from parity {CHILD} --only last-mlp")
    scratch = next(path.name for path in find_runs(child.folder.path.parent) if path.name not in (parent, child.name))
    assert f"  not within 3 epochs       from scratch, {scratch}\n" in again.out
    assert "is not trained again" in again.out
    assert again.out.rstrip().endswith("report.html")


def test_json_with_the_epochs(call, parent, monkeypatch):
    import iterhead.cli.transfer

    monkeypatch.setattr(iterhead.cli.transfer, "LEARNED_ACCURACY", 0.0)
    said = call(f"transfer --from {parent} {CHILD} --epoch 1 --json")
    found = json.loads(said.out)
    assert said.out.count("\n") == 1
    facts = found["transfer"]
    assert facts["scratch"].pop("command").startswith("iterhead run --task copy --data.max-length 3")
    assert facts == {
        "from": parent,
        "epoch": 1,
        "only": "all",
        "accuracy": 0.0,
        "epochs": 0,
        "trained": 3,
        "scratch": {"run": None, "epochs": None, "trained": None},
    }
    assert found["config"]["start"] == {"run": parent, "epoch": 1}


def test_from_a_path_into_another_folder(call, parent, tmp_path):
    said = call(f"transfer --from runs/{parent} {CHILD} --out others --quiet")
    assert said.code == 0
    assert len(find_runs(tmp_path / "others")) == 1
    assert "how long it takes from scratch:\n  iterhead run " in said.out
    assert said.out.rstrip().endswith("--out others")


BAD = {
    "transfer": "--from: expected the run",
    "transfer --from parity": "--task: expected the task",
    "transfer --from nothing --task copy": "nothing: no such run in runs",
    "transfer --from parity --task copi": "did you mean 'copy'",
    "transfer --from parity --task copy --only mlp": "--only: invalid choice: 'mlp'",
    "transfer --from parity --task copy --epoch x": "--epoch x: expected a whole number",
    "transfer --from parity --task copy --epoch -1": "start.epoch=-1: expected at least 0",
    "transfer --from parity --task copy --epoch 99": "no checkpoint of epoch 99: expected one of 0, 1, 2",
    "transfer --from parity --task copy --data.max-length 4": "knows 9 positions",
    "transfer --from parity --task copy --model.width 16": "model.width=16: the network to start from has width=8",
    "transfer --from parity --task copy --start.run x": "unknown option --start.run",
    "transfer --from parity --task copy --threads 0": "--threads 0: expected at least 1",
    "run --start.run nothing": "cannot start from nothing: nothing: no such run in runs",
    "run --start.epoch 3": "start.run is missing",
    "run --start.run runs/parity": "start.run='runs/parity': expected the name of a run's folder",
}


@pytest.mark.parametrize(("words", "part"), BAD.items())
def test_bad_input_is_one_line(call, parent, words, part):
    said = call(words)
    assert said.code == 2
    assert part in said.line
    assert len(find_runs(load(parent).folder.path.parent)) == 1


def test_run_trains_a_child_too(call, parent):
    said = call(f"run --start.run {parent} --training.train not-attention {CHILD} --data.max-length 3 --model.width 8")
    assert said.code == 0
    assert "--start.run" in said.out, "the next steps keep the start"


def test_help_tells_no_defaults_that_are_the_parents(call):
    text = " ".join(call("transfer --help").out.split())
    assert "--data.max-length N longest number of inputs L --data" in text
    assert "--training.optimizer WORD update rule [adam, adamw, sgd]" in text
    assert "--start" not in text
    assert "--training.train" not in text
