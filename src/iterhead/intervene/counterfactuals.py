"""Two counterfactual tests of the iteration head: shift where it attends, or swap the input that it reads.

If the circuit is the paper's, each change must lead to a certain *wrong* answer (claims 4 and 6). These tests count how
often it does.

Letters: `B` sequences, `L` inputs, `N` sequences of all lengths together, `p` the alphabet.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from iterhead.errors import UserError
from iterhead.intervene.activations import Heads, patch, shared_heads
from iterhead.intervene.effects import Sequences, chunks, component_of, predict
from iterhead.intervene.patterns import shifted_attention
from iterhead.model.hooks import HookedModel
from iterhead.seeds import IntegerStream
from iterhead.tasks import SequenceLayout, Task, Vocabulary, next_states, states_before

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class CounterfactualCounts:
    """How often the output was the predicted one; numbers of steps in each sequence, [N].

    Attributes:
        steps: steps whose predicted output differs from the right one; only these count.
        followed: of those, the output is the predicted one.
        kept: of those, the output is still F(s_{t-1}, x_t).
    """

    steps: Integers
    followed: Integers
    kept: Integers

    @property
    def fraction(self) -> float:
        """The share of steps whose output is the predicted one, 0 .. 1; nan if no step counts."""
        return _share(self.followed, self.steps)

    @property
    def fraction_kept(self) -> float:
        """The share of steps whose output did not change, 0 .. 1; nan if no step counts."""
        return _share(self.kept, self.steps)

    @property
    def by_sequence(self) -> NDArray[np.float64]:
        """The share followed in each sequence with steps that count, for `bootstrap_interval`."""
        counted = self.steps > 0
        return self.followed[counted] / self.steps[counted]

    def __repr__(self) -> str:
        return f"CounterfactualCounts({self.steps.sum()} steps: {self.fraction:.3f} followed)"


def _share(counts: Integers, steps: Integers) -> float:
    return float(counts.sum() / steps.sum()) if steps.any() else math.nan


def shift_follows_f(
    model: HookedModel, task: Task, sequences: Sequences, layer: int, head: Heads = None, *, k: int = 1
) -> CounterfactualCounts:
    """Count how often the output is F(s_{t-1}, x_{t+k}) when the second head attends k positions too far (claim 4).

    States are teacher-forced, so each step is tested separately. Steps without an input x_{t+k} are left out, and steps
    with F(s_{t-1}, x_{t+k}) = F(s_{t-1}, x_t) do not count. At t = 1 the prediction is the first state for x_{1+k}.

    Args:
        model: one network.
        task: of the sequences.
        sequences: by length; lengths L <= |k| are skipped.
        layer: of the second head, from 0.
        head: the second head; None shifts every head of the layer.
        k: how many positions too far.
    """
    table, vocabulary, answers = next_states(task), Vocabulary(model.vocabulary), []
    for length, tokens in sequences.items():
        if length <= abs(k):
            continue
        layout = SequenceLayout(length)
        steps = np.arange(length)[max(0, -k) : length - max(0, k)]
        inputs, components = tokens[:, layout.inputs], component_of(tokens, vocabulary)[:, None]
        before = states_before(task, tokens[:, layout.states])[:, steps]
        right, predicted = (table[components, before, inputs[:, read]] for read in (steps, steps + k))
        outputs = predict(model, tokens, layout, shifted_attention(layout, k, layer, head))[:, steps]
        answers.append((outputs, right, predicted))
    return _counts(answers)


@dataclass(frozen=True)
class SwapCounts:
    """How often the output followed F when x_t alone was swapped for x' in the second head's values.

    Attributes:
        counts: by sequence.
        steps: how often each pair was tried and counts, [components, p + 1, p]: row s_{t-1}, or p for s_0; column x'.
        followed: of those, the output is F(s_{t-1}, x').
    """

    counts: CounterfactualCounts
    steps: Integers
    followed: Integers

    @property
    def table(self) -> NDArray[np.float64]:
        """The share followed for each pair, 0 .. 1; nan where no step of the pair counts."""
        return np.where(self.steps > 0, self.followed / np.maximum(self.steps, 1), np.nan)

    @property
    def pairs(self) -> int:
        """The number of pairs (s, x') with steps that count."""
        return int((self.steps > 0).sum())

    @property
    def fraction(self) -> float:
        """The mean of `table` over its pairs, 0 .. 1; nan if there are none."""
        return float(np.nanmean(self.table)) if self.pairs else math.nan

    def __repr__(self) -> str:
        return f"SwapCounts({self.pairs} pairs (s, x'): {self.fraction:.3f} followed)"


def swap_follows_f(
    model: HookedModel, task: Task, sequences: Sequences, layer: int, head: Heads = None, *, seed: int = 0
) -> SwapCounts:
    """Count how often the output is F(s_{t-1}, x') when the second head reads x' in place of x_t (claim 6).

    For each sequence and step, x' is drawn from the other inputs, and the head's value vector (`hook_v`) at the
    position of x_t is taken from the same sequence with x' there. Nothing else is changed, but with grouped queries the
    value is that of all heads of the group. States are teacher-forced.
    Steps with F(s_{t-1}, x') = F(s_{t-1}, x_t) do not count. Each step takes two forward passes, so a few dozen
    sequences of a length suffice.

    Args:
        model: one network.
        task: of the sequences.
        sequences: by length.
        layer: of the second head, from 0.
        head: the second head; None swaps for every head of the layer.
        seed: of the draws of x'.

    Raises:
        UserError: for a task with a component that has a single input, so that there is nothing to swap.
    """
    table, vocabulary = next_states(task), Vocabulary(model.vocabulary)
    steps, followed, answers = np.zeros_like(table), np.zeros_like(table), []
    for length, tokens in sequences.items():
        layout = SequenceLayout(length)
        components, before = component_of(tokens, vocabulary)[:, None], states_before(task, tokens[:, layout.states])
        inputs = tokens[:, layout.inputs]
        swapped = _others(task, components[:, 0], inputs, IntegerStream(seed, "swaps", length))
        right, predicted = table[components, before, inputs], table[components, before, swapped]
        outputs = _outputs_with_swaps(model, tokens, swapped, layout, layer, head)
        counted = right != predicted
        np.add.at(steps, (components, before, swapped), counted)
        np.add.at(followed, (components, before, swapped), counted & (outputs == predicted))
        answers.append((outputs, right, predicted))
    return SwapCounts(_counts(answers), steps, followed)


@torch.no_grad()
def _outputs_with_swaps(
    model: HookedModel, tokens: Integers, swapped: Integers, layout: SequenceLayout, layer: int, head: Heads
) -> Integers:
    """Return the output at each step, [B, L], when only that step's input is swapped in the layer's values."""
    values = f"blocks.{layer}.attn.hook_v"
    parts = []
    for whole, others in zip(chunks(torch.from_numpy(tokens)), chunks(torch.from_numpy(swapped)), strict=True):
        own = whole[:, :-1].to(model.device)
        outputs = []
        for query, key, other in zip(*layout.second_pairs, others.T, strict=True):
            donor = own.clone()
            donor[:, key] = other
            donated = model.run_with_cache(donor, [values])[1][values]
            hooks = patch(values, donated, head=shared_heads(head, model.heads, donated), positions=[key])
            outputs.append(model(own, hooks=hooks)[:, query].argmax(-1).cpu())
        parts.append(torch.stack(outputs, dim=-1))
    return np.asarray(torch.cat(parts))


def _others(task: Task, components: Integers, inputs: Integers, stream: IntegerStream) -> Integers:
    """Return for each input [B, L] another input of the same component, drawn uniformly."""
    others = np.empty_like(inputs)
    for index, component in enumerate(task.components):
        if len(component.symbols) < 2:
            only = component.symbols[0]
            raise UserError(f"{component.name}: its only input is {only}: there is nothing to swap it for")
        rows = components == index
        others[rows] = stream.others(inputs[rows], component.symbols)
    return others


def _counts(answers: list[tuple[Integers, Integers, Integers]]) -> CounterfactualCounts:
    """Return the counts from the outputs, the right and the predicted states [B, L] of each length."""
    counts = [np.empty((3, 0), dtype=np.int64)]
    for outputs, right, predicted in answers:
        counted = right != predicted
        counts.append(np.stack([counted, counted & (outputs == predicted), counted & (outputs == right)]).sum(-1))
    return CounterfactualCounts(*np.concatenate(counts, axis=1))
