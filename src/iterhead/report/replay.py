"""What the page replays: attention maps and predictions of stored networks, for a few test sequences.

Letters: `E` epochs, `S` sequences, `N` layers, `H` heads, `Q` predictions of a sequence, `C` visible cells
of a map, row by row: T (T + 1) / 2 for T tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from iterhead.model.hooks import PATTERN_HOOKS, HookedModel
from iterhead.runs.run import Run

MOST_EPOCHS = 60
MOST_SEQUENCES = 3
LEVELS = 255
"""A weight is stored in one byte, in steps of 1 / 255: right to 0.002."""


@dataclass(frozen=True)
class Plan:
    """Which maps the page holds.

    Attributes:
        epochs: of stored networks, increasing; includes the last one.
        lengths: increasing; includes the longest one.
        sequences: how many test sequences of each length, from the first on.
    """

    epochs: list[int]
    lengths: list[int]
    sequences: int


def plan(run: Run, budget: int) -> Plan:
    """Return the richest plan whose maps fit into `budget` bytes before compression.

    If the maps do not fit, sequences are dropped first (3 to 1 of a length), then lengths, then epochs. At least one
    sequence of the longest length is kept, before and after training.
    """
    stored = [epoch for epoch in run.checkpoints if epoch in run.history] or run.checkpoints[-1:]
    lengths = list(run.config.data.lengths)
    # Sequences, share of the lengths, share of the epochs.
    smaller = [(sequences, 1.0, 1.0) for sequences in range(MOST_SEQUENCES, 0, -1)]
    smaller += [(1, share, 1.0) for share in (0.5, 0.25, 0.125, 0.0)]
    smaller += [(1, 0.0, 2.0**-power) for power in range(1, 11)]
    for sequences, share_lengths, share_epochs in smaller:
        chosen = Plan(
            _evenly(stored, min(MOST_EPOCHS, max(2, round(len(stored) * share_epochs)))),
            _evenly(lengths, max(1, round(len(lengths) * share_lengths))),
            sequences,
        )
        if _cost(run, chosen) <= budget:
            break
    return chosen


def _evenly(values: Sequence[int], most: int) -> list[int]:
    """Return at most `most` evenly spaced values, with the last one and, if there are several, the first one."""
    if len(values) <= most:
        return list(values)
    last = len(values) - 1
    return [values[last - round(index * last / max(1, most - 1))] for index in range(most)][::-1]


def _cost(run: Run, plan: Plan) -> int:
    """Return the size of the maps in bytes."""
    config = run.config
    tokens = [config.data.layout(length).input_size for length in plan.lengths]
    cells = sum(size * (size + 1) // 2 for size in tokens)
    return len(plan.epochs) * plan.sequences * config.model.layers * config.model.heads * cells


def replay(run: Run, plan: Plan) -> dict[str, NDArray[Any]]:
    """Return, for each length L, `tokens.L` [S, size], `maps.L` [E, S, N, H, C] and `predictions.L` [E, S, Q]."""
    tokens = {length: run.dataset.test[length][: plan.sequences] for length in plan.lengths}
    outputs: dict[int, list[tuple[NDArray[Any], NDArray[Any]]]] = {length: [] for length in plan.lengths}
    for epoch in plan.epochs:
        model = run.model_at(epoch)
        for length, sequences in tokens.items():
            outputs[length].append(_outputs(model, sequences, run.config.data.layout(length).output_positions))
    arrays: dict[str, NDArray[Any]] = {}
    for length, sequences in tokens.items():
        maps, predictions = (np.stack(parts) for parts in zip(*outputs[length], strict=True))
        arrays[f"tokens.{length}"] = sequences.astype(np.uint16)
        arrays[f"maps.{length}"] = maps
        arrays[f"predictions.{length}"] = predictions
    return arrays


@torch.no_grad()
def _outputs(
    model: HookedModel, sequences: NDArray[np.int64], output_positions: slice
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return one network's maps [S, N, H, C] in steps of 1 / 255, and its predictions [S, Q]."""
    logits, cache = model.run_with_cache(torch.from_numpy(sequences[:, :-1]), PATTERN_HOOKS)
    maps = torch.stack(list(cache.values()), dim=1).numpy()  # [S, N, H, T, T]
    visible = np.tri(maps.shape[-1], dtype=bool)
    steps = np.rint(maps[..., visible] * LEVELS).astype(np.uint8)
    return steps, logits[:, output_positions].argmax(-1).numpy().astype(np.uint16)


def left_out(run: Run, plan: Plan) -> list[str]:
    """Return sentences about what the page leaves out."""
    stored, lengths = len(run.checkpoints), len(run.config.data.lengths)
    sentences = []
    if len(plan.epochs) < stored:
        sentences.append(f"Of {stored} stored networks this page holds {len(plan.epochs)}, evenly chosen.")
    if len(plan.lengths) < lengths:
        shown = ", ".join(map(str, plan.lengths))
        sentences.append(f"Of {lengths} lengths the maps show {len(plan.lengths)}: {shown}.")
    each = "the first test sequence" if plan.sequences == 1 else f"the first {plan.sequences} test sequences"
    sentences.append(
        f"Maps are stored for {each} of each length, every weight in one byte, right to 0.002; "
        "those of other sequences and the networks before the last are not in this page."
    )
    return sentences
