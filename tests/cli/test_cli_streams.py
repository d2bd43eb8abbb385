"""Standard output and standard error that nobody reads, that are full, or that were closed: on real processes."""

import contextlib
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = [sys.executable, "-m", "iterhead"]


def with_closed_pipe(words, folder):
    """Run a command whose stdout nobody reads."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([*PROGRAM, *words], cwd=folder, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    return done.returncode, done.stderr


def test_show_into_a_closed_pipe(finished):
    assert with_closed_pipe(["show", str(finished)], finished.parent) == (141, "")


def test_pipe_closed_while_seeds_are_trained(tmp_path, tiny):
    words = [*["run", "--seeds", "0..1", "--workers", "1"], *tiny.split()]
    assert with_closed_pipe(words, tmp_path) == (141, "")
    assert not (tmp_path / "runs").exists()


def in_shell(redirection, words=("tasks",)):
    """Run a command as a shell redirects it; its own stderr is not seen."""
    line = f"exec {shlex.join([*PROGRAM, *words])} {redirection}"
    return subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("redirection", ["2>/dev/full", "2>&-"])
def test_stderr_that_cannot_be_written(redirection):
    done = in_shell(redirection, ["show", "--jsno"])
    assert (done.returncode, done.stdout) == (2, "")


@pytest.mark.parametrize("redirection", [">&-", "<&- >&- 2>&-"])
def test_stdout_that_is_closed(redirection):
    assert in_shell(redirection).returncode == 0


def test_no_file_gets_the_number_of_a_closed_stream(tmp_path):
    code = f"from iterhead.cli import main; main(['tasks']); print(open({str(tmp_path / 'file')!r}, 'w').fileno())"
    done = subprocess.run(
        ["sh", "-c", f"exec {shlex.join([sys.executable, '-c', code])} 2>&-"],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert int(done.stdout.split()[-1]) > 2


def test_full_pipe_that_does_not_block_is_waited_for():
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    filling = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            filling += os.write(writer, bytes(4096))
    with subprocess.Popen([*PROGRAM, "--help"], stdout=writer, stderr=subprocess.PIPE, text=True) as process:
        os.close(writer)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(2)  # time to find the pipe full
        with os.fdopen(reader, "rb") as pipe:
            written = pipe.read()
        assert process.wait(30) == 0
        assert process.stderr.read() == ""
    assert written[filling:].startswith(b"iterhead trains")


def test_full_stdout_is_not_taken_for_a_full_disk_of_runs(finished):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*PROGRAM, "show", str(finished)], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 2
    assert done.stderr == "iterhead: standard output cannot be written: No space left on device\n"
