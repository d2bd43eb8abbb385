"""Standard output and standard error, wrapped so that their faults are never taken for those of a file or a socket.

Imports little, because no signal is handled before this module is imported.
"""

import io
import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, TextIO


class StdoutError(SystemExit):
    """Standard output cannot be written: its disk is full, or nobody reads it any more.

    No OSError, so that nobody takes it for one of a file (rich ends the program at any BrokenPipeError). A SystemExit,
    so that `except Exception` lets it pass, and a thread that draws ends without a traceback.

    Attributes:
        error: what the system said.
    """

    def __init__(self, error: OSError):
        super().__init__(f"standard output cannot be written: {error.strerror or error}")
        self.error = error


class _Guarded(io.RawIOBase):
    """The lowest layer of a standard stream. Where it fails it raises StdoutError, or drops the data if it `drops`."""

    def __init__(self, stream: TextIO, *, drops: bool):
        buffer: Any = getattr(stream, "buffer", None)
        self.drops = drops
        self._stream = stream  # which would close its layers if it were collected
        self._raw: Any = getattr(buffer, "raw", buffer)

    def write(self, data: Any) -> int:
        try:
            while (count := self._raw.write(data)) is None:  # a full pipe that another process made non-blocking
                select.select([], [self._raw], [])
        except OSError as error:
            if not self.drops:
                raise StdoutError(error) from error
            return len(data)
        return int(count)

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._stream.fileno()

    def isatty(self) -> bool:
        return self._stream.isatty()


@contextmanager
def standard_output() -> Iterator[None]:
    """Raise StdoutError inside the block, or at its end, if standard output cannot be written."""
    stream, raw = _guarded(sys.stdout, drops=False)
    with redirect_stdout(stream):
        try:
            yield
        finally:
            try:
                stream.flush()
            finally:
                raw.drops = True  # what is left in the buffer is written when it is closed


@contextmanager
def standard_error() -> Iterator[None]:
    """Drop what standard error cannot take: there is nowhere to complain."""
    _open_missing()
    stream, _ = _guarded(sys.stderr, drops=True)
    with redirect_stderr(stream):
        try:
            yield
        finally:
            stream.flush()  # a library's logger may keep it from being closed


def _guarded(stream: TextIO | None, *, drops: bool) -> tuple[TextIO, _Guarded]:
    stream = stream or Path(os.devnull).open("w")  # noqa: SIM115 - closed by the parent: iterhead tasks >&-
    raw = _Guarded(stream, drops=drops)
    if not hasattr(stream, "buffer"):  # a StringIO, or a notebook's
        return stream, raw
    stream.flush()
    text = io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=stream.encoding,
        errors="backslashreplace",  # a task's name may have characters that the encoding lacks
        line_buffering=getattr(stream, "line_buffering", False),
        write_through=getattr(stream, "write_through", False),
    )
    return text, raw


def _open_missing() -> None:
    """Open the standard streams that the parent closed: a file must not get their numbers, and then what they get."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # gets the lowest number that is free
