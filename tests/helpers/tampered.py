"""Folders whose files were changed by somebody who also changed the checksums, and frozen folders of older formats."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

from safetensors.torch import load
from torch import Tensor

from iterhead.atomic import CHECKSUMS
from iterhead.runs.storage import tensor_bytes

FROZEN = Path(__file__).parents[1] / "runs/frozen"

FINISHED, HALF = "parity-d1ca65c146", "parity-e0c5ab05e9"
"""Runs of two epochs in the frozen folders: a finished one, and one that was interrupted after its first epoch."""


def frozen(version: int, out: Path) -> Path:
    """Copy the run folders of a format into `out`, and return it."""
    shutil.copytree(FROZEN / f"format-{version}", out, dirs_exist_ok=True)
    return out


def replace(path: Path, data: bytes, name: str | None = None) -> None:
    """Replace or add a file of a run folder, with its checksum; `name` is its name in the folder."""
    folder = path.parent if name is None else path.parents[name.count("/")]
    sums = json.loads((folder / CHECKSUMS).read_text())
    sums[name or path.name] = [hashlib.sha256(data).hexdigest()]
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    (folder / CHECKSUMS).write_text(json.dumps(sums))


def tensors(change: Callable[[dict[str, Tensor]], object]) -> Callable[[bytes], bytes]:
    """Return what turns a safetensors file into the one after a change of its tensors."""

    def write(data: bytes) -> bytes:
        weights = load(data)
        change(weights)
        return tensor_bytes(weights)

    return write


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder, without what a lock leaves."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name not in (".lock", ".holder.json"))
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}
