"""What the shell sees of this program: exit codes, signals, JSON, and commands that can be pasted into it.

Imports little, because no signal is handled before this module is imported.
"""

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

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_SAME_PRESS = 1.0
"""A second signal within this many seconds counts as the first, so that it does not interrupt the cleanup."""


class Interrupts:
    """What Ctrl-C and SIGTERM do: end the process at once or, inside `raised`, raise KeyboardInterrupt.

    Start-up is mostly imports, and a library may swallow an exception that is raised while it is imported. Ending the
    process is safe there, since nothing is open yet.

    Attributes:
        message: returns the line to print.
    """

    def __init__(self) -> None:
        self.message: Callable[[], str] = lambda: "Interrupted."
        self._raises = False
        self._last = -_SAME_PRESS

    @contextmanager
    def handled(self) -> Iterator[None]:
        """Handle signals inside the block. Signals that the parent process ignores (nohup) stay ignored."""
        if threading.current_thread() is not threading.main_thread():
            yield  # Python handles signals in the main thread only
            return
        replaced = {n: handler for n in _SIGNALS if (handler := signal.getsignal(n)) is not signal.SIG_IGN}
        for number in replaced:
            signal.signal(number, self._handle)
        try:
            yield
        finally:
            for number, handler in replaced.items():
                signal.signal(number, handler or signal.SIG_DFL)

    @contextmanager
    def raised(self) -> Iterator[None]:
        """Raise KeyboardInterrupt inside the block, for code that has to clean up."""
        self._raises = True
        try:
            yield
        finally:
            self._raises = False

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        if self._raises:
            since, self._last = time.monotonic() - self._last, time.monotonic()
            if since >= _SAME_PRESS:
                raise KeyboardInterrupt
            return
        with suppress(OSError):
            start = "\r" if os.isatty(2) else ""  # over the ^C that the terminal shows
            os.write(2, f"{start}{self.message()}\n".encode(errors="backslashreplace"))
        os._exit(INTERRUPTED)


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
