"""Batches: equal numbers of each length, shuffled, packed without padding.

Two sequences of lengths L and min + max - L hold the same number of tokens together whatever L is. So a batch packs
pairs of them into rows of constant size, and a mask keeps attention within each sequence:

    row 0   task x | EoI s            task x x x | EoI s s s    lengths 1 and 3
    row 1   task x x | EoI s s        task x x | EoI s s        lengths 2 and 2

Shapes are static, no token is padding, and the positions whose prediction the loss reads are as many in each row. They
stand first in it: attention goes by the mask and by each cell's position, so the order of a row's cells is free, and
this one makes the reads a slice. A batch is assembled by index from one resident tensor of tokens, for many networks
at once where each has its own sequences.

Letters: `M` networks, `R` rows, `T` tokens of a row, `Q` reads of a row, `S` steps of an epoch, `C` sequences of a
batch.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

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
    """The static geometry of a batch: which cell of which row holds what. The first Q cells of a row are its reads.

    Attributes:
        slots: the length of each sequence of the batch.
        slot_RT: which sequence of the batch a cell belongs to.
        positions_RT: position of each cell within its own sequence.
        mask_RTT: True where a query (second axis) may look at a key: same sequence, not later.
        weights_RQ: 1 for a read that counts; 0 for those of a filler sequence, which stands in when an odd number of
            sequences of the middle length leaves one without a partner.
        counts_RT: False for the cells of a filler sequence.
    """

    slots: tuple[int, ...]
    slot_RT: torch.Tensor
    positions_RT: torch.Tensor
    mask_RTT: torch.Tensor
    weights_RQ: torch.Tensor
    counts_RT: torch.Tensor

    @property
    def outputs_per_row(self) -> int:
        """Q, how many tokens of a row have a target: the first Q of it."""
        return self.weights_RQ.shape[1]

    @cached_property
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
    segment = np.repeat([0, 1], [layout.input_size for layout in layouts])
    positions = np.concatenate([np.arange(layout.input_size) for layout in layouts])
    is_read = np.concatenate([np.arange(layout.input_size) >= layout.output_positions.start for layout in layouts])
    order = np.argsort(~is_read, kind="stable")
    segment, positions, is_read = segment[order], positions[order], is_read[order]
    mask = (positions[:, None] >= positions) & (segment[:, None] == segment)
    counts = np.array([True, pair[0] != pair[1]])[segment]
    return np.asarray(pair)[segment], positions, mask, counts[is_read].astype(float), counts


class Batches:
    """The batches of every epoch, for M networks at once.

    Args:
        datasets: each network's sequences.
        config: the settings that made them.
        batch_size: sequences in a batch at most, one of each length at least; rounded down to equal numbers of each.
        seeds: each network's; epoch n is shuffled by the stream ("batches", n) of this seed.
        device: where the batches are.
    """

    def __init__(
        self,
        datasets: Sequence[Dataset],
        config: DataConfig,
        batch_size: int,
        seeds: Sequence[int],
        device: str = "cpu",
    ):
        self.per_length = batch_size // len(config.lengths)
        self.packing = make_packing(config, self.per_length)
        self.steps = max(1, config.train_per_length // self.per_length)
        self._config = config
        self._sources: list[_Source] = []
        tokens: list[Integers] = []
        first = 0
        for dataset, seed in zip(datasets, seeds, strict=True):
            self._sources.append(_Source(dataset, config, seed, first))
            tokens += [dataset.train[length].ravel() for length in config.lengths]
            first += sum(dataset.train[length].size for length in config.lengths)
        self._tokens = torch.from_numpy(np.concatenate(tokens)).to(device)
        self._slot_RT, self._positions_RT = self.packing.slot_RT.to(device), self.packing.positions_RT.to(device)

    def select(self, networks: Sequence[int]) -> None:
        """Go on with some of the networks, by index and in this order."""
        self._sources = [self._sources[network] for network in networks]

    def starts(self, epoch: int) -> torch.Tensor:
        """Return where in the resident tokens each network's sequence of each slot begins, [S, M, C]."""
        needed = self.steps * self.per_length
        parts = [source.starts(epoch, needed) for source in self._sources]
        by_length = np.stack(parts).reshape(len(parts), len(self._config.lengths), self.steps, self.per_length)
        return torch.from_numpy(by_length.transpose(2, 0, 1, 3).reshape(self.steps, len(parts), -1))

    def epoch(self, epoch: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield the inputs [M, R, T] and targets [M, R, Q] of every step of an epoch."""
        for starts_MC in self.starts(epoch).to(self._tokens.device):
            cells_MRT = starts_MC[:, self._slot_RT] + self._positions_RT
            yield self._tokens[cells_MRT], self._tokens[cells_MRT[:, :, : self.packing.outputs_per_row] + 1]

    def padded(self, epoch: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield the first network's inputs and targets [C, T], one sequence a row, the plain way, for the plain twin.

        Inputs are padded with zeros on the right; targets that the loss leaves out are `IGNORED`.
        """
        layouts = [self._config.layout(length) for length in self.packing.slots]
        shape = (len(layouts), max(layout.input_size for layout in layouts))
        tokens = self._tokens.cpu().numpy()
        for starts in self.starts(epoch)[:, 0].tolist():
            inputs, targets = np.zeros(shape, dtype=np.int64), np.full(shape, IGNORED, dtype=np.int64)
            for row, (start, layout) in enumerate(zip(starts, layouts, strict=True)):
                sequence = tokens[start : start + layout.size]
                inputs[row, : layout.input_size] = sequence[:-1]
                targets[row, layout.output_positions] = sequence[layout.targets]
            yield torch.from_numpy(inputs), torch.from_numpy(targets)


class _Source:
    """Where one network's training sequences come from.

    Args:
        dataset: the sequences.
        config: the settings that made them.
        seed: of the shuffles.
        first: where its tokens begin in the resident tensor.
    """

    def __init__(self, dataset: Dataset, config: DataConfig, seed: int, first: int):
        tokens = [dataset.train[length] for length in config.lengths]
        ends = first + np.cumsum([part.size for part in tokens])
        self._components = [
            [end - part.size + part.shape[1] * rows for rows in _by_component(part)]
            for part, end in zip(tokens, ends, strict=True)
        ]
        self._shares = dataset.weights
        self._seed = seed

    def starts(self, epoch: int, needed: int) -> Integers:
        """Return where the sequences that an epoch shows begin, [lengths, needed]."""
        stream = IntegerStream(self._seed, "batches", epoch)
        return np.stack([self._go_round(components, needed, stream) for components in self._components])

    def _go_round(self, components: list[Integers], needed: int, stream: IntegerStream) -> Integers:
        """Return `needed` sequences of one length, every component of a mixture having its share, each gone round."""
        if len(components) == 1:
            return _rounds(components[0], needed, stream)
        shares = self._shares if len(components) == len(self._shares) else (1 / len(components),) * len(components)
        parts = [
            _rounds(part, count, stream) for part, count in zip(components, apportion(needed, shares), strict=True)
        ]
        return np.concatenate(parts)[stream.permutation(needed)]


def _by_component(tokens: Integers) -> list[Integers]:
    """Return the rows of each component of a mixture, told by the problem token, the first component first."""
    problems = np.unique(tokens[:, 0])[::-1]
    return [np.flatnonzero(tokens[:, 0] == problem) for problem in problems]


def _rounds(rows: Integers, needed: int, stream: IntegerStream) -> Integers:
    """Return `needed` of `rows`: all in random order, then all again, as often as it takes."""
    rounds = [rows[stream.permutation(len(rows))] for _ in range(-(-needed // len(rows)))]
    return np.concatenate([rows[:0], *rounds])[:needed]
