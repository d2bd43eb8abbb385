"""A run killed at any moment goes on to the same bits."""

import multiprocessing
import random
import signal
import time

import polars as pl
import pytest
import torch
from polars.testing import assert_frame_equal

from iterhead.errors import UserError
from iterhead.figures.run_figure import run_figure_files
from iterhead.runs import checkpointing
from iterhead.runs.paths import run_folder_name
from iterhead.runs.run import MEASUREMENTS, STATE, checkpoint_name, load
from iterhead.runs.storage import RunFolder
from iterhead.runs.training import train
from iterhead.runs.worker_pool import train_many
from iterhead.settings import parse_config
from iterhead.training.trainer import Trainer

KILLS, EPOCHS = 10, 48

processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(["iterhead.runs.training"])


def small_config(**training):
    return parse_config(
        {
            "task": "polynomial:p=5",
            "seed": 7,
            "data": {"max_length": 4, "train_per_length": 80, "test_per_length": 30},
            "model": {"width": 16},
            "training": {"batch_size": 16, "epochs": EPOCHS, "evaluate_every": 1, "early_stop": False, **training},
        }
    )


class Reporter:
    """Sends every epoch that is saved through a pipe."""

    def __init__(self, pipe):
        self.pipe = pipe

    def started(self, run, evaluations):
        self.pipe.send(evaluations[-1].epoch)

    def evaluated(self, run, evaluation):
        self.pipe.send(evaluation.epoch)


def work(config, out, pipe):
    train(config, out=out, threads=1, observer=Reporter(pipe))


def start(config, out):
    reports, pipe = processes.Pipe(duplex=False)
    process = processes.Process(target=work, args=(config, out, pipe))
    process.start()
    pipe.close()
    return process, reports


def last_report(reports):
    """Return the last epoch that the process reported before it ended, or -1."""
    epoch = -1
    try:
        while reports.poll(0):
            epoch = reports.recv()
    except EOFError:
        pass
    return epoch


def saved_epoch(out):
    """Return the epoch of the last status that was written, as any reader would see it."""
    runs = list(out.glob("*/status.json"))
    return load(runs[0].parent).status.epoch if runs else -1


def test_killed_at_random_moments_a_run_ends_with_the_same_bits(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpointing, "run_figure_files", run_figure_files)
    config = small_config()
    whole = train(config, out=tmp_path / "whole", threads=1)

    moments = random.Random(0)
    reported = -1
    for kill in range(KILLS):
        process, reports = start(config, tmp_path / "killed")
        if kill % 4 == 0:  # while it starts or resumes
            time.sleep(moments.uniform(0.0, 0.3))
        else:  # some epochs later; the sleep is about as long as an epoch takes on a free machine
            reported = max([reported, *(reports.recv() for _ in range(moments.randint(1, 4)))])
            time.sleep(moments.uniform(0.0, 0.06))
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL, "the run ended before it was killed: give it more epochs"
        reported = max(reported, last_report(reports))
        assert saved_epoch(tmp_path / "killed") >= reported, "an epoch that was reported as saved is gone"
    assert reported > KILLS / 4, "the kills hit a run that hardly went on"

    resumed = train(config, out=tmp_path / "killed", threads=1)
    assert resumed.status.state == "finished"
    assert_frame_equal(resumed.measurements, whole.measurements, check_exact=True)
    for name in (STATE, checkpoint_name(EPOCHS // 4), checkpoint_name(EPOCHS)):
        assert resumed.folder.read(name) == whole.folder.read(name)
    assert resumed.folder.read("figure.png") == whole.folder.read("figure.png")
    assert {path.name for path in resumed.folder.path.iterdir()} == {path.name for path in whole.folder.path.iterdir()}


class StopAfter:
    """Ends the training after an epoch, and remembers the last epoch at the start: reported, and seen in the folder."""

    def __init__(self, epoch):
        self.epoch = epoch

    def started(self, run, evaluations):
        self.seen = (evaluations[-1].epoch, load(run.folder.path).status.epoch)

    def evaluated(self, run, evaluation):
        if evaluation.epoch == self.epoch:
            raise KeyboardInterrupt


def test_a_status_older_than_the_state_is_brought_up_to_date(tmp_path):
    """As after a kill between the two."""
    observers = [StopAfter(epoch) for epoch in (1, 2, 3)]
    for observer in observers:
        with pytest.raises(KeyboardInterrupt):
            train(small_config(), out=tmp_path, threads=1, observer=observer)
        (status,) = tmp_path.glob("*/status.json")
        folder = load(status.parent).folder
        if observer.epoch == 1:
            old = folder.read_json("status.json", dict)
        else:
            folder.write_json("status.json", old)
            assert saved_epoch(tmp_path) == 1
    assert [observer.seen for observer in observers] == [(0, 0), (1, 1), (2, 2)]


def test_two_runs_with_the_same_seed_are_equal_and_another_seed_is_not(tmp_path):
    config = small_config(epochs=3)
    first, second = (train(config, out=tmp_path / name, threads=1) for name in "ab")
    assert_frame_equal(first.measurements, second.measurements, check_exact=True)
    other = train(config.model_copy(update={"seed": 8}), out=tmp_path / "a", threads=1)
    assert not first.measurements["value"].equals(other.measurements["value"])


def test_a_finished_run_is_not_trained_again(tmp_path):
    config = small_config(epochs=2)
    first = train(config, out=tmp_path, threads=1)
    written = first.folder.path.joinpath("status.json").stat().st_mtime_ns
    assert train(config, out=tmp_path, threads=1).folder.path == first.folder.path
    assert first.folder.path.joinpath("status.json").stat().st_mtime_ns == written


def test_again_trains_beside_the_finished_run(tmp_path):
    config = small_config(epochs=2)
    first = train(config, out=tmp_path, threads=1)
    second = train(config, out=tmp_path, threads=1, again=True)
    third = train(config, out=tmp_path, threads=1, again=True)
    assert [run.name.removeprefix(first.name) for run in (first, second, third)] == ["", "-2", "-3"]
    assert_frame_equal(first.measurements, third.measurements, check_exact=True)


def test_a_second_process_on_the_same_run_is_told_so(tmp_path):
    config = small_config(epochs=2000)
    process, reports = start(config, tmp_path)
    try:
        assert reports.poll(60)
        with pytest.raises(UserError, match=f"another process .pid {process.pid} .* is working on this run"):
            train(config, out=tmp_path, threads=1)
    finally:
        process.kill()
        process.join()


@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize("end", [KeyboardInterrupt, UserError], ids=["killed", "full disk"])
def test_ended_before_it_removed_what_is_not_kept(tmp_path, monkeypatch, many, end):
    config = small_config(epochs=3)
    kept = {config: (1,)}

    def stop(folder, names):
        if STATE in names and load(folder.path).status.state == "finished":
            raise end("stopped here")
        remove(folder, names)

    remove = RunFolder.remove
    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "remove", stop)
        with pytest.raises(end):
            train(config, out=tmp_path, threads=1, kept_checkpoints=kept)
    folder = RunFolder(tmp_path / run_folder_name(config))
    if end is KeyboardInterrupt:
        (folder.path / ".holder.json").write_text("{}")
        (folder.path / ".checksums.json.0123abcd.tmp").touch()
    assert folder.has(STATE)
    if many:
        assert [result.error for result in train_many([config], out=tmp_path, kept_checkpoints=kept)] == [""]
    else:
        train(config, out=tmp_path, threads=1, kept_checkpoints=kept)
    assert load(folder.path).checkpoints == [1, 3]
    assert {path.name for path in folder.path.iterdir()} == {
        *(".lock", "checkpoints", "checksums.json", "config.json", "measurements.parquet", "provenance.json"),
        "status.json",
    }


def test_a_finished_run_that_keeps_everything_is_left_as_it_is(tmp_path):
    config = small_config(epochs=3)
    run = train(config, out=tmp_path, threads=1)
    (run.folder.path / ".holder.json").write_text("{}")
    names = run.folder.names()
    train(config, out=tmp_path, threads=1, kept_checkpoints={})
    assert run.folder.names() == names
    assert not (run.folder.path / ".holder.json").exists()


def test_a_loss_that_is_not_finite_stops_and_the_last_good_checkpoint_stays(tmp_path):
    # Without norms, SGD at a rate of 3,000 overflows float32 within the first epochs.
    values = small_config(optimizer="sgd", lr=3000.0, evaluate_every=1).model_dump()
    values["model"]["norm"] = "none"
    run = train(parse_config(values), out=tmp_path, threads=1)
    assert run.status.state == "diverged"
    assert "the loss or the weights are not finite" in run.status.message
    assert f"the checkpoint of epoch {run.status.epoch} is the last good one" in run.status.message
    assert run.checkpoints[-1] == run.status.epoch
    assert all(tensor.isfinite().all() for tensor in run.model.state_dict().values())
    assert train(run.config, out=tmp_path, threads=1).status == run.status


def test_a_flipped_byte_is_named_with_its_checksum(tmp_path):
    run = train(small_config(epochs=2), out=tmp_path, threads=1)
    path = run.folder.path / MEASUREMENTS
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"measurements\.parquet is damaged: sha256 [0-9a-f]{12}, expected"):
        _ = load(run.folder.path).measurements


def test_measurements_hold_every_evaluation_once(tmp_path):
    run = train(small_config(epochs=5, evaluate_every=2), out=tmp_path, threads=1)
    accuracies = run.measurements.filter(pl.col("name") == "accuracy")
    # Untrained, after 2 and 4 epochs, and at the limit of 5, at each of 4 lengths; then all test sequences once.
    assert accuracies.filter(pl.col("split") == "sample")["epoch"].to_list() == [0] * 4 + [2] * 4 + [4] * 4 + [5] * 4
    assert accuracies.filter(pl.col("split") == "test")["epoch"].to_list() == [5] * 4
    losses = run.measurements.filter(pl.col("name") == "loss")
    assert losses["epoch"].to_list() == [1, 2, 3, 4, 5]
    assert losses["value"].to_list()[-1] < losses["value"].to_list()[0]


def test_again_trains_beside_damaged_runs(tmp_path):
    """The advice given for a damaged folder must work, whichever file is damaged."""
    config = small_config(epochs=1)
    run = train(config, out=tmp_path, threads=1)
    for number, name in enumerate(("config.json", "status.json", "measurements.parquet", "checksums.json"), start=2):
        path = run.folder.path / name
        path.write_bytes(b"?" + path.read_bytes()[1:])
        run = train(config, out=tmp_path, threads=1, again=True)  # all before it are damaged
        assert run.name == f"{run_folder_name(config)}-{number}"
        assert run.status.state == "finished"


def test_weights_that_are_not_finite_are_never_saved_as_good(tmp_path, monkeypatch):
    """The last step of an epoch may break the weights after every loss of it was finite."""
    sound = Trainer.train_epoch

    def breaking(trainer):
        loss = sound(trainer)
        if trainer.epoch == 2:
            trainer.optimizer.weights[0, 0] = torch.nan
        return loss

    monkeypatch.setattr(Trainer, "train_epoch", breaking)
    run = train(small_config(epochs=4), out=tmp_path, threads=1)
    assert run.status.state == "diverged"
    assert run.checkpoints[-1] == run.status.epoch == 1
    assert all(tensor.isfinite().all() for tensor in run.model.state_dict().values())
