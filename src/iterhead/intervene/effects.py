"""Accuracy of a network under hooks, by sequence and by token, and the accuracy of guessing.

Letters: `M` networks, `B` sequences of one length, `L` its inputs, `Q` predictions of each (the written states, EoS).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from iterhead.intervene.activations import Hooks
from iterhead.measure.evaluate import CHUNK
from iterhead.model.hooks import HookedModel
from iterhead.tasks import SequenceLayout, Task, Vocabulary, next_states, states_before

Sequences = Mapping[int, NDArray[np.int64]]
"""Whole sequences by length, each [B, size of its layout], as `Dataset.test` holds them."""

MakeHooks = Callable[[SequenceLayout], Hooks]
"""Returns the hooks for sequences of one layout, e.g. `lambda layout: ideal_attention(layout, "second", 1)`."""

Booleans = NDArray[np.bool_]


@dataclass(frozen=True)
class Answers:
    """Which states [B, L] ([B, 1] without chain of thought) and which EoS [B] are predicted right; teacher-forced."""

    states: Booleans
    end: Booleans

    @property
    def exact(self) -> Booleans:
        """Whether every target after EoI is right, [B], as `measure.accuracy.exact_match` counts it."""
        return np.asarray(self.states.all(-1) & self.end)

    @property
    def by_token(self) -> NDArray[np.float64]:
        """The fraction of each sequence's states that is right, [B], without EoS."""
        return np.asarray(self.states.mean(-1))

    def __repr__(self) -> str:
        exact, by_token = self.exact.mean(), self.by_token.mean()
        return f"Answers({self.exact.size} sequences: exact {exact:.3f}, by token {by_token:.3f})"


def accuracy_under(
    model: HookedModel, sequences: Sequences, make_hooks: MakeHooks | None = None, *, cot: bool = True
) -> dict[int, Answers]:
    """Return which predictions are right under hooks, for each length.

    Args:
        model: one network; for M of them the arrays of tokens and answers are [M, B, ...].
        sequences: by length.
        make_hooks: called once for each length; None for the network as it is. The hooks run on chunks of the
            sequences, so what they patch in must be the same for all sequences.
        cot: whether the sequences contain a chain of thought.
    """
    answers = {}
    for length, tokens in sequences.items():
        layout = SequenceLayout(length, cot)
        hooks = {} if make_hooks is None else make_hooks(layout)
        right = predict(model, tokens, layout, hooks) == tokens[..., layout.targets]
        answers[length] = Answers(right[..., :-1], right[..., -1])
    return answers


@torch.no_grad()
def predict(model: HookedModel, tokens: NDArray[np.int64], layout: SequenceLayout, hooks: Hooks) -> NDArray[np.int64]:
    """Return the most likely token at each position after EoI, [..., B, Q], of whole sequences [..., B, size]."""
    parts = chunks(torch.from_numpy(tokens).to(model.device))
    outputs = [model(part[..., :-1], hooks=hooks)[..., layout.output_positions, :].argmax(-1) for part in parts]
    return np.asarray(torch.cat(outputs, dim=-2).cpu())


def chunks(tokens: Tensor) -> tuple[Tensor, ...]:
    """Split sequences [..., B, T] into parts of nearly equal size, which bounds the memory of a forward pass."""
    return tokens.tensor_split(max(1, -(-tokens.shape[-2] // CHUNK)), dim=-2)


class Chance(NamedTuple):
    """The expected accuracy of a way of guessing: fractions of right states and of sequences right throughout."""

    by_token: float
    exact: float


@dataclass(frozen=True)
class ChanceLevels:
    """Accuracies of guessing the states of sequences of one length.

    Attributes:
        alphabet: uniformly among the task's values: 1 / p a state, p^-L a chain.
        values: uniformly among the values that occur at that step in the sequences, 1 / |values|.
        state: the most likely F(s_{t-1}, x) for x uniform among the inputs: the best that a network can do which reads
            its own state but not x_t, so the level to compare a broken iteration head with. None without chain of
            thought, where s_{t-1} is not written.
        random_map: the same, except that the query at position q sees x_t by chance, with probability 1 / (q+1), as
            under `random_attention`. None without chain of thought.
    """

    alphabet: Chance
    values: Chance
    state: Chance | None
    random_map: Chance | None


def chance_levels(
    task: Task, sequences: Sequences, vocabulary: Vocabulary | None = None, *, cot: bool = True
) -> dict[int, ChanceLevels]:
    """Return the accuracy of guessing on these sequences, for each length.

    By hand, for polynomial (p = 11, inputs 1 .. 10) and a chain of two: by alphabet 1/11 a state and 1/121 exact; by
    state, F(s, x) takes ten values for s != 0, each once (1/10), and is always 1 for s = 0.

    Args:
        task: of the sequences; in a mixture each sequence is guessed by its own component.
        sequences: by length.
        vocabulary: of the sequences; 64 ids by default.
        cot: whether they contain a chain of thought.
    """
    alphabets = np.array([component.alphabet for component in task.components])
    levels = {}
    for length, tokens in sequences.items():
        layout = SequenceLayout(length, cot)
        components = component_of(tokens, vocabulary)
        states = tokens[:, layout.states]
        uniform = np.repeat(1 / alphabets[components, None], states.shape[1], axis=1)
        state = random_map = None
        if cot:
            guess = best_guess_from_state(task)[components[:, None], states_before(task, states)]
            luck = 1 / (layout.second_pairs[0] + 1)
            state, random_map = _chance(guess), _chance(luck + (1 - luck) * guess)
        by_value = _chance(1 / _values_at_step(components, states))
        levels[length] = ChanceLevels(_chance(uniform), by_value, state, random_map)
    return levels


def random_map_chance(task: Task, sequences: Sequences, vocabulary: Vocabulary) -> float:
    """Return the share of states that is right under a random map by chance, as a mean over lengths, 0 .. 1."""
    levels = [level.random_map for level in chance_levels(task, sequences, vocabulary).values()]
    return float(np.mean([level.by_token for level in levels if level is not None]))


def _chance(probabilities_BL: NDArray[np.float64]) -> Chance:
    return Chance(float(probabilities_BL.mean()), float(probabilities_BL.prod(-1).mean()))


def _values_at_step(components: NDArray[np.int64], states: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how many values occur at each step among sequences of the same component, [B, L]."""
    counts = np.empty_like(states)
    for component in np.unique(components):
        rows = components == component
        counts[rows] = [len(np.unique(column)) for column in states[rows].T]
    return counts


def component_of(tokens: NDArray[np.int64], vocabulary: Vocabulary | None = None) -> NDArray[np.int64]:
    """Return each sequence's component of a mixture, [B], from tokens [B, size]; 0 for a single task."""
    return (vocabulary or Vocabulary()).problem(0) - tokens[:, 0]


def best_guess_from_state(task: Task) -> NDArray[np.float64]:
    """Return the probability of the most likely next state for x uniform, [components, p + 1]; row p is s_0."""
    table = next_states(task)
    counts = np.stack([(table == value).sum(-1) for value in range(task.alphabet)], axis=-1)
    symbols = np.array([len(component.symbols) for component in task.components])
    return np.asarray(counts.max(-1) / symbols[:, None])
