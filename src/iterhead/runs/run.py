"""A run on disk, as an object: its settings, network, measurements and scores."""

import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import polars as pl
from torch import Tensor

from iterhead.data import Dataset, make_dataset
from iterhead.errors import UserError
from iterhead.machine import weights_format
from iterhead.measure import Scores, headline
from iterhead.model import Transformer
from iterhead.runs.paths import open_run
from iterhead.runs.storage import CONFIG, RunFolder
from iterhead.settings import RunConfig, parse_config
from iterhead.tasks import Vocabulary

MEASUREMENTS = "measurements.parquet"
STATE = "state.safetensors"
STATUS = "status.json"
PROVENANCE = "provenance.json"

SAMPLE = "sample"
"""The split of the regular evaluations: the first few test sequences of each length."""

TEST = "test"
"""The split of the last evaluation: all test sequences."""


def checkpoint_name(epoch: int) -> str:
    """Return the name of the file with an epoch's weights."""
    return f"checkpoints/epoch-{epoch:05d}.safetensors"


def provenance(config: RunConfig, start: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return what a run's numbers rest on beside its settings: what the task does, versions, and its start if any."""
    versions = {name: version(name) for name in ("iterhead", "torch", "numpy")}
    found = {"task": config.iterative_task.digest, "python": platform.python_version(), **versions}
    return {**found, "start": start} if start else found


@dataclass(frozen=True)
class Status:
    """How far a run is.

    Attributes:
        state: running (or interrupted), finished, or diverged (its loss was not finite).
        epoch: epochs trained and saved.
        emerged: whether the head had emerged and held for three evaluations.
        threads: that the numbers were computed with; a resumed run uses as many, to get the same bits.
        train_seconds: spent in training steps, resumed parts together; of a population's, each network's share.
        total_seconds: spent in all, evaluation and drawing included; of a population's, each network's share.
        message: why it diverged, if it did.
        device: that the last part of the training ran on.
        precision: number format of the training steps; a resumed run goes on with it.
        compiled: whether torch.compile translated the steps; a resumed run is compiled if it was.
    """

    state: Literal["running", "finished", "diverged"]
    epoch: int
    emerged: bool
    threads: int
    train_seconds: float
    total_seconds: float
    message: str = ""
    device: str = "cpu"
    precision: str = ""
    compiled: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return the fields by name."""
        return asdict(self)


class Run:
    """A run folder that has been trained, or is being.

    Attributes:
        folder: its files.
        config: its settings.
    """

    def __init__(self, folder: RunFolder):
        folder.check()
        self.folder = folder
        self.config: RunConfig = parse_config(folder.read_json(CONFIG))
        self._check_task()

    def _check_task(self) -> None:
        """Raise UserError if a user's own task does something else now than when the run was made."""
        if not self.folder.has(PROVENANCE):
            return
        then, now = self.folder.read_json(PROVENANCE)["task"], self.config.iterative_task.digest
        if then != now:
            raise UserError(
                f"{self.folder.path}: the task {self.config.task} has changed since this run was made (digest {now}, "
                f"expected {then}): bring the old one back, or train anew with the new one"
            )

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.path.name

    @property
    def status(self) -> Status:
        """How far the run is now."""
        if not self.folder.has(STATUS):
            return Status("running", 0, False, 0, 0.0, 0.0)
        return Status(**self.folder.read_json(STATUS))

    @cached_property
    def measurements(self) -> pl.DataFrame:
        """The tidy table: epoch, split, length, layer, head, name, value."""
        return self.folder.read_table(MEASUREMENTS)

    @property
    def history(self) -> dict[int, Scores]:
        """The headline scores of every regular evaluation, by epoch."""
        return history(self.measurements)

    @property
    def scores(self) -> Scores:
        """The last headline scores: on all test sequences if the run is finished, else on the sample."""
        last = self.measurements.filter(pl.col("split") == TEST)
        if last.is_empty():
            return list(self.history.values())[-1]
        return headline(last)

    @property
    def checkpoints(self) -> list[int]:
        """The epochs whose weights are there."""
        names = [Path(name) for name in self.folder.names() if name.startswith("checkpoints/")]
        return [int(path.stem.removeprefix("epoch-")) for path in names]

    @cached_property
    def model(self) -> Transformer:
        """The network as trained last; takes tokens [B, T] and gives logits [B, T, V]."""
        if not self.checkpoints:
            raise UserError(f"{self.folder.path}: nothing trained yet: expected a checkpoint (iterhead run goes on)")
        return self.model_at(self.checkpoints[-1])

    def model_at(self, epoch: int) -> Transformer:
        """Return the network as it was after `epoch` epochs; 0 is before training.

        Raises:
            UserError: when no checkpoint of that epoch is there, or it is damaged.
        """
        weights = self.weights_at(epoch)
        model = Transformer(self.config.model, self.config.context, [self.config.seed])
        model.to(weights_format(self.config.training.precision))
        model.load_state_dict(weights)
        return model.eval()

    def weights_at(self, epoch: int) -> dict[str, Tensor]:
        """Return the weights after `epoch` epochs by name, each [1, ...]. Raises what `model_at` raises."""
        if epoch not in self.checkpoints:
            there = ", ".join(map(str, self.checkpoints))
            raise UserError(f"{self.folder.path}: no checkpoint of epoch {epoch}: expected one of {there}")
        return self.folder.read_tensors(checkpoint_name(epoch))[0]

    @cached_property
    def dataset(self) -> Dataset:
        """The sequences that the network was trained and tested on, made again from the seed."""
        config = self.config
        return make_dataset(config.iterative_task, config.data, Vocabulary(config.model.vocabulary), config.seed)

    def __repr__(self) -> str:
        return f"Run({str(self.folder.path)!r})"


def is_finished(folder: RunFolder) -> bool:
    """Return whether a folder holds a run that needs no more training: finished, or diverged."""
    return folder.has(STATUS) and Run(folder).status.state != "running"


def history(measurements: pl.DataFrame) -> dict[int, Scores]:
    """Return the headline scores of every regular evaluation in the tidy table, by epoch."""
    sampled = measurements.filter(pl.col("split") == SAMPLE)
    epochs = sampled.partition_by("epoch", maintain_order=True)
    return {int(rows["epoch"][0]): headline(rows) for rows in epochs}


def load(run: str | Path, out: str | Path = "runs") -> Run:
    """Return the run at a path, or of a name (or its unique beginning) in the folder `out`.

    Raises:
        UserError: when there is no such run, or its settings are damaged.
    """
    return Run(open_run(str(run), Path(out)))
