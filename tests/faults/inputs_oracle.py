"""One call of the program or of the library in this process, and what is wrong with how it ended.

Whatever the input is, a call does its work, or says in one line what is wrong with the input. `observed` runs a call,
and `problems` lists every way in which it did neither: a traceback, a warning, two lines, a message that names nothing
of the input, seconds or gigabytes spent on it, files changed outside of the folder, a process or a connection started,
a module imported that only a folder names.

Real work (training, measuring the machine, scanning) is where a call stops: `Working` is raised there, and means that
the input was accepted.
"""

import contextlib
import gc
import io
import os
import resource
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import matplotlib.pyplot

import faults.preload  # noqa: F401 - so that no import is timed
from iterhead.cli import main
from iterhead.errors import UserError

MOST_CHARACTERS = 320
"""Of a message, the folder that the test works in not counted."""

MOST_SECONDS = 2.0
"""Of this process, so that other processes do not make a test fail."""

HANGS = 30.0
"""Seconds until a call is stopped."""

MOST_MEGABYTES = 1000
"""By which the peak of this process's memory may grow."""

NEGATIVE = {"run", "transfer", "verify", "handmade", "study"}
"""Commands whose exit code may be 1: a result that is not as hoped."""

MOST_BYTES = 3 * 2**30
"""That a call can take at all."""

STRANGER = "only_a_folder_names_this"
"""A module in the folder of every call. It is never to be imported: no command line names it."""

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod"}
_ACTIONS = {"socket.connect", "socket.getaddrinfo", "subprocess.Popen", "os.system", "os.exec", "os.fork"}
_watched: Path | None = None
_seen: list[str] = []
_clock: list[float] = []
"""When the making of a trainer began."""


class Working(BaseException):
    """The input is accepted, and work begins."""


class Hanging(BaseException):
    """The call takes too long."""


@dataclass
class Outcome:
    """How a call ended: an exit code (None for real work), both streams, and what else is wrong."""

    code: int | None = 0
    out: str = ""
    err: str = ""
    value: Any = None
    wrong: list[str] = field(default_factory=list)


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if _watched is None:
        return
    if event in _ACTIONS:
        _seen.append(f"started {event}{str(arguments)[:120]}")
    elif event in _CHANGES or (event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITES):
        places = arguments[:2] if event in ("os.rename", "os.link") else arguments[:1]
        for place in places:
            if isinstance(place, str | bytes | os.PathLike):
                path = os.path.abspath(os.fsdecode(place))  # noqa: PTH100 - it may be no path at all
                if not path.startswith(f"{_watched}{os.sep}") and path != os.devnull:
                    _seen.append(f"changed {path}")


sys.addaudithook(_audit)  # it stays to the end of the process


def _works(*_arguments: Any, **_options: Any) -> Any:
    raise Working


def _trainer(*arguments: Any, **options: Any) -> Any:
    """Make a real one, but stop the clock before: from here on the time depends on the settings."""
    from iterhead.training.trainer import Trainer

    _clock.append(time.process_time())
    return Trainer(*arguments, **options)


def _stopped(*_arguments: Any) -> None:
    raise Hanging


@contextlib.contextmanager
def no_work() -> Iterator[None]:
    """Let real work raise `Working` within the block."""
    from iterhead.studies.cost import Calibration

    calibration = Calibration(start=1e-3, rate=1e10, memory=1e9, device="cpu")
    places = {
        "iterhead.runs.training.Trainer": _trainer,
        "iterhead.runs.checkpointing.PopulationTraining.run": _works,
        "iterhead.training.trainer.Trainer._compile": _works,
        "iterhead.runs.worker_pool.train_many": _works,
        "iterhead.studies.runner.train_many": _works,
        "iterhead.studies.cost.calibrate": lambda *_: calibration,
        "iterhead.bench.timing.describe_machine": _works,
        "iterhead.measure.evaluate.evaluate": _works,
        "iterhead.scans.run._Scan._write_config": _works,
        "webbrowser.open": lambda *_: True,
    }
    with contextlib.ExitStack() as stack:
        for place, replacement in places.items():
            stack.enter_context(mock.patch(place, replacement))
        yield


@contextlib.contextmanager
def limited() -> Iterator[None]:
    """Give the block a limited amount of memory, so that a greedy call does not take the machine down."""
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    lines = Path("/proc/self/status").read_text().splitlines()
    taken = next(int(line.split()[1]) for line in lines if line.startswith("VmData"))
    resource.setrlimit(resource.RLIMIT_DATA, (taken * 1024 + MOST_BYTES, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


@contextlib.contextmanager
def inside(folder: Path) -> Iterator[None]:
    """Work in a folder; modules imported from it, and what the call adds to the search path, are forgotten."""
    before, path, bytecode, known = Path.cwd(), list(sys.path), sys.dont_write_bytecode, set(sys.modules)
    os.chdir(folder)
    sys.dont_write_bytecode = True
    try:
        yield
    finally:
        os.chdir(before)
        sys.path[:], sys.dont_write_bytecode = path, bytecode
        for name in set(sys.modules) - known:
            module = sys.modules[name]
            is_module = issubclass(type(module), ModuleType)  # it may have put anything in its place
            if not is_module or str(getattr(module, "__file__", "")).startswith(f"{folder}{os.sep}"):
                del sys.modules[name]


def observed(call: Callable[[], Any], folder: Path) -> Outcome:
    """Call something inside a folder, without real work, and return how it ended."""
    global _watched
    (folder / f"{STRANGER}.py").write_text("from pathlib import Path\nPath('imported').touch()\n")
    outcome = Outcome()
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    err = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="backslashreplace", line_buffering=True)
    handler = signal.signal(signal.SIGALRM, _stopped)
    memory, clock = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    with warnings.catch_warnings(record=True) as warned, inside(folder), no_work(), limited():
        warnings.simplefilter("always")
        warnings.filterwarnings("ignore", category=ResourceWarning)
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            _seen.clear()
            _clock.clear()
            _watched = folder.absolute()
            signal.setitimer(signal.ITIMER_REAL, HANGS)
            try:
                outcome.value = call()
            except Working:
                outcome.code = None
            except UserError as error:
                outcome.code, outcome.err = 2, f"{error}\n"
            except Hanging:
                outcome.wrong.append(f"hang: {_place()}")
            except BaseException as error:  # nothing else may come out of a call
                outcome.wrong.append(f"traceback: {type(error).__name__}: {str(error)[:200]} at {_place()}")
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
                _watched = None
    signal.signal(signal.SIGALRM, handler)
    ended = _clock[0] if _clock and outcome.code is None else time.process_time()
    seconds = ended - clock
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory) // 1024
    outcome.out, outcome.err = _text(out), outcome.err + _text(err)
    outcome.wrong += [f"warning: {warning.category.__name__}: {warning.message}" for warning in warned]
    outcome.wrong += list(dict.fromkeys(_seen))
    outcome.wrong += [f"slow: {seconds:.1f} s"] if seconds > MOST_SECONDS else []
    outcome.wrong += [f"memory: {grown} MB"] if grown > MOST_MEGABYTES and outcome.code is not None else []
    if (folder / "imported").exists():
        outcome.wrong.append("a module was imported that only a folder names")
    matplotlib.pyplot.close("all")
    if seconds > 1 or grown > 100:
        gc.collect()
    return outcome


def _text(stream: io.TextIOWrapper) -> str:
    stream.flush()
    return stream.buffer.getvalue().decode("utf-8", "replace")


def _place() -> str:
    """Return the innermost lines of the library in the traceback that is being handled."""
    frames = traceback.extract_tb(sys.exc_info()[2])
    ours = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames if "iterhead" in frame.filename]
    return " < ".join(reversed(ours[-3:])) or "?"


def problems(outcome: Outcome, named: Sequence[str], folder: Path, command: str = "") -> list[str]:
    """Return what is wrong with the outcome of a call.

    Args:
        outcome: of `observed`.
        named: texts of which a message must have one: what the input was, or where it was.
        folder: the one that the call was made in.
        command: the name of the command, for a command line.
    """
    wrong, lines = list(outcome.wrong), outcome.err.splitlines()
    if outcome.code not in (None, 0, 1, 2):
        wrong.append(f"exit code {outcome.code}")
    if outcome.code == 1 and command not in NEGATIVE:
        wrong.append("exit code 1 of a command without negative results")
    if "Traceback" in outcome.err:
        wrong.append(f"traceback on stderr: {lines[-1][:200]}")
    if outcome.code == 2 and not outcome.wrong:
        line = outcome.err.removesuffix("\n").replace(str(folder), "")
        if line.count("\n") or not outcome.err.endswith("\n"):
            wrong.append(f"not one line: {line[:300]!r}")
        elif not line.isprintable() and command:
            wrong.append(f"not printable: {line[:300]!r}")
        if len(line) > MOST_CHARACTERS:
            wrong.append(f"{len(line)} characters: {line[:300]!r}")
        if not any(text.lower() in line.lower() for text in named):
            wrong.append(f"names nothing of {list(named)[:4]}: {line[:300]!r}")
    return wrong


def called(words: Sequence[str], folder: Path) -> Outcome:
    """Call the command line inside a folder; see `observed`."""
    outcome = observed(lambda: main(words), folder)
    if outcome.code == 0:
        outcome.code = outcome.value
    return outcome


def wrong_with(words: Sequence[str], folder: Path, named: Sequence[str]) -> list[str]:
    """Return what is wrong with how a command line ends; see `problems`. A message may also name a long word."""
    long = [repr(word)[1:9] for word in words if len(word) > 4000 or not word.isprintable()]
    return problems(called(words, folder), (*named, *long), folder, words[0] if words else "")
