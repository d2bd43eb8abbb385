"""The library itself: it sees what strace sees, and its faults are those that were asked for."""

import errno
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from faults.failing_calls import FailingCalls, build
from faults.test_syscalls import EXPORT, RUN

OPENS = ("open", "openat", "creat")
WRITES = (
    *OPENS,
    *("mkdir", "mkdirat", "mknod", "mknodat", "rename", "renameat", "renameat2", "unlink", "unlinkat", "rmdir"),
    *("link", "linkat", "symlink", "symlinkat", "chmod", "fchmod", "fchmodat", "chown", "fchown", "fchownat", "lchown"),
    *("write", "writev", "pwrite64", "pwritev", "pwritev2", "sendfile", "copy_file_range", "splice", "vmsplice"),
    *("truncate", "ftruncate", "fallocate", "fsync", "fdatasync", "sync_file_range", "msync", "flock"),
    *("setxattr", "fsetxattr", "utime", "utimes", "utimensat", "futimesat"),
)
"""Every system call that changes a file or a folder, apart from writes into mapped memory."""


def python(words: list[str], folder: Path, calls: FailingCalls, *before: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **calls.environment, "OMP_NUM_THREADS": "1"}
    command = [*before, sys.executable, *words]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def calls(tmp_path: Path) -> FailingCalls:
    return FailingCalls(build(tmp_path))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "watched"
    made.mkdir()
    return made


def traced_calls(log: str, folder: Path) -> tuple[int, int, list[str]]:
    """Return how many calls that write, and mappings for writing, strace saw below a folder, and raw renames."""
    count = mappings = 0
    raw = []
    for line in log.splitlines():
        call, _, rest = re.sub(r"^\d+ +", "", line).partition("(")
        if str(folder) not in rest:
            continue
        is_open = call in OPENS
        if call == "mmap":
            mappings += "PROT_WRITE" in rest and "MAP_SHARED" in rest
        elif call == "renameat" and rest.count(".tmp") > 1:
            raw.append(line)
        elif not is_open or re.search("O_WRONLY|O_RDWR|O_CREAT|O_TRUNC", rest):
            # What is opened for writing is closed, and closing is counted as well.
            count += 1 + (is_open and " = -1 " not in rest)
    return count, mappings, raw


@pytest.mark.parametrize("words", [RUN, EXPORT])
def test_the_library_sees_every_call_that_strace_sees(calls: FailingCalls, folder: Path, words: str):
    strace, log = shutil.which("strace"), folder.with_name("log")
    if strace is None or subprocess.run([strace, "true"], capture_output=True, check=False).returncode:
        pytest.skip("strace is missing here, or may not trace")
    program, out = ["-m", "iterhead"], ["--out", f"{folder}/runs"]
    if words == EXPORT:
        pytest.importorskip("transformers")
        assert python([*program, *RUN.split(), *out], folder.parent, calls).returncode == 0
        words = words.replace("exported", f"{folder}/exported")
    calls.plan(folder)
    traced = ",".join(["mmap", *(f"?{call}" for call in WRITES)])
    trace = [strace, "-f", "-y", "-s", "0", "-o", str(log), "-e", f"trace={traced}"]
    # In another folder, because strace shows the current one in every call.
    done = python([*program, *words.split(), *out], folder.parent, calls, *trace)
    assert done.returncode == 0, done.stderr
    count, mappings, raw = traced_calls(log.read_text(), folder)
    assert (count, mappings) == (calls.seen, 0)
    assert count > 30
    # The weights of an export get their name by a call that does not go through libc, inside the temporary folder.
    assert len(raw) == words.startswith("export")


STEPS = """
import os
for name in ("a", "b"):
    file = os.open(name, os.O_WRONLY | os.O_CREAT)
    try:
        print(os.write(file, b"12345"))
        os.rename(name, "new-" + name)
    except OSError as error:
        print(error.errno)
    try:
        os.close(file)
    except OSError as error:
        print("closed", error.errno)
print(sorted(os.listdir()))
"""
"""Calls 1 to 4, and 5 to 8: open, write, rename, close."""


@pytest.mark.parametrize(
    ("plan", "printed"),
    [
        ({}, "5 5 ['new-a', 'new-b']"),
        ({"first": 2, "last": 2, "error": errno.ENOSPC}, f"{errno.ENOSPC} 5 ['a', 'new-b']"),
        ({"first": 7, "last": 7, "error": errno.EIO}, f"5 5 {errno.EIO} ['b', 'new-a']"),
        ({"first": 7, "last": 7, "error": errno.EIO, "how": "reported"}, f"5 5 {errno.EIO} ['new-a', 'new-b']"),
        ({"first": 8, "last": 8, "error": errno.EROFS}, f"5 5 closed {errno.EROFS} ['new-a', 'new-b']"),
        ({"first": 1, "last": 9, "how": "short"}, "3 3 ['new-a', 'new-b']"),
    ],
)
def test_the_faults_are_those_that_were_asked_for(calls: FailingCalls, folder: Path, plan: dict, printed: str):
    calls.plan(folder, **plan)
    assert python(["-c", STEPS], folder, calls).stdout.split() == printed.split()
    assert bool(calls.failed) == bool(plan)
    calls.plan(folder.with_name("elsewhere"), **plan)
    for name in ("a", "b"):
        (folder / name).unlink(missing_ok=True)
    assert python(["-c", STEPS], folder, calls).stdout.split() == ["5", "5", "['new-a',", "'new-b']"]
    assert calls.seen == 0
