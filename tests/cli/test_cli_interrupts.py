"""Ctrl-C and kill, on real processes."""

import contextlib
import shlex
import signal
import subprocess
import sys
import threading
import time

import pytest

from helpers.process_groups import signalled
from iterhead.cli.shell import Interrupts

LONG = ["--training.epochs", "100000", "--training.early-stop", "false"]


def started(words: list[str], folder) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "iterhead", *words],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def interrupted(words: list[str], folder, number: int, at: str) -> tuple[str, str]:
    """Send a signal after the first line that begins with `at`; return what the process wrote to stdout and stderr."""
    with started(words, folder) as process:
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line.startswith(at):
                process.send_signal(number)
                break
        rest, errors = process.communicate(timeout=60)
        assert process.returncode == 130
        return "".join(lines) + rest, errors


def test_training_stops_and_resumes(tmp_path, tiny):
    words = ["run", *tiny.split(), *LONG, "--out", "my runs"]
    out, err = interrupted(words, tmp_path, signal.SIGINT, at="epoch 3/")
    epoch = int(err.removeprefix("Interrupted after epoch ").partition(".")[0])
    assert epoch >= 3
    assert f"\nepoch {epoch}/100000 " in out
    beginning = f"Interrupted after epoch {epoch}. Resume with: "
    command = shlex.split(err.removeprefix(beginning))
    assert err == f"{beginning}{shlex.join(command)}\n"
    assert command[-len(words) :] == words
    assert command[-len(words) - 2 : -len(words)] == ["-m", "iterhead"]

    out, err = interrupted(command[-len(words) :], tmp_path, signal.SIGTERM, at=f"epoch {epoch + 1}/")
    assert out.startswith(f"Resuming at epoch {epoch}: parity")
    assert err.startswith("Interrupted after epoch ")


SIGNAL_AT = """
import os, signal, sys
class Finder:
    def find_spec(self, name, *_):
        if name == {module!r}:
            try:
                os.kill(os.getpid(), {number})
                for _ in range(1000): pass  # the handler runs between two of these
            except BaseException:
                return None  # as a library does that tries an optional import
sys.meta_path.insert(0, Finder())
from iterhead.cli import main
sys.exit(main({words!r}))
"""


@pytest.mark.parametrize(
    ("module", "mode"), [("argparse", "--json"), ("pydantic", "--quiet"), ("torch", "--json"), ("polars", "--quiet")]
)
def test_signal_during_imports_ends_the_process(tmp_path, module, mode):
    words = ["run", "--task", "parity", mode]
    code = SIGNAL_AT.format(module=module, number=int(signal.SIGINT), words=words)
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    again = shlex.join(["iterhead", *words])
    assert done.stderr == f"Interrupted at the start: nothing is lost. Start again with: {again}\n"
    assert (done.returncode, done.stdout) == (130, "")
    assert not (tmp_path / "runs").exists()


def test_signals_that_the_parent_ignores_stay_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Interrupts().handled():
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_handlers_are_restored():
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    with Interrupts().handled():
        assert not set(before) & {signal.getsignal(number) for number in numbers}
    assert [signal.getsignal(number) for number in numbers] == before


def test_second_signal_does_not_interrupt_the_cleanup():
    cleaned = []

    def work():
        with interrupts.raised():
            try:
                signal.raise_signal(signal.SIGINT)
            finally:
                signal.raise_signal(signal.SIGINT)
                cleaned.append(True)

    interrupts = Interrupts()
    with interrupts.handled(), pytest.raises(KeyboardInterrupt):
        work()
    assert cleaned


def test_other_threads_may_call_the_command_line(call):
    results = []
    thread = threading.Thread(target=lambda: results.append(call("--version").code))
    thread.start()
    thread.join()
    assert results == [0]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_two_signals_to_the_group_while_workers_start(tmp_path, tiny, number):
    words = ["run", *tiny.split(), *LONG, "--seeds", "0..3", "--workers", "2"]
    ended = signalled(words, tmp_path, (0.3, number), (0.1, number), after="Training 4 networks")
    assert ended.code == 130
    assert ended.err.startswith("Interrupted: what was saved is kept. Resume with: ")
    assert ended.err.count("\n") == 1
    assert (ended.orphans, ended.temporaries) == ([], [])
    assert ended.seconds < 20  # not the time that the workers need to import PyTorch, on a busy machine either


SIGNAL_AT_EXIT = """
import atexit, os, signal, sys, time
atexit.register(lambda: (os.kill(os.getpid(), {number}), time.sleep(0.01)))
sys.argv = ["iterhead", "tasks"]
from iterhead.cli import main
sys.exit(main())
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_after_the_command_changes_nothing(number):
    code = SIGNAL_AT_EXIT.format(number=int(number))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_signal_that_a_library_swallows_is_raised_at_the_end():
    def work():
        with interrupts.raised(), contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)

    interrupts = Interrupts()
    with interrupts.handled(), pytest.raises(KeyboardInterrupt):
        work()


class InterruptedAtItsEnd:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)


def test_signal_where_python_drops_exceptions_is_raised_soon(capsys):
    def work():
        with interrupts.raised():
            InterruptedAtItsEnd()
            time.sleep(30)

    interrupts, start = Interrupts(), time.monotonic()
    with interrupts.handled(), pytest.raises(KeyboardInterrupt):
        work()
    assert time.monotonic() - start < 20
    assert capsys.readouterr().err == ""


def test_signal_that_a_library_turns_into_another_exception(call, monkeypatch):
    def broken(*_: object) -> None:
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            raise ValueError("initialization failed") from None

    monkeypatch.setattr("iterhead.tasks.catalogue", broken)
    result = call("tasks")
    assert result.code == 130
    assert result.err == "Interrupted at the start: nothing is lost. Start again with: iterhead tasks\n"
