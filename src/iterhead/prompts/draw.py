"""The examples of prompts, as values: what is drawn before any text is written.

The test inputs, the shots and the orders have separate streams. So prompts of different forms have the same values, and
more shots leave the test inputs as they are.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from iterhead.data.splits import distinct_inputs
from iterhead.errors import UserError
from iterhead.seeds import IntegerStream
from iterhead.tasks import IterativeTask

TRIES = 1000  # draws before a prompt, or a shot that does not show the test example, is taken not to exist

Inputs = tuple[int, ...]


@dataclass(frozen=True)
class Example:
    """One worked example: x_1 .. x_L, s_1 .. s_L, and the order in which the form `shuffled` writes the states."""

    inputs: Inputs
    states: tuple[int, ...]
    order: tuple[int, ...]


Examples = tuple[tuple[Example, ...], ...]
"""The examples of each prompt: its shots, then the test example."""


def draw_examples(
    task: IterativeTask, length: int, count: int, shots: int, shot_lengths: Sequence[int] | None, seed: int
) -> Examples:
    """Return the examples of `count` prompts, no two of them equal.

    Test inputs repeat only if fewer than `count` exist. No shot begins with the whole test input. The shots of a prompt
    differ from each other where the task has enough inputs.

    Args:
        task: of the examples.
        length: inputs of the test example.
        count: how many prompts.
        shots: worked examples before the test example.
        shot_lengths: the lengths that shots are drawn from, uniformly. None: from half of `length`, rounded up, to
            `length`. With mixed lengths x_t is not at one distance from s_t, so an answer at a fixed lag is wrong in
            the shots, and a head with a fixed lag differs from one that counts.
        seed: of every draw.

    Raises:
        UserError: the task has too few inputs of this length.
    """
    lengths = range((length + 1) // 2, length + 1) if shot_lengths is None else shot_lengths
    tests, shown, orders = (IntegerStream(seed, "prompts", length, name) for name in ("inputs", "shots", "orders"))
    distinct = [tuple(map(int, row)) for row in distinct_inputs(task, length, count, tests)]
    if len(distinct) < count and not shots:
        raise UserError(
            f"{task.name}: only {len(distinct)} different prompts of length {length} exist without shots: "
            f"take at most {len(distinct)} prompts"
        )
    prompts: dict[tuple[Inputs, ...], None] = {}
    for row in range(count):
        prompts[_new_prompt(task, lengths, shots, distinct[row % len(distinct)], shown, prompts)] = None
    return tuple(tuple(_example(task, inputs, orders) for inputs in prompt) for prompt in prompts)


def _new_prompt(
    task: IterativeTask,
    lengths: Sequence[int],
    shots: int,
    test: Inputs,
    stream: IntegerStream,
    others: dict[tuple[Inputs, ...], None],
) -> tuple[Inputs, ...]:
    """Return the inputs of shots and test example, which together are none of `others`."""
    for _ in range(TRIES):
        prompt = (*_shots(task, lengths, shots, test, stream), test)
        if prompt not in others:
            return prompt
    raise UserError(
        f"{task.name}: too few different prompts of length {len(test)} with {shots} shots exist: take fewer prompts, "
        "longer examples or more shots"
    )


def _shots(
    task: IterativeTask, lengths: Sequence[int], shots: int, test: Inputs, stream: IntegerStream
) -> list[Inputs]:
    """Return the inputs of `shots` examples; one repeats another only if 20 draws give nothing else."""
    drawn: list[Inputs] = []
    for _ in range(shots):
        for _ in range(20):
            shot = _shot(task, lengths, test, stream)
            if shot not in drawn:
                break
        drawn.append(shot)
    return drawn


def _shot(task: IterativeTask, lengths: Sequence[int], test: Inputs, stream: IntegerStream) -> Inputs:
    """Return inputs that do not begin with the test example's."""
    for _ in range(TRIES):
        inputs = _inputs(task, lengths, stream)
        if inputs[: len(test)] != test:
            return inputs
    raise UserError(
        f"{task.name}: every example of length {len(test)} shows the test example: take longer examples, or no shots"
    )


def _inputs(task: IterativeTask, lengths: Sequence[int], stream: IntegerStream) -> Inputs:
    length = lengths[int(stream.integers(len(lengths), (1,))[0])]
    return tuple(task.symbols[index] for index in stream.integers(len(task.symbols), (length,)))


def _example(task: IterativeTask, inputs: Inputs, orders: IntegerStream) -> Example:
    (states,) = task.states(np.array([inputs])).tolist()
    return Example(inputs, tuple(states), tuple(orders.permutation(len(inputs)).tolist()))
