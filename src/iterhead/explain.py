"""The one place where an OSError or a lack of memory becomes words: what failed, why, and what to do about it."""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from iterhead.errors import UserError

_ELSEWHERE = "choose another folder with --out"
_PROCESS_ADVICE = {
    errno.EMFILE: "raise the limit on open files (ulimit -n), or use fewer --workers",
    errno.ENFILE: "close other programs: the whole system has too many files open",
    errno.EAGAIN: "raise the limit on processes (ulimit -u), or use fewer --workers and --threads",
    errno.ENOMEM: "free memory, or raise its limit (ulimit -v)",
    **dict.fromkeys(
        (errno.ECONNREFUSED, errno.ECONNRESET, errno.EPIPE),
        "a process that this command needs has ended: start the command again",
    ),
}
"""For what lies in the process and its limits, not in the file that happened to be used."""
_WRITE_ADVICE = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), f"free space there, or {_ELSEWHERE}"),
    **dict.fromkeys((errno.EROFS, errno.EACCES, errno.EPERM), "choose a folder that you may write to with --out"),
    **dict.fromkeys((errno.EEXIST, errno.ENOTDIR), f"a file is in the place of a folder: move it, or {_ELSEWHERE}"),
    errno.EFBIG: f"raise the limit on file sizes (ulimit -f), or {_ELSEWHERE}",
}
_OTHER_ADVICE = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "free space there"),
    **dict.fromkeys((errno.EROFS, errno.EACCES, errno.EPERM), "check its permissions"),
}
_TMPDIR = "set TMPDIR to a folder with a shorter path"
"""For sockets, whose paths may have about a hundred characters. Python raises it without an errno."""


@contextmanager
def explained(action: str, path: Path, option: str = "--out") -> Iterator[None]:
    """Turn any OSError, or an impossible name, inside into a UserError: `PATH: cannot ACTION: reason; what to do`.

    Args:
        action: "read", "write" or "lock".
        path: as the user knows it, never a temporary name.
        option: the option that chooses another place to write to.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as raised:
        if isinstance(raised, UnicodeEncodeError) or (isinstance(raised, ValueError) and "null byte" in str(raised)):
            raise UserError(f"{path}: cannot {action}: no name that a file can have; expected UTF-8") from None
        # Libraries in Rust (safetensors, tokenizers) raise errors of their own types.
        named = re.search(r"\(os error (\d+)\)", str(raised))
        error = OSError(int(named[1]), os.strerror(int(named[1]))) if named else raised
        if not isinstance(error, OSError):
            raise
        number = error.errno or 0
        advice = "check its permissions and its disk"
        if action != "read":
            advice = _WRITE_ADVICE.get(number, _ELSEWHERE).replace("--out", option)
        advice = _PROCESS_ADVICE.get(number, advice)
        raise UserError(f"{path}: cannot {action}: {_reason(error)}; {advice}") from raised


def in_one_line(error: BaseException) -> str | None:
    """Return what a person should read in place of a traceback, or None if the error is a bug."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, OSError):
        return _os_error(error)
    # PyTorch raises a RuntimeError when it gets no memory.
    is_torch_memory = isinstance(error, RuntimeError) and re.search("allocate memory|out of memory", str(error))
    if isinstance(error, MemoryError | OverflowError) or is_torch_memory:
        return "out of memory with these settings: try a smaller width, length or number of sequences"
    return None


def _os_error(error: OSError) -> str:
    """Return the file, if Python knows one, the reason, and advice, if there is any."""
    reason = _reason(error)
    advice = (_PROCESS_ADVICE | _OTHER_ADVICE).get(error.errno or 0, "")
    if "AF_UNIX path too long" in reason:
        advice = _TMPDIR
    path = "" if error.filename is None else f"{error.filename}: "
    return f"{path}{reason}; {advice}" if advice else f"{path}{reason}"


def _reason(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__
