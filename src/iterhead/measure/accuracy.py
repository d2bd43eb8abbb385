"""Exact match and grammar of sequences.

Letters: `B` sequences, `Q` predictions of each (the written states and EoS).
"""

from torch import Tensor

from iterhead.measure.records import headline_lengths
from iterhead.settings import DataConfig
from iterhead.tasks import Task, Vocabulary


def exact_match(predictions_BQ: Tensor, targets_BQ: Tensor) -> Tensor:
    """Return for each sequence whether every target after EoI is predicted, [B].

    Teacher-forced and generated sequences give the same answer: greedy generation first errs where the first
    teacher-forced prediction does.
    """
    return (predictions_BQ == targets_BQ).all(-1)


def grammatical(written_BQ: Tensor, alphabet: int | Tensor, vocabulary: Vocabulary) -> Tensor:
    """Return for each sequence whether what follows EoI is well formed, right or wrong, [B].

    Well formed means values of the task, then EoS and nothing but EoS after it: no second EoI, no problem token. There
    may be axes before B; the size of the alphabet may be a tensor that broadcasts to them.
    """
    is_value = written_BQ < alphabet
    is_end = written_BQ == vocabulary.end_of_sequence
    ended = is_end.int().cummax(-1).values.bool()
    return ((is_value & ~ended) | (is_end & ended)).all(-1) & is_end[..., -1]


def guessing(task: Task, data: DataConfig) -> float:
    """Return the accuracy of random values, as a mean over the headline lengths."""
    lengths = headline_lengths(list(data.lengths))
    shares = [
        weight * float(part.alphabet) ** -data.layout(length).written
        for length in lengths
        for part, weight in zip(task.components, task.weights, strict=True)
    ]
    return sum(shares) / len(lengths)
