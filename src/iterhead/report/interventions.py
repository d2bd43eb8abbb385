"""The accuracy that replacing the attention of the two heads leads to, measured on test sequences.

The page's own network makes the same replacements (`page/interventions.js`); the accuracies beside them come from here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from iterhead.intervene.activations import Hooks, ablate_head, compose
from iterhead.intervene.effects import MakeHooks, Sequences, accuracy_under, chance_levels
from iterhead.intervene.patterns import ideal_attention, random_attention, shifted_attention
from iterhead.measure.records import Head, headline_lengths
from iterhead.model import Transformer
from iterhead.runs.run import Run
from iterhead.tasks import SequenceLayout, Vocabulary

SEQUENCES = 16
"""Of each length: 25 combinations in a second or two; 208 sequences each for the default run."""

_Make = Callable[[SequenceLayout, str, Head], Hooks]

INTERVENTIONS: dict[str, _Make] = {
    "own": lambda *_: {},
    "ideal": lambda layout, role, head: ideal_attention(layout, role, *head),
    "random": lambda _layout, _role, head: random_attention(*head, seed=0),
    "shifted": lambda layout, role, head: shifted_attention(layout, 1, *head, role=role),
    "off": lambda _layout, _role, head: ablate_head(*head),
}
"""The hooks for a head in a role: its own map, the ideal one, a random one, one position too far, no head."""


@dataclass(frozen=True)
class Accuracy:
    """Accuracy on sequences of all lengths together, 0 .. 1.

    Attributes:
        exact: fraction of sequences right from the first state to EoS.
        states: mean fraction of right states.
    """

    exact: float
    states: float


def test_sequences(run: Run) -> Sequences:
    """Return the first test sequences of each headline length."""
    lengths = headline_lengths(list(run.config.data.lengths))
    return {length: run.dataset.test[length][:SEQUENCES] for length in lengths}


def measured_interventions(run: Run, sequences: Sequences) -> dict[str, Any] | None:
    """Return the accuracy under each combination, named `first.second` as in `ideal.own`; None without two heads."""
    if run.scores.best_pair is None:
        return None
    first, second = run.scores.best_pair
    accuracies = {}
    for name, make_first in INTERVENTIONS.items():
        for other, make_second in INTERVENTIONS.items():
            # Bound now, since a loop's variables change.
            def hooks(layout: SequenceLayout, a: _Make = make_first, b: _Make = make_second) -> Hooks:
                return compose(a(layout, "first", first), b(layout, "second", second))

            accuracies[f"{name}.{other}"] = vars(overall_accuracy(run.model, sequences, hooks))
    vocabulary = Vocabulary(run.config.model.vocabulary)
    levels = chance_levels(run.config.iterative_task, sequences, vocabulary).values()
    lengths = list(sequences)
    return {
        "names": list(INTERVENTIONS),
        "accuracies": accuracies,
        "chance": float(np.mean([level.random_map.by_token for level in levels if level.random_map is not None])),
        "sequences": sum(len(tokens) for tokens in sequences.values()),
        "lengths": [lengths[0], lengths[-1]],
    }


def overall_accuracy(
    model: Transformer, sequences: Sequences, make_hooks: MakeHooks | None = None, *, cot: bool = True
) -> Accuracy:
    """Return a network's accuracy on all sequences together. Arguments as for `accuracy_under`."""
    answers = accuracy_under(model, sequences, make_hooks, cot=cot).values()
    exact, by_token = ([getattr(part, name) for part in answers] for name in ("exact", "by_token"))
    return Accuracy(float(np.concatenate(exact).mean()), float(np.concatenate(by_token).mean()))
