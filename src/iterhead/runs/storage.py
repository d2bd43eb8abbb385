"""Run folders: everything that a run leaves behind, sound after a kill at any moment.

    config.json                            the frozen config; a folder without it is no run, so write it first
    measurements.parquet                   the tidy table
    checkpoints/epoch-00012.safetensors    weights at evaluations
    state.safetensors                      the whole training state, the latest only
    status.json, figure.png, figure.pdf
    checksums.json                         the sha256 digests that each file may have (see atomic.py)
    .lock, .holder.json                    the lock, and who holds it

There is no pickle anywhere. torch and polars are imported only by the calls that need them.
"""

import io
import json
import os
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iterhead import atomic
from iterhead.errors import UserError
from iterhead.formatting import listed

if TYPE_CHECKING:
    import polars
    import torch

CONFIG = "config.json"


class RunFolder:
    """One run's folder. Making the object touches no disk; the first write or lock makes the folder.

    Only the holder of `lock` may write. Anybody may read at any time, also while another process writes.

    Names are relative, with forward slashes: `status.json`, `checkpoints/epoch-00012.safetensors`. A name
    that cannot be one (absolute, with a hidden part, checksums.json itself) raises a plain ValueError.

    Args:
        path: where the folder is or will be.
    """

    def __init__(self, path: Path):
        self.path = Path(path)

    def __repr__(self) -> str:
        return f"RunFolder({str(self.path)!r})"

    def check(self) -> None:
        """Raise UserError unless this is a run: a readable folder with config.json."""
        expected = f"expected a folder with {CONFIG} (iterhead run makes one)"
        with atomic.explained("read", self.path):
            try:
                (self.path / CONFIG).stat()
            except FileNotFoundError:
                raise UserError(f"{self.path}: no run here: {expected}") from None
            except NotADirectoryError:
                raise UserError(f"{self.path}: a file, no run: {expected}") from None

    def has(self, name: str) -> bool:
        """Return whether a file of this name is there; whether it is sound, `read` tells."""
        return os.path.isfile(self._place(name))  # noqa: PTH113 - Path.is_file raises where one may not look

    def names(self) -> list[str]:
        """Return the names of the files that are there and have a checksum, sorted.

        Raises:
            UserError: checksums.json is damaged or cannot be read.
        """
        return [name for name in sorted(atomic.read_checksums(self.path)) if self.has(name)]

    def read(self, name: str) -> bytes:
        """Return a file's content, which is as it was written.

        Raises:
            UserError: there is no run here, no such file, no checksum for it, or another checksum.
        """
        self.check()
        accepted = self._accepted(name)
        while True:
            data = self._load(name)
            found = atomic.digest(data)
            if found in accepted:
                return data
            # A writer may have come between the two looks. Damage is a mismatch that no writer explains.
            before, accepted = accepted, self._accepted(name)
            if accepted == before:
                expected = " or ".join(digest[:12] for digest in accepted)
                place = self._place(name)
                raise UserError(f"{place} is damaged: sha256 {found[:12]}, expected {expected}; {atomic.RESCUE}")

    def write(self, name: str, data: bytes) -> None:
        """Replace a file, or make it: afterwards it is on the disk; killed before, the old one still is.

        Raises:
            UserError: the disk refuses (full, read-only, no permission); the old file is intact.
        """
        self.write_many({name: data})

    def write_many(self, files: Mapping[str, bytes]) -> None:
        """Replace several files in the order given, with one update of the checksums.

        This is not one transaction: a kill may leave the first ones new and the others old. Put the file last
        that must never be newer than the others.

        Raises:
            UserError: the disk refuses. Where it refuses before the first rename, as a full disk does, every
                old file is intact.
        """
        if not files:
            return
        with atomic.staged({self._place(name): data for name, data in files.items()}) as temporaries:
            atomic.accept(self.path, files)
            atomic.commit(temporaries)

    def read_json(self, name: str) -> Any:
        """Return what a JSON file holds; its shape is the caller's to check. Raises what `read` raises."""
        return json.loads(self.read(name))

    def write_json(self, name: str, value: Any) -> None:
        """Write JSON with sorted keys and a newline at its end.

        Raises:
            UserError: as `write`.
            ValueError: NaN or infinity, which JSON has no word for.
        """
        self.write(name, atomic.json_bytes(value))

    def read_tensors(self, name: str) -> tuple[dict[str, "torch.Tensor"], dict[str, str]]:
        """Return a safetensors file's tensors, on the CPU, and its metadata. Raises what `read` raises."""
        from safetensors.torch import load

        data = self.read(name)
        # The format: 8 bytes with the header's length, little endian, then the header, which is JSON.
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        return load(data), header.get("__metadata__", {})

    def write_tensors(
        self, name: str, tensors: Mapping[str, "torch.Tensor"], metadata: Mapping[str, str] | None = None
    ) -> None:
        """Write tensors of any device and strides as safetensors. Raises what `write` raises."""
        self.write(name, tensor_bytes(tensors, metadata))

    def read_table(self, name: str) -> "polars.DataFrame":
        """Return the table of a Parquet file. Raises what `read` raises."""
        import polars

        return polars.read_parquet(io.BytesIO(self.read(name)))

    def write_table(self, name: str, table: "polars.DataFrame") -> None:
        """Write a table as Parquet. Raises what `write` raises."""
        self.write(name, table_bytes(table))

    def lock(self) -> AbstractContextManager[None]:
        """Return a context that holds the run for this process, until it ends in whatever way.

        Raises:
            UserError: on entering: another holder works on this run, or the folder cannot be written to.
        """
        return atomic.lock(self.path)

    def is_locked(self) -> bool:
        """Return whether any process holds the lock at this moment."""
        return atomic.is_locked(self.path)

    def remove(self, names: Iterable[str]) -> None:
        """Remove files; those that are not there are no mistake. Call it only under the lock.

        Raises:
            UserError: the disk refuses.
        """
        for name in names:
            place = self._place(name)
            with atomic.explained("write", place):
                place.unlink(missing_ok=True)

    def clean(self) -> None:
        """Remove the temporary files of a killed process. Call it only under the lock."""
        atomic.clean(self.path)

    def _place(self, name: str) -> Path:
        if not atomic.is_name(name):
            raise ValueError(f"{name!r}: expected a relative name without hidden parts, not {atomic.CHECKSUMS}")
        return self.path / name

    def _load(self, name: str) -> bytes:
        place = self._place(name)
        with atomic.explained("read", place):
            try:
                return place.read_bytes()
            except FileNotFoundError:
                there = listed(self.names()) or "nothing with a checksum"
                raise UserError(f"{place}: not there; this run has {there}; iterhead run goes on with it") from None

    def _accepted(self, name: str) -> list[str]:
        place = self._place(name)
        accepted = atomic.read_checksums(self.path).get(name)
        if accepted is None:
            self._load(name)  # where there is no file, that is the better thing to say
            raise UserError(
                f"{place}: no checksum in {atomic.CHECKSUMS}, so it is no file of this run; {atomic.RESCUE}"
            )
        return accepted


def tensor_bytes(tensors: Mapping[str, "torch.Tensor"], metadata: Mapping[str, str] | None = None) -> bytes:
    """Return a safetensors file's content, for `RunFolder.write_many`; tensors sharing memory come apart."""
    import torch
    from safetensors.torch import save

    whole = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()
    }
    # safetensors 0.8 writes a broken header for {} tensors with {} metadata.
    return save(whole, dict(metadata) if metadata else None)


def table_bytes(table: "polars.DataFrame") -> bytes:
    """Return a Parquet file's content, for `RunFolder.write_many`."""
    buffer = io.BytesIO()
    table.write_parquet(buffer)
    return buffer.getvalue()
