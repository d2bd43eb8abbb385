"""Batches: equal numbers of each length, shuffled, packed without padding.

Two sequences of lengths L and min + max - L hold the same number of tokens together whatever L is. So a batch packs
pairs of them into rows of constant size, and a mask keeps attention within each sequence:

    row 0   task x | EoI s            task x x x | EoI s s s    lengths 1 and 3
    row 1   task x x | EoI s s        task x x | EoI s s        lengths 2 and 2

Shapes are static, no token is padding, and the positions whose prediction the loss reads are as many in each row.
Letters: `R` rows, `T` tokens of a row, `Q` reads of a row, `S` steps of an epoch.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from iterhead.data.splits import Dataset, apportion
from iterhead.seeds import IntegerStream
from iterhead.settings import DataConfig

Integers = NDArray[np.int64]

IGNORED = -100
"""PyTorch's mark for a target that the loss leaves out."""


@dataclass(frozen=True)
class Packing:
    """The static geometry of a batch: which cell of which row holds what.

    Attributes:
        slots: the length of each sequence of the batch.
        positions_RT: position of each cell within its own sequence.
        mask_RTT: True where a query (second axis) may look at a key: same sequence, not later.
        reads_RQ: cells of the row whose prediction the loss reads.
        weights_RQ: 1 for a read that counts; 0 for those of a filler sequence, which stands in when an odd number of
            sequences of the middle length leaves one without a partner.
        slot_RT: which sequence of the batch a cell belongs to.
        counts_RT: False for the cells of a filler sequence.
    """

    slots: tuple[int, ...]
    slot_RT: torch.Tensor
    positions_RT: torch.Tensor
    mask_RTT: torch.Tensor
    reads_RQ: torch.Tensor
    weights_RQ: torch.Tensor
    counts_RT: torch.Tensor

    @property
    def is_full(self) -> bool:
        """Whether every row holds two sequences that count."""
        return bool(self.weights_RQ.all())


def make_packing(config: DataConfig, per_length: int) -> Packing:
    """Return the geometry of a batch with `per_length` sequences of each length."""
    slots = tuple(length for length in config.lengths for _ in range(per_length))
    pairs = [(i, len(slots) - 1 - i) for i in range((len(slots) + 1) // 2)]
    rows = [_row(config, slots, pair) for pair in pairs]
    return Packing(slots, *(torch.from_numpy(np.stack(parts)) for parts in zip(*rows, strict=True)))


def _row(config: DataConfig, slots: tuple[int, ...], pair: tuple[int, int]) -> tuple[NDArray[np.generic], ...]:
    """Return the fields of `Packing` from `slot_RT` on, for the row that holds the two sequences of `pair`."""
    layouts = [config.layout(slots[slot]) for slot in pair]
    starts = (0, layouts[0].input_size)
    segment = np.repeat([0, 1], [layout.input_size for layout in layouts])
    positions = np.concatenate([np.arange(layout.input_size) for layout in layouts])
    causal = np.tri(len(segment), dtype=bool)
    reads = [start + np.arange(layout.size)[layout.reads] for start, layout in zip(starts, layouts, strict=True)]
    counts = np.array([True, pair[0] != pair[1]])
    weights = np.repeat(counts.astype(float), [len(cells) for cells in reads])
    mask = causal & (segment[:, None] == segment)
    return np.asarray(pair)[segment], positions, mask, np.concatenate(reads), weights, counts[segment]


class Batches:
    """The batches of every epoch, assembled by index from one resident array of tokens.

    Args:
        dataset: the sequences.
        config: the settings that made it.
        batch_size: sequences in a batch at most, one of each length at least; rounded down to equal numbers of each.
        seed: epoch n is shuffled by the stream ("batches", n) of this seed.
    """

    def __init__(self, dataset: Dataset, config: DataConfig, batch_size: int, seed: int):
        self.per_length = batch_size // len(config.lengths)
        self.packing = make_packing(config, self.per_length)
        self.steps = max(1, config.train_per_length // self.per_length)
        self._config = config
        self._seed = seed
        tokens = [dataset.train[length] for length in config.lengths]
        self._components = [_by_component(part) for part in tokens]
        self._shares = dataset.weights
        sizes = np.concatenate([np.full(len(part), part.shape[1]) for part in tokens])
        self._starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        self._tokens = np.concatenate([part.ravel() for part in tokens])

    def sequences(self, epoch: int) -> Integers:
        """Return which training sequence stands in each slot: [S, slots], numbered through all lengths."""
        stream = IntegerStream(self._seed, "batches", epoch)
        needed = self.steps * self.per_length
        columns = []
        first = 0
        for components in self._components:
            chosen = self._go_round(components, needed, stream)
            columns.append(first + chosen.reshape(self.steps, self.per_length))
            first += sum(map(len, components))
        return np.concatenate(columns, axis=1)

    def _go_round(self, components: list[Integers], needed: int, stream: IntegerStream) -> Integers:
        """Return `needed` sequences of one length, every component of a mixture having its share, each gone round."""
        if len(components) == 1:
            return _rounds(components[0], needed, stream)
        shares = self._shares if len(components) == len(self._shares) else (1 / len(components),) * len(components)
        parts = [
            _rounds(part, count, stream) for part, count in zip(components, apportion(needed, shares), strict=True)
        ]
        return np.concatenate(parts)[stream.permutation(needed)]

    def epoch(self, epoch: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the inputs [S, R, T] and targets [S, R, Q] of every step of an epoch."""
        starts = self._starts[self.sequences(epoch)]
        packing = self.packing
        cells = starts[:, packing.slot_RT.numpy()] + packing.positions_RT.numpy()
        rows = np.arange(len(packing.reads_RQ))[:, None]
        targets = cells[:, rows, packing.reads_RQ.numpy()] + 1
        return torch.from_numpy(self._tokens[cells]), torch.from_numpy(self._tokens[targets])

    def padded(self, epoch: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield every step's inputs and targets [slots, T] one sequence a row, the plain way, for the plain twin.

        Inputs are padded with zeros on the right; targets that the loss leaves out are `IGNORED`.
        """
        layouts = [self._config.layout(length) for length in self.packing.slots]
        shape = (len(layouts), max(layout.input_size for layout in layouts))
        for starts in self._starts[self.sequences(epoch)]:
            inputs, targets = np.zeros(shape, dtype=np.int64), np.full(shape, IGNORED, dtype=np.int64)
            for row, (start, layout) in enumerate(zip(starts, layouts, strict=True)):
                sequence = self._tokens[start : start + layout.size]
                inputs[row, : layout.input_size] = sequence[:-1]
                targets[row, layout.reads] = sequence[layout.targets]
            yield torch.from_numpy(inputs), torch.from_numpy(targets)


def _by_component(tokens: Integers) -> list[Integers]:
    """Return the rows of each component of a mixture, told by the problem token, the first component first."""
    problems = np.unique(tokens[:, 0])[::-1]
    return [np.flatnonzero(tokens[:, 0] == problem) for problem in problems]


def _rounds(rows: Integers, needed: int, stream: IntegerStream) -> Integers:
    """Return `needed` of `rows`: all in random order, then all again, as often as it takes."""
    rounds = [rows[stream.permutation(len(rows))] for _ in range(-(-needed // len(rows)))]
    return np.concatenate([rows[:0], *rounds])[:needed]
