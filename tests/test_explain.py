"""Where an OSError or a lack of memory becomes words."""

import errno
import os
import socket
from pathlib import Path

import pytest

from iterhead.errors import UserError
from iterhead.explain import explained, in_one_line


def os_error(number, *names):
    return OSError(number, os.strerror(number), *names)


LINES = [
    (os_error(errno.EMFILE), "Too many open files; raise the limit on open files (ulimit -n), or use fewer --workers"),
    (
        os_error(errno.EAGAIN),
        "Resource temporarily unavailable; raise the limit on processes (ulimit -u), or use fewer --workers and "
        "--threads",
    ),
    (
        os_error(errno.ECONNREFUSED),
        "Connection refused; a process that this command needs has ended: start the command again",
    ),
    (os_error(errno.EPIPE), "Broken pipe; a process that this command needs has ended: start the command again"),
    (os_error(errno.ENOSPC, "a/b"), "a/b: No space left on device; free space there"),
    (os_error(errno.EACCES, "a"), "a: Permission denied; check its permissions"),
    (os_error(errno.EIO, "a"), "a: Input/output error"),
    (OSError("no words"), "no words"),
    (OSError(), "OSError"),
    (UserError("bad"), "bad"),
    (MemoryError(), "out of memory with these settings: try a smaller width, length or number of sequences"),
    (
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"),
        "out of memory with these settings: try a smaller width, length or number of sequences",
    ),
    (RuntimeError("a bug"), None),
    (ValueError("can't allocate memory"), None),
]


@pytest.mark.parametrize(("error", "line"), LINES)
def test_one_line(error, line):
    assert in_one_line(error) == line


def test_a_socket_whose_path_is_too_long():
    with socket.socket(socket.AF_UNIX) as server, pytest.raises(OSError, match="AF_UNIX") as caught:
        server.bind("x" * 200)
    assert in_one_line(caught.value) == "AF_UNIX path too long; set TMPDIR to a folder with a shorter path"


@pytest.mark.parametrize(
    ("number", "action", "line"),
    [
        (errno.ENOSPC, "write", "No space left on device; free space there, or choose another folder with --to"),
        (errno.EROFS, "write", "Read-only file system; choose a folder that you may write to with --to"),
        (errno.EIO, "write", "Input/output error; choose another folder with --to"),
        (errno.EIO, "read", "Input/output error; check its permissions and its disk"),
        # The limits of the process are not the file's fault.
        (
            errno.EMFILE,
            "read",
            "Too many open files; raise the limit on open files (ulimit -n), or use fewer --workers",
        ),
    ],
)
def test_errors_of_a_file(number, action, line):
    with pytest.raises(UserError) as caught, explained(action, Path("a"), option="--to"):
        raise os_error(number, ".a.tmp")
    assert str(caught.value) == f"a: cannot {action}: {line}"
