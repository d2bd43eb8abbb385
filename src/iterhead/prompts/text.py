"""Prompts as text: examples in, tokens and their spans out.

Letters: `B` prompts, `T` tokens of the longest; a last `2` is a span [start, end).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iterhead.errors import UserError
from iterhead.prompts.batch import PromptBatch
from iterhead.prompts.draw import Example, Examples
from iterhead.prompts.forms import ExampleSpans, Form, Page
from iterhead.prompts.spans import EncodedText, Span, encode
from iterhead.tasks import IterativeTask


@dataclass(frozen=True, eq=False)
class TextRenderer:
    """Writes examples as text in one form and finds their tokens.

    Args:
        task: of the examples.
        tokenizer: a fast tokenizer of transformers.
        form: how an example is written.
        words: how each value is written; None for decimal numbers.
        rule: whether the first line states the rule.

    Raises:
        UserError: the words are unusable, or the task has no formula to state.
    """

    task: IterativeTask
    tokenizer: Any
    form: Form
    words: Sequence[str] | None = None
    rule: bool = False

    def __post_init__(self) -> None:
        if self.rule and (not self.task.formula or self.words is not None):
            reason = "no formula: give IterativeTask(formula=...)" if not self.task.formula else "one for numbers only"
            raise UserError(f"rule=True: {self.task.name} has {reason}, or leave the rule out")
        if self.words is not None:
            bad = [word for word in self.words if word.split() != [word]]
            if bad or len(set(self.words)) < len(self.words) or len(self.words) < self.task.alphabet:
                raise UserError(
                    f"words={tuple(self.words)!r}: expected {self.task.alphabet} different words without spaces, "
                    f"one for each value of {self.task.name}"
                )

    def render(self, examples: Examples) -> PromptBatch:
        """Return the prompts with these examples as text and tokens.

        Raises:
            UserError: the tokenizer has no offsets, cannot write a value, or joins values in a token.
        """
        value_ids = self.value_ids  # first, so that a value without tokens is named
        pages, written = zip(*(self._write(prompt) for prompt in examples), strict=True)
        texts = tuple(page.text for page in pages)
        encoded = encode(self.tokenizer, list(texts))
        tokens_BT, sizes_B = self._pad([text.ids for text in encoded])
        pairs = list(zip(encoded, written, strict=True))
        batch = PromptBatch(
            task=self.task,
            form=self.form.name,
            examples=examples,
            texts=texts,
            tokens_BT=tokens_BT,
            sizes_B=sizes_B,
            input_spans_BL2=_array([[text.tokens_of(x) for x in spans.inputs] for text, spans in pairs]),
            state_spans_BL2=_array([[text.tokens_of(s) for s in spans.states] for text, spans in pairs]),
            marker_spans_B2=_array([text.tokens_of(spans.marker) for text, spans in pairs]),
            starts_B=_array([text.first_tokens[spans.start] for text, spans in pairs]),
            value_ids=value_ids,
            renderer=self,
        )
        _check_value_ids(batch, encoded)
        return batch

    @cached_property
    def value_ids(self) -> tuple[tuple[int, ...], ...]:
        """The token ids with which a state is written, for each value of the alphabet."""
        written = [self._write([Example((v, v), (v, v), (0, 1))]) for v in range(self.task.alphabet)]
        encoded = encode(self.tokenizer, [page.text for page, _ in written])
        return tuple(
            text.ids[slice(*text.tokens_of(spans.states[1]))] for text, (_, spans) in zip(encoded, written, strict=True)
        )

    def _write(self, examples: Iterable[Example]) -> tuple[Page, ExampleSpans]:
        """Return the text of a prompt, and the characters of its last example."""
        words = [str(value) for value in range(self.task.alphabet)] if self.words is None else self.words
        page, write = Page(words), self.form.write
        if self.rule:
            first = "the first input" if self.task.init is None else words[self.task.init]
            page.write(f"rule: s starts as {first}; after that, each input x changes s to {self.task.formula}")
            page.end_line()
        *shots, test = examples
        for shot in shots:
            write(page, shot)
            page.end_line()
        return page, write(page, test)

    def _pad(self, ids: Sequence[Sequence[int]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the tokens, padded on the right, and their numbers."""
        sizes_B = _array([len(row) for row in ids])
        tokens_BT = np.full((len(ids), int(sizes_B.max())), self.tokenizer.pad_token_id or 0, dtype=np.int64)
        for tokens, row in zip(tokens_BT, ids, strict=True):
            tokens[: len(row)] = row
        return tokens_BT, sizes_B


def _array(numbers: Sequence[int] | Sequence[Span] | Sequence[list[Span]]) -> NDArray[np.int64]:
    return np.array(numbers, dtype=np.int64)


def _check_value_ids(batch: PromptBatch, encoded: Sequence[EncodedText]) -> None:
    """Raise UserError where a state is not written as in `value_ids`: then answers cannot be compared with it."""
    for text, spans_L2, states in zip(encoded, batch.state_spans_BL2, batch.states_BL, strict=True):
        for (start, end), state in zip(spans_L2, states, strict=True):
            if text.ids[start:end] != batch.value_ids[state]:
                raise UserError(
                    f"tokenizer {text.tokenizer_name} writes the value {state} as ids {batch.value_ids[state]} and as "
                    f"{text.ids[start:end]}: expected the same tokens in every place"
                )
