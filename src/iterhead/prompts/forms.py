"""The forms of a prompt: how one example is written, and what a model needs to continue it.

A form writes its words on a `Page`, which separates them by a space and remembers the characters of each. To add one,
write it here and list it in `FORMS`, which `--form` reads.

By hand, the polynomial s_t = s_{t-1} x_t + 1 mod 11 on 3 1 4 (states 3, 3*1+1 = 4, 4*4+1 = 17 = 6):

    after-input    input: 3 1 4 => states: 3 4 6
    interleaved    input and state: 3 3 1 4 4 6
    labelled       input: step 1: 3 step 2: 1 step 3: 4 => states: step 1: 3 step 2: 4 step 3: 6
    shuffled       input: 3 1 4 => states: 6 3 4
    corrupted      input: 3 1 4 => states: 3 9 6            s_2 replaced; F(9, 4) = 9*4+1 = 37 = 4
    swapped        input: 3 5 4 => states: 3 5 10           x_2 replaced: 3*5+1 = 16 = 5, 5*4+1 = 21 = 10
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from iterhead.errors import UserError, nearest
from iterhead.prompts.batch import PromptBatch
from iterhead.prompts.draw import Example
from iterhead.seeds import IntegerStream

CharacterSpan = tuple[int, int]


class Page:
    """A text in the making.

    Args:
        words: how each value of the alphabet is written.
    """

    def __init__(self, words: Sequence[str]):
        self.words = words
        self._parts: list[str] = []  # joined at the end: adding to a long text copies it each time
        self._size = 0

    @property
    def text(self) -> str:
        """What is written."""
        return "".join(self._parts)

    def write(self, text: str) -> CharacterSpan:
        """Append `text`, after a space unless it begins a line; return its characters without that space."""
        if self._parts and self._parts[-1] != "\n":
            self._append(" ")
        start = self._size
        self._append(text)
        return start, self._size

    def _append(self, text: str) -> None:
        self._parts.append(text)
        self._size += len(text)

    def write_value(self, value: int) -> CharacterSpan:
        """Append a value of the alphabet."""
        return self.write(self.words[value])

    def end_line(self) -> None:
        """Append a line break."""
        self._append("\n")


class ExampleSpans(NamedTuple):
    """Where an example is in the text: its first character, x_1 .. x_L, the end of the input, s_1 .. s_L."""

    start: int
    inputs: list[CharacterSpan]
    marker: CharacterSpan
    states: list[CharacterSpan]


def after_input(page: Page, example: Example) -> ExampleSpans:
    """Write the input, a marker, and the states in their order."""
    return _input_then_states(page, example, range(len(example.states)))


def shuffled(page: Page, example: Example) -> ExampleSpans:
    """Write the input, a marker, and the states in the example's random order."""
    return _input_then_states(page, example, example.order)


def _input_then_states(page: Page, example: Example, order: Sequence[int]) -> ExampleSpans:
    start, _ = page.write("input:")
    inputs = [page.write_value(x) for x in example.inputs]
    marker = page.write("=> states:")
    written = {t: page.write_value(example.states[t]) for t in order}
    return ExampleSpans(start, inputs, marker, [written[t] for t in range(len(order))])


def interleaved(page: Page, example: Example) -> ExampleSpans:
    """Write each state behind its input; here the marker is the words before the first input."""
    marker = page.write("input and state:")
    pairs = [(page.write_value(x), page.write_value(s)) for x, s in zip(example.inputs, example.states, strict=True)]
    return ExampleSpans(marker[0], [x for x, _ in pairs], marker, [s for _, s in pairs])


def labelled(page: Page, example: Example) -> ExampleSpans:
    """Write the input, a marker and the states, with the number of its step before each value."""

    def write_steps(values: Sequence[int]) -> list[CharacterSpan]:
        spans = []
        for t, value in enumerate(values, start=1):
            page.write(f"step {t}:")
            spans.append(page.write_value(value))
        return spans

    start, _ = page.write("input:")
    inputs = write_steps(example.inputs)
    return ExampleSpans(start, inputs, page.write("=> states:"), write_steps(example.states))


def corrupt(batch: PromptBatch, stream: IntegerStream) -> PromptBatch:
    """Replace a random state of each prompt, but not the last one, by another value; later states stay as they were."""
    _require_two(batch.task.alphabet, "corrupted", f"{batch.task.name} has one value")
    _require_two(batch.length, "corrupted", "length=1")
    steps_B = stream.integers(batch.length - 1, (len(batch),)) + 1
    old_B = batch.states_BL[np.arange(len(batch)), steps_B - 1]
    return batch.with_state(steps_B, stream.others(old_B, range(batch.task.alphabet)))


def swap(batch: PromptBatch, stream: IntegerStream) -> PromptBatch:
    """Replace a random input of each prompt by another one; the states follow F from there."""
    symbols = batch.task.symbols
    _require_two(len(symbols), "swapped", f"{batch.task.name} has one input value")
    steps_B = stream.integers(batch.length, (len(batch),)) + 1
    old_B = batch.inputs_BL[np.arange(len(batch)), steps_B - 1]
    return batch.with_input(steps_B, stream.others(old_B, symbols))


def _require_two(number: int, form: str, problem: str) -> None:
    if number < 2:
        raise UserError(f"form={form}: {problem}: expected two or more")


def _unchanged(batch: PromptBatch, _stream: IntegerStream) -> PromptBatch:
    return batch


@dataclass(frozen=True)
class Form:
    """A form of prompts.

    Args:
        name: what `--form` takes.
        write: writes an example.
        edit: what is changed in a batch of such prompts.
    """

    name: str
    write: Callable[[Page, Example], ExampleSpans]
    edit: Callable[[PromptBatch, IntegerStream], PromptBatch] = _unchanged


FORMS = {
    form.name: form
    for form in (
        Form("after-input", after_input),
        Form("interleaved", interleaved),
        Form("labelled", labelled),
        Form("shuffled", shuffled),
        Form("corrupted", after_input, corrupt),
        Form("swapped", after_input, swap),
    )
}
"""The forms by name. `corrupted` and `swapped` are edits of `after-input`; `PromptBatch.with_state` and `.with_input`
make the same edits in any form."""


def form_named(name: str) -> Form:
    """Return the form `name`; UserError if there is none."""
    if name not in FORMS:
        raise UserError(f"form={name!r}{nearest(name, FORMS)} (expected {', '.join(FORMS)})")
    return FORMS[name]
