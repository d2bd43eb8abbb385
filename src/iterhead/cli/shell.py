"""What the shell sees of this program: exit codes, signals, JSON, and commands that can be pasted into it.

Imports little, because no signal is handled before this module is imported.
"""

import gc
import json
import os
import shlex
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

NEGATIVE_RESULT = 1
"""A run failed or diverged, or a claim does not hold."""

BAD_INPUT = 2

INTERRUPTED = 130
"""128 + SIGINT."""

CLOSED_PIPE = 141
"""128 + SIGPIPE: nobody reads stdout any more."""

_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Ctrl-C, kill, and a terminal that is closed."""

PATIENCE = 3.0
"""Seconds that the cleanup after a signal may take before another signal ends the process."""


class Interrupts:
    """What Ctrl-C, kill and a closed terminal do.

    The first signal ends the process at once or, inside `raised`, raises KeyboardInterrupt, for code that has to clean
    up. Those that follow within `PATIENCE` do nothing; a later one ends the process at once.

    Attributes:
        message: returns the line to print.
        arrived: when the first signal came, in seconds of `time.monotonic`; None before that.
    """

    def __init__(self) -> None:
        self.message: Callable[[], str] = lambda: "Interrupted."
        self.arrived: float | None = None
        self._raises: Callable[[FrameType | None], bool] = lambda _frame: False

    @contextmanager
    def handled(self, *, to_the_end: bool = False) -> Iterator[None]:
        """Handle signals inside the block. Signals that the parent process ignores (nohup) stay ignored.

        Args:
            to_the_end: ignore them after the block, for a process that has nothing to do but end, and let it end soon.
        """
        if threading.current_thread() is not threading.main_thread():
            yield  # Python handles signals in the main thread only
            return
        replaced = {n: handler for n in _SIGNALS if (handler := signal.getsignal(n)) is not signal.SIG_IGN}
        hook = sys.unraisablehook
        sys.unraisablehook = partial(self._redeliver, hook)
        for number in replaced:
            signal.signal(number, self._handle)
        try:
            yield
        finally:
            for number, handler in replaced.items():
                signal.signal(number, signal.SIG_IGN if to_the_end else handler or signal.SIG_DFL)
            sys.unraisablehook = hook
            if to_the_end:
                gc.freeze()  # or Python would search the objects of PyTorch for garbage first: half a second

    @contextmanager
    def raised(self, *, unless_importing: bool = False) -> Iterator[None]:
        """Raise KeyboardInterrupt inside the block, at its end if a library swallows it.

        Args:
            unless_importing: end the process at once while a module is imported. Libraries swallow exceptions there,
                and outside another `raised` nothing is open then.
        """
        before = self._raises
        self._raises = (lambda frame: not _is_importing(frame)) if unless_importing else lambda _frame: True
        try:
            yield
        finally:
            self._raises = before
        if self.arrived is not None:
            raise KeyboardInterrupt

    def _handle(self, _number: int, frame: FrameType | None) -> None:
        if self.arrived is None:
            self.arrived = time.monotonic()
            if self._raises(frame):
                raise KeyboardInterrupt
        elif time.monotonic() - self.arrived < PATIENCE:
            return
        with suppress(OSError):
            start = "\r" if os.isatty(2) else ""  # over the ^C that the terminal shows
            os.write(2, f"{start}{self.message()}\n".encode(errors="backslashreplace"))
        os._exit(INTERRUPTED)

    def _redeliver(self, hook: Callable[[Any], object], dropped: Any) -> None:
        """Send the signal again if its KeyboardInterrupt came where Python drops exceptions, as in a `__del__`."""
        if issubclass(dropped.exc_type, KeyboardInterrupt):
            self.arrived = None
            # To this thread, so that it wakes.
            threading.Timer(0.05, signal.pthread_kill, [threading.get_ident(), signal.SIGINT]).start()
        else:
            hook(dropped)


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False


def print_json(value: Mapping[str, Any]) -> None:
    """Print one JSON object on one line; raises ValueError for a NaN or an infinity, which JSON lacks."""
    print(json.dumps(value, allow_nan=False), flush=True)


def command_line(words: list[str]) -> str:
    """Return `iterhead` and its arguments, quoted for a shell."""
    return f"{program()} {shlex.join(words)}"


def program() -> str:
    """Return the shortest way to call this program from the shell that started it."""
    script = Path(sys.argv[0])
    if script.parts[-2:] == ("iterhead", "__main__.py"):
        return f"{'python' if _is_on_path('python', sys.executable) else shlex.quote(sys.executable)} -m iterhead"
    if script.stem == "iterhead" and script.exists() and not _is_on_path("iterhead", script):
        return shlex.quote(str(script))
    return "iterhead"


def _is_on_path(name: str, file: str | Path) -> bool:
    path = shutil.which(name)
    return path is not None and Path(path).resolve() == Path(file).resolve()
