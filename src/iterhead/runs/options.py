"""How runs are trained (`ExecutionOptions`), and who follows them (`Observer`)."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Protocol, TypedDict

import polars as pl

from iterhead.errors import UserError, nearest
from iterhead.measure.records import Scores
from iterhead.runs.run import Run
from iterhead.settings import RunConfig

KeptCheckpoints = Mapping[RunConfig, Collection[int]]
"""For each run, the epochs whose checkpoints it keeps in addition to the last one."""


class ExecutionKeywords(TypedDict, total=False):
    """The fields of `ExecutionOptions`, as keyword arguments of `train` and its siblings."""

    out: str | Path
    parents: str | Path | None
    again: bool
    threads: int | None
    default_threads: int | None
    device: str
    compiled: bool
    kept_checkpoints: KeptCheckpoints | None
    skip_locked: bool


@dataclass(frozen=True)
class ExecutionOptions:
    """Where runs are stored, and what they are trained with. None of it is part of a run's settings.

    Attributes:
        out: the folder of run folders.
        parents: the folder of the runs that runs start from; `out` unless given. A run that has begun does not need
            its parent any more.
        again: train again, next to finished runs of the same settings, in `NAME-2`, `NAME-3`, ...
        threads: of PyTorch; unless given, as many as an interrupted run began with, or `default_threads`.
        default_threads: for new runs; all free cores unless given.
        device: cpu, cuda, mps, or auto: a GPU where there is one.
        compiled: use torch.compile, which takes half a minute or more before the first step; one network at a time.
        kept_checkpoints: those that each run keeps in addition to the last one; other runs keep only the last one.
            A finished run then has no training state and no figure either. None keeps everything.
        skip_locked: skip the runs that another process is using, instead of raising UserError. Those that it has
            hardly begun are not returned.
    """

    out: Path = Path("runs")
    parents: Path = Path("runs")
    again: bool = False
    threads: int | None = None
    default_threads: int | None = None
    device: str = "auto"
    compiled: bool = False
    kept_checkpoints: KeptCheckpoints | None = None
    skip_locked: bool = False

    def kept_of(self, config: RunConfig) -> Collection[int] | None:
        """Return the checkpoints to keep of a run; None for all."""
        return None if self.kept_checkpoints is None else self.kept_checkpoints.get(config, ())

    @classmethod
    def from_keywords(cls, keywords: ExecutionKeywords) -> "ExecutionOptions":
        """Return the options that keyword arguments give; UserError for an unknown one, or fewer than one thread."""
        names = [field.name for field in fields(cls)]
        values: dict[str, Any] = dict(keywords)
        for name in values:
            if name not in names:
                hint = nearest(name, names) or f": expected one of {', '.join(names)}"
                raise UserError(f"{name}: no such option{hint}")
        for name in ("threads", "default_threads"):
            check_count(name, values.get(name))
        out, parents = values.get("out", "runs"), values.get("parents")
        return cls(**values | {"out": Path(out), "parents": Path(out if parents is None else parents)})


def check_count(name: str, count: int | None) -> None:
    """Raise UserError unless a count is absent or at least 1."""
    if count is not None and count < 1:
        raise UserError(f"{name}={count}: expected at least 1")


@dataclass(frozen=True)
class Evaluation:
    """What is known of a run after an evaluation."""

    epoch: int  # 0 is the untrained network
    epochs: int  # the limit
    loss: float | None  # mean over the last epoch, in nats a token; None before training
    scores: Scores  # on the held-out sample
    train_seconds: float  # as in `Status`


def evaluations(
    config: RunConfig, measurements: pl.DataFrame, history: Mapping[int, Scores], train_seconds: float
) -> list[Evaluation]:
    """Return the regular evaluations of a run, from its tidy table and its headline scores by epoch."""
    losses = dict(measurements.filter(pl.col("name") == "loss").select("epoch", "value").iter_rows())
    limit = config.training.epochs
    return [Evaluation(epoch, limit, losses.get(epoch), scores, train_seconds) for epoch, scores in history.items()]


class Observer(Protocol):
    """Follows runs in training. Its methods are called in the training thread."""

    def started(self, run: Run, evaluations: list[Evaluation]) -> None:
        """A run begins, or continues after these evaluations."""

    def evaluated(self, run: Run, evaluation: Evaluation) -> None:
        """An evaluation is done and saved."""
