"""Folders whose files were changed by somebody who also changed the checksums, and frozen folders of older formats."""

import hashlib
import json
import shutil
from pathlib import Path

from iterhead.atomic import CHECKSUMS

FROZEN = Path(__file__).parents[1] / "runs/frozen"

FINISHED, HALF = "parity-d1ca65c146", "parity-e0c5ab05e9"
"""Runs of two epochs in the frozen folders: a finished one, and one that was interrupted after its first epoch."""

OPTIONS = (
    "parity --data.max_length 4 --data.train_per_length 24 --data.test_per_length 8 --model.width 16 "
    "--model.mlp_width 8 --model.vocabulary 8 --training.batch_size 12 --training.epochs 2 --training.short_epochs 0 "
    "--no-training.early_stop --training.evaluate_every 1 --training.lr 0.003"
)
"""The settings of both, without the seed: 0 and 1."""


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


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder, without what a lock leaves."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name not in (".lock", ".holder.json"))
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}
