"""Run folders: the files of a run, intact after a kill at any moment.

    config.json                            the frozen config; a folder without it is no run
    measurements.parquet                   the tidy table
    checkpoints/epoch-00012.safetensors    weights at evaluations
    state.safetensors                      the whole training state, the latest only
    status.json, provenance.json           how far the run is; versions, and what the task did
    figure.png, report.html, claims.json   and other files made from it
    checksums.json                         the sha256 digests that each file may have (see atomic.py)
    .lock, .holder.json                    the lock, and who holds it

Nothing is pickled. torch and polars are imported only by the calls that need them.
"""

import hashlib
import io
import os
import re
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from filelock import FileLock, Timeout
from pydantic import BaseModel, Field

from iterhead import atomic
from iterhead.contents import (
    MOST_HEADER_BYTES,
    MOST_JSON_BYTES,
    STRICT,
    Column,
    ContentError,
    TensorSpec,
    parse_json,
    parse_table,
    parse_tensors,
)
from iterhead.errors import UserError
from iterhead.explain import explained
from iterhead.formatting import listed

if TYPE_CHECKING:
    import polars
    import torch

CONFIG = "config.json"
LOCK = ".lock"
HOLDER = ".holder.json"

T = TypeVar("T")

_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}\.tmp")


class LockedError(UserError):
    """Another process, or this one, holds the lock of the run."""


class _Holder(BaseModel):
    """Who holds the lock of a folder."""

    model_config = STRICT
    pid: int
    host: str = Field(pattern=r"^[A-Za-z0-9._-]+$", max_length=255)  # it is shown


class RunFolder:
    """The folder of one run, which the first write or lock makes.

    Only the holder of `lock` may write. Anybody may read at any time, also while another process writes.

    Names are relative, with forward slashes: `status.json`, `checkpoints/epoch-00012.safetensors`. Impossible names
    (absolute, with a hidden part, checksums.json itself) raise a plain ValueError. Where a file is missing or damaged,
    or a file cannot be written, methods raise UserError; `rescue` says what to do about damage.
    """

    def __init__(self, path: Path, rescue: str = atomic.RESCUE):
        self.path, self.rescue = Path(path), rescue

    def __repr__(self) -> str:
        return f"RunFolder({str(self.path)!r})"

    def check(self) -> None:
        """Raise UserError unless this is a run: a readable folder with config.json."""
        expected = f"expected a folder with {CONFIG} (iterhead run makes one)"
        with explained("read", self.path):
            try:
                (self.path / CONFIG).stat()
            except FileNotFoundError:
                raise UserError(f"{self.path}: no run here: {expected}") from None
            except NotADirectoryError:
                raise UserError(f"{self.path}: a file, no run: {expected}") from None

    def has(self, name: str) -> bool:
        """Return whether a file of this name exists; `read` checks that it is intact."""
        return os.path.isfile(self._path_of(name))  # noqa: PTH113 - Path.is_file raises where one may not look

    def names(self) -> list[str]:
        """Return the names of the files that exist and have a checksum, sorted."""
        return [name for name in sorted(atomic.read_checksums(self.path, self.rescue)) if self.has(name)]

    def read(self, name: str, most: int | None = None) -> bytes:
        """Return a file's content as it was written; UserError unless its checksum is right, or beyond `most` bytes."""
        self.check()
        accepted = self._accepted(name)
        while True:
            data = self._load(name, most)
            digest = hashlib.sha256(data).hexdigest()
            if digest in accepted:
                return data
            # A writer may have come between the two looks. Damage is a mismatch that no writer explains.
            before, accepted = accepted, self._accepted(name)
            if accepted == before:
                expected = " or ".join(other[:12] for other in accepted)
                raise self.damaged(name, f"sha256 {digest[:12]}, expected {expected}")

    def write(self, name: str, data: bytes) -> None:
        """Write a file. If the write fails or the process is killed, the old file is intact."""
        self.write_many({name: data})

    def write_many(self, files: Mapping[str, bytes]) -> None:
        """Replace several files in the order given, with one update of the checksums.

        A kill may leave the first ones new and the others old, so put the file last that must never be newer than
        the others. If the disk is full, every old file is intact.
        """
        if files:
            with atomic.replacing({self._path_of(name): data for name, data in files.items()}):
                atomic.accept(self.path, files)

    def read_json(self, name: str, kind: type[T]) -> T:
        """Return a JSON file as a `kind`, as `contents.parse_json` does."""
        data = self.read(name, MOST_JSON_BYTES)
        with self.checked(name):
            return parse_json(data, kind)

    def read_table(self, name: str, columns: Mapping[str, Column]) -> "polars.DataFrame":
        """Return the table of a Parquet file, as `contents.parse_table` does."""
        data = self.read(name)
        with self.checked(name):
            return parse_table(data, columns)

    def read_tensors(self, name: str, expected: Mapping[str, TensorSpec]) -> "dict[str, torch.Tensor]":
        """Return the tensors of a safetensors file, as `contents.parse_tensors` does."""
        data = self.read(name, MOST_HEADER_BYTES + sum(spec.bytes for spec in expected.values()))
        with self.checked(name):
            return parse_tensors(data, expected)

    @contextmanager
    def checked(self, name: str) -> Iterator[None]:
        """Turn a ContentError about a file into a UserError."""
        try:
            yield
        except ContentError as error:
            raise self.damaged(name, str(error)) from None

    def damaged(self, name: str, why: str) -> UserError:
        """Return the error for a file whose content is wrong."""
        return UserError(f"{self._path_of(name)} is damaged: {' '.join(why.split())[:300]}; {self.rescue}")

    def write_json(self, name: str, value: Any) -> None:
        """Write JSON with sorted keys and a final newline; ValueError for NaN and infinity."""
        self.write(name, atomic.json_bytes(value))

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Lock the folder, made if need be, until the block or the process ends, killed or not.

        Temporary files that a killed holder left are removed.

        Raises:
            LockedError: another holder works on it.
            UserError: it cannot be written to.
        """
        with explained("lock", self.path):
            atomic.make_folder(self.path)
            file_lock = self._file_lock()
            try:
                file_lock.acquire(blocking=False)
            except Timeout:
                raise LockedError(f"{self.path}: {self._busy()}") from None
        try:
            # The lock decides; this text, which a killed holder leaves behind, only informs.
            holder = atomic.json_bytes({"pid": os.getpid(), "host": socket.gethostname()})
            atomic.write(self.path / HOLDER, holder)
            self._clean()
            yield
        finally:
            with suppress(UserError):
                atomic.settle(self.path)
            with suppress(OSError):
                (self.path / HOLDER).unlink()
            with suppress(OSError):  # tried again when `file_lock` is deleted; it holds no longer than the process
                file_lock.release()

    def is_locked(self) -> bool:
        """Return whether the folder is locked at this moment; one that cannot be locked counts as free.

        The lock is taken for an instant, so a process that wants it just then is refused. Use this only where such a
        process tries again.
        """
        if not (self.path / LOCK).exists():
            return False
        probe = self._file_lock()
        try:
            probe.acquire(blocking=False)
        except Timeout:
            return True
        except OSError:
            return False
        with suppress(OSError):
            probe.release()
        return False

    def was_abandoned(self) -> bool:
        """Return whether a holder of the lock was killed since the last one released it, or one works here now."""
        return (self.path / HOLDER).exists()

    def remove(self, names: Iterable[str]) -> None:
        """Remove files, if they exist; checksums.json first. Call it only under the lock."""
        names = [name for name in names if self.has(name)]
        if names:
            atomic.allow_removal(self.path, names)
        for name in names:
            path = self._path_of(name)
            with explained("write", path):
                path.unlink(missing_ok=True)

    def _clean(self) -> None:
        """Remove the temporary files of a killed process, from subfolders too."""
        with explained("write", self.path):
            for path in self.path.rglob(".*.tmp"):
                if _TEMPORARY.fullmatch(path.name):
                    path.unlink()

    def _file_lock(self) -> FileLock:
        # Not thread-local: a generator that holds the lock may be closed by another thread.
        return FileLock(self.path / LOCK, thread_local=False, fallback_to_soft=False)

    def _busy(self) -> str:
        """Return in words who holds the lock."""
        who = "another process"
        with suppress(UserError, ContentError):
            holder = parse_json(atomic.read(self.path / HOLDER, MOST_JSON_BYTES) or b"", _Holder)
            if (holder.pid, holder.host) == (os.getpid(), socket.gethostname()):
                who = "this very process"
            who += f" (pid {holder.pid} on host {holder.host})"
        return f"{who} is working on this run; wait for it, or choose another --out"

    def _path_of(self, name: str) -> Path:
        if not atomic.is_name(name):
            raise ValueError(f"{name!r}: expected a relative name without hidden parts, not {atomic.CHECKSUMS}")
        return self.path / name

    def _load(self, name: str, most: int | None = None) -> bytes:
        path = self._path_of(name)
        data = atomic.read(path, most, self.rescue)
        if data is None:
            there = listed(self.names()) or "nothing with a checksum"
            raise UserError(f"{path}: no such file; this run has {there}; iterhead run continues it")
        return data

    def _accepted(self, name: str) -> list[str]:
        accepted = atomic.read_checksums(self.path, self.rescue).get(name)
        if accepted is None:
            self._load(name)  # raises the better message if there is no file
            reason = f"no checksum in {atomic.CHECKSUMS}, so it is no file of this run"
            raise UserError(f"{self._path_of(name)}: {reason}; {self.rescue}")
        return [digest for digest in accepted if digest != atomic.ABSENT]


def tensor_bytes(tensors: Mapping[str, "torch.Tensor"]) -> bytes:
    """Return the content of a safetensors file; tensors may be of any device, share memory or have any strides."""
    import torch
    from safetensors.torch import save

    whole = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()
    }
    return save(whole)


def table_bytes(table: "polars.DataFrame") -> bytes:
    """Return the content of a Parquet file."""
    buffer = io.BytesIO()
    table.write_parquet(buffer)
    return buffer.getvalue()
