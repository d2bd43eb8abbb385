"""The epochs of a population: trained, evaluated and saved into each run's folder until the last network has left."""

import math
import time
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from iterhead.measure import Record, evaluate_population
from iterhead.runs.checkpointing import Journal
from iterhead.runs.progress import Observer
from iterhead.runs.run import STATE
from iterhead.training import Trainer

Sequences = Mapping[int, NDArray[np.int64]]
"""Whole sequences by length."""


class Execution:
    """One process's work on a population, under the locks of its runs."""

    def __init__(self, trainer: Trainer, journals: Sequence[Journal], observer: Observer):
        self._trainer = trainer
        self._journals = list(journals)
        self._observer = observer
        self._clock = time.perf_counter()

    def execute(self, until: int | None) -> None:
        """Train from the last saved state until every network is finished or diverged, or is level with `until`."""
        self._begin()
        for journal in self._journals:
            self._observer.started(journal.run, journal.progress())
        self._leave([journal.is_over for journal in self._journals])
        while self._journals and not (until is not None and self._is_level(until)):
            begun = time.perf_counter()
            losses = self._trainer.train_epoch()
            share = (time.perf_counter() - begun) / len(losses)
            for journal, loss in zip(self._journals, losses, strict=True):
                journal.trained(self._trainer.epoch, loss, share)
            self._drop_the_diverged(losses)
            self._evaluate(due=[journal.is_due(self._trainer.epoch) for journal in self._journals])
            self._leave([journal.is_over for journal in self._journals])

    def _is_level(self, epoch: int) -> bool:
        """Whether so many epochs or more are done, and every run is saved after the last of them."""
        done = self._trainer.epoch
        return done >= epoch and all(journal.status.epoch == done for journal in self._journals)

    def _begin(self) -> None:
        """Take up the saved states, or evaluate and save the untrained networks."""
        if not self._journals[0].run.folder.has(STATE):
            self._evaluate(due=[True] * len(self._journals), tell=False)
            return
        saved = [journal.run.folder.read_tensors(STATE) for journal in self._journals]
        self._trainer.load_states([state for state, _ in saved])
        for journal, (_, metadata) in zip(self._journals, saved, strict=True):
            journal.resume(self._trainer.epoch, metadata)

    def _drop_the_diverged(self, losses: Sequence[float]) -> None:
        sound = [math.isfinite(loss) and fine for loss, fine in zip(losses, self._trainer.is_sound(), strict=True)]
        for journal, loss, fine in zip(self._journals, losses, sound, strict=True):
            if not fine:
                self._spend(self._journals)
                journal.diverged(self._trainer.epoch, loss)
        self._keep(sound)

    def _evaluate(self, due: Sequence[bool], tell: bool = True) -> None:
        """Score the networks that are due on their held-out samples, and save them."""
        networks = [network for network, is_due in enumerate(due) if is_due]
        samples = [self._sample(network) for network in networks]
        epoch = self._trainer.epoch
        for network, records in zip(networks, self._records(networks, samples), strict=True):
            journal = self._journals[network]
            self._spend(self._journals)
            journal.evaluated(epoch, records, self._trainer.weights(network), self._trainer.state(network))
            if tell:
                self._observer.evaluated(journal.run, journal.progress()[-1])

    def _sample(self, network: int) -> Sequences:
        count = self._trainer.configs[network].training.evaluation_per_length
        return {length: tokens[:count] for length, tokens in self._trainer.datasets[network].test.items()}

    def _records(self, networks: Sequence[int], sequences: Sequence[Sequences]) -> list[list[Record]]:
        """Return each network's scores; those with equally many sequences of each length are scored together."""
        shapes = [tuple(map(len, part.values())) for part in sequences]
        found: dict[int, list[Record]] = {}
        for shape in dict.fromkeys(shapes):
            places = [place for place, other in enumerate(shapes) if other == shape]
            chosen = [networks[place] for place in places]
            model = self._trainer.model
            scored = evaluate_population(
                model if len(chosen) == self._trainer.networks else model.select(chosen),
                [self._trainer.configs[network].iterative_task for network in chosen],
                [sequences[place] for place in places],
                cot=self._trainer.configs[0].data.cot,
            )
            found |= dict(zip(places, scored, strict=True))
        return [found[place] for place in range(len(networks))]

    def _leave(self, over: Sequence[bool]) -> None:
        """Finish the runs that are over, one by one: memory for one network's test at a time."""
        for network, journal in enumerate(self._journals):
            if over[network]:
                dataset = self._trainer.datasets[network]
                (records,) = self._records([network], [dataset.test])
                files = journal.tested(records, self._trainer.model.select([network]).cpu(), dataset)
                self._spend([journal])
                journal.finished(files)
        self._keep([not is_over for is_over in over])

    def _keep(self, staying: Sequence[bool]) -> None:
        """Go on with some of the networks; the others leave the computation."""
        if not all(staying):
            kept = [network for network, stays in enumerate(staying) if stays]
            self._journals = [self._journals[network] for network in kept]
            if kept:
                self._trainer.select(kept)

    def _spend(self, journals: Sequence[Journal]) -> None:
        """Share the time since the last call among these runs."""
        now = time.perf_counter()
        for journal in journals:
            journal.spend((now - self._clock) / len(journals))
        self._clock = now
