"""Training and test sequences of each length, from a named seed.

The published data are drawn independently, so that many short test sequences are training sequences too: two thirds of
the polynomial's at length 3, nearly all of parity's up to length 8 (section 2 of the paper). Here the two sets are
disjoint. Long sequences are drawn without repetition; lengths with few distinct sequences are enumerated, shuffled and
split in proportion.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from iterhead.errors import UserError
from iterhead.memory import check_memory
from iterhead.seeds import IntegerStream
from iterhead.settings import DataConfig
from iterhead.tasks import IterativeTask, Task, Vocabulary

Tokens = NDArray[np.int64]


@dataclass(frozen=True)
class Dataset:
    """Whole sequences of tokens, by length: `train[L]` and `test[L]` are [sequences, size of the layout].

    Sequences of `train[L]` are distinct unless the split is iid, so short lengths have fewer than were asked for, and
    an epoch repeats them. `weights` are the shares of a mixture's components in a batch.
    """

    train: Mapping[int, Tokens]
    test: Mapping[int, Tokens]
    weights: tuple[float, ...] = (1.0,)

    @property
    def fingerprint(self) -> str:
        """A hash of every token; equal on every machine for the same seed, task and settings."""
        digest = hashlib.sha256()
        for part in (self.train, self.test):
            for length in sorted(part):
                digest.update(f"{length}:{part[length].shape}".encode())
                digest.update(part[length].astype("<i8").tobytes())
        return digest.hexdigest()[:16]


def make_dataset(task: Task, config: DataConfig, vocabulary: Vocabulary, seed: int) -> Dataset:
    """Return the training and test sequences of `task`.

    Raises:
        UserError: when the task does not fit the vocabulary, has too few sequences to split, or more than fit into the
            memory.
    """
    check_memory("drawing the sequences", dataset_bytes(task, config))
    vocabulary.check(task.alphabet, len(task.components))
    train: dict[int, Tokens] = {}
    test: dict[int, Tokens] = {}
    train_counts = apportion(config.train_per_length, task.weights)
    test_counts = apportion(config.test_per_length, task.weights)
    for length in config.lengths:
        layout = config.layout(length)
        parts: tuple[list[Tokens], list[Tokens]] = ([], [])
        for index, component in enumerate(task.components):
            stream = IntegerStream(seed, "data", config.split, index, length)
            drawn = _draw(component, length, train_counts[index], test_counts[index], config.split, stream)
            for part, inputs in zip(parts, drawn, strict=True):
                part.append(layout.assemble(vocabulary, inputs, component.states(inputs), index))
        train[length], test[length] = map(np.concatenate, parts)
        if len(task.components) > 1:  # so that the first few rows have every component
            order = IntegerStream(seed, "data", config.split, "order", length)
            for rows in (train, test):
                rows[length] = rows[length][order.permutation(len(rows[length]))]
    return Dataset(train, test, task.weights)


def dataset_bytes(task: Task, config: DataConfig) -> Counter[str]:
    """Return the bytes of the sequences and of drawing them, by the setting that they depend on most."""
    needs = Counter[str]()
    drawn = 0
    for length in config.lengths:
        distinct = sum(len(component.symbols) ** length for component in task.components)
        for name in ("train_per_length", "test_per_length"):
            asked = getattr(config, name)
            count = asked if config.split == "iid" else min(asked, distinct)
            needs[f"data.{name}={asked}"] += 8 * count * config.layout(length).size
            drawn = max(drawn, 8 * count * length)
    # numpy finds what was drawn twice in a sorted copy of the inputs of one length, and indices into it.
    needs[needs.most_common(1)[0][0]] += 5 * drawn
    return needs


def apportion(total: int, weights: tuple[float, ...]) -> list[int]:
    """Split `total` into whole numbers in the proportion of `weights` (largest remainders first)."""
    exact = np.asarray(weights) * total
    counts = np.floor(exact + 1e-9).astype(int)
    for index in np.argsort(counts - exact, kind="stable")[: total - counts.sum()]:
        counts[index] += 1
    return [int(count) for count in counts]


def _draw(
    task: IterativeTask, length: int, n_train: int, n_test: int, split: str, stream: IntegerStream
) -> tuple[Tokens, Tokens]:
    """Return the inputs [n, length] of the training and of the test sequences."""
    symbols = np.asarray(task.symbols, dtype=np.int64)
    total = n_train + n_test
    if split == "iid":
        inputs = symbols[stream.integers(len(symbols), (total, length))]
        return inputs[:n_train], inputs[n_train:]
    distinct = len(symbols) ** length
    if distinct < 2:
        raise UserError(
            f"{task.name}: only {distinct} sequence of length {length} exists, so training and test sequences cannot "
            "be disjoint: admit more input values (zero=true) or use --data.split iid"
        )
    if distinct < total:
        n_test = min(max(1, round(distinct * n_test / total)), distinct - 1)
        n_train = distinct - n_test
    inputs = distinct_inputs(task, length, total, stream)
    return inputs[:n_train], inputs[n_train : n_train + n_test]


def distinct_inputs(task: IterativeTask, length: int, count: int, stream: IntegerStream) -> Tokens:
    """Return `count` different inputs in random order, [count, length]; all that exist if they are fewer."""
    symbols = np.asarray(task.symbols, dtype=np.int64)
    possible = len(symbols) ** length
    if possible > 4 * count:
        return symbols[_draw_distinct(len(symbols), length, count, stream)]
    ranks = stream.permutation(possible)[:count]
    place_values = len(symbols) ** np.arange(length - 1, -1, -1, dtype=np.int64)
    inputs: Tokens = symbols[ranks[:, None] // place_values % len(symbols)]
    return inputs


def _draw_distinct(base: int, length: int, count: int, stream: IntegerStream) -> Tokens:
    """Return `count` distinct rows of digits, in the order in which they were first drawn."""
    rows = np.empty((0, length), dtype=np.int64)
    while len(rows) < count:
        rows = np.concatenate([rows, stream.integers(base, (count, length))])
        _, first = np.unique(rows, axis=0, return_index=True)
        rows = rows[np.sort(first)]
    return rows[:count]
