"""Let calls of libc that write fail in a program: the Python side of failing_calls.c."""

import mmap
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from typing import Literal

import pytest

How = Literal["refused", "reported", "short"]
"""A call is refused; is carried out and then reported as failed; or writes fewer bytes, without an error."""

FOREVER = 2**62

_HOW: tuple[How, ...] = ("refused", "reported", "short")
_PLAN = struct.Struct("=qqqii1024s1024s")


def build(folder: Path) -> Path:
    """Compile the library that is to be preloaded into a folder; skips the test where that is impossible."""
    if sys.platform != "linux":
        pytest.skip("calls of libc are wrapped on Linux only")
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler (cc) here to build the library that lets calls fail")
    library = folder / "failing_calls.so"
    source = Path(__file__).with_name("failing_calls.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", library, source], check=True)
    return library


class FailingCalls:
    """Which calls fail, shared with the programs that get the environment variables of `environment`."""

    def __init__(self, library: Path):
        self._file = library.with_suffix(".plan")
        self._file.write_bytes(bytes(_PLAN.size))
        with self._file.open("r+b") as file:
            self._shared = mmap.mmap(file.fileno(), _PLAN.size)
        self.environment = {"LD_PRELOAD": str(library), "FAILING_CALLS": str(self._file)}

    def plan(self, folder: Path, first: int = 1, last: int = 0, error: int = 0, how: How = "refused") -> None:
        """Count calls below a folder from now on, and let those with these numbers fail; none by default."""
        name = str(folder.resolve()).encode()
        self._shared[:] = _PLAN.pack(0, first, last, error, _HOW.index(how), name, b"")

    @property
    def seen(self) -> int:
        """The number of calls so far."""
        return _PLAN.unpack(self._shared)[0]

    @property
    def failed(self) -> str:
        """The first call that failed, and its path; empty if none did."""
        return _PLAN.unpack(self._shared)[-1].rstrip(b"\0").decode(errors="replace")
