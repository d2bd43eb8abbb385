"""The command line in a forked child of a process that has imported everything: tenths of a second instead of three.

Python's fork server is that process, as it is for the workers of `iterhead run --seeds`. It only imports. Whatever
starts threads that compute (a table that is read, a product of matrices) happens in its children.
"""

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import forkserver, util
from multiprocessing.process import BaseProcess
from pathlib import Path

from iterhead.cli import main

HANG = 240.0
"""Seconds after which a command counts as hanging; the longest takes two on a quiet machine."""

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["faults.preload"])


@dataclass(frozen=True)
class Output:
    """What a command returned and wrote. `code` is None if it hung and was killed, negative if it died by a signal."""

    code: int | None
    out: str
    err: str

    @property
    def has_traceback(self) -> bool:
        """Whether Python, or a library in another language, ended it with an error that nobody expected."""
        signs = ("Traceback (most recent call last)", "panicked at", "Fatal Python error", "terminate called")
        return any(sign in self.err for sign in signs)


class Forked:
    """A command that runs in a process group of its own."""

    def __init__(self, process: BaseProcess, out: Path, err: Path):
        assert process.pid is not None
        self.pid = process.pid
        self._process, self._out, self._err = process, out, err

    def poll(self) -> int | None:
        """Return its exit code, negative for a signal; None while it runs."""
        return self._process.exitcode

    def ends_within(self, seconds: float) -> bool:
        """Return whether it ends within a number of seconds."""
        self._process.join(seconds)
        return self.poll() is not None

    def wait(self, seconds: float = HANG) -> Output:
        """Return what it wrote once it has ended. It is killed after a number of seconds."""
        if not self.ends_within(seconds):
            self.kill()
            self._process.join()
            return Output(None, self.written(), self._err.read_text(errors="replace"))
        return Output(self.poll(), self.written(), self._err.read_text(errors="replace"))

    def written(self) -> str:
        """Return what it wrote to stdout so far."""
        return self._out.read_text(errors="replace")

    def kill(self, *, group: bool = True) -> None:
        """Kill it, and by default with it the processes that it started."""
        self.signal(signal.SIGKILL, group=group)

    def signal(self, number: int, *, group: bool = False) -> None:
        """Send a signal, if there is still somebody to get it."""
        with suppress(ProcessLookupError):
            (os.killpg if group else os.kill)(self.pid, number)

    def members(self) -> list[int]:
        """Return the processes of its group that are still there, zombies left out."""
        return [pid for pid, (group, state) in _processes().items() if group == self.pid and state != "Z"]

    def is_empty(self, seconds: float = 20.0) -> bool:
        """Return whether all processes of its group have ended, after at most a number of seconds."""
        end = time.monotonic() + seconds
        while self.members():
            if time.monotonic() > end:
                return False
            time.sleep(0.01)
        return True


def start(
    words: Sequence[str],
    folder: Path,
    *,
    env: Mapping[str, str | None] | None = None,
    before: Callable[[], object] | None = None,
    program: Callable[[Sequence[str]], int] = main,
) -> Forked:
    """Start a command in a folder, which is made if need be. What it writes goes to files next to the folder.

    Args:
        words: the arguments that follow `iterhead`.
        folder: its current folder.
        env: changes of environment variables; None removes one. Read at import, they come too late: OMP_NUM_THREADS.
        before: is called in the child first, to patch what the command will use; a function of a module, which can be
            pickled.
        program: is given the words in place of `iterhead.cli.main`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    number = next(n for n in range(1_000_000) if not folder.with_name(f"{folder.name}.{n}.out").exists())
    out, err = (folder.with_name(f"{folder.name}.{number}.{end}") for end in ("out", "err"))
    out.touch()
    err.touch()
    process = _context.Process(target=_run, args=(list(words), folder, out, err, dict(env or {}), before, program))
    process.start()
    forked = Forked(process, out, err)
    while forked.poll() is None and not _leads_group(forked.pid):
        time.sleep(0.001)
    return forked


def call(words: Sequence[str], folder: Path, *, seconds: float = HANG, **options: object) -> Output:
    """Start a command, and wait for its end; the options are those of `start`."""
    return start(words, folder, **options).wait(seconds)  # type: ignore[arg-type]


def _run(
    words: list[str],
    folder: Path,
    out: Path,
    err: Path,
    env: Mapping[str, str | None],
    before: Callable[[], object] | None,
    program: Callable[[Sequence[str]], int],
) -> None:
    """Become the command. Runs in the child."""
    for descriptor, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_APPEND), descriptor)
    sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", buffering=1, closefd=False)
    sys.argv[0] = "iterhead"
    os.chdir(folder)
    for name, value in env.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    # The folder of a user's module comes first, as with `python -m`.
    sys.path.insert(0, str(folder))
    os.setpgid(0, 0)
    _fork_helpers()
    if {"study", "--seeds"}.intersection(words):  # now, before anything has started a thread
        forkserver.ensure_running()
    code = 1
    try:
        if before:
            before()
        code = program(words)
        sys.stdout.flush()
    except BaseException:
        sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
    finally:
        sys.stderr.flush()
        os._exit(code)


def _fork_helpers() -> None:
    """Let multiprocessing fork its helpers, the server of workers too, instead of starting Python for seconds."""
    forkserver._forkserver = server = forkserver.ForkServer()
    for name in ("ensure_running", "get_inherited_fds", "connect_to_new_process", "set_forkserver_preload"):
        setattr(forkserver, name, getattr(server, name))
    util.spawnv_passfds = _fork_python


def _fork_python(_path: str, arguments: Sequence[str], descriptors: Sequence[int]) -> int:
    """Do what `python -c CODE` does, in a fork of this process that keeps only these descriptors."""
    if pid := os.fork():
        return pid
    try:
        kept = sorted({0, 1, 2, *descriptors})
        for low, high in zip(kept, [*kept[1:], os.sysconf("SC_OPEN_MAX")], strict=True):
            os.closerange(low + 1, high)
        exec(arguments[-1], {"__name__": "__main__"})
    except SystemExit:
        os._exit(0)
    except BaseException:
        sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
    os._exit(0)


def _leads_group(pid: int) -> bool:
    try:
        return os.getpgid(pid) == pid
    except ProcessLookupError:
        return False


def _processes() -> dict[int, tuple[int, str]]:
    """Return the process group and the state of every process, by pid."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The name, in parentheses, may have spaces.
            state, _, group = stat.read_text().rpartition(")")[2].split()[:3]
        except OSError:  # it has just ended
            continue
        found[int(stat.parent.name)] = int(group), state
    return found
