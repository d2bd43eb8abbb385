"""Prompts as token ids in the layout of our own networks: no text, no shots, spans of one token."""

from dataclasses import dataclass

import numpy as np

from iterhead.prompts.batch import PromptBatch
from iterhead.prompts.draw import Examples
from iterhead.tasks import IterativeTask, SequenceLayout, Vocabulary


@dataclass(frozen=True)
class TokenRenderer:
    """Writes examples as token ids, in the form `after-input`: `problem x_1 .. x_L EoI s_1 .. s_L`, without EoS."""

    task: IterativeTask
    vocabulary: Vocabulary

    def render(self, examples: Examples) -> PromptBatch:
        """Return the sequences of these examples; there must be one a prompt."""
        layout, count = SequenceLayout(len(examples[0][-1].inputs)), len(examples)
        inputs_BL, states_BL = (
            np.array([getattr(test, name) for (test,) in examples], dtype=np.int64) for name in ("inputs", "states")
        )
        whole = layout.assemble(self.vocabulary, inputs_BL, states_BL)
        return PromptBatch(
            task=self.task,
            form="after-input",
            examples=examples,
            texts=tuple(" ".join(self.vocabulary.names(row)) for row in whole[:, : layout.input_size]),
            tokens_BT=whole[:, : layout.input_size],
            sizes_B=np.full(count, layout.input_size),
            input_spans_BL2=_one_token_each(layout.inputs, count),
            state_spans_BL2=_one_token_each(layout.states, count),
            marker_spans_B2=np.tile([layout.end_of_input, layout.end_of_input + 1], (count, 1)),
            starts_B=np.zeros(count, dtype=np.int64),
            value_ids=tuple((value,) for value in range(self.task.alphabet)),
            renderer=self,
        )


def _one_token_each(positions: slice, count: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """Return spans [count, L, 2] of the single tokens at `positions`."""
    starts = np.arange(positions.start, positions.stop)
    return np.tile(np.stack([starts, starts + 1], axis=-1), (count, 1, 1))
