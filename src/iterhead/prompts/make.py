"""`make_prompts` and its twin for token ids: the one way in.

batch = make_prompts(task("polynomial"), tokenizer, form="after-input", length=8, count=64, shots=4)
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from iterhead.errors import UserError, shortened
from iterhead.formatting import plural
from iterhead.prompts.batch import PromptBatch, Renderer
from iterhead.prompts.draw import draw_examples
from iterhead.prompts.forms import after_input, form_named
from iterhead.prompts.sequences import TokenRenderer
from iterhead.prompts.text import TextRenderer
from iterhead.seeds import IntegerStream
from iterhead.settings.configs import MAX_LENGTH
from iterhead.tasks import IterativeTask, Task, Vocabulary

MAX_PROMPTS, MAX_SHOTS, MAX_VALUES = 100_000, 1000, 10**7
"""Limits, so that a typo raises an error instead of exhausting memory; the last one is of all inputs together."""


def make_prompts(
    task: Task,
    tokenizer: Any,
    *,
    length: int,
    count: int,
    form: str = "after-input",
    shots: int = 4,
    shot_lengths: Sequence[int] | None = None,
    seed: int = 0,
    rule: bool = False,
    words: Sequence[str] | None = None,
) -> PromptBatch:
    """Return `count` different prompts of a task as text, each with `shots` worked examples before the test example.

    The same seed gives the same values in every form.

    Args:
        task: an iterative task; mixtures have no text.
        tokenizer: a fast tokenizer of transformers. Special tokens (BOS) are added as it does by default.
        length: L, the inputs of the test example, 1 to 1,024.
        count: how many prompts, 1 to 100,000.
        form: a name in `FORMS`.
        shots: worked examples in each prompt, 0 to 1,000.
        shot_lengths: the lengths that shots are drawn from; None: ceil(L/2) .. L. Mixed lengths are the default since
            otherwise x_t is at one distance from s_t throughout, and copying at that distance looks like counting.
        seed: of all draws.
        rule: whether the first line states the rule, e.g. `s*x+1 mod 11`.
        words: how each value is written, e.g. letters; None for decimal numbers.

    Raises:
        UserError: for a mixture, an unknown form, an argument out of range, a tokenizer that is slow, cannot write a
            value or joins values in a token, or too few inputs of this length.
    """
    single = single_task(task)
    renderer = TextRenderer(single, tokenizer, form_named(form), words, rule)
    return _draw(renderer, single, form, length, count, shots, shot_lengths, seed)


def make_sequences(
    task: Task, vocabulary: Vocabulary, *, length: int, count: int, form: str = "after-input", seed: int = 0
) -> PromptBatch:
    """Return `count` different sequences of token ids in `SequenceLayout`, for a network of ours.

    Args:
        task: an iterative task, no mixture.
        vocabulary: of the network.
        length: L, the inputs, 1 to 1,024.
        count: how many sequences, 1 to 100,000; at most as many as exist.
        form: `after-input`, `corrupted` or `swapped`; the others do not exist as sequences.
        seed: of all draws. Inputs are the same as those of `make_prompts`.

    Raises:
        UserError: for a mixture, another form, an argument out of range, or a vocabulary that is too small.
    """
    single = single_task(task)
    vocabulary.check(single.alphabet)
    if form_named(form).write is not after_input:
        raise UserError(f"form={form}: sequences of token ids have after-input, corrupted and swapped only")
    return _draw(TokenRenderer(single, vocabulary), single, form, length, count, 0, None, seed)


def single_task(task: Task) -> IterativeTask:
    """Return the task; UserError for a mixture, which has no prompts."""
    if isinstance(task, IterativeTask):
        return task
    raise UserError(f"{task.name}: a mixture has no prompts: choose one of its tasks, e.g. {task.components[0].name}")


def _draw(
    renderer: Renderer,
    task: IterativeTask,
    form: str,
    length: int,
    count: int,
    shots: int,
    shot_lengths: Sequence[int] | None,
    seed: int,
) -> PromptBatch:
    """Return the prompts of drawn examples, edited if the form is an edit."""
    lengths = (length,) if shot_lengths is None else tuple(shot_lengths)
    for name, value, least, most in (
        ("length", length, 1, MAX_LENGTH),
        ("count", count, 1, MAX_PROMPTS),
        ("shots", shots, 0, MAX_SHOTS),
        ("shot_lengths", min(lengths, default=0), 1, MAX_LENGTH),
        ("shot_lengths", max(lengths, default=0), 1, MAX_LENGTH),
    ):
        if not least <= value <= most:
            raise UserError(f"{name}={shortened(value)}: expected from {least} to {most:,}")
    if (values := count * (length + shots * max(lengths))) > MAX_VALUES:
        raise UserError(
            f"count={count}: prompts of length {length} with {plural(shots, 'shot')} have {values:,} inputs in all: "
            f"expected at most {MAX_VALUES:,}"
        )
    batch = renderer.render(draw_examples(task, length, count, shots, shot_lengths, seed))
    edited = form_named(form).edit(batch, IntegerStream(seed, "prompts", length, form))
    return replace(edited, form=form)
