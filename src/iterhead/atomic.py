"""Files that survive a kill: atomic writes and checksums.

A file is written under a temporary name next to its place, synced, then renamed. A process that is killed leaves the
old file, and perhaps a temporary one. checksums.json holds for each name the sha256 digests that its file may have. It
is replaced first and then accepts both the old file and the new one; only then is the file renamed. So every file is an
accepted one at every moment. Until a new file is surely there, and before a file is removed, ABSENT is among its
digests: such a file may be missing, any other one may not. Functions raise UserError if a file cannot be read or
written, or if checksums.json is damaged.
"""

import errno
import hashlib
import json
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any

from iterhead.errors import UserError
from iterhead.explain import explained as explained

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
    try:
        for path, data in files.items():
            with explained("write", path):
                make_folder(path.parent)
                # Not tempfile.mkstemp: its files are readable by their owner only, regardless of the umask.
                temporaries[path] = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
                with temporaries[path].open("xb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
        yield
        for path, temporary in temporaries.items():
            with explained("write", path):
                temporary.replace(path)
                _sync_folder(path.parent)
    finally:
        for temporary in temporaries.values():
            with suppress(OSError):
                temporary.unlink()


def replace_folder(folder: Path, temporary: Path) -> None:
    """Put a complete folder in the place of another one, or of none, and remove the old one; raises OSError.

    `temporary` is next to `folder`. Its files are synced first. A process that is killed leaves the old folder or the
    new one, in its place or under a temporary name.
    """
    for path in temporary.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
    _sync_folder(temporary)
    old = temporary.with_name(f"{temporary.name}.old")
    if folder.exists():
        folder.rename(old)
    try:
        temporary.rename(folder)
    except OSError:
        if old.exists():
            old.rename(folder)
        raise
    _sync_folder(folder.parent)
    shutil.rmtree(old, ignore_errors=True)


def write(path: Path, data: bytes) -> None:
    """Replace the content of a file by `data`. If the write fails, the file is unchanged and UserError is raised."""
    with replacing({path: data}):
        pass


def read(path: Path, most: int | None = None) -> bytes | None:
    """Return the content of a file of at most `most` bytes; None if it is not there.

    Raises:
        UserError: it cannot be read, is larger, or is no regular file: reading a pipe may take forever.
    """
    with explained("read", path):
        try:
            status = path.stat()
            if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
                raise UserError(f"{path}: expected a regular file: move what is in its place")
            if most is not None and status.st_size > most:
                raise UserError(f"{path} is damaged: expected at most {most:,} bytes, got {status.st_size:,}; {RESCUE}")
            return path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None


def is_name(name: str) -> bool:
    """Return whether a run may have a file of this name: relative, no hidden part, not checksums.json."""
    parts = PurePosixPath(name).parts
    hidden = any(part.startswith((".", "/")) for part in parts)
    return name not in ("", CHECKSUMS) and "/".join(parts) == name and not hidden


def read_checksums(folder: Path) -> dict[str, list[str]]:
    """Return the accepted digests of each name, the newest last; none without a checksums.json."""
    path = folder / CHECKSUMS
    data = read(path)
    try:
        return {} if data is None else _parse_checksums(data)
    except (ValueError, RecursionError):
        raise UserError(f"{path} is damaged: expected names and their sha256 digests; {RESCUE}") from None


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
        missing = [n for n, digests in checksums.items() if ABSENT not in digests and not os.path.lexists(folder / n)]
        # A writer may have come between the two looks.
        before, checksums = checksums, read_checksums(folder) if missing else checksums
        if checksums == before:
            return missing


def _settled(folder: Path) -> dict[str, list[str]]:
    """Return the checksums without the files that may be missing and are; the others may not be missing any more."""
    checksums = read_checksums(folder).items()
    there = {n: digests for n, digests in checksums if ABSENT not in digests or os.path.lexists(folder / n)}
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
