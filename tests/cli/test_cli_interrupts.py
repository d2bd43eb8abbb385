"""Ctrl-C and kill, on real processes."""

import shlex
import signal
import subprocess
import sys
import threading

import pytest

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
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with Interrupts().handled():
        assert signal.getsignal(signal.SIGINT) is not before[0]
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_second_signal_does_not_interrupt_the_cleanup():
    interrupts = Interrupts()
    cleaned = False
    with interrupts.handled(), interrupts.raised():
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            signal.raise_signal(signal.SIGINT)
            cleaned = True
    assert cleaned


def test_other_threads_may_call_the_command_line(call):
    results = []
    thread = threading.Thread(target=lambda: results.append(call("--version").code))
    thread.start()
    thread.join()
    assert results == [0]
