"""What each way to replace the attention of the two heads leaves of the accuracy, measured on test sequences.

The page's own network makes the same replacements (`page/interventions.js`); the numbers beside its switches come from
here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from iterhead.intervene import (
    Hooks,
    accuracy_under,
    chance_levels,
    compose,
    ideal_attention,
    random_attention,
    shifted_attention,
    zero,
)
from iterhead.intervene.effects import Sequences
from iterhead.measure import Head, headline_lengths
from iterhead.model import Transformer
from iterhead.runs.run import Run
from iterhead.tasks import SequenceLayout, Vocabulary

SEQUENCES = 16
"""Of each length: 25 combinations in a second or two, on the default run 208 sequences each."""

_Make = Callable[[SequenceLayout, str, Head], Hooks]

SWITCHES: dict[str, _Make] = {
    "own": lambda *_: {},
    "ideal": lambda layout, role, head: ideal_attention(layout, role, *head),
    "random": lambda _layout, _role, head: random_attention(*head, seed=0),
    "shifted": lambda layout, role, head: shifted_attention(layout, 1, *head, role=role),
    "off": lambda _layout, _role, head: zero(f"blocks.{head[0]}.attn.hook_z", head=head[1]),
}
"""The hooks of a head in a role: its own map, the ideal one, a random one, one position too far, nothing."""


@dataclass(frozen=True)
class Leaves:
    """What is left of the accuracy, 0 .. 1.

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


def measured_switches(run: Run, sequences: Sequences) -> dict[str, Any] | None:
    """Return what each combination leaves, by `first.second` such as `ideal.own`; None without a pair of heads."""
    if run.scores.best_pair is None:
        return None
    first, second = run.scores.best_pair
    leaves = {}
    for name, make_first in SWITCHES.items():
        for other, make_second in SWITCHES.items():
            # Bound now, since a loop's variables change.
            def hooks(layout: SequenceLayout, a: _Make = make_first, b: _Make = make_second) -> Hooks:
                return compose(a(layout, "first", first), b(layout, "second", second))

            leaves[f"{name}.{other}"] = vars(left(run.model, sequences, hooks))
    vocabulary = Vocabulary(run.config.model.vocabulary)
    levels = chance_levels(run.config.iterative_task, sequences, vocabulary).values()
    chance = float(np.mean([level.random_map.by_token for level in levels if level.random_map is not None]))
    lengths = list(sequences)
    return {
        "names": list(SWITCHES),
        "leaves": leaves,
        "chance": chance,
        "sequences": sum(len(tokens) for tokens in sequences.values()),
        "lengths": [lengths[0], lengths[-1]],
    }


def left(
    model: Transformer,
    sequences: Sequences,
    hooks: Callable[[SequenceLayout], Hooks] | None = None,
    *,
    cot: bool = True,
) -> Leaves:
    """Return what is left of a network's accuracy on all sequences together."""
    answers = accuracy_under(model, sequences, hooks, cot=cot).values()
    exact = np.concatenate([found.exact for found in answers])
    return Leaves(float(exact.mean()), float(np.concatenate([found.by_token for found in answers]).mean()))
