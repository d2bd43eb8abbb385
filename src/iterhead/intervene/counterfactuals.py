"""Two directed tests of what the second layer does: shift where the head looks, or swap what it brings.

A head's map made random destroys the answer whatever the rest does with it. These tests predict the *wrong* answer
that must come out if the circuit is the paper's (claims 4 and 6 of the paper), and count how often it does.

Letters: `B` sequences, `L` inputs, `N` sequences of all lengths together, `p` the alphabet.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from iterhead.errors import UserError
from iterhead.intervene.activations import Heads, patch
from iterhead.intervene.effects import Sequences, chunks, component_of, next_states, predict, states_before
from iterhead.intervene.patterns import shifted_attention
from iterhead.model import Transformer
from iterhead.seeds import IntegerStream
from iterhead.tasks import SequenceLayout, Task, Vocabulary

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class CounterfactualCounts:
    """How often the output was the one predicted; counts of steps in each sequence, [N].

    Attributes:
        steps: that can tell: the predicted output differs from the right one.
        followed: of those, the output is the one predicted.
        kept: of those, the output is still F(s_{t-1}, x_t), as if nothing had been changed.
    """

    steps: Integers
    followed: Integers
    kept: Integers

    @property
    def fraction(self) -> float:
        """The share of steps whose output is the one predicted, 0 .. 1; nan if none can tell."""
        return self._share(self.followed)

    @property
    def fraction_kept(self) -> float:
        """The share of steps whose output stayed, 0 .. 1; nan if none can tell."""
        return self._share(self.kept)

    @property
    def by_sequence(self) -> NDArray[np.float64]:
        """The share followed in each sequence that has steps that can tell: what to bootstrap."""
        told = self.steps > 0
        return self.followed[told] / self.steps[told]

    def _share(self, counts: Integers) -> float:
        return float(counts.sum() / self.steps.sum()) if self.steps.any() else float("nan")


def shift_follows_f(
    model: Transformer, task: Task, sequences: Sequences, layer: int, head: Heads = None, *, k: int = 1
) -> CounterfactualCounts:
    """Return how often the output is F(s_{t-1}, x_{t+k}) when the second head looks k positions too far (claim 4).

    States are teacher-forced, so each step is tested by itself. Steps t whose x_{t+k} is no input are left out (for
    k = 1 the last, where the head would see EoI), and so are those where F(s_{t-1}, x_{t+k}) = F(s_{t-1}, x_t), which
    could not tell. At t = 1 the prediction is what x_{1+k} as first input would give.

    Args:
        model: one network.
        task: what the sequences were made from.
        sequences: by length; those of length L <= |k| add nothing.
        layer: of the second head, from 0.
        head: the second head; None shifts every head of the layer.
        k: how many positions too far.
    """
    table, counts = next_states(task), []
    for length, tokens in sequences.items():
        if length <= abs(k):
            continue
        layout = SequenceLayout(length)
        told = np.arange(length)[max(0, -k) : length - max(0, k)]
        inputs, components = tokens[:, layout.inputs], _components(model, tokens)
        before = states_before(task, tokens, layout)[:, told]
        right, moved = (table[components, before, inputs[:, steps]] for steps in (told, told + k))
        outputs = predict(model, tokens, layout, shifted_attention(layout, k, layer, head))[:, told]
        counts.append(_count(outputs, right, moved))
    return _together(counts)


@dataclass(frozen=True)
class SwapCounts:
    """How often the output followed F when x_t alone was swapped for x' at the second layer.

    Attributes:
        counts: by sequence.
        steps: how often each pair was tried where it can tell, [components, p + 1, p]: row s_{t-1}, or p for s_0, whose
            part EoI plays; column x'.
        followed: of those, the output is F(s_{t-1}, x').
    """

    counts: CounterfactualCounts
    steps: Integers
    followed: Integers

    @property
    def table(self) -> NDArray[np.float64]:
        """The share followed of each pair, 0 .. 1; nan where the pair did not occur or could not tell."""
        return np.where(self.steps > 0, self.followed / np.maximum(self.steps, 1), np.nan)

    @property
    def pairs(self) -> int:
        """How many pairs (s, x') were tried."""
        return int((self.steps > 0).sum())

    @property
    def fraction(self) -> float:
        """The mean of `table` over the pairs tried, each counting the same, 0 .. 1; nan if there are none."""
        return float(np.nanmean(self.table)) if self.pairs else float("nan")


def swap_follows_f(
    model: Transformer, task: Task, sequences: Sequences, layer: int, head: Heads = None, *, seed: int = 0
) -> SwapCounts:
    """Return how often the output is F(s_{t-1}, x') when the second head is handed x' for x_t (claim 6).

    For each sequence and step, x' is drawn among the other inputs, and the head's value vector (`hook_v`) at x_t's
    position is taken from the same sequence with x' there; nothing else is changed, so the head brings x' if x_t's
    position is where it reads. States are teacher-forced. Steps with F(s_{t-1}, x') = F(s_{t-1}, x_t), such as s = 0 in
    s x + 1, cannot tell and are not counted. Two forward passes a step: a few dozen sequences of a length do.

    Args:
        model: one network.
        task: what the sequences were made from.
        sequences: by length.
        layer: of the second head, from 0.
        head: the second head; None swaps for every head of the layer.
        seed: of the draws of x'.

    Raises:
        UserError: when the task has a component with a single input, so that there is nothing to swap.
    """
    table = next_states(task)
    steps, followed = np.zeros_like(table), np.zeros_like(table)
    counts = []
    for length, tokens in sequences.items():
        layout = SequenceLayout(length)
        components, before = _components(model, tokens), states_before(task, tokens, layout)
        inputs = tokens[:, layout.inputs]
        swapped = _others(task, components[:, 0], inputs, IntegerStream(seed, "swaps", length))
        right, moved = table[components, before, inputs], table[components, before, swapped]
        outputs = _outputs_with_swaps(model, tokens, swapped, layout, layer, head)
        told, follows = right != moved, outputs == moved
        np.add.at(steps, (components, before, swapped), told)
        np.add.at(followed, (components, before, swapped), told & follows)
        counts.append(_count(outputs, right, moved))
    return SwapCounts(_together(counts), steps, followed)


def _outputs_with_swaps(
    model: Transformer, tokens: Integers, swapped: Integers, layout: SequenceLayout, layer: int, head: Heads
) -> Integers:
    """Return what is written at each step when that step's input, and no other, is swapped in the layer's values."""
    pairs = zip(chunks(torch.from_numpy(tokens)), chunks(torch.from_numpy(swapped)), strict=True)
    parts = [torch.stack(list(_swapped_steps(model, *pair, layout, layer, head)), dim=-1) for pair in pairs]
    return np.asarray(torch.cat(parts))


@torch.no_grad()
def _swapped_steps(
    model: Transformer, tokens: Tensor, swapped: Tensor, layout: SequenceLayout, layer: int, head: Heads
) -> Iterator[Tensor]:
    """Yield the output [B] of each step t = 1 .. L, x_t alone being swapped."""
    values = f"blocks.{layer}.attn.hook_v"
    own = tokens[:, :-1].to(model.embed.W_E.device)
    queries, keys = layout.second_pairs
    for step, (query, key) in enumerate(zip(queries.tolist(), keys.tolist(), strict=True)):
        donor = own.clone()
        donor[:, key] = swapped[:, step]
        edit = patch(values, model.run_with_cache(donor, [values])[1][values], head=head, positions=[key])
        yield model(own, hooks=edit)[:, query].argmax(-1).cpu()


def _components(model: Transformer, tokens: Integers) -> Integers:
    """Return each sequence's component, [B, 1]."""
    return component_of(tokens, Vocabulary(model.config.vocabulary))[:, None]


def _others(task: Task, components: Integers, inputs: Integers, stream: IntegerStream) -> Integers:
    """Return for each input [B, L] another one of its component's, drawn uniformly."""
    others = np.empty_like(inputs)
    for index, component in enumerate(task.components):
        symbols = np.sort(component.symbols)
        if len(symbols) < 2:
            raise UserError(f"{component.name}: its only input is {symbols[0]}: there is nothing to swap it for")
        rows = components == index
        ranks = np.searchsorted(symbols, inputs[rows])
        others[rows] = symbols[(ranks + 1 + stream.integers(len(symbols) - 1, ranks.shape)) % len(symbols)]
    return others


def _count(outputs: Integers, right: Integers, moved: Integers) -> CounterfactualCounts:
    told = right != moved
    hits = ((told & (outputs == answer)).sum(-1) for answer in (moved, right))
    return CounterfactualCounts(told.sum(-1), *hits)


def _together(counts: list[CounterfactualCounts]) -> CounterfactualCounts:
    """Return the readings of all lengths as one."""
    parts = ([getattr(part, name) for part in counts] for name in ("steps", "followed", "kept"))
    return CounterfactualCounts(*(np.concatenate([np.empty(0, dtype=np.int64), *part]) for part in parts))
