"""The command line as a terminal runs it, in a process group, and what is left of it after signals to the group."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code, what it wrote, what it left, and how long it lived after the first signal."""

    code: int
    out: str
    err: str
    orphans: list[str]
    temporaries: list[str]
    seconds: float


def signalled(words: Sequence[str], folder: Path, *signals: tuple[float, int], after: str = "") -> Ended:
    """Start a command in a new session, and send signals to its group.

    Args:
        words: what follows `iterhead`.
        folder: where it runs.
        signals: for each one the pause before it, in seconds, and its number. The first pause begins when the command
            handles signals; sending ends when the command has.
        after: the first pause begins when this is on stdout.
    """
    folder.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp())  # short: the paths of sockets have a limit
    command = [sys.executable, "-m", "iterhead", *words]
    env = os.environ | {"TMPDIR": str(temporary)}
    with (folder / "out").open("w") as out, (folder / "err").open("w") as err:
        process = subprocess.Popen(command, cwd=folder, stdout=out, stderr=err, start_new_session=True, env=env)
    try:
        while process.poll() is None and not (handles_signals(process.pid) and after in (folder / "out").read_text()):
            time.sleep(0.001)
        start = None
        for pause, number in signals:
            time.sleep(pause)
            start = start or time.monotonic()
            if process.poll() is None:  # not reaped before, so the number is still its own
                os.killpg(process.pid, number)
        code = process.wait(60)
    finally:  # also where the test is interrupted: in a session of its own, nothing else would end it
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
    seconds = time.monotonic() - (start or 0.0)
    orphans = _members(process.pid)
    end = time.monotonic() + 60  # the server of workers imports PyTorch before it notices that it is alone
    while orphans and time.monotonic() < end:
        time.sleep(0.02)
        orphans = _members(process.pid)
    left = [*temporary.iterdir(), *folder.rglob(".*.tmp")]
    shutil.rmtree(temporary)
    texts = [(folder / name).read_text() for name in ("out", "err")]
    return Ended(code, *texts, orphans, [str(path) for path in left], seconds)


def handles_signals(pid: int) -> bool:
    """Return whether a process has a handler for SIGTERM, which Python does not have by itself."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    caught = next(line.split()[1] for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(caught, 16) >> (signal.SIGTERM - 1) & 1)


def _members(session: int) -> list[str]:
    """Return the command lines of the living processes of a session."""
    members = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, *numbers = (folder / "stat").read_text().rpartition(")")[2].split()
            if state != "Z" and int(numbers[2]) == session:
                members.append((folder / "cmdline").read_text().replace("\0", " ")[:200])
        except OSError:  # it has ended
            continue
    return members
