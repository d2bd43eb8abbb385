"""Training a run into its folder: evaluated, saved and resumed between epochs."""

import itertools
import math
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import polars as pl
import torch

from iterhead.errors import UserError
from iterhead.figures import render, run_figure
from iterhead.measure import Record, Scores, evaluate, has_emerged, headline, table
from iterhead.runs.atomic import json_bytes
from iterhead.runs.picture import run_picture
from iterhead.runs.run import (
    MEASUREMENTS,
    PROVENANCE,
    SAMPLE,
    STATE,
    STATUS,
    TEST,
    Run,
    checkpoint_name,
    history,
    provenance,
)
from iterhead.runs.store import CONFIG, RunFolder, table_bytes, tensor_bytes
from iterhead.settings import RunConfig
from iterhead.training import Trainer


@dataclass(frozen=True)
class Progress:
    """What is known after an evaluation.

    Attributes:
        epoch: epochs done; 0 is the untrained network.
        epochs: the limit.
        loss: mean training loss of the last epoch, in nats a token; None before training.
        scores: on the held-out sample.
        train_seconds: spent in training steps so far.
    """

    epoch: int
    epochs: int
    loss: float | None
    scores: Scores
    train_seconds: float


class Observer(Protocol):
    """Is told how a run goes on. Every method is called from the training thread."""

    def started(self, run: Run, progress: list[Progress]) -> None:
        """A run begins, or goes on from the evaluations in `progress`."""

    def evaluated(self, progress: Progress) -> None:
        """An evaluation is done and saved."""


class Silence:
    """An observer that does nothing."""

    def started(self, run: Run, progress: list[Progress]) -> None:
        """Do nothing."""

    def evaluated(self, progress: Progress) -> None:
        """Do nothing."""


def free_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)


def run_folder_name(config: RunConfig) -> str:
    """Return the name of a config's run folder: the kind of task and the hash, e.g. `polynomial-0a1b2c3d4e`."""
    kind = "".join(c if c.isalnum() else "-" for c in config.task.partition(":")[0])
    return f"{kind}-{config.digest}"


def find_folder(config: RunConfig, out: Path, again: bool) -> RunFolder:
    """Return the folder of a config's run; with `again`, the first of it, name-2, name-3, ... not yet finished."""
    name = run_folder_name(config)
    folder = RunFolder(out / name)
    for number in itertools.count(2):
        if not (again and _is_taken(folder)):
            break
        folder = RunFolder(out / f"{name}-{number}")
    return folder


def _is_taken(folder: RunFolder) -> bool:
    """Whether a folder is no place to train anew: a run that is done, or one that is damaged."""
    try:
        for name in folder.names():
            folder.read(name)
        return is_finished(folder)
    except UserError:
        return True


def is_finished(folder: RunFolder) -> bool:
    """Whether a folder holds a run that needs no more training: finished, or diverged."""
    return folder.has(STATUS) and Run(folder).status.state != "running"


def train(
    config: RunConfig | None = None,
    *,
    out: str | Path = "runs",
    again: bool = False,
    threads: int | None = None,
    observer: Observer | None = None,
) -> Run:
    """Train a network, watch its heads, and return the run.

    A run that is finished is not trained again, one that was interrupted goes on where it was saved.

    Args:
        config: the settings; the defaults unless given.
        out: the folder of run folders.
        again: train anew beside a finished run of the same settings.
        threads: of PyTorch; all free cores unless given, or as many as an interrupted run began with.
        observer: is told of every evaluation.

    Raises:
        UserError: when another process works on the run, its folder is damaged, or the disk refuses.
    """
    config = config or RunConfig()
    folder = find_folder(config, Path(out), again)
    if is_finished(folder):
        return Run(folder)
    trainer = Trainer(config)  # before there is a folder: what only the data or the memory refuse leaves nothing
    with folder.lock():
        folder.clean()
        if not folder.has(CONFIG):
            folder.write_many(
                {PROVENANCE: json_bytes(provenance(config)), CONFIG: json_bytes(config.model_dump(mode="json"))}
            )
        run = Run(folder)
        if is_finished(folder):  # by another process, while this one waited for the lock or built its data
            return run
        with _threads(threads or run.status.threads or free_cores()) as used:
            _Execution(run, trainer, used, observer or Silence()).execute()
    return Run(folder)


class _Execution:
    """One process's work on a run, under its lock."""

    def __init__(self, run: Run, trainer: Trainer, threads: int, observer: Observer):
        self._run = run
        self._observer = observer
        self._trainer = trainer
        self._records = table([])
        self._new: list[Record] = []
        self._history: dict[int, Scores] = {}
        self._status = replace(run.status, threads=threads)
        self._clock = time.perf_counter()
        count = run.config.training.evaluation_per_length
        self._sample = {length: tokens[:count] for length, tokens in self._trainer.dataset.test.items()}

    def execute(self) -> None:
        """Train from the last saved state to the end, and write what a finished run has."""
        training = self._run.config.training
        if self._run.folder.has(STATE):
            self._resume()
        else:
            self._evaluate_and_save(loss=None)
        self._observer.started(self._run, self._past())
        while self._trainer.epoch < training.epochs and not (training.early_stop and self._status.emerged):
            begun = time.perf_counter()
            loss = self._trainer.train_epoch()
            self._status = replace(self._status, train_seconds=self._status.train_seconds + time.perf_counter() - begun)
            if not (math.isfinite(loss) and self._trainer.optimizer.weights.isfinite().all()):
                self._diverge(loss)
                return
            epoch = self._trainer.epoch
            self._new.append({"epoch": epoch, "split": "train", "name": "loss", "value": loss})
            if epoch % training.evaluate_every == 0 or epoch == training.epochs:
                self._observer.evaluated(self._evaluate_and_save(loss))
        self._finish()

    def _evaluate_and_save(self, loss: float | None) -> Progress:
        epoch = self._trainer.epoch
        self._take_in(self._evaluate(self._sample, SAMPLE))
        emerged = has_emerged([scores for when, scores in self._history.items() if when > 0])
        self._status = replace(self._status, epoch=epoch, emerged=emerged)
        files = {
            MEASUREMENTS: table_bytes(self._records),
            checkpoint_name(epoch): tensor_bytes(self._weights()),
            STATE: tensor_bytes(self._trainer.state(), {"train_seconds": repr(self._status.train_seconds)}),
        }
        self._save(files)
        return self._progress(epoch, loss)

    def _weights(self) -> Mapping[str, torch.Tensor]:
        return self._trainer.model.state_dict()

    def _evaluate(self, sequences: Mapping[int, Any], split: str) -> list[Record]:
        config = self._run.config
        records = evaluate(self._trainer.model, config.iterative_task, sequences, cot=config.data.cot)
        return [{"epoch": self._trainer.epoch, "split": split, **record} for record in records]

    def _take_in(self, records: list[Record]) -> None:
        added = table(self._new + records)
        self._new = []
        self._records = pl.concat([self._records, added])
        self._history |= history(added)

    def _save(self, files: dict[str, bytes]) -> None:
        """Write `files`, then the status, so that whatever the status tells of is there."""
        now = time.perf_counter()
        self._status = replace(self._status, total_seconds=self._status.total_seconds + now - self._clock)
        self._clock = now
        status = self._status.as_json()
        self._run.folder.write_many(files)
        self._run.folder.write_json(STATUS, status)

    def _resume(self) -> None:
        """Go on from the state file; rows of later epochs, whose state was not saved any more, are dropped."""
        folder = self._run.folder
        state, metadata = folder.read_tensors(STATE)
        self._trainer.load_state(state)
        epoch = self._trainer.epoch
        self._records = folder.read_table(MEASUREMENTS).filter((pl.col("epoch") <= epoch) & (pl.col("split") != TEST))
        self._history = history(self._records)
        emerged = has_emerged([scores for when, scores in self._history.items() if when > 0])
        train_seconds = float(metadata["train_seconds"])
        self._status = replace(self._status, epoch=epoch, emerged=emerged, train_seconds=train_seconds)

    def _past(self) -> list[Progress]:
        losses = dict(self._records.filter(pl.col("name") == "loss").select("epoch", "value").iter_rows())
        return [self._progress(epoch, losses.get(epoch)) for epoch in self._history]

    def _progress(self, epoch: int, loss: float | None) -> Progress:
        limit = self._run.config.training.epochs
        return Progress(epoch, limit, loss, self._history[epoch], self._status.train_seconds)

    def _diverge(self, loss: float) -> None:
        """Record that the loss is not finite. The last good checkpoint is the last one written."""
        message = (
            f"the loss or the weights are not finite (loss {loss:g}) in epoch {self._trainer.epoch}: the checkpoint of "
            f"epoch {self._status.epoch} is the last good one; try a lower --training.lr than "
            f"{self._run.config.training.lr:g}, or --training.clip 1"
        )
        self._status = replace(self._status, state="diverged", message=message)
        self._save({})

    def _finish(self) -> None:
        self._take_in(self._evaluate(self._trainer.dataset.test, TEST))
        scores = headline(self._records.filter(pl.col("split") == TEST))
        picture = run_picture(self._run.config, self._trainer.model, self._trainer.dataset, self._history, scores)
        self._status = replace(self._status, state="finished")
        self._save({MEASUREMENTS: table_bytes(self._records), **render(run_figure(picture))})


@contextmanager
def _threads(count: int) -> Iterator[int]:
    """Let PyTorch use `count` threads, and as many as before afterwards."""
    if count < 1:
        raise UserError(f"threads={count}: expected at least 1")
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield count
    finally:
        torch.set_num_threads(before)
