"""The epochs of a population: trained, evaluated, and saved into each run's folder so that a kill loses little.

A run is saved after each evaluation: measurements, weights, training state, and last the status, so that everything
that the status speaks of is on the disk. A killed run continues from there.
"""

import math
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

import numpy as np
import polars as pl
from numpy.typing import NDArray
from torch import Tensor

from iterhead.data.splits import Dataset
from iterhead.errors import UserError
from iterhead.figures.run_figure import run_figure_files
from iterhead.measure.emergence import has_emerged
from iterhead.measure.evaluate import evaluate_population
from iterhead.measure.records import Record, Scores, headline, table
from iterhead.model.hooks import HookedModel
from iterhead.runs.options import Evaluation, Observer, evaluations
from iterhead.runs.run import FIGURE, MEASUREMENTS, SAMPLE, STATE, STATUS, TEST, Run, Status, checkpoint_name, history
from iterhead.runs.storage import RunFolder, table_bytes, tensor_bytes
from iterhead.training.trainer import Trainer

Sequences = Mapping[int, NDArray[np.int64]]
"""Whole sequences by length."""


class RunWriter:
    """The measurements and the status of one run, written into its folder. Its lock must be held.

    `status` has the device, threads and precision that are used from now on; `kept_checkpoints` are those of this run.
    """

    def __init__(self, run: Run, status: Status, kept_checkpoints: Collection[int] | None = None):
        self.run = run
        self.status = status
        self._kept_checkpoints = kept_checkpoints
        self._records = table([])
        self._new: list[Record] = []
        self._history: dict[int, Scores] = {}

    @property
    def is_over(self) -> bool:
        """Whether no more epochs are to be trained: at the limit, stopped early, or diverged."""
        training = self.run.config.training
        stopped = training.early_stop and self.status.emerged
        return self.status.state == "diverged" or stopped or self.status.epoch >= training.epochs

    @property
    def evaluations(self) -> list[Evaluation]:
        """Every evaluation so far."""
        return evaluations(self.run.config, self._records, self._history, self.status.train_seconds)

    def is_due(self, epoch: int) -> bool:
        """Return whether the network is to be evaluated after this epoch."""
        training = self.run.config.training
        return epoch % training.evaluate_every == 0 or epoch == training.epochs

    def resume(self, epoch: int, metadata: Mapping[str, str]) -> None:
        """Continue after `epoch`, the one of the saved state. Rows of later epochs are dropped.

        A kill between the state and the status leaves an older status: it is brought up to date here.
        """
        rows = self.run.folder.read_table(MEASUREMENTS)
        self._records = rows.filter((pl.col("epoch") <= epoch) & (pl.col("split") != TEST))
        self._history = history(self._records)
        self.status = replace(
            self.status, epoch=epoch, emerged=self._has_emerged(), train_seconds=float(metadata["train_seconds"])
        )
        self._save({})

    def add_epoch(self, epoch: int, loss: float, seconds: float) -> None:
        """Record an epoch's mean loss, and this network's share of the time it took."""
        self._new.append({"epoch": epoch, "split": "train", "name": "loss", "value": loss})
        self.status = replace(self.status, train_seconds=self.status.train_seconds + seconds)

    def add_time(self, seconds: float) -> None:
        """Add to the total time of the run, training or not."""
        self.status = replace(self.status, total_seconds=self.status.total_seconds + seconds)

    def save_evaluation(
        self, epoch: int, records: list[Record], weights: Mapping[str, Tensor], state: Mapping[str, Tensor]
    ) -> None:
        """Save the scores on the held-out sample, the weights and the training state."""
        self._add_records(epoch, SAMPLE, records)
        self.status = replace(self.status, epoch=epoch, emerged=self._has_emerged())
        self._save(
            {
                MEASUREMENTS: table_bytes(self._records),
                checkpoint_name(epoch): tensor_bytes(weights),
                STATE: tensor_bytes(state, {"train_seconds": repr(self.status.train_seconds)}),
            }
        )

    def save_divergence(self, epoch: int, loss: float) -> None:
        """Record that the loss is not finite. The last good checkpoint is the last one written."""
        message = (
            f"the loss or the weights are not finite (loss {loss:g}) in epoch {epoch}: the checkpoint of "
            f"epoch {self.status.epoch} is the last good one; try a lower --training.lr than "
            f"{self.run.config.training.lr:g}, or --training.clip 1"
        )
        self.status = replace(self.status, state="diverged", message=message)
        self._save({})

    def add_test(self, records: list[Record], model: HookedModel, dataset: Dataset) -> dict[str, bytes]:
        """Record the scores on all test sequences, and return the files of the figure, if the run keeps one."""
        self._add_records(self.status.epoch, TEST, records)
        if self._kept_checkpoints is not None:
            return {}
        scores = headline(self._records.filter(pl.col("split") == TEST))
        return run_figure_files(self.run.config, model, dataset, self._history, scores)

    def save_finished(self, figure: Mapping[str, bytes]) -> None:
        """Save the last measurements and the figure, and mark the run as finished."""
        self.status = replace(self.status, state="finished")
        self._save({MEASUREMENTS: table_bytes(self._records), **figure})

    def _has_emerged(self) -> bool:
        return has_emerged([scores for epoch, scores in self._history.items() if epoch > 0])

    def _add_records(self, epoch: int, split: str, records: list[Record]) -> None:
        added = table(self._new + [{"epoch": epoch, "split": split, **record} for record in records])
        self._new = []
        self._records = pl.concat([self._records, added])
        self._history |= history(added)

    def _save(self, files: Mapping[str, bytes]) -> None:
        """Write files, then the status; then remove the checkpoints and the state that are not to be kept."""
        self.run.folder.write_many(files)
        self.run.folder.write_json(STATUS, vars(self.status))
        _remove_unkept(self.run, self.status, self._kept_checkpoints)


def tidy(folder: RunFolder, kept_checkpoints: Collection[int] | None) -> None:
    """Do what a process that was killed at the very end of a finished run has left undone, if one was.

    Nothing is done where that is not possible: another process works there, or the folder cannot be written to. A run
    with a figure was trained to keep everything.
    """
    if folder.was_abandoned():
        with suppress(UserError), folder.lock():
            run = Run(folder)
            if run.status.state == "finished" and not folder.has(FIGURE):
                _remove_unkept(run, run.status, kept_checkpoints)


def _remove_unkept(run: Run, status: Status, kept: Collection[int] | None) -> None:
    """Remove the checkpoints before the last one that are not to be kept, and the state of a run that has ended."""
    if kept is not None:
        old = {epoch for epoch in run.checkpoints if epoch < status.epoch} - set(kept)
        state = [STATE] if status.state != "running" else []
        run.folder.remove([*map(checkpoint_name, sorted(old)), *state])


class PopulationTraining:
    """The training of a population in this process, which holds the locks of its runs."""

    def __init__(self, trainer: Trainer, writers: Sequence[RunWriter], observer: Observer | None):
        self._trainer = trainer
        self._writers = list(writers)
        self._observer = observer
        self._clock = time.perf_counter()

    def run(self, until: int | None) -> None:
        """Train from the last saved state until every network is finished or diverged, or has reached `until`."""
        self._restore()
        if self._observer:
            for writer in self._writers:
                self._observer.started(writer.run, writer.evaluations)
        self._finish()
        while self._writers and not (until is not None and self._has_reached(until)):
            start = time.perf_counter()
            losses = self._trainer.train_epoch()
            seconds = (time.perf_counter() - start) / len(losses)
            for writer, loss in zip(self._writers, losses, strict=True):
                writer.add_epoch(self._trainer.epoch, loss, seconds)
            self._drop_diverged(losses)
            self._evaluate(
                [network for network, writer in enumerate(self._writers) if writer.is_due(self._trainer.epoch)]
            )
            self._finish()

    def _has_reached(self, epoch: int) -> bool:
        """Whether at least `epoch` epochs are done, and every run is saved after the last of them."""
        done = self._trainer.epoch
        return done >= epoch and all(writer.status.epoch == done for writer in self._writers)

    def _restore(self) -> None:
        """Load the saved states; for new runs, evaluate and save the untrained networks."""
        if not self._writers[0].run.folder.has(STATE):
            self._evaluate(range(len(self._writers)), notify=False)
            return
        saved = [writer.run.folder.read_tensors(STATE) for writer in self._writers]
        self._trainer.load_states([state for state, _ in saved])
        for writer, (_, metadata) in zip(self._writers, saved, strict=True):
            writer.resume(self._trainer.epoch, metadata)

    def _drop_diverged(self, losses: Sequence[float]) -> None:
        weights = self._trainer.is_finite()
        finite = [math.isfinite(loss) and network for loss, network in zip(losses, weights, strict=True)]
        for writer, loss, is_finite in zip(self._writers, losses, finite, strict=True):
            if not is_finite:
                self._share_time(self._writers)
                writer.save_divergence(self._trainer.epoch, loss)
        self._select(finite)

    def _evaluate(self, networks: Sequence[int], notify: bool = True) -> None:
        """Score networks on their held-out samples, and save them."""
        samples, epoch = [], self._trainer.epoch
        for network in networks:
            count = self._trainer.configs[network].training.evaluation_per_length
            samples.append({length: part[:count] for length, part in self._trainer.datasets[network].test.items()})
        for network, records in zip(networks, self._score(networks, samples), strict=True):
            writer = self._writers[network]
            self._share_time(self._writers)
            writer.save_evaluation(epoch, records, self._trainer.weights(network), self._trainer.state(network))
            if notify and self._observer:
                self._observer.evaluated(writer.run, writer.evaluations[-1])

    def _score(self, networks: Sequence[int], sequences: Sequence[Sequences]) -> list[list[Record]]:
        """Return each network's scores; those with equally many sequences of each length are scored together."""
        shapes = [tuple(map(len, part.values())) for part in sequences]
        records: dict[int, list[Record]] = {}
        for shape in dict.fromkeys(shapes):
            indices = [index for index, other in enumerate(shapes) if other == shape]
            chosen = [networks[index] for index in indices]
            model = self._trainer.model
            scored = evaluate_population(
                model if len(chosen) == self._trainer.networks else model.select(chosen),
                [self._trainer.configs[network].iterative_task for network in chosen],
                [sequences[index] for index in indices],
                cot=self._trainer.configs[0].data.cot,
            )
            records |= dict(zip(indices, scored, strict=True))
        return [records[index] for index in range(len(networks))]

    def _finish(self) -> None:
        """Finish the runs that are over, one by one: memory for one network's test at a time."""
        over = [writer.is_over for writer in self._writers]
        for network, writer in enumerate(self._writers):
            if over[network]:
                dataset = self._trainer.datasets[network]
                (records,) = self._score([network], [dataset.test])
                figure = writer.add_test(records, self._trainer.model.select([network]).cpu(), dataset)
                self._share_time([writer])
                writer.save_finished(figure)
        self._select([not is_over for is_over in over])

    def _select(self, staying: Sequence[bool]) -> None:
        """Continue with some of the networks; the others leave the computation."""
        if not all(staying):
            networks = [network for network, stays in enumerate(staying) if stays]
            self._writers = [self._writers[network] for network in networks]
            if networks:
                self._trainer.select(networks)

    def _share_time(self, writers: Sequence[RunWriter]) -> None:
        """Add the time since the last call to these runs, in equal shares."""
        now = time.perf_counter()
        for writer in writers:
            writer.add_time((now - self._clock) / len(writers))
        self._clock = now
