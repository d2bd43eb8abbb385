"""The accuracy that replacing the attention of the two heads leads to, measured on test sequences.

The page's own network makes the same replacements (`page/interventions.js`); their accuracies come from here.
"""

from collections.abc import Callable
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from iterhead.intervene.activations import Hooks, ablate_head, compose
from iterhead.intervene.effects import MakeHooks, Sequences, accuracy_under, random_map_chance
from iterhead.intervene.patterns import ideal_attention, random_attention, shifted_attention
from iterhead.measure.records import Head, headline_lengths
from iterhead.model.hooks import HookedModel
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


class Accuracy(NamedTuple):
    """Fraction of sequences right from the first state to EoS, and mean fraction of right states, over all lengths."""

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

    def accuracy(of_first: str, of_second: str) -> dict[str, float]:
        def hooks(layout: SequenceLayout) -> Hooks:
            return compose(
                INTERVENTIONS[of_first](layout, "first", first), INTERVENTIONS[of_second](layout, "second", second)
            )

        return overall_accuracy(run.model, sequences, hooks)._asdict()

    lengths, vocabulary = list(sequences), Vocabulary(run.config.model.vocabulary)
    return {
        "names": list(INTERVENTIONS),
        "accuracies": {".".join(names): accuracy(*names) for names in product(INTERVENTIONS, repeat=2)},
        "chance": random_map_chance(run.task, sequences, vocabulary),
        "sequences": sum(len(tokens) for tokens in sequences.values()),
        "lengths": [lengths[0], lengths[-1]],
    }


def overall_accuracy(
    model: HookedModel, sequences: Sequences, make_hooks: MakeHooks | None = None, *, cot: bool = True
) -> Accuracy:
    """Return a network's accuracy on all sequences together. Arguments as for `accuracy_under`."""
    answers = accuracy_under(model, sequences, make_hooks, cot=cot).values()
    exact, by_token = ([getattr(part, name) for part in answers] for name in ("exact", "by_token"))
    return Accuracy(float(np.concatenate(exact).mean()), float(np.concatenate(by_token).mean()))
