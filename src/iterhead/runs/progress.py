"""What is told of runs in training, and to whom."""

from dataclasses import dataclass
from typing import Protocol

from iterhead.measure import Scores
from iterhead.runs.run import Run


@dataclass(frozen=True)
class Evaluation:
    """What is known after an evaluation.

    Attributes:
        epoch: epochs done; 0 is the untrained network.
        epochs: the limit.
        loss: mean training loss of the last epoch, in nats a token; None before training.
        scores: on the held-out sample.
        train_seconds: spent in training steps so far; of a population's, this network's share.
    """

    epoch: int
    epochs: int
    loss: float | None
    scores: Scores
    train_seconds: float


class Observer(Protocol):
    """Is told how runs go on. Every method is called from the training thread."""

    def started(self, run: Run, progress: list[Evaluation]) -> None:
        """A run begins, or goes on from the evaluations in `progress`."""

    def evaluated(self, run: Run, progress: Evaluation) -> None:
        """An evaluation is done and saved."""


class NoObserver:
    """An observer that does nothing."""

    def started(self, run: Run, progress: list[Evaluation]) -> None:
        """Do nothing."""

    def evaluated(self, run: Run, progress: Evaluation) -> None:
        """Do nothing."""
