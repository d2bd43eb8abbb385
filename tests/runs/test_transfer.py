"""Runs that start from another run's network."""

import hashlib
import shutil

import pytest
import torch

from helpers.members import member
from iterhead.errors import UserError
from iterhead.runs import checkpointing
from iterhead.runs.paths import find_runs, run_folder_name
from iterhead.runs.run import PROVENANCE, STATE, STATUS, Start, checkpoint_name, load, provenance
from iterhead.runs.storage import CONFIG, RunFolder
from iterhead.runs.training import train, train_population
from iterhead.runs.transfer import from_scratch, transfer
from iterhead.runs.worker_pool import make_jobs, train_many

MEANS = {"threads": 1, "device": "cpu"}


def settings(task, seed=0, start=None, epoch=None, **training):
    """A run of three epochs of which the first sees short lengths only."""
    own = {"task": task, "seed": seed, "training": {"epochs": 3, **training}}
    return member(own | ({"start": {"run": start, "epoch": epoch}} if start else {}))


@pytest.fixture(scope="module")
def ancestors(tmp_path_factory):
    """The folder of two finished runs; nobody may change it.

    While it is there nothing is drawn in this process, which would take most of the time of runs as small as these.
    """
    out = tmp_path_factory.mktemp("ancestors")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpointing, "run_figure_files", lambda *_: {"figure.png": b"drawn"})
        train_population([settings("copy"), settings("polynomial:p=5", seed=1)], out=out, **MEANS)
        yield out


@pytest.fixture
def out(ancestors, tmp_path):
    return shutil.copytree(ancestors, tmp_path / "runs")


@pytest.fixture
def parent(out):
    return load("copy", out)


def same_bits(tensors, others):
    return tensors.keys() == others.keys() and all(torch.equal(tensor, others[n]) for n, tensor in tensors.items())


class StopError(Exception):
    pass


class Stop:
    """Stops the training once an epoch is saved."""

    def __init__(self, epoch):
        self.epoch = epoch

    def started(self, run, evaluations):
        if self.epoch == 0:
            raise StopError

    def evaluated(self, run, evaluation):
        if evaluation.epoch == self.epoch:
            raise StopError


def test_a_child_begins_with_its_parents_weights_and_records_whose(out, parent):
    child = train(settings("parity", start=parent.name), out=out, **MEANS)
    assert child.status.state == "finished"
    assert same_bits(child.weights_at(0), parent.weights_at(3))
    assert not same_bits(child.weights_at(3), parent.weights_at(3))
    checksum = hashlib.sha256((parent.folder.path / checkpoint_name(3)).read_bytes()).hexdigest()
    assert child.provenance.start.model_dump() == {"run": parent.name, "epoch": 3, "sha256": checksum}
    assert parent.provenance.start is None
    assert load(child.name, out).config == child.config


def test_an_earlier_checkpoint(out, parent):
    child = train(settings("parity", start=parent.name, epoch=1), out=out, **MEANS)
    assert same_bits(child.weights_at(0), parent.weights_at(1))
    assert child.provenance.start.epoch == 1


@pytest.mark.parametrize("epoch", [0, 1, 2])
@pytest.mark.parametrize("training", [{}, {"train": "last-mlp"}, {"train": "not-attention"}], ids=str)
def test_a_child_goes_on_to_the_same_bits_when_its_parent_is_gone(out, parent, tmp_path, epoch, training):
    config = settings("parity", start=parent.name, **training)
    straight = train(config, out=tmp_path / "straight", parents=out, **MEANS)
    with pytest.raises(StopError):
        train(config, out=out, observer=Stop(epoch), **MEANS)
    shutil.rmtree(parent.folder.path)
    child = train(config, out=out, **MEANS)
    assert child.status.epoch == 3
    assert child.provenance == straight.provenance
    for name in (STATE, *map(checkpoint_name, range(4))):
        assert child.folder.read(name) == straight.folder.read(name), name
    assert child.measurements.equals(straight.measurements)


def test_a_child_that_keeps_no_early_checkpoint_goes_on_to_the_same_bits(out, parent, tmp_path):
    """Studies keep the last checkpoint only, so the one of epoch 0 is gone when a child goes on."""
    config = settings("parity", start=parent.name, train="last-mlp")
    straight = train(config, out=tmp_path / "straight", parents=out, **MEANS)
    with pytest.raises(StopError):
        train_population([config], out=out, kept_checkpoints={config: ()}, observer=Stop(2), **MEANS)
    shutil.rmtree(parent.folder.path)
    (child,) = train_population([config], out=out, kept_checkpoints={config: ()}, **MEANS)
    assert child.checkpoints == [3]
    assert same_bits(child.weights_at(3), straight.weights_at(3))


def test_a_finished_child_is_returned_without_its_parent(out, parent):
    config = settings("parity", start=parent.name)
    child = train(config, out=out, **MEANS)
    shutil.rmtree(parent.folder.path)
    assert train(config, out=out, **MEANS).name == child.name


def test_children_of_different_parents_are_one_population_as_if_alone(out, tmp_path):
    names = [path.name for path in find_runs(out)]
    configs = [settings("parity", seed=4, start=name, lr=lr) for name, lr in zip(names, (1e-3, 3e-3), strict=True)]
    configs.append(settings("parity", seed=4))
    runs = train_population(configs, out=out, **MEANS)
    for run, config in zip(runs, configs, strict=True):
        alone = train(config, out=tmp_path / "alone", parents=out, **MEANS)
        for name, tensor in alone.weights_at(3).items():
            assert float((tensor - run.weights_at(3)[name]).abs().max()) < 1e-9
    assert len({float(run.weights_at(3)["embed.W_E"].sum()) for run in runs}) == 3


def test_what_is_recorded_is_the_start_that_was_made(out, parent):
    """A child killed before its first save starts from its parent as it is now."""
    config = settings("parity", start=parent.name, epochs=1)
    folder = RunFolder(out / run_folder_name(config))
    with folder.lock():
        folder.write_json(PROVENANCE, provenance(config, Start(run=parent.name, epoch=3, sha256="another")))
        folder.write_json(CONFIG, config.model_dump(mode="json"))
    child = train(config, out=out, **MEANS)
    checksum = hashlib.sha256(parent.folder.read(checkpoint_name(3))).hexdigest()
    assert child.provenance.start.sha256 == checksum


# Runs and those that start from them in one list


@pytest.fixture
def family():
    """A run, its child, and the child of that; and one that has nothing to do with them. The youngest first."""
    first = settings("copy", epochs=2)
    second = settings("parity", start=run_folder_name(first), epochs=2)
    third = settings("copy", seed=3, start=run_folder_name(second), epochs=2, train="last-mlp")
    return [third, second, settings("parity", seed=8, epochs=2), first]


def check_family(runs):
    third, second, _, first = runs
    assert same_bits(second.weights_at(0), first.weights_at(2))
    assert same_bits(third.weights_at(0), second.weights_at(2))


@pytest.mark.usefixtures("ancestors")
def test_a_population_trains_parents_before_their_children(family, tmp_path):
    runs = train_population(family, out=tmp_path, **MEANS)
    assert [run.config for run in runs] == family
    check_family(runs)


def test_many_runs_wait_for_their_parents(family, tmp_path):
    results = {result.config: result for result in train_many(family, out=tmp_path, workers=2, **MEANS)}
    assert [results[config].error for config in family] == [""] * 4
    check_family([results[config].run for config in family])


def test_jobs_hold_no_parent_with_its_child(family):
    third, second, other, first = family
    # Width 12: four networks of one kind would be one job of a single worker.
    assert make_jobs(family, 1, "cpu") == [[other, first], [second], [third]]


def test_many_children_of_parents_elsewhere(out, tmp_path):
    configs = [settings("parity", seed=seed, start=load("copy", out).name, epochs=1) for seed in (1, 2)]
    results = list(train_many(configs, out=tmp_path / "children", parents=out, workers=1, **MEANS))
    assert [result.error for result in results] == ["", ""]
    assert len(find_runs(tmp_path / "children")) == 2


def test_a_child_whose_parent_fails_is_told_and_ends(tmp_path):
    first = settings("copy", optimizer="sgd", lr=1e30)
    second = settings("parity", start=run_folder_name(first))
    results = {result.config: result for result in train_many([second, first], out=tmp_path, workers=1, **MEANS)}
    assert results[first].run.status.state == "diverged"
    assert results[second].run is None
    assert "its training diverged" in results[second].error


# Parents that are none


def refusal(config, out, **given):
    before = set(out.iterdir())
    with pytest.raises(UserError) as caught:
        train(config, out=out, **MEANS, **given)
    assert set(out.iterdir()) == before, "nothing is left behind"
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_no_such_parent(out, parent, tmp_path):
    config = settings("parity", start="copy-0123456789")
    assert refusal(config, out).startswith(
        f"cannot start from copy-0123456789: copy-0123456789: no such run in {out}; the nearest: copy-"
    )
    begin = settings("parity", start="copy")
    assert refusal(begin, out) == f"cannot start from copy: no such run in {out}; did you mean {parent.name}?"
    (tmp_path / "empty").mkdir()
    known = settings("parity", start=parent.name)
    assert "no such run" in refusal(known, out, parents=tmp_path / "empty")


def test_an_epoch_that_is_not_there(out, parent):
    message = refusal(settings("parity", start=parent.name, epoch=7), out)
    assert message == (
        f"cannot start from {parent.name}: {parent.folder.path}: no checkpoint of epoch 7: expected one of 0, 1, 2, 3"
    )


@pytest.mark.parametrize(
    ("state", "expected"), [("running", "not finished: 3 of at most 3 epochs are done"), ("diverged", "diverged")]
)
def test_a_parent_that_is_not_finished(out, parent, state, expected):
    status = vars(parent.status) | {"state": state}
    with parent.folder.lock():
        parent.folder.write_json(STATUS, status)
    assert expected in refusal(settings("parity", start=parent.name), out)


@pytest.mark.parametrize("name", [checkpoint_name(3), "config.json", "status.json", "checksums.json"])
def test_a_damaged_parent(out, parent, name):
    path = parent.folder.path / name
    path.write_bytes(path.read_bytes()[:-9] + b"123456789")
    assert "is damaged" in refusal(settings("parity", start=parent.name), out)


def test_a_parent_that_does_not_fit(out, parent):
    config = settings("parity", start=parent.name)
    wide = config.model_copy(update={"model": config.model.model_copy(update={"width": 16})})
    assert refusal(wide, out) == (
        f"cannot start from {parent.name}: model.width=16: the network to start from has width=12: expected the same"
    )


# transfer


def test_transfer_takes_its_settings_from_the_parent(out, parent):
    child = transfer(parent, task="parity", train="last-mlp", epoch=2, training={"epochs": 2, "lr": 0.01}, **MEANS)
    start = {"run": parent.name, "epoch": 2}
    expected = parent.config.model_dump() | {"task": "parity", "start": start}
    expected["training"] |= {"train": "last-mlp", "epochs": 2, "lr": 0.01}
    assert child.config.model_dump() == expected
    assert child.folder.path.parent == out
    assert same_bits(child.weights_at(0), parent.weights_at(2))


def test_transfer_by_name_to_another_folder_and_on_from_a_child(out, parent, tmp_path, monkeypatch):
    first = transfer("copy", task="parity", out=out, seed=5, data={"max_length": 3}, **MEANS)
    assert (first.config.seed, first.config.data.max_length, first.config.context) == (5, 3, 9)
    # The parent knows 11 positions, problem + 4 + EoI + 4 + EoS; the child the first 9 of them.
    assert torch.equal(first.weights_at(0)["pos_embed.W_pos"], parent.weights_at(3)["pos_embed.W_pos"][:, :9])
    monkeypatch.chdir(out)
    second = transfer(first.name, task="copy", out=tmp_path / "others" / "..", train="not-attention", **MEANS)
    assert second.config.start.run == first.name
    assert second.config.training.train == "not-attention"


def test_transfer_refuses_what_it_sets_itself(parent):
    for wrong in ({"start": {"run": "x"}}, {"training": {"train": "all"}}):
        with pytest.raises(UserError, match=r"^(start|training\.train): expected"):
            transfer(parent, task="parity", **wrong)
    with pytest.raises(UserError, match=r"^training=3: expected a table"):
        transfer(parent, task="parity", training=3)
    with pytest.raises(UserError, match="knows 11 positions"):
        transfer(parent, task="parity", data={"max_length": 5})


def test_from_scratch_is_the_same_without_a_start():
    config = settings("parity", seed=3, start="copy-1", train="last-mlp")
    assert from_scratch(config) == settings("parity", seed=3)
