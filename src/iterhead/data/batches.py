"""Batches: equally many sequences of each length, shuffled, packed without padding.

Sequences of lengths L and min + max - L have the same number of tokens together, for any L. So a batch packs such
pairs into rows of one size, and the attention mask separates the two:

    row 0   task x | EoI s            task x x x | EoI s s s    lengths 1 and 3
    row 1   task x x | EoI s s        task x x | EoI s s        lengths 2 and 2

Shapes are static and no token is padding. Each row has equally many tokens with a target; they are put first, so that
selecting them is a slice (attention depends on the mask and the positions, not on the order of tokens in a row). A
batch is gathered by index from one tensor of all tokens, for many networks at once.

Letters: `M` networks, `R` rows, `T` tokens of a row, `Q` tokens of a row that have a target, `S` steps of an epoch, `C`
sequences of a batch.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from iterhead.data.splits import Dataset, apportion
from iterhead.seeds import IntegerStream
from iterhead.settings import DataConfig

Integers = NDArray[np.int64]

IGNORED = -100
"""PyTorch's index for a target without loss."""


class PackedShape(NamedTuple):
    """R rows of T tokens, of which Q have a target."""

    rows: int
    tokens: int
    outputs: int


def packed_shape(config: DataConfig, batch_size: int) -> PackedShape:
    """Return the shape of the batches of at most `batch_size` sequences, without making one."""
    sequences = len(config.lengths) * (batch_size // len(config.lengths))
    pair = [config.layout(length) for length in (config.min_length, config.max_length)]
    targets = sum(len(range(layout.size)[layout.targets]) for layout in pair)
    return PackedShape((sequences + 1) // 2, sum(layout.input_size for layout in pair), targets)


@dataclass(frozen=True)
class Packing:
    """Where each token of a batch is; the same for every batch of a phase.

    Attributes:
        slots: the length of each sequence of the batch.
        slot_RT: which sequence of the batch a token belongs to.
        positions_RT: position of each token within its sequence.
        mask_RTT: True where a query (second axis) may attend to a key: same sequence, not later.
        weights_RQ: 1 for a target that counts, 0 for one of a filler. A filler is the second copy of a sequence of the
            middle length that has no partner, because there is an odd number of them.
        counts_RT: False for the tokens of a filler.
    """

    slots: tuple[int, ...]
    slot_RT: torch.Tensor
    positions_RT: torch.Tensor
    mask_RTT: torch.Tensor
    weights_RQ: torch.Tensor
    counts_RT: torch.Tensor

    @property
    def shape(self) -> PackedShape:
        """Rows, tokens of a row, and outputs of a row."""
        rows, tokens = self.slot_RT.shape
        return PackedShape(rows, tokens, self.outputs_per_row)

    @property
    def outputs_per_row(self) -> int:
        """Q: the first Q tokens of each row have a target."""
        return self.weights_RQ.shape[1]

    @cached_property
    def is_full(self) -> bool:
        """Whether every row holds two sequences that count."""
        return bool(self.weights_RQ.all())


def make_packing(config: DataConfig, per_length: int) -> Packing:
    """Return the packing of batches with `per_length` sequences of each length."""
    slots = tuple(length for length in config.lengths for _ in range(per_length))
    rows = [_row(config, slots, (i, len(slots) - 1 - i)) for i in range((len(slots) + 1) // 2)]
    return Packing(slots, *(torch.from_numpy(np.stack(parts)) for parts in zip(*rows, strict=True)))


def _row(config: DataConfig, slots: tuple[int, ...], pair: tuple[int, int]) -> tuple[NDArray[np.generic], ...]:
    """Return the fields of `Packing` from `slot_RT` on, for the row that holds the two sequences of `pair`."""
    layouts = [config.layout(slots[slot]) for slot in pair]
    segment = np.repeat([0, 1], [layout.input_size for layout in layouts])
    positions = np.concatenate([np.arange(layout.input_size) for layout in layouts])
    is_output = np.concatenate([np.arange(layout.input_size) >= layout.output_positions.start for layout in layouts])
    order = np.argsort(~is_output, kind="stable")
    segment, positions, is_output = segment[order], positions[order], is_output[order]
    mask = (positions[:, None] >= positions) & (segment[:, None] == segment)
    counts = np.array([True, pair[0] != pair[1]])[segment]
    return np.asarray(pair)[segment], positions, mask, counts[is_output].astype(float), counts


class Batches:
    """The batches of every epoch, for M networks at once.

    A batch has at most `batch_size` sequences, equally many of each length. Epoch n of each network is shuffled by the
    stream ("batches", n) of its seed. `config` holds the settings that made the datasets.
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
        for dataset, seed in zip(datasets, seeds, strict=True):
            self._sources.append(_Source(dataset, config, seed, first=sum(part.size for part in tokens)))
            tokens += [dataset.train[length].ravel() for length in config.lengths]
        self._tokens = torch.from_numpy(np.concatenate(tokens)).to(device)
        self._slot_RT, self._positions_RT = self.packing.slot_RT.to(device), self.packing.positions_RT.to(device)

    def select(self, networks: Sequence[int]) -> None:
        """Keep only some of the networks, by index and in this order."""
        self._sources = [self._sources[network] for network in networks]

    def starts(self, epoch: int) -> torch.Tensor:
        """Return where each network's sequence of each slot starts in the tensor of tokens, [S, M, C]."""
        needed = self.steps * self.per_length
        parts = [source.starts(epoch, needed) for source in self._sources]
        by_length = np.stack(parts).reshape(len(parts), len(self._config.lengths), self.steps, self.per_length)
        return torch.from_numpy(by_length.transpose(2, 0, 1, 3).reshape(self.steps, len(parts), -1))

    def epoch(self, epoch: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield the inputs [M, R, T] and targets [M, R, Q] of every step of an epoch."""
        for starts_MC in self.starts(epoch).to(self._tokens.device):
            index_MRT = starts_MC[:, self._slot_RT] + self._positions_RT
            yield self._tokens[index_MRT], self._tokens[index_MRT[:, :, : self.packing.outputs_per_row] + 1]

    def padded(self, epoch: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield the first network's inputs and targets [C, T] for the plain twin, padded with 0 and `IGNORED`."""
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
    """Where one network's training sequences start in the tensor of all tokens: its first one at `first`."""

    def __init__(self, dataset: Dataset, config: DataConfig, seed: int, first: int):
        self._starts: list[list[Integers]] = []  # by length and component of the mixture
        for tokens in (dataset.train[length] for length in config.lengths):
            problems = np.unique(tokens[:, 0])[::-1]  # the first component has the largest problem token
            components = [np.flatnonzero(tokens[:, 0] == problem) for problem in problems]
            self._starts.append([first + tokens.shape[1] * rows for rows in components])
            first += tokens.size
        self._weights = dataset.weights
        self._seed = seed

    def starts(self, epoch: int, needed: int) -> Integers:
        """Return where the sequences of an epoch start, [lengths, needed]."""
        stream = IntegerStream(self._seed, "batches", epoch)
        return np.stack([self._mixed(components, needed, stream) for components in self._starts])

    def _mixed(self, components: list[Integers], needed: int, stream: IntegerStream) -> Integers:
        """Return `needed` sequences of one length, with its share of each component of a mixture."""
        if len(components) == 1:
            return _repeated(components[0], needed, stream)
        count = len(components)
        weights = self._weights if count == len(self._weights) else (1 / count,) * count
        shares = zip(components, apportion(needed, weights), strict=True)
        return np.concatenate([_repeated(part, share, stream) for part, share in shares])[stream.permutation(needed)]


def _repeated(starts: Integers, needed: int, stream: IntegerStream) -> Integers:
    """Return `needed` of `starts`: all in random order, then all again in another, as often as necessary."""
    rounds = [starts[stream.permutation(len(starts))] for _ in range(-(-needed // len(starts)))]
    return np.concatenate([starts[:0], *rounds])[:needed]
