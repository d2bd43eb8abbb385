"""A run on disk, as an object: its settings, network, measurements and scores."""

import base64
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any, Literal

import polars as pl
import torch
from torch import Tensor

from iterhead import atomic
from iterhead.data.splits import Dataset, make_dataset
from iterhead.errors import UserError, shortened
from iterhead.formatting import length_range, percent, plural
from iterhead.huggingface.network import Network, make_network
from iterhead.machine import weights_dtype
from iterhead.measure.records import COLUMNS, SAMPLE, TEST, Scores, check_table, headline
from iterhead.model.size import check_network
from iterhead.runs.notes import PROVENANCE, STATUS, Status, read_provenance
from iterhead.runs.paths import open_run
from iterhead.runs.storage import CONFIG, RunFolder
from iterhead.settings import RunConfig
from iterhead.settings.reading import stored_config
from iterhead.tasks import Task, Vocabulary
from iterhead.tasks import task as named_task
from iterhead.tasks.catalogue import NotImportedError
from iterhead.training.trainer import state_specs, weight_specs

MEASUREMENTS = "measurements.parquet"
STATE = "state.safetensors"
FIGURE = "figure.png"


def checkpoint_name(epoch: int) -> str:
    """Return the name of the file with an epoch's weights."""
    return f"checkpoints/epoch-{epoch:05d}.safetensors"


class Run:
    """A trained network, or one in training: its folder, settings, measurements and weights."""

    def __init__(self, folder: RunFolder):
        folder.check()
        self.folder = folder
        self.provenance = read_provenance(folder)
        self.config = self._read_config()
        self._check_complete()
        with suppress(NotImportedError):
            self._check_task(self.config.iterative_task)

    def _read_config(self) -> RunConfig:
        values = self.folder.read_json(CONFIG, dict[str, Any])
        try:
            return stored_config(values)
        except UserError as error:
            raise self.folder.damaged(CONFIG, str(error)) from None

    def _check_complete(self) -> None:
        """Raise UserError if a file is missing that checksums.json names, or a checkpoint has another name."""
        missing = atomic.missing_files(self.folder.path)
        if missing and STATUS not in missing and self.provenance is not None and self.provenance.format == 1:
            # Studies removed these files, but not their checksums, and kept the last checkpoint.
            needed = {checkpoint_name(self.status.epoch), *([STATE] if self.status.state == "running" else [])}
            missing = [name for name in missing if name in needed or not (name == STATE or "checkpoints/" in name)]
        if missing:
            path, why = self.folder.path / missing[0], f"{atomic.CHECKSUMS} names it"
            raise UserError(f"{path} is missing: {why}; {self.folder.rescue}")
        _ = self.checkpoints

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
        expected, digest = self.provenance.task if self.provenance else task.digest, task.digest
        if digest != expected:
            raise UserError(
                f"{self.folder.path}: the task {self.config.task} has changed since this run was made (digest "
                f"{digest}, expected {expected}): bring the old one back, or train again with the new one"
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
        status = self.folder.read_json(STATUS, Status)
        if status.epoch > (limit := self.config.training.epochs):
            raise self.folder.damaged(STATUS, f"epoch={status.epoch}: expected at most training.epochs={limit}")
        return status

    @cached_property
    def measurements(self) -> pl.DataFrame:
        """The tidy table: epoch, split, length, layer, head, name, value."""
        table, data, model = self.folder.read_table(MEASUREMENTS, COLUMNS), self.config.data, self.config.model
        with self.folder.checked(MEASUREMENTS):
            check_table(table, data.lengths, model.layers, model.heads, cot=data.cot)
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
        digits = [Path(name).stem.removeprefix("epoch-") for name in names]
        for name, number in zip(names, digits, strict=True):
            if not re.fullmatch("[0-9]{5,9}", number) or name != checkpoint_name(int(number)):
                raise self.folder.damaged(name, f"expected a name such as {checkpoint_name(12)}")
        return sorted(map(int, digits))

    @cached_property
    def model(self) -> Network:
        """The network after its last epoch; takes tokens [B, T] and gives logits [B, T, V]."""
        if not self.checkpoints:
            raise UserError(
                f"{self.folder.path}: nothing trained yet: expected a checkpoint (iterhead run continues it)"
            )
        last, status = self.checkpoints[-1], self.status
        if status.state == "finished" and status.epoch != last:
            raise self.folder.damaged(STATUS, f"epoch={status.epoch}: expected that of the last checkpoint, {last}")
        return self.model_at(last)

    def model_at(self, epoch: int) -> Network:
        """Return the network after `epoch` epochs; 0 is before training.

        Raises:
            UserError: there is no checkpoint of that epoch, it is damaged, or the network does not fit into the memory.
        """
        check_network(self.config.model, self.config.context, copies=2)  # those of the file, and its own
        weights = self.weights_at(epoch)
        model = make_network(self.config.model, self.config.context, [self.config.seed])
        model.to(weights_dtype(self.config.training.precision))
        model.load_state_dict(weights)
        return model.eval()

    def weights_at(self, epoch: int) -> dict[str, Tensor]:
        """Return the weights after `epoch` epochs by name, each [1, ...]. Raises what `model_at` raises."""
        if epoch not in self.checkpoints:
            epochs = ", ".join(map(str, self.checkpoints))
            raise UserError(f"{self.folder.path}: no checkpoint of epoch {epoch}: expected one of {epochs}")
        return self.folder.read_tensors(checkpoint_name(epoch), weight_specs(self.config))

    @property
    def training_state(self) -> dict[str, Tensor]:
        """All that training changes, as saved last: what `Trainer.load_states` takes."""
        state = self.folder.read_tensors(STATE, state_specs(self.config))
        if (epoch := int(state["epoch"])) > (limit := self.config.training.epochs):
            raise self.folder.damaged(STATE, f"epoch={epoch}: expected at most training.epochs={limit}")
        return state

    def check(self) -> None:
        """Read every file that a run has; UserError for the first one that is missing or damaged."""
        if self.folder.has(STATUS):
            _ = self.status, self.measurements
        if self.folder.has(STATE):
            _ = self.training_state
        for epoch in self.checkpoints:
            self.weights_at(epoch)
        parsed = {CONFIG, PROVENANCE, STATUS, MEASUREMENTS, STATE, *map(checkpoint_name, self.checkpoints)}
        for name in self.folder.names():
            if name not in parsed or not self.folder.has(STATUS):
                self.folder.read(name)

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
