"""What one run in training knows of itself, and writes into its folder."""

from collections.abc import Collection, Mapping
from dataclasses import replace

import polars as pl
from torch import Tensor

from iterhead.data import Dataset
from iterhead.figures import render, run_figure
from iterhead.figures.run_picture import run_picture
from iterhead.measure import Record, Scores, has_emerged, headline, table
from iterhead.model import Transformer
from iterhead.runs.progress import Evaluation
from iterhead.runs.run import MEASUREMENTS, SAMPLE, STATE, STATUS, TEST, Run, Status, checkpoint_name, history
from iterhead.runs.storage import table_bytes, tensor_bytes


class Journal:
    """The measurements and the status of a run under its lock.

    Attributes:
        run: the run.
        status: as it will be written next.

    Args:
        run: the run.
        status: with what its numbers are computed.
        keep: the epochs whose checkpoints stay beside the last one, without figure and training state in the end;
            None to keep everything.
    """

    def __init__(self, run: Run, status: Status, keep: Collection[int] | None = None):
        self.run = run
        self.status = status
        self._keep = keep
        self._records = table([])
        self._new: list[Record] = []
        self._history: dict[int, Scores] = {}

    @property
    def is_over(self) -> bool:
        """Whether no more epochs are to be trained: at the limit, stopped early, or diverged."""
        training = self.run.config.training
        stopped = training.early_stop and self.status.emerged
        return self.status.state == "diverged" or stopped or self.status.epoch >= training.epochs

    def is_due(self, epoch: int) -> bool:
        """Whether the network is to be evaluated after this epoch."""
        training = self.run.config.training
        return epoch % training.evaluate_every == 0 or epoch == training.epochs

    def resume(self, epoch: int, metadata: Mapping[str, str]) -> None:
        """Go on after `epoch`; rows of later epochs, whose state was not saved any more, are dropped."""
        rows = self.run.folder.read_table(MEASUREMENTS)
        self._records = rows.filter((pl.col("epoch") <= epoch) & (pl.col("split") != TEST))
        self._history = history(self._records)
        self.status = replace(
            self.status, epoch=epoch, emerged=self._has_emerged(), train_seconds=float(metadata["train_seconds"])
        )

    def trained(self, epoch: int, loss: float, seconds: float) -> None:
        """Take in an epoch's mean loss, and the time that the network had of it."""
        self._new.append({"epoch": epoch, "split": "train", "name": "loss", "value": loss})
        self.status = replace(self.status, train_seconds=self.status.train_seconds + seconds)

    def spend(self, seconds: float) -> None:
        """Count time, whatever it was spent on."""
        self.status = replace(self.status, total_seconds=self.status.total_seconds + seconds)

    def evaluated(
        self, epoch: int, records: list[Record], weights: Mapping[str, Tensor], state: Mapping[str, Tensor]
    ) -> None:
        """Take in the scores on the held-out sample, and save them with the weights and the training state."""
        self._take_in(epoch, SAMPLE, records)
        self.status = replace(self.status, epoch=epoch, emerged=self._has_emerged())
        self._save(
            {
                MEASUREMENTS: table_bytes(self._records),
                checkpoint_name(epoch): tensor_bytes(weights),
                STATE: tensor_bytes(state, {"train_seconds": repr(self.status.train_seconds)}),
            }
        )
        self._discard()

    def diverged(self, epoch: int, loss: float) -> None:
        """Record that the loss is not finite. The last good checkpoint is the last one written."""
        message = (
            f"the loss or the weights are not finite (loss {loss:g}) in epoch {epoch}: the checkpoint of "
            f"epoch {self.status.epoch} is the last good one; try a lower --training.lr than "
            f"{self.run.config.training.lr:g}, or --training.clip 1"
        )
        self.status = replace(self.status, state="diverged", message=message)
        self._save({})
        self._discard()

    def tested(self, records: list[Record], model: Transformer, dataset: Dataset) -> dict[str, bytes]:
        """Take in the scores on all test sequences, and return the files of the figure, if there is to be one."""
        self._take_in(self.status.epoch, TEST, records)
        if self._keep is not None:
            return {}
        scores = headline(self._records.filter(pl.col("split") == TEST))
        return render(run_figure(run_picture(self.run.config, model, dataset, self._history, scores)))

    def finished(self, figure: Mapping[str, bytes]) -> None:
        """Save what a finished run has."""
        self.status = replace(self.status, state="finished")
        self._save({MEASUREMENTS: table_bytes(self._records), **figure})
        self._discard()

    def progress(self) -> list[Evaluation]:
        """Return every evaluation so far."""
        losses = dict(self._records.filter(pl.col("name") == "loss").select("epoch", "value").iter_rows())
        limit, seconds = self.run.config.training.epochs, self.status.train_seconds
        return [Evaluation(epoch, limit, losses.get(epoch), scores, seconds) for epoch, scores in self._history.items()]

    def _has_emerged(self) -> bool:
        return has_emerged([scores for epoch, scores in self._history.items() if epoch > 0])

    def _take_in(self, epoch: int, split: str, records: list[Record]) -> None:
        added = table(self._new + [{"epoch": epoch, "split": split, **record} for record in records])
        self._new = []
        self._records = pl.concat([self._records, added])
        self._history |= history(added)

    def _discard(self) -> None:
        """Remove what is not to be kept: checkpoints before the last one, and the training state of what is over."""
        if self._keep is None:
            return
        old = {epoch for epoch in self.run.checkpoints if epoch < self.status.epoch} - set(self._keep)
        over = [STATE] if self.status.state != "running" else []
        self.run.folder.remove([*map(checkpoint_name, sorted(old)), *over])

    def _save(self, files: dict[str, bytes]) -> None:
        """Write `files`, then the status, so that whatever the status tells of is there."""
        self.run.folder.write_many(files)
        self.run.folder.write_json(STATUS, self.status.as_json())
