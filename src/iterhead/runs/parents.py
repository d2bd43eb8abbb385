"""The runs that others start from: found, checked and read."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from iterhead import atomic
from iterhead.errors import UserError
from iterhead.runs.paths import open_run
from iterhead.runs.run import STATE, Run, checkpoint_name
from iterhead.runs.storage import RunFolder
from iterhead.settings import RunConfig, StartConfig
from iterhead.training import check_fit


@dataclass(frozen=True)
class Start:
    """What a run starts from.

    Attributes:
        weights: by name, each [1, ...].
        origin: the parent's name, the epoch and the sha256 of that checkpoint's file, for provenance.json; empty
            where the run has begun and the weights are its own copy.
    """

    weights: Mapping[str, Tensor]
    origin: Mapping[str, Any]


def find_start(config: RunConfig, folder: RunFolder, parents: Path) -> Start | None:
    """Return what a run starts from, or None if its weights are drawn from its seed.

    A run that has begun takes its frozen weights from a checkpoint of its own. The parent of a new one is in the
    folder `parents`.

    Raises:
        UserError: the parent is missing, not finished, damaged, has no checkpoint of that epoch, or does not fit.
    """
    if config.start is None:
        return None
    if folder.has(STATE):
        begun = Run(folder)
        return Start(begun.weights_at(begun.checkpoints[-1]), {})
    try:
        return _read_parent(config, config.start, parents)
    except UserError as error:
        raise UserError(f"cannot start from {config.start.run}: {error}") from None


def _read_parent(config: RunConfig, start: StartConfig, parents: Path) -> Start:
    folder = open_run(str(parents / start.run), parents)
    if folder.path.name != start.run:
        raise UserError(f"no such run in {parents}; did you mean {folder.path.name}?")
    parent = Run(folder)
    _check_finished(parent)
    check_fit(config, parent.config)
    epoch = parent.checkpoints[-1] if start.epoch is None else start.epoch
    weights = parent.weights_at(epoch)
    checksum = atomic.digest(folder.read(checkpoint_name(epoch)))
    return Start(weights, {"run": start.run, "epoch": epoch, "sha256": checksum})


def _check_finished(parent: Run) -> None:
    status = parent.status
    if status.state == "running":
        done = f"{status.epoch} of at most {parent.config.training.epochs} epochs are done"
        raise UserError(f"{parent.folder.path}: not finished: {done}; the iterhead run that made it goes on with it")
    if status.state == "diverged":
        raise UserError(f"{parent.folder.path}: its training diverged: expected a run that is finished")
