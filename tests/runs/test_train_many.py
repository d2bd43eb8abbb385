"""Many runs side by side: every one of them, whatever happens to the processes."""

import multiprocessing.forkserver
import os
import signal

import pytest
import torch

from iterhead.errors import UserError
from iterhead.runs import worker_pool
from iterhead.runs.run import load
from iterhead.runs.training import train
from iterhead.runs.worker_pool import make_jobs, train_many
from iterhead.settings import parse_config


def config_of(seed, width=48, **training):
    return parse_config(
        {
            "task": "parity",
            "seed": seed,
            "data": {"max_length": 4, "train_per_length": 32, "test_per_length": 8},
            "model": {"width": width, "vocabulary": 8},
            "training": {"epochs": 2, "batch_size": 16, "early_stop": False, **training},
        }
    )


def trained(configs, out, **options):
    return list(train_many(configs, out=out, device="cpu", threads=1, **options))


def test_runs_in_processes_are_what_they_are_here(tmp_path):
    configs = [config_of(seed) for seed in (3, 1, 2)]
    results = trained(configs, tmp_path / "many", workers=2, kept_checkpoints={})  # so that no figure is drawn
    assert {result.config.seed for result in results} == {1, 2, 3}
    for result in results:
        alone = train(result.config, out=tmp_path / "alone", threads=1, device="cpu", kept_checkpoints={})
        assert result.run.measurements.equals(alone.measurements)
        assert result.run.status.threads == 1


def test_finished_runs_come_first_and_are_not_trained_again(tmp_path):
    train(config_of(2), out=tmp_path, threads=1, device="cpu")
    written = next(tmp_path.glob("*/status.json")).stat().st_mtime_ns
    results = trained([config_of(1), config_of(2), config_of(1)], tmp_path, workers=1)
    assert [result.config.seed for result in results] == [2, 1]
    assert results[0].run.folder.path.joinpath("status.json").stat().st_mtime_ns == written


def test_failed_runs_are_reported_and_the_others_continue(tmp_path):
    configs = [config_of(1), config_of(2)]
    broken = train(configs[0].model_copy(), out=tmp_path, threads=1, device="cpu").folder.path
    (broken / "status.json").unlink()  # which the checksums name
    (broken / "state.safetensors").write_bytes(b"?")
    first, second = sorted(trained(configs, tmp_path, workers=2), key=lambda result: result.config.seed)
    assert first.run is None
    assert "status.json is missing" in first.error
    assert "\n" not in first.error
    assert second.run.status.state == "finished"


def killing(times, tmp_path):
    """Return a tick that kills the first workers that it sees, each once."""
    killed = set()

    def tick():
        for child in multiprocessing.active_children():
            if len(killed | {child.pid}) <= times and list(tmp_path.glob("*/state.safetensors")):
                os.kill(child.pid, signal.SIGKILL)
                killed.add(child.pid)

    return tick


def test_a_killed_workers_run_is_started_again_to_the_same_bits(tmp_path, monkeypatch):
    monkeypatch.setattr(worker_pool, "TICK", 0.05)
    config, out = config_of(1, epochs=40), tmp_path / "killed"
    kills = killing(worker_pool.MAX_ATTEMPTS - 1, out)
    (result,) = trained([config], out, workers=1, tick=kills, kept_checkpoints={})
    alone = train(config, out=tmp_path / "alone", threads=1, device="cpu", kept_checkpoints={})
    assert result.run.measurements.equals(alone.measurements)
    for ours, theirs in zip(result.run.model.parameters(), alone.model.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_a_run_whose_workers_are_always_killed_fails(tmp_path, monkeypatch):
    monkeypatch.setattr(worker_pool, "TICK", 0.05)
    config = config_of(1, epochs=2000)
    (result,) = trained([config], tmp_path, workers=1, tick=killing(worker_pool.MAX_ATTEMPTS, tmp_path))
    assert result.run is None
    assert result.error == "its process ended with exit code -9, 3 times in a row"


def test_a_killed_server_of_processes_is_started_again(tmp_path, monkeypatch):
    monkeypatch.setattr(worker_pool, "TICK", 0.05)
    servers = set()

    def kill():
        server = multiprocessing.forkserver._forkserver._forkserver_pid
        if not servers and list(tmp_path.glob("*/state.safetensors")):
            servers.add(server)
            os.kill(server, signal.SIGKILL)

    results = trained([config_of(seed, epochs=20) for seed in (1, 2)], tmp_path, workers=1, tick=kill)
    assert [result.run.status.epoch for result in results] == [20, 20]
    assert servers


def test_who_stops_listening_stops_the_processes_and_keeps_what_was_saved(tmp_path, monkeypatch):
    monkeypatch.setattr(worker_pool, "TICK", 0.05)

    def stop():
        if list(tmp_path.glob("*/state.safetensors")):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained([config_of(1, epochs=2000)], tmp_path, workers=1, tick=stop)
    assert multiprocessing.active_children() == []
    (folder,) = tmp_path.iterdir()
    with load(folder).folder.lock():  # nobody holds it any more
        assert load(folder).status.state == "running"


def test_small_networks_are_put_together_and_shared_evenly():
    # Twenty of width 16 on two workers: ten each; on one: sixteen at most, so sixteen and four.
    small = [config_of(seed, width=16) for seed in range(20)]
    assert [len(job) for job in make_jobs(small, 2, "cpu")] == [10, 10]
    assert [len(job) for job in make_jobs(small, 1, "cpu")] == [16, 4]
    # Wide ones are trained one by one on a CPU, together on a GPU; other widths are other populations.
    wide = [config_of(seed, width=48) for seed in range(3)]
    assert [len(job) for job in make_jobs(wide, 2, "cpu")] == [1, 1, 1]
    assert [len(job) for job in make_jobs(wide + small, 1, "cuda")] == [3, 20]


@pytest.mark.parametrize("options", [{"workers": 0}, {"threads": -1}])
def test_impossible_numbers_are_refused(tmp_path, options):
    ((name, value),) = options.items()
    with pytest.raises(UserError, match=f"^{name}={value}: expected 1 to 1,024$"):
        list(train_many([config_of(1)], out=tmp_path, **options))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["again", "compiled"])
def test_options_of_single_runs_are_refused(tmp_path, name):
    with pytest.raises(UserError, match=f"^{name}=True: expected for train or train_population, not for train_many$"):
        list(train_many([config_of(1)], out=tmp_path, **{name: True}))
    assert not list(tmp_path.iterdir())
