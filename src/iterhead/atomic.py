"""Files that survive a kill: atomic writes and checksums.

A file is written under a temporary name next to its place, synced, then renamed. A process that is killed leaves the
old file, and perhaps a temporary one. checksums.json holds for each name the sha256 digests that its file may have. It
is replaced first and then accepts both the old file and the new one; only then is the file renamed. So every file is an
accepted one at every moment. Until a new file is surely there, and before a file is removed, ABSENT is among its
digests: such a file may be missing, any other one may not. Functions raise UserError if a file cannot be read or
written, or if checksums.json is damaged.

A temporary file or folder is locked by its writer, as long as that lives. So the next write of the same path removes
what a killed process left, and nothing that another one is just writing.
"""

import errno
import glob
import hashlib
import json
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any

from iterhead.errors import UserError
from iterhead.explain import explained

if os.name != "nt":
    import fcntl

CHECKSUMS = "checksums.json"
ABSENT = "0" * 64
"""In the place of a digest: the file may be missing."""
RESCUE = "train it again with --again, or restore the file"

_DIGEST = re.compile(r"[0-9a-f]{64}")
_NO_FOLDER_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EACCES}


@contextmanager
def replacing(files: Mapping[Path, bytes]) -> Iterator[None]:
    """Write and sync files under temporary names; after the block, rename them in order, each synced before the next.

    If a write fails or the block raises, every file keeps its old content; if a rename fails, those before it are new.
    Temporary files are always removed.
    """
    temporaries: dict[Path, Path] = {}
    with ExitStack() as locks:
        try:
            for path, data in files.items():
                with explained("write", path):
                    make_folder(path.parent)
                    temporaries[path] = locks.enter_context(temporary(path))
                    with temporaries[path].open("r+b") as file:
                        file.write(data)
                        file.flush()
                        os.fsync(file.fileno())
            yield
            for path, made in temporaries.items():
                with explained("write", path):
                    made.replace(path)
                    _sync_folder(path.parent)
        finally:
            for made in temporaries.values():
                with suppress(OSError):
                    made.unlink()


@contextmanager
def temporary(path: Path, *, is_folder: bool = False) -> Iterator[Path]:
    """Make an empty file or folder next to a path, under a name that `sweep` knows, and lock it during the block."""
    with ExitStack() as lock:
        while True:
            made = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
            try:
                if is_folder:
                    made.mkdir()
                else:  # not by tempfile.mkstemp: its files are readable by their owner only, regardless of the umask
                    made.touch(exist_ok=False)
            except FileExistsError:
                continue
            except OSError:  # perhaps when it was there already: in closing it, for example
                with suppress(OSError):
                    (made.rmdir if is_folder else made.unlink)()
                raise
            try:
                lock.enter_context(_locked(made))
            except (BlockingIOError, FileNotFoundError):  # another process is sweeping it
                continue
            except OSError:  # there are no locks here, so it will not be swept
                break
            if made.exists():
                break
        yield made


def sweep(path: Path) -> None:
    """Remove the temporary files and folders that killed processes left when they wrote to a path.

    If a process was killed when the old folder was gone and the new one not yet in its place, the old one comes back.
    """
    name = f".{glob.escape(path.name)}.{'[0-9a-f]' * 8}.tmp"
    for left in [*path.parent.glob(name), *path.parent.glob(f"{name}.old")]:
        with suppress(OSError), _locked(left):
            if left.suffix == ".old" and not path.exists():
                left.rename(path)
            elif left.is_dir():
                shutil.rmtree(left)
            else:
                left.unlink()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Lock a file or folder; raises BlockingIOError if another process has, OSError where there are no locks."""
    if os.name == "nt":
        raise OSError("an open file cannot be renamed")
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def replace_folder(folder: Path, new: Path) -> None:
    """Put a complete folder in the place of another one, or of none, and remove the old one; raises OSError.

    `new` is from `temporary`. Its files are synced first. A process that is killed leaves the old folder or the new
    one, in its place or where `sweep` finds it.
    """
    for path in new.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
    _sync_folder(new)
    old = new.with_name(f"{new.name}.old")
    try:
        if folder.exists():
            folder.rename(old)
        new.rename(folder)
        _sync_folder(folder.parent)
    finally:  # a network file system may report an error although it has renamed
        if old.exists() and not folder.exists():
            old.rename(folder)
        for _ in range(2):  # an error that comes once keeps one file
            shutil.rmtree(old, ignore_errors=True)


def write(path: Path, data: bytes) -> None:
    """Replace the content of a file by `data`. If the write fails, the file is unchanged and UserError is raised."""
    sweep(path)
    with replacing({path: data}):
        pass


def read(path: Path, most: int | None = None, rescue: str = RESCUE) -> bytes | None:
    """Return the content of a file of at most `most` bytes; None if it is not there.

    Raises:
        UserError: it cannot be read, is larger (`rescue` says what to do then), or is no regular file: reading a pipe
            may take forever.
    """
    with explained("read", path):
        try:
            status = path.stat()
            if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
                raise UserError(f"{path}: expected a regular file: move what is in its place")
            if most is not None and status.st_size > most:
                raise UserError(f"{path} is damaged: expected at most {most:,} bytes, got {status.st_size:,}; {rescue}")
            return path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None


def is_name(name: str) -> bool:
    """Return whether a run may have a file of this name: relative, no hidden part, not checksums.json."""
    parts = PurePosixPath(name).parts
    hidden = any(part.startswith((".", "/")) for part in parts)
    return name not in ("", CHECKSUMS) and "/".join(parts) == name and not hidden


def read_checksums(folder: Path, rescue: str = RESCUE) -> dict[str, list[str]]:
    """Return the accepted digests of each name, the newest last; none without a checksums.json."""
    path = folder / CHECKSUMS
    data = read(path)
    try:
        return {} if data is None else _parse_checksums(data)
    except (ValueError, RecursionError):
        raise UserError(f"{path} is damaged: expected names and their sha256 digests; {rescue}") from None


def accept(folder: Path, files: Mapping[str, bytes]) -> None:
    """Let checksums.json accept, for these names, the present file and the new one, and no other."""
    checksums = _settled(folder)
    for name, data in files.items():
        present = ABSENT
        # Two digests may be recorded, if a writer died; the file shows which one holds.
        with explained("read", folder / name), suppress(FileNotFoundError), (folder / name).open("rb") as file:
            present = hashlib.file_digest(file, "sha256").hexdigest()
        kept = [old for old in (ABSENT, *checksums.get(name, ())) if old == present]
        checksums[name] = list(dict.fromkeys([*kept, hashlib.sha256(data).hexdigest()]))
    write(folder / CHECKSUMS, json_bytes(checksums))


def allow_removal(folder: Path, names: Iterable[str]) -> None:
    """Let checksums.json accept that these files are missing, before they are removed."""
    checksums = _settled(folder)
    if named := [name for name in names if name in checksums]:
        write(folder / CHECKSUMS, json_bytes(checksums | {name: [ABSENT, *checksums[name]] for name in named}))


def settle(folder: Path) -> None:
    """Let checksums.json name exactly the files that are there, of those that may be missing."""
    checksums = read_checksums(folder)
    if any(ABSENT in digests for digests in checksums.values()):
        write(folder / CHECKSUMS, json_bytes(_settled(folder)))


def missing_files(folder: Path) -> list[str]:
    """Return the files that checksums.json names and that are not there, although they must be."""
    checksums = read_checksums(folder)
    while True:
        missing = [n for n, digests in checksums.items() if ABSENT not in digests and not _is_there(folder / n)]
        # A writer may have come between the two looks.
        before, checksums = checksums, read_checksums(folder) if missing else checksums
        if checksums == before:
            return missing


def _is_there(path: Path) -> bool:
    """Return whether a file exists; UserError if that cannot be seen, which `os.path.lexists` takes for no."""
    with explained("read", path):
        try:
            path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return False
    return True


def _settled(folder: Path) -> dict[str, list[str]]:
    """Return the checksums without the files that may be missing and are; the others may not be missing any more."""
    checksums = read_checksums(folder).items()
    there = {n: digests for n, digests in checksums if ABSENT not in digests or _is_there(folder / n)}
    return {name: [digest for digest in digests if digest != ABSENT] for name, digests in there.items()}


def json_bytes(value: Any) -> bytes:
    """Return a JSON file's content: sorted keys, a newline at the end; ValueError for NaN and infinity."""
    return (json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n").encode()


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, durably; raises OSError."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    """Put a folder's entries on the disk: without it, a power cut may undo a rename."""
    if os.name == "nt":  # Windows opens no folders
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        # Some network file systems cannot, and a folder may allow writing but not reading. The rename is done anyway.
        if error.errno not in _NO_FOLDER_SYNC:
            raise


def _parse_checksums(data: bytes) -> dict[str, list[str]]:
    """Return the names and digests, or raise ValueError for anything else."""
    table = json.loads(data)
    if not isinstance(table, dict):
        raise ValueError("not a table")
    for name, digests in table.items():
        listed = isinstance(digests, list) and digests != []
        if not (is_name(name) and listed and all(isinstance(d, str) and _DIGEST.fullmatch(d) for d in digests)):
            raise ValueError(f"not a name with its digests: {name}")
    return table
