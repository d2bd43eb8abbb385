"""One evaluation: the scores of networks on held-out sequences of every length, as rows of the tidy table."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from iterhead.measure.accuracy import exact_match, grammatical
from iterhead.measure.heads import ROLES, RoleSums
from iterhead.measure.records import HEAD_SCORES, Record
from iterhead.model.hooks import PATTERN_HOOKS, HookedModel, pattern_hook
from iterhead.tasks import SequenceLayout, Task, Vocabulary

CHUNK, CHUNK_TOKENS = 256, 2304
"""Limits on the sequences and tokens in one forward pass, so that memory does not grow with the test set."""


def evaluate(
    model: HookedModel, task: Task, sequences: Mapping[int, NDArray[np.int64]], *, cot: bool = True
) -> list[Record]:
    """Return accuracy, grammar and, with chain of thought, the scores of every head, for each length.

    Args:
        model: one network.
        task: of the sequences.
        sequences: whole sequences by length, each [B, size of its layout].
        cot: whether they contain a chain of thought.

    Returns:
        Records without epoch and split, which the caller adds.
    """
    return evaluate_population(model, [task], [sequences], cot=cot)[0]


def evaluate_population(
    model: HookedModel, tasks: Sequence[Task], sequences: Sequence[Mapping[int, NDArray[np.int64]]], *, cot: bool = True
) -> list[list[Record]]:
    """Return what `evaluate` returns for each of M networks.

    Args:
        model: M networks.
        tasks: of each network's sequences.
        sequences: of each network; all have equally many of a length.
        cot: whether they contain a chain of thought.
    """
    records: list[list[Record]] = [[] for _ in tasks]
    device = model.device
    for length in sequences[0]:
        tokens = torch.from_numpy(np.stack([part[length] for part in sequences]))
        rows = _evaluate_length(model, tasks, tokens.to(device), SequenceLayout(length, cot))
        for kept, new in zip(records, rows, strict=True):
            kept += [{"length": length, **row} for row in new]
    return records


@torch.no_grad()
def _evaluate_length(
    model: HookedModel, tasks: Sequence[Task], tokens_MBT: Tensor, layout: SequenceLayout
) -> list[list[Record]]:
    """Return the records of each network for sequences of one length."""
    vocabulary = Vocabulary(model.vocabulary)
    alphabets = torch.tensor([task.alphabet for task in tasks], device=tokens_MBT.device)[:, None, None]
    layers = model.layers
    roles = ROLES if layout.cot else {}
    # The last layer is computed only where the network writes: its maps begin at the first of these queries.
    starts = [0] * (layers - 1) + [layout.output_positions.start]
    sums = {
        (role, layer): RoleSums(pairs(layout), starts[layer])
        for role, pairs in roles.items()
        for layer in range(layers)
    }
    right = formed = torch.zeros(len(tasks), dtype=torch.int64)
    at_once = min(CHUNK, CHUNK_TOKENS // layout.size) // len(tasks)
    for chunk in torch.split(tokens_MBT, max(1, at_once), dim=1):
        names = PATTERN_HOOKS if roles else ()
        logits, cache = model.run_with_cache(chunk[:, :, :-1], names, output_positions=layout.output_positions)
        predictions = logits.argmax(-1)
        right = right + exact_match(predictions, chunk[:, :, layout.targets]).sum(-1).cpu()
        formed = formed + grammatical(predictions, alphabets, vocabulary).sum(-1).cpu()
        for (_, layer), total in sums.items():
            total.add(cache[pattern_hook(layer)])
    count = tokens_MBT.shape[1]
    named = {"accuracy": [n / count for n in right.tolist()], "grammar": [n / count for n in formed.tolist()]}
    scores = {
        key: {name: score.tolist() for name, score in vars(total.scores()).items()} for key, total in sums.items()
    }
    return [
        [{"name": name, "value": values[network]} for name, values in named.items()]
        + _role_records({key: {name: values[network] for name, values in s.items()} for key, s in scores.items()})
        for network in range(len(tasks))
    ]


def _role_records(scores: Mapping[tuple[str, int], Mapping[str, Any]]) -> list[Record]:
    """Return one network's records of roles from its scores by role and layer: a mass, and lists over heads."""
    records: list[Record] = []
    masses: dict[str, float] = {}
    for (role, layer), score in scores.items():
        masses[role] = masses.get(role, 0.0) + score["mass"]
        records.append({"layer": layer, "name": f"{role}_mass", "value": score["mass"]})
        for name in HEAD_SCORES:
            records += [
                {"layer": layer, "head": head, "name": f"{role}_{name}", "value": value}
                for head, value in enumerate(score[name])
            ]
    return records + [{"name": f"{role}_mass", "value": mass} for role, mass in masses.items()]
