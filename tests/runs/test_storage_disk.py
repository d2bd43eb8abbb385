"""A run folder on disks that refuse: full, read-only, broken, not one's own."""

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from iterhead import atomic
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


@posix
def test_a_lock_that_cannot_be_released_is_no_failure_and_is_released_later(run: RunFolder, monkeypatch):
    import fcntl

    real, refused = fcntl.flock, []

    def refuse_once(descriptor, operation):
        if operation == fcntl.LOCK_UN and not refused:
            refused.append(descriptor)
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", refuse_once)
    with run.lock():
        run.write("config.json", b"new")
    assert refused
    assert not run.is_locked()
    refused.clear()
    assert not run.is_locked()
    assert refused
    with run.lock():
        assert run.read("config.json") == b"new"


@pytest.mark.parametrize(("kind", "call"), [(False, "touch"), (True, "mkdir")])
def test_what_is_there_after_an_error_in_making_it_is_removed(tmp_path: Path, monkeypatch, kind: bool, call: str):
    real = getattr(Path, call)

    def make_and_refuse(path, **options):
        real(path, **options)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(Path, call, make_and_refuse)
    with pytest.raises(OSError, match="Input/output error"), atomic.temporary(tmp_path / "a", is_folder=kind):
        pass
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", [0, 1], ids=["the old folder", "the new folder"])
@pytest.mark.parametrize("done", [False, True], ids=["refused", "done, and reported as failed"])
def test_a_failed_rename_leaves_one_whole_folder(tmp_path: Path, monkeypatch, number: int, done: bool):
    place = tmp_path / "a"
    place.mkdir()
    (place / "old").touch()
    real, renames = Path.rename, []

    def fail(path, target):
        renames.append(path)
        if len(renames) != number + 1 or done:
            real(path, target)
        if len(renames) == number + 1:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    with atomic.temporary(place, is_folder=True) as made:
        (made / "new").touch()
        with monkeypatch.context() as patch:
            patch.setattr(Path, "rename", fail)
            with pytest.raises(OSError, match="Input/output error"):
                atomic.replace_folder(place, made)
        shutil.rmtree(made, ignore_errors=True)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert [path.name for path in place.iterdir()] == ["new" if done and number else "old"]


def test_nothing_is_left_of_an_old_folder_after_errors_that_come_once(tmp_path: Path, monkeypatch):
    place = tmp_path / "a"
    place.mkdir()
    for name in ("x", "y"):
        (place / name).touch()
    real, refused = os.unlink, []

    def refuse_once(path, *args, **options):
        if not refused:
            refused.append(path)
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(path, *args, **options)

    with atomic.temporary(place, is_folder=True) as made:
        with monkeypatch.context() as patch:
            patch.setattr(os, "unlink", refuse_once)
            atomic.replace_folder(place, made)
        assert refused
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


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
