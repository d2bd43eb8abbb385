"""Whether sequences are right: exact match and grammar.

Letters: `B` sequences, `Q` predictions of each (the written states and EoS).
"""

from torch import Tensor

from iterhead.tasks import Vocabulary


def exact_match(predictions_BQ: Tensor, targets_BQ: Tensor) -> Tensor:
    """Return for each sequence whether every target after EoI is predicted, [B].

    Teacher-forced or generated makes no difference: greedy generation goes wrong where, and only where, the first
    teacher-forced prediction does.
    """
    return (predictions_BQ == targets_BQ).all(-1)


def grammatical(written_BQ: Tensor, alphabet: int | Tensor, vocabulary: Vocabulary) -> Tensor:
    """Return for each sequence whether what follows EoI is well formed, right or wrong, [B].

    There may be axes before B; the alphabet's size may be a tensor that broadcasts to them.

    Well formed: values of the task, then EoS, and nothing but EoS after it; no second EoI, no problem token.
    """
    is_value = written_BQ < alphabet
    is_end = written_BQ == vocabulary.end_of_sequence
    ended = is_end.int().cummax(-1).values.bool()
    return ((is_value & ~ended) | (is_end & ended)).all(-1) & is_end[..., -1]
