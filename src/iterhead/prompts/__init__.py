"""Tasks as text: prompts with worked examples, and where their tokens are. Imports neither torch nor transformers.

`make_prompts` goes through four steps, a module each:

    draw      examples (inputs and states as values)
    forms     examples as text, with the characters of each x_t and s_t
    text      text as tokens, with the tokens of each x_t and s_t (`sequences`: the token ids of our own layout instead)
    batch     the result, `PromptBatch`, which can be edited: another state, another input

`geometry` has the keys that an attention head may attend to for other reasons than iterating.
"""

from iterhead.prompts.batch import PromptBatch
from iterhead.prompts.forms import FORMS, Form
from iterhead.prompts.geometry import competing_spans, span_mask
from iterhead.prompts.make import make_prompts, make_sequences, single_task

__all__ = [
    "FORMS",
    "Form",
    "PromptBatch",
    "competing_spans",
    "make_prompts",
    "make_sequences",
    "single_task",
    "span_mask",
]
