"""A run on disk, as an object: its settings, network, measurements and scores."""

import base64
import platform
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from html import escape
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, TypeVar

import polars as pl
import torch
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from torch import Tensor

from iterhead import atomic
from iterhead.data.splits import Dataset, make_dataset
from iterhead.errors import UserError, shortened
from iterhead.formatting import length_range, percent, plural
from iterhead.huggingface.network import Network, make_network
from iterhead.machine import weights_dtype
from iterhead.measure.records import SCHEMA, Scores, headline
from iterhead.model.size import check_network
from iterhead.runs.paths import open_run
from iterhead.runs.storage import CONFIG, RunFolder
from iterhead.settings import RunConfig
from iterhead.settings.reading import stored_config
from iterhead.tasks import Task, Vocabulary
from iterhead.tasks import task as named_task
from iterhead.tasks.catalogue import NotImportedError

MEASUREMENTS = "measurements.parquet"
STATE = "state.safetensors"
STATUS = "status.json"
PROVENANCE = "provenance.json"
FIGURE = "figure.png"

_CHECKPOINT = re.compile(r"checkpoints/epoch-[0-9]{5,9}\.safetensors")

T = TypeVar("T")

# The splits of the regular evaluations, the first few test sequences of each length, and of the last one, all of them.
SAMPLE, TEST = "sample", "test"


def checkpoint_name(epoch: int) -> str:
    """Return the name of the file with an epoch's weights."""
    return f"checkpoints/epoch-{epoch:05d}.safetensors"


def provenance(config: RunConfig, start: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return what a run's numbers depend on besides its settings: a digest of the task, versions, and its start."""
    versions = {name: version(name) for name in ("iterhead", "torch", "numpy")}
    origin = {"start": start} if start else {}
    return {"task": config.iterative_task.digest, "python": platform.python_version(), **versions, **origin}


class _Provenance(BaseModel):
    """What is read of provenance.json; it has more."""

    task: str  # its digest


@dataclass(frozen=True)
class Status:
    """How far a run is. A resumed run keeps threads, precision and compiled, to get the same bits.

    Seconds are those of all parts of a resumed run, and of a population's each network's share.
    """

    state: Literal["running", "finished", "diverged"]  # running or interrupted; diverged: its loss was not finite
    epoch: int  # trained and saved
    emerged: bool  # the head had emerged and stayed for three evaluations
    threads: int
    train_seconds: float  # in training steps
    total_seconds: float  # evaluation and drawing included
    message: str = ""  # why it diverged, if it did
    device: str = "cpu"  # of the last part of the training
    precision: str = ""  # dtype of the training steps
    compiled: bool = False

    __pydantic_config__ = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


class Run:
    """A trained network, or one in training: its folder, settings, measurements and weights."""

    def __init__(self, folder: RunFolder):
        folder.check()
        self.folder = folder
        try:
            self.config: RunConfig = stored_config(folder.read_json(CONFIG))
        except UserError as error:
            raise error if "damaged" in str(error) else folder.malformed(CONFIG, str(error)) from None
        self._check_complete()
        with suppress(NotImportedError):
            self._check_task(self.config.iterative_task)

    def _check_complete(self) -> None:
        """Raise UserError if a file is missing that checksums.json names."""
        missing = atomic.missing_files(self.folder.path)
        if STATE in missing and STATUS not in missing and self.status.state != "running":
            # Studies once removed these files, but not their checksums, and kept the last checkpoint.
            last = checkpoint_name(self.status.epoch)
            missing = [name for name in missing if name != STATE and (name == last or "checkpoints/" not in name)]
        if missing:
            path, why = self.folder.path / missing[0], f"{atomic.CHECKSUMS} names it"
            raise UserError(f"{path} is missing: {why}; {atomic.RESCUE}")

    @property
    def task(self) -> Task:
        """The task.

        Raises:
            NotImportedError: it is a user's own task, and its module is not imported: opening a run imports nothing.
            UserError: it is not the task that the run was made with.
        """
        task = self.config.iterative_task
        self._check_task(task)
        return task

    def _check_task(self, task: Task) -> None:
        if not self.folder.has(PROVENANCE):
            return
        expected, digest = self._read(PROVENANCE, _Provenance).task, task.digest
        if digest != expected:
            raise UserError(
                f"{self.folder.path}: the task {self.config.task} has changed since this run was made (digest "
                f"{digest}, expected {expected}): bring the old one back, or train again with the new one"
            )

    def _read(self, name: str, kind: type[T]) -> T:
        """Return a JSON file as a `kind`; UserError, in one line, if it is of another shape."""
        data = self.folder.read(name)
        try:
            return TypeAdapter(kind).validate_json(data)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = ".".join(map(str, first["loc"]))
            raise self.folder.malformed(name, f"{place}: {first['msg']}" if place else first["msg"]) from None

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.path.name

    @property
    def status(self) -> Status:
        """How far the run is now."""
        if not self.folder.has(STATUS):
            return Status("running", 0, False, 0, 0.0, 0.0)
        return self._read(STATUS, Status)

    @cached_property
    def measurements(self) -> pl.DataFrame:
        """The tidy table: epoch, split, length, layer, head, name, value."""
        table = self.folder.read_table(MEASUREMENTS)
        if dict(table.schema) != SCHEMA:
            raise self.folder.malformed(MEASUREMENTS, f"expected the columns {', '.join(SCHEMA)}")
        evaluated = table.filter(pl.col("split").is_in((SAMPLE, TEST)) & pl.col("value").is_not_null())
        if not {"accuracy", "grammar"} <= set(evaluated["name"]):
            raise self.folder.malformed(MEASUREMENTS, "expected an evaluation, with accuracy and grammar")
        return table

    @property
    def history(self) -> dict[int, Scores]:
        """The headline scores of every regular evaluation, by epoch."""
        return history(self.measurements)

    @property
    def scores(self) -> Scores:
        """The last headline scores: on all test sequences if the run is finished, else on the sample."""
        last = self.measurements.filter(pl.col("split") == TEST)
        return list(self.history.values())[-1] if last.is_empty() else headline(last)

    @property
    def checkpoints(self) -> list[int]:
        """The epochs whose weights are stored."""
        names = [name for name in self.folder.names() if name.startswith("checkpoints/")]
        for name in names:
            if not _CHECKPOINT.fullmatch(name):
                raise self.folder.malformed(name, f"expected a name such as {checkpoint_name(12)}")
        return [int(Path(name).stem.removeprefix("epoch-")) for name in names]

    @cached_property
    def model(self) -> Network:
        """The network after its last epoch; takes tokens [B, T] and gives logits [B, T, V]."""
        if not self.checkpoints:
            raise UserError(
                f"{self.folder.path}: nothing trained yet: expected a checkpoint (iterhead run continues it)"
            )
        return self.model_at(self.checkpoints[-1])

    def model_at(self, epoch: int) -> Network:
        """Return the network after `epoch` epochs; 0 is before training.

        Raises:
            UserError: there is no checkpoint of that epoch, it is damaged, or the network does not fit into the memory.
        """
        check_network(self.config.model, self.config.context, copies=2)  # those of the file, and its own
        weights = self.weights_at(epoch)
        model = make_network(self.config.model, self.config.context, [self.config.seed])
        model.to(weights_dtype(self.config.training.precision))
        try:
            model.load_state_dict(weights)
        except RuntimeError:
            why = "its weights do not fit the settings"
            raise self.folder.malformed(checkpoint_name(epoch), why) from None
        return model.eval()

    def weights_at(self, epoch: int) -> dict[str, Tensor]:
        """Return the weights after `epoch` epochs by name, each [1, ...]. Raises what `model_at` raises."""
        if epoch not in self.checkpoints:
            epochs = ", ".join(map(str, self.checkpoints))
            raise UserError(f"{self.folder.path}: no checkpoint of epoch {epoch}: expected one of {epochs}")
        return self.folder.read_tensors(checkpoint_name(epoch))[0]

    @cached_property
    def dataset(self) -> Dataset:
        """The sequences that the network is trained and tested on, generated from the seed."""
        config = self.config
        return make_dataset(self.task, config.data, Vocabulary(config.model.vocabulary), config.seed)

    def tokens(self, length: int, split: Literal["train", "test"] = "test") -> Tensor:
        """Return the sequences of a length as the model takes them: a LongTensor [B, T], without the last token, EoS.

        Raises:
            UserError: the run has no sequences of that length, or no such split.
        """
        if split not in ("train", "test"):
            raise UserError(f"split={split!r}: expected train or test")
        sequences = self.dataset.train if split == "train" else self.dataset.test
        if length not in sequences:
            raise UserError(f"length={length}: expected one of this run's {length_range(list(sequences))}")
        return torch.from_numpy(sequences[length][:, : self.config.data.layout(length).input_size].copy())

    def __repr__(self) -> str:
        return f"Run({str(self.folder.path)!r})"

    def _repr_html_(self) -> str:
        """Return a table of settings and results for notebooks, with the figure if there is one."""
        changed = [f"{name} = {value}" for name, value in changed_settings(self.config).items()]
        rows, image = {"settings": ", ".join(changed) or "all defaults"}, ""
        try:
            rows |= self._results()
            if self.folder.has(FIGURE):
                data = base64.b64encode(self.folder.read(FIGURE)).decode("ascii")
                image = f'<img src="data:image/png;base64,{data}" alt="figure of the run" style="max-width: 100%">'
        except UserError as error:
            rows["problem"] = str(error)
        cells = "".join(f"<tr><th>{escape(name)}</th><td>{escape(text)}</td></tr>" for name, text in rows.items())
        return f"<div><strong>{escape(self.name)}</strong><table>{cells}</table>{image}</div>"

    def _results(self) -> dict[str, str]:
        """Return state, epochs and scores in words."""
        status = self.status
        state = f"{status.state}: {status.message}" if status.message else status.state
        head = ", iteration head emerged" if status.emerged else ""
        limit = plural(self.config.training.epochs, "epoch")
        rows = {"state": f"{state}{head}", "epochs": f"{status.epoch:,} of at most {limit}"}
        scores = self.scores
        rows["accuracy"] = percent(scores.accuracy)
        if scores.first_peakiness is not None and scores.second_peakiness is not None:
            rows["first peakiness"] = percent(scores.first_peakiness)
            rows["second peakiness"] = percent(scores.second_peakiness)
        return rows


def is_finished(folder: RunFolder) -> bool:
    """Return whether a folder holds a run that needs no more training: finished, or diverged."""
    return folder.has(STATUS) and Run(folder).status.state != "running"


def history(measurements: pl.DataFrame) -> dict[int, Scores]:
    """Return the headline scores of every regular evaluation in the tidy table, by epoch."""
    sampled = measurements.filter(pl.col("split") == SAMPLE)
    epochs = sampled.partition_by("epoch", maintain_order=True)
    return {int(rows["epoch"][0]): headline(rows) for rows in epochs}


def changed_settings(config: RunConfig) -> dict[str, Any]:
    """Return the settings that differ from the defaults, by dotted name."""

    def flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
        for name, value in values.items():
            if isinstance(value, Mapping):
                yield from flat(value, f"{prefix}{name}.")
            else:
                yield f"{prefix}{name}", value

    defaults = dict(flat(RunConfig().model_dump()))
    return {name: value for name, value in flat(config.model_dump()) if defaults.get(name) != value}


def load(run: str | Path, out: str | Path = "runs", *, task: str | None = None) -> Run:
    """Return the run at a path, or the run in `out` with this name or a unique beginning of it.

    Args:
        run: the path, or the name.
        out: the folder of run folders.
        task: of a run with a user's own task, its name, `module:name`. Opening a run never imports a module that only
            its folder names; this imports it, if it is the task of this run, and compares what the task does with what
            the run was made with.

    Raises:
        UserError: there is no such run, it is damaged, or it has another task.
    """
    opened = Run(open_run(str(run), Path(out)))
    if task is None:
        return opened
    if task.strip() != opened.config.task:
        raise UserError(f"task={shortened(task)}: {opened.folder.path} has the task {opened.config.task}")
    named_task(task)  # imports its module
    return Run(opened.folder)
