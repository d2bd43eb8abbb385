"""Studies survive kills, share their runs with other processes, and report what fails."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from polars.testing import assert_frame_equal

from helpers.tiny_study import EPOCHS, tiny_study, train_tiny
from iterhead.errors import UserError
from iterhead.runs.paths import run_folder_name
from iterhead.runs.run import load
from iterhead.runs.storage import RunFolder
from iterhead.studies.collect import collect
from iterhead.studies.runner import failures, forget_failures, kept_checkpoints, states

SCRIPT = Path(__file__).parent.parent / "helpers" / "tiny_study.py"

TIMES = ["train_seconds", "total_seconds"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of the tiny study, trained in one go, and the progress on the way; tests must not change it."""
    out, seen = tmp_path_factory.mktemp("whole"), []
    progress = train_tiny(out, on_progress=lambda now: seen.append((now.done, now.running, now.left)))
    assert (progress.done, progress.failed, progress.left) == (6, 0, 0)
    return out, seen


@pytest.fixture
def whole(trained):
    """The folder alone."""
    return trained[0]


@pytest.fixture
def copied(whole, tmp_path):
    """A copy of it, which the test may change."""
    return shutil.copytree(whole, tmp_path / "copied")


def start(out, epochs=EPOCHS):
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), str(out), str(epochs)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def tables_of(out, epochs=EPOCHS):
    tables = collect(tiny_study(epochs), out)
    return {name: frame.drop(TIMES, strict=False) for name, frame in tables.frames.items()}


def assert_same_tables(first, second):
    assert first.keys() == second.keys()
    for name, frame in first.items():
        assert_frame_equal(frame, second[name], check_exact=True)


def finished_at(out):
    return {path.parent.name: path.stat().st_mtime_ns for path in out.glob("*/status.json") if is_done(path.parent)}


def is_done(folder):
    return load(folder).status.state == "finished"


def test_runs_keep_what_others_need_and_no_more(whole):
    kept = kept_checkpoints([tiny_study()])
    for config, epochs in kept.items():
        run = load(whole / run_folder_name(config))
        assert run.checkpoints == sorted({*epochs, run.status.epoch})
        files = {path.name for path in run.folder.path.iterdir()}
        assert files == {
            *(".lock", "checkpoints", "checksums.json", "config.json", "measurements.parquet", "provenance.json"),
            "status.json",
        }
    assert sorted(kept.values()) == [(), (), (), (), (2,), (2,)]


def test_a_finished_study_is_not_trained_again(whole):
    before = finished_at(whole)
    results = []
    progress = train_tiny(whole, on_result=results.append)
    assert (progress.done, results) == (6, [])
    assert finished_at(whole) == before


def stop(process):
    """Kill one process; its workers see that it is gone, and end."""
    process.kill()


def stop_group(process):
    """Kill a process and its workers at once."""
    os.killpg(process.pid, signal.SIGKILL)


def kill_while_training(out, epochs, how, pause):
    """Train in another process, kill it that many seconds after its first checkpoint, and wait until all have ended."""
    process = start(out, epochs)
    wait_for(lambda: list(out.glob("*/state.safetensors")) or len(finished_at(out)) == 6)
    time.sleep(pause)
    how(process)
    process.communicate()
    wait_for(lambda: "running" not in states(tiny_study(epochs), out).values())


def test_killed_twice_then_trained_by_two_processes_nothing_is_lost_or_repeated(tmp_path, whole):
    kill_while_training(tmp_path, EPOCHS, stop_group, 0.0)
    assert "interrupted" in states(tiny_study(), tmp_path).values()
    kill_while_training(tmp_path, EPOCHS, stop, 0.1)
    done = finished_at(tmp_path)
    for process in [start(tmp_path), start(tmp_path)]:
        out, err = process.communicate(timeout=240)
        assert (out.split(), err) == (["6", "0"], "")
    now = finished_at(tmp_path)
    assert {name: now[name] for name in done} == done, "a finished run was trained again"
    assert_same_tables(tables_of(tmp_path), tables_of(whole))


@pytest.mark.slow
def test_killed_at_random_moments(tmp_path):
    straight, killed, epochs = tmp_path / "straight", tmp_path / "killed", 100
    assert train_tiny(straight, epochs=epochs).done == 6
    moments = random.Random(1)
    done = {}
    for kill in range(20):
        kill_while_training(killed, epochs, (stop, stop_group)[kill % 2], moments.uniform(0.0, 0.7))
        now = finished_at(killed)
        assert {name: now[name] for name in done} == done, "a finished run was trained again"
        done = now
    out, err = start(killed, epochs).communicate(timeout=240)
    assert (out.split(), err) == (["6", "0"], "")
    assert_same_tables(tables_of(killed, epochs), tables_of(straight, epochs))


def wait_for(what, seconds=60.0):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def test_a_run_that_another_process_holds_is_left_to_it(copied):
    """Another holder of the lock; the study waits, and takes the run up when the lock is free."""
    name = run_folder_name(tiny_study().cells[1].run_config(0))
    shutil.rmtree(copied / name)
    with ThreadPoolExecutor() as pool:
        with RunFolder(copied / name).lock():
            training = pool.submit(train_tiny, copied)
            time.sleep(1)
            assert states(tiny_study(), copied)[name] == "running"
            assert not training.done()
            assert len(finished_at(copied)) == 5
        assert training.result(timeout=60).done == 6


def broken(out):
    """Break the copy run of seed 0: its status is missing."""
    name = run_folder_name(next(iter(tiny_study().cells[0].runs.values())))
    (out / name / "status.json").unlink()
    return name


def test_a_failing_run_is_reported_and_tried_again_when_asked(copied):
    name = broken(copied)
    after = run_folder_name(tiny_study().cells[2].run_config(0))
    results = []
    progress = train_tiny(copied, on_result=results.append)
    assert (progress.done, progress.failed) == (5, 1)
    assert [failure.name for failure in failures(tiny_study().configs(), copied)] == [name]
    assert "status.json is missing" in results[0].error
    now = states(tiny_study(), copied)
    assert (now[name], now[after]) == ("failed", "finished")
    # It is not tried again by itself, ...
    again = []
    assert train_tiny(copied, on_result=again.append).failed == 1
    assert again == []
    # ... only when asked; the damaged folder is put aside.
    assert [failure.name for failure in forget_failures([tiny_study()], copied)] == [name]
    assert (copied / "study/damaged" / f"{name}-1" / "config.json").exists()
    assert train_tiny(copied).done == 6
    assert set(states(tiny_study(), copied).values()) == {"finished"}


def test_what_starts_from_a_failed_run_waits_for_it(copied):
    broken(copied)
    shutil.rmtree(copied / run_folder_name(tiny_study().cells[2].run_config(0)))
    train_tiny(copied)
    progress = train_tiny(copied)  # now it is known that its start fails
    assert (progress.done, progress.failed) == (4, 2)
    forget_failures([tiny_study()], copied)
    assert train_tiny(copied).done == 6


def test_progress_goes_up_to_the_end(trained):
    _, seen = trained
    assert [sum(each) for each in seen] == [6] * len(seen)
    assert [done for done, _, _ in seen] == sorted(done for done, _, _ in seen)
    assert seen[-1] == (6, 0, 0)
    assert max(running for _, running, _ in seen) == 1


def test_a_damaged_run_has_no_rows_and_is_reported(copied):
    name = run_folder_name(tiny_study().cells[1].run_config(1))
    (copied / name / "status.json").write_text("{}")
    lines = []
    tables = collect(tiny_study(), copied, lines.append)
    assert name not in tables.runs()["run"].to_list()
    assert len(tables.runs()) == 5
    assert name in lines[0]


def test_a_note_that_cannot_be_written_is_reported(copied):
    (copied / "study").write_text("a file where a folder should be")
    assert train_tiny(copied).done == 6  # nothing failed, so no note is needed
    broken(copied)
    with pytest.raises(UserError, match="cannot write"):
        train_tiny(copied)
