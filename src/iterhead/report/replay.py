"""What the explorer replays: attention maps and predictions of stored networks, for a few test sequences.

Letters: `E` epochs, `S` sequences, `N` layers, `H` heads, `Q` predictions of a sequence, `C` cells of a map that its
queries see, row by row: T (T + 1) / 2 for T tokens.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from iterhead.model import PATTERN_HOOKS, Transformer, pattern_hook
from iterhead.runs import Run

MOST_EPOCHS = 60
MOST_SEQUENCES = 3
LEVELS = 255
"""Weights are stored in so many steps, one byte each: right to 0.002."""


@dataclass(frozen=True)
class Plan:
    """What is stored.

    Attributes:
        epochs: of stored networks, increasing, the last one among them.
        lengths: increasing, the longest among them.
        sequences: test sequences of each length at most, from the first on.
    """

    epochs: list[int]
    lengths: list[int]
    sequences: int


def plan(run: Run, budget: int) -> Plan:
    """Return the richest plan whose maps fit into `budget` bytes before compression.

    What gives way, in this order: sequences of a length (3 to 1), lengths, epochs. At least one map of the longest
    length is stored before and after training.
    """
    measured = run.history
    stored = [epoch for epoch in run.checkpoints if epoch in measured] or run.checkpoints[-1:]
    lengths = list(run.config.data.lengths)
    for sequences, share_lengths, share_epochs in _ways_to_save():
        found = Plan(
            _evenly(stored, min(MOST_EPOCHS, max(2, round(len(stored) * share_epochs)))),
            _evenly(lengths, max(1, round(len(lengths) * share_lengths))),
            sequences,
        )
        if _cost(run, found) <= budget:
            break
    return found


def _ways_to_save() -> Iterator[tuple[int, float, float]]:
    """Yield sequences, share of the lengths and share of the epochs, the richest first."""
    yield from ((sequences, 1.0, 1.0) for sequences in range(MOST_SEQUENCES, 0, -1))
    yield from ((1, share, 1.0) for share in (0.5, 0.25, 0.125, 0.0))
    yield from ((1, 0.0, 2.0**-power) for power in range(1, 11))


def _evenly(values: Sequence[int], most: int) -> list[int]:
    """Return at most so many of increasing values, evenly, the last among them; the first too if more than one."""
    if len(values) <= most:
        return list(values)
    last = len(values) - 1
    return [values[last - round(index * last / max(1, most - 1))] for index in range(most)][::-1]


def _cost(run: Run, plan: Plan) -> int:
    """Return the bytes of the maps."""
    config = run.config
    tokens = [config.data.layout(length).input_size for length in plan.lengths]
    cells = sum(size * (size + 1) // 2 for size in tokens)
    return len(plan.epochs) * plan.sequences * config.model.layers * config.model.heads * cells


def replay(run: Run, plan: Plan) -> dict[str, NDArray[Any]]:
    """Return, for each length L, `tokens.L` [S, size], `maps.L` [E, S, N, H, C] and `predictions.L` [E, S, Q]."""
    tokens = {length: run.dataset.test[length][: plan.sequences] for length in plan.lengths}
    seen: dict[int, list[tuple[NDArray[Any], NDArray[Any]]]] = {length: [] for length in plan.lengths}
    for epoch in plan.epochs:
        model = run.model_at(epoch)
        for length, sequences in tokens.items():
            seen[length].append(_look(model, sequences, run.config.data.layout(length).output_positions))
    arrays: dict[str, NDArray[Any]] = {}
    for length, sequences in tokens.items():
        maps, predictions = (np.stack(parts) for parts in zip(*seen[length], strict=True))
        arrays[f"tokens.{length}"] = sequences.astype(np.uint16)
        arrays[f"maps.{length}"] = maps
        arrays[f"predictions.{length}"] = predictions
    return arrays


@torch.no_grad()
def _look(model: Transformer, sequences: NDArray[np.int64], reads: slice) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return one network's maps [S, N, H, C] in steps of 1 / 255, and its predictions [S, Q]."""
    logits, cache = model.run_with_cache(torch.from_numpy(sequences[:, :-1]), PATTERN_HOOKS)
    layers = [cache[pattern_hook(layer)] for layer in range(model.config.layers)]
    maps = torch.stack(layers, dim=1).numpy()  # [S, N, H, T, T]
    seen = np.tri(maps.shape[-1], dtype=bool)
    steps = np.rint(maps[..., seen] * LEVELS).astype(np.uint8)
    return steps, logits[:, reads].argmax(-1).numpy().astype(np.uint16)


def left_out(run: Run, plan: Plan) -> list[str]:
    """Return what is not stored, each as a sentence; nothing where all is there but for further sequences."""
    stored, lengths = len(run.checkpoints), len(run.config.data.lengths)
    sentences = []
    if len(plan.epochs) < stored:
        sentences.append(f"Of {stored} stored networks this page holds {len(plan.epochs)}, evenly chosen.")
    if len(plan.lengths) < lengths:
        told = ", ".join(map(str, plan.lengths))
        sentences.append(f"Of {lengths} lengths the maps show {len(plan.lengths)}: {told}.")
    each = "the first test sequence" if plan.sequences == 1 else f"the first {plan.sequences} test sequences"
    sentences.append(
        f"Maps are stored for {each} of each length, every weight in one byte, right to 0.002; "
        "those of other sequences and the networks before the last are not in this page."
    )
    return sentences
