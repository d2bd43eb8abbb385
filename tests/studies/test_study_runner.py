"""Studies survive kills, share their runs with other processes, and tell of what fails."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from polars.testing import assert_frame_equal

from helpers.tiny_study import tiny_study, train_tiny
from iterhead.errors import UserError
from iterhead.runs.paths import run_folder_name
from iterhead.runs.run import load
from iterhead.studies.collect import collect
from iterhead.studies.runner import failures, forget_failures, kept_checkpoints, states

SCRIPT = Path(__file__).parent.parent / "helpers" / "tiny_study.py"

TIMES = ["train_seconds", "total_seconds"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of the tiny study, trained in one go."""
    out = tmp_path_factory.mktemp("whole")
    progress = train_tiny(out)
    assert (progress.done, progress.failed, progress.left) == (6, 0, 0)
    return out


def start(out, epochs=6, workers=1):
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), str(out), str(epochs), str(workers)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def tables_of(out, epochs=6):
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
        assert files == {".lock", "checkpoints", "checksums.json", "config.json", "measurements.parquet",
                         "provenance.json", "status.json"} & (files | {"config.json"})  # fmt: skip
        assert "state.safetensors" not in files
        assert "figure.png" not in files
    assert sorted(kept.values()) == [(), (), (), (), (2,), (2,)]


def test_a_finished_study_is_not_trained_again(whole):
    before = finished_at(whole)
    told = []
    progress = train_tiny(whole, on_result=told.append)
    assert (progress.done, told) == (6, [])
    assert finished_at(whole) == before


@pytest.mark.parametrize(("kills", "epochs"), [(3, 16), pytest.param(20, 100, marks=pytest.mark.slow)])
def test_killed_at_random_moments_it_loses_nothing_and_repeats_nothing(tmp_path, kills, epochs):
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    assert train_tiny(straight, epochs=epochs).done == 6
    moments = random.Random(1)
    done = {}
    for _ in range(kills):
        process = start(killed, epochs)
        wait_for(lambda: list(killed.glob("*/state.safetensors")) or len(finished_at(killed)) == 6)
        time.sleep(moments.uniform(0.0, 0.7))
        process.kill()  # the workers see that it is gone, and end
        process.communicate()
        wait_for(lambda: "running" not in states(tiny_study(epochs), killed).values())
        now = finished_at(killed)
        assert all(now[name] == when for name, when in done.items()), "a finished run was trained again"
        done = now
    process = start(killed, epochs)
    out, err = process.communicate(timeout=240)
    assert (out.split(), err) == (["6", "0"], "")
    assert all(finished_at(killed)[name] == when for name, when in done.items())
    assert_same_tables(tables_of(killed, epochs), tables_of(straight, epochs))


def wait_for(what, seconds=60.0):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def test_two_processes_at_once_do_it_together(tmp_path, whole):
    both = [start(tmp_path), start(tmp_path)]
    for process in both:
        out, err = process.communicate(timeout=240)
        assert (out.split(), err) == (["6", "0"], "")
    assert_same_tables(tables_of(tmp_path), tables_of(whole))


def test_a_run_that_another_process_holds_is_left_to_it(tmp_path):
    """Held here while the study runs there: it does the rest, waits, and takes it up when the lock is free."""
    first = next(iter(tiny_study().cells[1].runs.values()))
    from iterhead.runs.storage import RunFolder

    held = RunFolder(tmp_path / run_folder_name(first))
    with held.lock():
        process = start(tmp_path)
        wait_for(lambda: len(finished_at(tmp_path)) == 5)
        assert states(tiny_study(), tmp_path)[run_folder_name(first)] == "running"
        time.sleep(0.5)
        assert process.poll() is None
    out, err = process.communicate(timeout=60)
    assert (out.split(), err) == (["6", "0"], "")


def broken(out):
    """Break the copy run of seed 0: half trained, its training state damaged."""
    name = run_folder_name(next(iter(tiny_study().cells[0].runs.values())))
    (out / name / "status.json").unlink()
    (out / name / "state.safetensors").write_bytes(b"?")
    return name


def test_a_failing_run_is_told_of_and_tried_again_when_asked(tmp_path):
    assert train_tiny(tmp_path).done == 6
    name = broken(tmp_path)
    after = run_folder_name(tiny_study().cells[2].run_config(0))
    told = []
    progress = train_tiny(tmp_path, on_result=told.append)
    assert (progress.done, progress.failed) == (5, 1)
    assert [failure.name for failure in failures(tiny_study().configs(), tmp_path)] == [name]
    assert "state.safetensors is damaged" in told[0].error
    found = states(tiny_study(), tmp_path)
    assert (found[name], found[after]) == ("failed", "finished")
    # It is not begun again by itself, ...
    again = []
    assert train_tiny(tmp_path, on_result=again.append).failed == 1
    assert again == []
    # ... only when asked; the damaged folder is kept, aside.
    assert [failure.name for failure in forget_failures([tiny_study()], tmp_path)] == [name]
    assert (tmp_path / "study/damaged" / f"{name}-1" / "config.json").exists()
    assert train_tiny(tmp_path).done == 6
    assert set(states(tiny_study(), tmp_path).values()) == {"finished"}


def test_what_starts_from_a_failed_run_waits_for_it(tmp_path):
    assert train_tiny(tmp_path).done == 6
    broken(tmp_path)
    after = tmp_path / run_folder_name(tiny_study().cells[2].run_config(0))
    for path in sorted(after.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    after.rmdir()
    train_tiny(tmp_path)
    progress = train_tiny(tmp_path)  # now it is known that its start fails
    assert (progress.done, progress.failed) == (4, 2)
    forget_failures([tiny_study()], tmp_path)
    assert train_tiny(tmp_path).done == 6


def test_progress_goes_up_to_the_end(tmp_path):
    seen = []
    train_tiny(tmp_path, on_progress=lambda progress: seen.append((progress.done, progress.running, progress.left)))
    assert [sum(each) for each in seen] == [6] * len(seen)
    assert [done for done, _, _ in seen] == sorted(done for done, _, _ in seen)
    assert seen[-1] == (6, 0, 0)
    assert max(running for _, running, _ in seen) == 1


def test_a_damaged_run_has_no_rows_and_is_told_of(tmp_path):
    train_tiny(tmp_path)
    name = run_folder_name(tiny_study().cells[1].run_config(1))
    (tmp_path / name / "status.json").write_text("{}")
    told = []
    tables = collect(tiny_study(), tmp_path, told.append)
    assert name not in tables.runs()["run"].to_list()
    assert len(tables.runs()) == 5
    assert name in told[0]


def test_the_folder_may_be_killed_with_its_group(tmp_path):
    """Ctrl-C reaches every process; what was saved stays."""
    process = start(tmp_path, epochs=400, workers=2)
    wait_for(lambda: list(tmp_path.glob("*/state.safetensors")))
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    wait_for(lambda: "running" not in states(tiny_study(400), tmp_path).values())
    assert "interrupted" in states(tiny_study(400), tmp_path).values()


def test_a_note_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "study").write_text("a file where a folder should be")
    assert train_tiny(tmp_path).done == 6  # nothing failed, so no note is needed
    broken(tmp_path)
    with pytest.raises(UserError, match="cannot write"):
        train_tiny(tmp_path)
