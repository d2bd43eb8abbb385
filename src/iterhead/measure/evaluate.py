"""One evaluation: a network on held-out sequences of every length, as rows of the tidy table."""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from iterhead.measure.accuracy import exact_match, grammatical
from iterhead.measure.heads import ROLES, RoleScores, RoleSums
from iterhead.measure.records import Record
from iterhead.model import Transformer
from iterhead.tasks import SequenceLayout, Task, Vocabulary

CHUNK = 256
"""Sequences in one forward pass: bounds the memory whatever the size of the test set."""

PATTERNS = "blocks.*.attn.hook_pattern"


def evaluate(
    model: Transformer, task: Task, sequences: Mapping[int, NDArray[np.int64]], *, cot: bool = True
) -> list[Record]:
    """Return accuracy, grammar and, with chain of thought, the scores of every head, for each length.

    Args:
        model: one network.
        task: what the sequences were made from.
        sequences: whole sequences by length, each [B, size of its layout].
        cot: whether they hold a chain of thought.

    Returns:
        Records without epoch and split, which the caller knows.
    """
    records: list[Record] = []
    for length, tokens in sequences.items():
        layout = SequenceLayout(length, cot)
        rows = _evaluate_length(model, task, torch.from_numpy(tokens), layout)
        records += [{"length": length, **row} for row in rows]
    return records


@torch.no_grad()
def _evaluate_length(model: Transformer, task: Task, tokens: Tensor, layout: SequenceLayout) -> list[Record]:
    vocabulary = Vocabulary(model.config.vocabulary)
    layers = model.config.layers
    roles = ROLES if layout.cot else {}
    sums = {(role, layer): RoleSums(cells(layout)) for role, cells in roles.items() for layer in range(layers)}
    right = formed = 0
    for chunk in torch.split(tokens, CHUNK):
        trace = model.trace(chunk[:, :-1], (PATTERNS,) if roles else ())
        predictions = trace.logits[:, layout.reads].argmax(-1)
        right += int(exact_match(predictions, chunk[:, layout.targets]).sum())
        formed += int(grammatical(predictions, task.alphabet, vocabulary).sum())
        for (_, layer), total in sums.items():
            total.add(trace[f"blocks.{layer}.attn.hook_pattern"])
    records = [{"name": "accuracy", "value": right / len(tokens)}, {"name": "grammar", "value": formed / len(tokens)}]
    scores = {key: total.scores() for key, total in sums.items()}
    for (role, layer), score in scores.items():
        records += _head_records(role, layer, score)
    for role in roles:
        mass = sum(float(score.mass) for (name, _), score in scores.items() if name == role)
        records.append({"name": f"{role}_mass", "value": mass})
    return records


def _head_records(role: str, layer: int, scores: RoleScores) -> list[Record]:
    records: list[Record] = [{"layer": layer, "name": f"{role}_mass", "value": float(scores.mass)}]
    for name in ("peakiness", "weight", "invariance"):
        records += [
            {"layer": layer, "head": head, "name": f"{role}_{name}", "value": value}
            for head, value in enumerate(getattr(scores, name).tolist())
        ]
    return records
