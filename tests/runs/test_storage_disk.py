"""A run folder on disks that refuse: full, read-only, broken, not one's own."""

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from iterhead.errors import UserError
from iterhead.runs.storage import RunFolder

posix = pytest.mark.skipif(sys.platform == "win32", reason="needs permissions and limits")


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path / "abc")
    folder.write("config.json", b"old")
    return folder


REASONS = {
    errno.ENOSPC: "No space left on device; free space there, or choose another folder with --out",
    errno.EDQUOT: "Disk quota exceeded; free space there, or choose another folder with --out",
    errno.EROFS: "Read-only file system; choose a folder that you may write to with --out",
    errno.EACCES: "Permission denied; choose a folder that you may write to with --out",
    errno.EIO: "Input/output error; choose another folder with --out",
}


@pytest.mark.parametrize("code", REASONS, ids=errno.errorcode.get)
@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("call", [0, 1])
def test_a_refusing_disk_changes_nothing(run: RunFolder, monkeypatch, code: int, step: str, call: int):
    real = getattr(os, step)
    left = iter([True] * call)

    def refuse(*args):
        if next(left, False):
            return real(*args)
        raise OSError(code, os.strerror(code), "a temporary name")

    with monkeypatch.context() as patch:
        patch.setattr(os, step, refuse)
        with pytest.raises(UserError) as caught:
            run.write("config.json", b"new")
    # Two files are staged, config.json first; two are renamed, checksums.json first.
    name = "checksums.json" if (step == "fsync") == bool(call) else "config.json"
    assert str(caught.value) == f"{run.path / name}: cannot write: {REASONS[code]}"
    assert run.read("config.json") == b"old"
    assert sorted(path.name for path in run.path.iterdir()) == ["checksums.json", "config.json"]


@pytest.fixture
def unsyncable(run: RunFolder, monkeypatch):
    """Let opening the run's folder, which is how it is synced, fail with an error."""
    real = os.open

    def fail_with(code: int):
        def refuse(path, *args, **more):
            if path == run.path:
                raise OSError(code, os.strerror(code))
            return real(path, *args, **more)

        monkeypatch.setattr(os, "open", refuse)

    yield fail_with
    monkeypatch.setattr(os, "open", real)


@posix
def test_a_folder_that_cannot_sync_is_accepted(run: RunFolder, unsyncable):
    unsyncable(errno.EINVAL)
    run.write("config.json", b"new")
    assert run.read("config.json") == b"new"


@posix
def test_a_folder_that_fails_to_sync_is_an_error(run: RunFolder, unsyncable):
    unsyncable(errno.EIO)
    with pytest.raises(UserError, match="Input/output error"):
        run.write("config.json", b"new")
    assert run.read("config.json") == b"old"


REFUSED = """
import os, resource, sys
from pathlib import Path
from iterhead.errors import UserError
from iterhead.runs.storage import RunFolder

def attempt(call, *args):
    try:
        print(call(*args))
    except UserError as error:
        print(error)

def lock():
    with run.lock():
        return "locked"

run = RunFolder(Path("abc"))
run.write("config.json", b"old")
exec(sys.argv[1])
attempt(run.write, "config.json", bytes(3_000_000))
attempt(lock)
attempt(run.read, "config.json")
print(*sorted(set(os.listdir("abc")) - {".lock"}))
"""


def refused(trouble: str, folder: Path, *before: str) -> list[str]:
    """What a process prints that meets trouble when it writes 3 MB, locks, reads and lists."""
    command = [*before, sys.executable, "-c", REFUSED, trouble]
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.splitlines()


@posix
def test_a_limit_on_file_sizes(tmp_path: Path):
    limit = "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))"
    reason = "File too large; raise the limit on file sizes (ulimit -f), or choose another folder with --out"
    lines = refused(limit, tmp_path)
    assert lines == [f"abc/config.json: cannot write: {reason}", "locked", "b'old'", "checksums.json config.json"]


@posix
def test_a_disk_that_is_really_full(tmp_path: Path):
    small_disk = 'mount -t tmpfs -o size=1m none . && cd "$PWD" && exec "$@"'
    inside = ["unshare", "-rm", "sh", "-c", small_disk, "sh"]
    if not shutil.which("unshare") or subprocess.run([*inside, "true"], cwd=tmp_path, check=False).returncode:
        pytest.skip("may not mount a small disk here")
    reason = f"abc/config.json: cannot write: {REASONS[errno.ENOSPC]}"
    lines = refused("", tmp_path, *inside)
    assert lines == [reason, "locked", "b'old'", "checksums.json config.json"]


# Root may do everything, so it becomes nobody; names relative to the working folder spare it the folders above.
AS_NOBODY = "os.geteuid() or os.setuid(65534)"


@posix
def test_a_folder_that_one_may_only_read(tmp_path: Path):
    tmp_path.chmod(0o755)
    denied = REASONS[errno.EACCES]
    assert refused(f"os.chmod('abc', 0o555); {AS_NOBODY}", tmp_path) == [
        f"abc/config.json: cannot write: {denied}",
        f"abc: cannot lock: {denied}",
        "b'old'",
        "checksums.json config.json",
    ]


@posix
@pytest.mark.parametrize("shut", ["abc/config.json", "abc/checksums.json", "abc"])
def test_what_one_may_not_read(tmp_path: Path, shut: str):
    tmp_path.chmod(0o755)
    lines = refused(f"os.chmod('{shut}', 0); {AS_NOBODY}; attempt(run.read, 'config.json'); sys.exit()", tmp_path)
    (tmp_path / shut).chmod(0o755)
    assert lines == [f"{shut}: cannot read: Permission denied; check its permissions and its disk"]
