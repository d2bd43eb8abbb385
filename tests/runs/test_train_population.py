"""Runs that are trained as one population: each folder as if its network had been trained alone."""

import multiprocessing
import random
import signal
import time

import polars as pl
import pytest
import safetensors.torch
from polars.testing import assert_frame_equal

from helpers.members import MEMBERS, member, members
from iterhead import machine
from iterhead.errors import UserError
from iterhead.runs import checkpointing, training
from iterhead.runs.paths import run_folder_name
from iterhead.runs.run import STATE, checkpoint_name, load
from iterhead.runs.storage import CONFIG, RunFolder
from iterhead.runs.training import train, train_population

KILLS = 4

processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(["iterhead.runs.training"])


def together(configs, out, observer=None, *, draw=lambda *_: {"figure.png": b"drawn"}, again=False):
    """Without drawing, in other processes too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpointing, "run_figure_files", draw)
        return train_population(configs, out=out, threads=1, device="cpu", observer=observer, again=again)


def alone(config, out, observer=None):
    """By `train`, which is a population of one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpointing, "run_figure_files", lambda *_: {"figure.png": b"drawn"})
        return train(config, out=out, threads=1, device="cpu", observer=observer)


def assert_equal_runs(run, expected):
    """All but the times: scores of counted things are equal, losses, weights and moments to a billionth."""
    assert run.config == expected.config
    status, other = run.status, expected.status
    assert (status.state, status.epoch, status.emerged) == (other.state, other.epoch, other.emerged)
    assert run.folder.names() == expected.folder.names()
    assert run.checkpoints == expected.checkpoints
    assert_frame_equal(run.measurements, expected.measurements, rel_tol=0, abs_tol=1e-9)
    for name in (STATE, *map(checkpoint_name, run.checkpoints)):
        resumed, straight = (safetensors.torch.load(folder.read(name)) for folder in (run.folder, expected.folder))
        assert resumed.keys() == straight.keys()
        for key, tensor in resumed.items():
            assert tensor.dtype == straight[key].dtype
            assert float((tensor - straight[key]).abs().max()) < 1e-9, (name, key)


def content(run):
    """Every file of a run with its content and the time it was written."""
    files = (path for path in run.folder.path.rglob("*") if path.is_file())
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


@pytest.fixture
def groups(monkeypatch):
    """The tasks and seeds of every computation that begins, in order."""
    started = []

    class Recorded(training.Trainer):
        def __init__(self, configs, **given):
            started.append([(config.task, config.seed) for config in configs])
            super().__init__(configs, **given)

    monkeypatch.setattr(training, "Trainer", Recorded)
    return started


class StopError(Exception):
    pass


class Watch:
    """Keeps its calls; stops the training when the run of a config is saved after an epoch."""

    def __init__(self, config=None, epoch=-1):
        self.name, self.epoch = config and run_folder_name(config), epoch
        self.calls = []

    def started(self, run, evaluations):
        self.calls.append((run.name, [one.epoch for one in evaluations]))

    def evaluated(self, run, evaluation):
        self.calls.append((run.name, evaluation.epoch))
        if (run.name, evaluation.epoch) == (self.name, self.epoch):
            raise StopError


EPOCHS = {"training": {"epochs": 4}}


@pytest.fixture(scope="module")
def references(tmp_path_factory):
    """The three networks, each trained alone for four epochs."""
    out = tmp_path_factory.mktemp("alone")
    return [alone(config, out) for config in members(**EPOCHS)]


def test_a_population_leaves_the_folders_that_its_networks_leave_alone(tmp_path, references, groups):
    configs = members(**EPOCHS)
    runs = together(configs, tmp_path)
    assert groups == [[(config.task, config.seed) for config in configs]]
    for run, expected, config in zip(runs, references, configs, strict=True):
        assert run.config == config
        assert_equal_runs(run, expected)
    # Their test sets have other sizes, so that not all are scored in one go.
    sizes = {tuple(len(part) for part in run.dataset.test.values()) for run in runs}
    assert len(sizes) == 3


def test_runs_come_in_order_and_what_is_given_twice_is_trained_once(tmp_path, references, groups):
    first, second, third = members(**EPOCHS)
    runs = together([third, first, third, second, first], tmp_path)
    assert [run.config for run in runs] == [third, first, third, second, first]
    assert len(groups) == 1
    assert len(groups[0]) == 3
    assert len(list(tmp_path.iterdir())) == 3
    for run, place in zip(runs, (2, 0, 2, 1, 0), strict=True):
        assert_equal_runs(run, references[place])


def test_finished_runs_are_not_touched(tmp_path, references, groups):
    configs = members(**EPOCHS)
    (finished,) = together(configs[1:2], tmp_path)
    before = content(finished)
    watch = Watch()
    runs = together(configs, tmp_path, watch)
    assert content(runs[1]) == before
    assert len(before) > 5
    assert [len(group) for group in groups] == [1, 2]
    assert finished.name not in {name for name, _ in watch.calls}
    for run, expected in zip(runs, references, strict=True):
        assert_equal_runs(run, expected)
    groups.clear()
    assert [run.name for run in together(configs, tmp_path)] == [run.name for run in runs]
    assert groups == []


def test_no_configs_are_no_runs(tmp_path):
    assert together([], tmp_path / "none") == []
    assert not (tmp_path / "none").exists()


def test_configs_that_disagree_are_trained_one_population_after_another(tmp_path, groups):
    wide, narrow = {"width": 16}, {"width": 12}
    configs = [
        member(own, model=width, training={"epochs": 2})
        for own, width in zip((*MEMBERS, MEMBERS[0]), (narrow, wide, narrow, wide), strict=True)
    ]
    runs = together(configs, tmp_path / "together")
    tasks = [(config.task, config.seed) for config in configs]
    assert groups == [[tasks[0], tasks[2]], [tasks[1], tasks[3]]]
    for run, config in zip(runs, configs, strict=True):
        assert_equal_runs(run, alone(config, tmp_path / "alone"))


def test_a_computation_holds_no_more_networks_than_files_may_be_open(tmp_path, references, groups, monkeypatch):
    monkeypatch.setattr(training, "MAX_NETWORKS", 2)
    runs = together(members(**EPOCHS), tmp_path)
    assert [len(group) for group in groups] == [2, 1]
    for run, expected in zip(runs, references, strict=True):
        assert_equal_runs(run, expected)


def test_again_trains_all_beside_the_finished_ones(tmp_path):
    configs = members(training={"epochs": 1})
    first = together(configs, tmp_path)
    second = together(configs, tmp_path, again=True)
    assert [run.name for run in second] == [f"{run.name}-2" for run in first]


def test_an_observer_is_told_of_every_run_and_epoch(tmp_path):
    configs = members(training={"epochs": 2})
    watch = Watch()
    names = [run.name for run in together(configs, tmp_path, watch)]
    expected = [(name, [0]) for name in names] + [(name, epoch) for epoch in (1, 2) for name in names]
    assert watch.calls == expected


# Leaving at other times


def test_each_network_has_its_own_limit_and_evaluations(tmp_path, groups):
    own = [{"epochs": 2}, {"epochs": 5, "evaluate_every": 2}, {"epochs": 3, "evaluation_per_length": 2}]
    configs = [
        member({**one, "training": one["training"] | settings}) for one, settings in zip(MEMBERS, own, strict=True)
    ]
    runs = together(configs, tmp_path / "together")
    assert len(groups) == 1
    assert [run.checkpoints for run in runs] == [[0, 1, 2], [0, 2, 4, 5], [0, 1, 2, 3]]
    for run, config in zip(runs, configs, strict=True):
        assert_equal_runs(run, alone(config, tmp_path / "alone"))


def test_networks_stop_early_each_by_itself(tmp_path, monkeypatch):
    """Said to have emerged at the third evaluation: after 3 epochs, after 6, and for one that does not mind, at 8."""
    monkeypatch.setattr(checkpointing, "has_emerged", lambda scores: len(scores) >= 3)
    own = [{"early_stop": True}, {"early_stop": True, "evaluate_every": 2}, {"early_stop": False}]
    configs = [
        member({**one, "training": one["training"] | settings | {"epochs": 8}})
        for one, settings in zip(MEMBERS, own, strict=True)
    ]
    runs = together(configs, tmp_path / "together")
    assert [run.status.epoch for run in runs] == [3, 6, 8]
    assert all(run.status.emerged for run in runs)
    for run, config in zip(runs, configs, strict=True):
        assert_equal_runs(run, alone(config, tmp_path / "alone"))


def test_one_diverges_and_the_others_end_as_if_alone(tmp_path):
    # Without norms, SGD at a rate of 3,000 overflows within the first epochs.
    common = {"model": {"norm": "none"}}
    configs = [
        member({**own, "training": {"optimizer": "sgd", "lr": lr, "epochs": 4}}, **common)
        for own, lr in zip(MEMBERS, (0.05, 3000.0, 0.02), strict=True)
    ]
    runs = together(configs, tmp_path / "together")
    assert [run.status.state for run in runs] == ["finished", "diverged", "finished"]
    for run, config in zip(runs, configs, strict=True):
        expected = alone(config, tmp_path / "alone")
        assert run.status.message == expected.status.message
        if run.status.state == "finished":
            assert_equal_runs(run, expected)
    broken = runs[1]
    assert broken.status.epoch == broken.checkpoints[-1] < 4
    assert f"the checkpoint of epoch {broken.status.epoch} is the last good one" in broken.status.message
    assert all(tensor.isfinite().all() for tensor in broken.model.state_dict().values())
    before = content(broken)
    together(configs, tmp_path / "together")
    assert content(broken) == before


# Going on


def test_a_population_that_stops_between_two_saves_goes_on(tmp_path, references, groups):
    """After epoch 2 the first run is saved and the others are not: these catch up, then all go on together."""
    configs = members(**EPOCHS)
    with pytest.raises(StopError):
        together(configs, tmp_path, Watch(configs[0], 2))
    folders = [tmp_path / run_folder_name(config) for config in configs]
    assert [load(folder).status.epoch for folder in folders] == [2, 1, 1]
    groups.clear()
    watch = Watch()
    runs = together(configs, tmp_path, watch)
    assert [[seed for _, seed in group] for group in groups] == [[4, 9], [0, 4, 9]]
    names = [run.name for run in runs]
    assert watch.calls[:2] == [(name, [0, 1]) for name in names[1:]]
    assert watch.calls[2:4] == [(name, 2) for name in names[1:]]
    assert watch.calls[4:7] == [(name, [0, 1, 2]) for name in names]
    assert watch.calls[7:] == [(name, epoch) for epoch in (3, 4) for name in names]
    for run, expected in zip(runs, references, strict=True):
        assert_equal_runs(run, expected)


def test_runs_begun_alone_go_on_together_with_new_ones(tmp_path, references, groups):
    configs = members(**EPOCHS)
    for config, epoch in zip(configs[:2], (1, 3), strict=True):
        with pytest.raises(StopError):
            alone(config, tmp_path, Watch(config, epoch))
    groups.clear()
    runs = together(configs, tmp_path)
    assert [[seed for _, seed in group] for group in groups] == [[9], [0, 9], [0, 4, 9]]
    for run, expected in zip(runs, references, strict=True):
        assert_equal_runs(run, expected)


def test_runs_that_are_never_saved_at_the_same_time_end_all_the_same(tmp_path):
    """Saved at 0, 2, 4, ..; at 0, 3, 6, .., and after every epoch; stopped after the epochs 4 and 3 and never begun."""
    often = [{"evaluate_every": 2}, {"evaluate_every": 3}, {}]
    configs = [
        member({**one, "training": one["training"] | settings | {"epochs": 7}})
        for one, settings in zip(MEMBERS, often, strict=True)
    ]
    for config, epoch in zip(configs[:2], (4, 3), strict=True):
        with pytest.raises(StopError):
            alone(config, tmp_path / "together", Watch(config, epoch))
    runs = together(configs, tmp_path / "together")
    assert [run.checkpoints for run in runs] == [[0, 2, 4, 6, 7], [0, 3, 6, 7], list(range(8))]
    for run, config in zip(runs, configs, strict=True):
        assert_equal_runs(run, alone(config, tmp_path / "alone"))


def test_a_run_that_another_process_holds_is_told_and_the_rest_can_go_on(tmp_path, references):
    configs = members(**EPOCHS)
    process, reports = start(configs[1:2], tmp_path, pause=True)
    try:
        assert reports.poll(60)
        with pytest.raises(UserError, match=f"another process .pid {process.pid} .* is working on this run"):
            together(configs, tmp_path)
    finally:
        process.kill()
        process.join()
    for run, expected in zip(together(configs, tmp_path), references, strict=True):
        assert_equal_runs(run, expected)


def test_locked_runs_are_skipped_if_wanted(tmp_path, references):
    configs = members(**EPOCHS)
    with RunFolder(tmp_path / run_folder_name(configs[1])).lock():
        runs = train_population(configs, out=tmp_path, threads=1, device="cpu", skip_locked=True)
    assert [run.config for run in runs] == [configs[0], configs[2]]
    for run, expected in zip(runs, (references[0], references[2]), strict=True):
        assert_equal_runs(run, expected)


def test_a_locked_run_whose_parent_is_missing_is_skipped(tmp_path):
    config = member(MEMBERS[0], start={"run": "copy-0123456789"})
    folder = RunFolder(tmp_path / run_folder_name(config))
    with folder.lock():
        folder.write_json(CONFIG, config.model_dump(mode="json"))
        (run,) = train_population([config], out=tmp_path, device="cpu", skip_locked=True)
        assert run.status.epoch == 0
    with pytest.raises(UserError, match=r"^cannot start from copy-0123456789: "):
        train_population([config], out=tmp_path, device="cpu", skip_locked=True)


def test_runs_that_another_process_finishes_meanwhile_are_left_to_it(tmp_path, references, monkeypatch):
    """It finishes one run between the moment the trainer is made and the moment the runs are locked."""
    configs = members(**EPOCHS)
    made = []

    class Slow(training.Trainer):
        def __init__(self, configs, **given):
            super().__init__(configs, **given)
            made.append(len(configs))
            if len(made) == 1:
                alone(configs[1], tmp_path)

    monkeypatch.setattr(training, "Trainer", Slow)
    runs = together(configs, tmp_path)
    assert made == [3, 1]
    for run, expected in zip(runs, references, strict=True):
        assert_equal_runs(run, expected)


class Reporter:
    """Sends every epoch that is saved through a pipe."""

    def __init__(self, pipe, pause):
        self.pipe, self.pause = pipe, pause

    def started(self, run, evaluations):
        self.pipe.send((run.name, evaluations[-1].epoch))
        if self.pause:
            time.sleep(60)

    def evaluated(self, run, evaluation):
        self.pipe.send((run.name, evaluation.epoch))


def work(configs, out, pipe, pause):
    together(configs, out, Reporter(pipe, pause))


def start(configs, out, pause=False):
    reports, pipe = processes.Pipe(duplex=False)
    process = processes.Process(target=work, args=(configs, out, pipe, pause))
    process.start()
    pipe.close()
    return process, reports


def take(reports, reported, least):
    """Take in what has been sent, at least so many reports; until the other end is closed."""
    try:
        while least > 0 or reports.poll(0):
            name, epoch = reports.recv()
            reported[name] = max(epoch, reported.get(name, -1))
            least -= 1
    except EOFError:
        pass


def test_a_population_killed_at_random_moments_loses_nothing_that_was_reported(tmp_path):
    configs = members(training={"epochs": 24})
    moments = random.Random(1)
    reported = {}
    for _ in range(KILLS):
        process, reports = start(configs, tmp_path / "killed")
        take(reports, reported, least=moments.randint(1, 9))
        time.sleep(moments.uniform(0.0, 0.03))
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL, "the runs ended before they were killed: give them more epochs"
        take(reports, reported, least=0)
        for name, epoch in reported.items():
            assert load(tmp_path / "killed" / name).status.epoch >= epoch, "an epoch that was reported as saved is gone"
    assert len(reported) == 3
    assert min(reported.values()) > 1, "the kills hit runs that hardly went on"
    resumed = together(configs, tmp_path / "killed")
    for run, expected in zip(resumed, together(configs, tmp_path / "whole"), strict=True):
        assert run.status.state == "finished"
        assert_equal_runs(run, expected)


# Number formats and devices


def wide(**training):
    """As wide as auto asks for."""
    return member(MEMBERS[0], model={"width": 64}, training={"epochs": 4, **training})


def assert_same_bits(run, expected):
    assert_frame_equal(run.measurements, expected.measurements, check_exact=True)
    assert run.folder.read(STATE) == expected.folder.read(STATE)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_an_interrupted_run_goes_on_to_the_same_bits(tmp_path, precision):
    config = wide(precision=precision)
    whole = alone(config, tmp_path / "whole")
    with pytest.raises(StopError):
        alone(config, tmp_path / "stopped", Watch(config, 2))
    resumed = alone(config, tmp_path / "stopped")
    assert resumed.status.precision == whole.status.precision == precision
    assert_same_bits(resumed, whole)


@pytest.mark.parametrize(
    ("first", "precision", "later"), [(True, "bfloat16", "float32"), (False, "float32", "bfloat16")]
)
def test_a_resumed_run_keeps_the_precision_of_its_beginning(tmp_path, monkeypatch, first, precision, later):
    config = wide(precision="auto")
    explicit = alone(wide(precision=precision), tmp_path / "explicit")
    monkeypatch.setattr(machine, "has_fast_bfloat16", lambda device: first)
    with pytest.raises(StopError):
        alone(config, tmp_path / "stopped", Watch(config, 2))
    monkeypatch.setattr(machine, "has_fast_bfloat16", lambda device: not first)
    resumed = alone(config, tmp_path / "stopped")
    assert resumed.status.precision == precision
    assert_same_bits(resumed, explicit)
    # A new run begins with what auto means now, and that is something else.
    other = alone(config, tmp_path / "other")
    assert other.status.precision == later
    assert not other.measurements["value"].equals(resumed.measurements["value"])


def test_runs_that_began_in_other_formats_go_on_apart(tmp_path, monkeypatch, groups):
    common = {"model": {"width": 64}, "training": {"epochs": 3, "precision": "auto"}}
    configs = [member(own, **common) for own in MEMBERS[:2]]
    for config, fast in zip(configs, (True, False), strict=True):
        monkeypatch.setattr(machine, "has_fast_bfloat16", lambda device, fast=fast: fast)
        with pytest.raises(StopError):
            alone(config, tmp_path, Watch(config, 1))
    groups.clear()
    runs = together(configs, tmp_path)
    assert [run.status.precision for run in runs] == ["bfloat16", "float32"]
    assert [len(group) for group in groups] == [1, 1]


def test_a_device_that_is_not_there_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(UserError, match=r"^device=cuda: PyTorch finds none here"):
        train(wide(), out=tmp_path / "runs", device="cuda")
    assert not (tmp_path / "runs").exists()


def test_the_status_tells_threads_device_and_precision(tmp_path):
    run = alone(wide(precision="float32", epochs=1), tmp_path)
    assert (run.status.threads, run.status.device, run.status.precision) == (1, "cpu", "float32")


def test_losses_are_those_of_every_epoch_of_every_run(tmp_path):
    for run in together(members(training={"epochs": 3}), tmp_path):
        losses = run.measurements.filter(pl.col("name") == "loss")
        assert losses["epoch"].to_list() == [1, 2, 3]
        assert losses["split"].to_list() == ["train"] * 3


def test_times_are_shared_among_the_networks_by_hand(tmp_path, monkeypatch):
    """On a clock that goes by 30 in an epoch's steps and by 100 while a figure is drawn, and stands still else.

    Four epochs are 120, a third of it for each of three networks: 40; and a figure for each: 140.
    """
    clock = [0.0]

    def drawn(*_):
        clock[0] += 100
        return {"figure.png": b"drawn"}

    class Timed(training.Trainer):
        def train_epoch(self):
            clock[0] += 30
            return super().train_epoch()

    monkeypatch.setattr(training, "Trainer", Timed)
    monkeypatch.setattr(checkpointing.time, "perf_counter", lambda: clock[0])
    runs = together(members(**EPOCHS), tmp_path, draw=drawn)
    assert [run.status.train_seconds for run in runs] == pytest.approx([40, 40, 40])
    assert [run.status.total_seconds for run in runs] == pytest.approx([140, 140, 140])


@pytest.mark.parametrize("threads", [-1, -8])
def test_impossible_threads_are_told_before_anything_is_written(tmp_path, threads):
    with pytest.raises(UserError, match=f"^threads={threads}: expected 1 to 1,024$"):
        train_population(members(), out=tmp_path / "runs", threads=threads, device="cpu")
    assert not (tmp_path / "runs").exists()
