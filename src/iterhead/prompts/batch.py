"""Prompts of one form and one length: their tokens, and which tokens are x_t and s_t.

Letters: `B` prompts, `T` tokens of the longest, `L` steps of the test example; a last `2` is a span [start, end).
Steps t are counted from 1, as in s_t; column t-1 of an array belongs to step t.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from iterhead.errors import UserError
from iterhead.prompts.draw import Examples
from iterhead.tasks import IterativeTask, next_states, states_before

Integers = NDArray[np.int64]


class Renderer(Protocol):
    """Turns examples into tokens: as text (`text.TextRenderer`), or token ids (`sequences.TokenRenderer`)."""

    def render(self, examples: Examples) -> "PromptBatch":
        """Return the batch of prompts with these examples."""


@dataclass(frozen=True, eq=False)
class PromptBatch:
    """B prompts; the last example of each, the test example, has L steps.

    Attributes:
        task: of the examples.
        form: the name of the form, from `FORMS`.
        examples: the values of each prompt, shots first. The states are those that are written.
        texts: each prompt as text.
        tokens_BT: padded on the right.
        sizes_B: the tokens of each prompt without padding.
        input_spans_BL2: the tokens of x_t, as positions [start, end).
        state_spans_BL2: the tokens of the written s_t, by t wherever it is written.
        marker_spans_B2: the tokens that end the input: `=> states:`, or EoI.
        starts_B: the first token of the test example.
        value_ids: the token ids with which a state is written, for each value of the alphabet.
        renderer: makes the tokens again after an edit.
        original: the batch that this one is an edit of, else None.
        edited_steps_B: the step t whose state or input was replaced in each prompt; 0 without an edit.
    """

    task: IterativeTask
    form: str
    examples: Examples = field(repr=False)
    texts: tuple[str, ...] = field(repr=False)
    tokens_BT: Integers = field(repr=False)
    sizes_B: Integers = field(repr=False)
    input_spans_BL2: Integers = field(repr=False)
    state_spans_BL2: Integers = field(repr=False)
    marker_spans_B2: Integers = field(repr=False)
    starts_B: Integers = field(repr=False)
    value_ids: tuple[tuple[int, ...], ...] = field(repr=False)
    renderer: Renderer = field(repr=False)
    original: "PromptBatch | None" = field(default=None, repr=False)
    edited_steps_B: Integers | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.examples)

    @property
    def length(self) -> int:
        """L, the steps of the test example."""
        return len(self.examples[0][-1].inputs)

    @cached_property
    def inputs_BL(self) -> Integers:
        """x_t of the test examples, as values."""
        return np.array([prompt[-1].inputs for prompt in self.examples], dtype=np.int64)

    @cached_property
    def states_BL(self) -> Integers:
        """s_t of the test examples as written, as values."""
        return np.array([prompt[-1].states for prompt in self.examples], dtype=np.int64)

    @cached_property
    def next_states_BL(self) -> Integers:
        """F(s_{t-1}, x_t) from the written s_{t-1}, as values: what a model writes that reads the text.

        It differs from `states_BL` only after an edit: behind a corrupted s_t whose successors were kept, it is the
        counterfactual s_{t+1}.
        """
        table = next_states(self.task)[0]
        return np.asarray(table[states_before(self.task, self.states_BL), self.inputs_BL])

    @property
    def queries_BL(self) -> Integers:
        """Positions of the token that predicts the first token of s_t: the one before it."""
        return self.state_spans_BL2[..., 0] - 1

    @property
    def state_ends_BL(self) -> Integers:
        """Positions of the last token of s_t, from which the first head looks at the marker."""
        return self.state_spans_BL2[..., 1] - 1

    def with_state(self, steps: ArrayLike, values: ArrayLike, *, follow: bool = False) -> "PromptBatch":
        """Return the same prompts with s_t replaced, t = `steps`, and tokens and spans made again.

        Args:
            steps: t, 1 .. L, one for each prompt or one for all.
            values: the state to write there, one for each prompt or one for all.
            follow: whether s_{t+1} .. s_L follow F from the new state, or stay as they are.

        Raises:
            UserError: for a step or a value out of range.
        """
        steps_B = self._each(steps, range(1, self.length + 1), "step")
        states_BL = self.states_BL.copy()
        states_BL[np.arange(len(self)), steps_B - 1] = self._each(values, range(self.task.alphabet), "state")
        return self._edited(steps_B, self.inputs_BL, states_BL, follow_from_B=steps_B + 1 if follow else None)

    def with_input(self, steps: ArrayLike, values: ArrayLike, *, follow: bool = True) -> "PromptBatch":
        """Return the same prompts with x_t replaced, t = `steps`, and tokens and spans made again.

        Args:
            steps: t, 1 .. L, one for each prompt or one for all.
            values: the input to write there, one for each prompt or one for all.
            follow: whether s_t .. s_L follow F from the new input, or stay as they are.

        Raises:
            UserError: for a step out of range, or a value that is no input of the task.
        """
        steps_B = self._each(steps, range(1, self.length + 1), "step")
        inputs_BL = self.inputs_BL.copy()
        inputs_BL[np.arange(len(self)), steps_B - 1] = self._each(values, self.task.symbols, "input")
        return self._edited(steps_B, inputs_BL, self.states_BL, follow_from_B=steps_B if follow else None)

    def _each(self, numbers: ArrayLike, allowed: Sequence[int], what: str) -> Integers:
        """Return one number for each prompt, [B], after checking that all are allowed."""
        numbers_B = np.broadcast_to(np.asarray(numbers), (len(self),))
        wrong = numbers_B[~np.isin(numbers_B, allowed)]
        if wrong.size:
            raise UserError(f"{what}={wrong[0]}: expected one of {', '.join(map(str, allowed))}")
        return numbers_B.astype(np.int64)

    def _edited(
        self, steps_B: Integers, inputs_BL: Integers, states_BL: Integers, follow_from_B: Integers | None
    ) -> "PromptBatch":
        """Return the prompts with these values, and with F's states from step `follow_from_B` on."""
        if follow_from_B is not None:
            table, states_BL = next_states(self.task)[0], states_BL.copy()
            for t in range(1, self.length + 1):
                following = table[states_before(self.task, states_BL)[:, t - 1], inputs_BL[:, t - 1]]
                states_BL[:, t - 1] = np.where(t >= follow_from_B, following, states_BL[:, t - 1])
        examples = tuple(
            (*prompt[:-1], replace(prompt[-1], inputs=tuple(inputs), states=tuple(states)))
            for prompt, inputs, states in zip(self.examples, inputs_BL.tolist(), states_BL.tolist(), strict=True)
        )
        return replace(self.renderer.render(examples), form=self.form, original=self, edited_steps_B=steps_B)
