"""Ctrl-C and SIGTERM: one line and exit code 130, at any moment.

Imports little, since nothing is handled before this module is imported.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

INTERRUPTED = 130

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_SAME_PRESS = 1.0
"""Seconds in which a second signal counts as the first: it must not cut off the tidying up."""


class Interrupts:
    """What a signal does: it ends the process at once, or, inside `raised`, raises KeyboardInterrupt.

    At once, because start-up is mostly imports, and an exception that comes up in the middle of a library's own
    may be swallowed there or turned into another. Nothing is open then that would have to be closed.

    Attributes:
        message: called for the line to say.
    """

    def __init__(self) -> None:
        self.message: Callable[[], str] = lambda: "Interrupted."
        self._raises = False
        self._last = -_SAME_PRESS

    @contextmanager
    def handled(self) -> Iterator[None]:
        """Handle signals inside the block; those that the parent told us to ignore (nohup) stay ignored."""
        if threading.current_thread() is not threading.main_thread():
            yield  # Python handles signals in the main thread only
            return
        before = {number: signal.getsignal(number) for number in _SIGNALS}
        heeded = {number: handler for number, handler in before.items() if handler is not signal.SIG_IGN}
        for number in heeded:
            signal.signal(number, self._handle)
        try:
            yield
        finally:
            for number, handler in heeded.items():
                signal.signal(number, handler or signal.SIG_DFL)

    @contextmanager
    def raised(self) -> Iterator[None]:
        """Raise KeyboardInterrupt inside the block, for code that tidies up."""
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
