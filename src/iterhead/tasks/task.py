"""Iterative tasks: an alphabet, a first state and a step F; and mixtures of them.

A task starts at s_0 = Init, steps by s_t = F(s_{t-1}, x_t) and answers s_L (section 2 of the paper).
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, product
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from iterhead.errors import UserError, own_failure, shortened

MAX_ALPHABET = 4096
"""F becomes a table of alphabet * alphabet values."""


@dataclass(frozen=True)
class IterativeTask:
    """A task whose state is updated once for each input symbol.

    Your own task takes two lines:

        from iterhead import IterativeTask

        running_maximum = IterativeTask(name="running-maximum", alphabet=7, init=0, step=lambda s, x: max(s, x))

    whose run on 2 1 5 3 can be done by hand: `2 1 5 3 | EoI | 2 2 5 5 | EoS`.

    Args:
        name: for display; `iterhead.task` turns it back into the task.
        alphabet: the number of values, 1 to 4,096; inputs and states are the integers 0 .. alphabet-1.
        step: F(s, x), the next state.
        init: s_0. None starts at the first input instead: s_1 = x_1, as the authors' code does.
        inputs: the values that inputs are drawn from; None for the whole alphabet.
        formula: F as text, for display.

    Raises:
        UserError: when the alphabet is empty or too large, or a value lies outside it.
    """

    name: str
    alphabet: int
    step: Callable[[int, int], int]
    init: int | None = None
    inputs: tuple[int, ...] | None = None
    formula: str = ""

    def __post_init__(self) -> None:
        is_number = isinstance(self.alphabet, int | np.integer) and not isinstance(self.alphabet, bool)
        if not is_number or self.alphabet > MAX_ALPHABET:
            expected = f"a whole number, at most {MAX_ALPHABET:,}"
            raise UserError(f"{self.name}: alphabet={shortened(self.alphabet)}: expected {expected}")
        if self.alphabet < 1:
            raise UserError(f"{self.name}: alphabet={self.alphabet}: expected at least one value")
        if not callable(self.step):
            raise UserError(f"{self.name}: step={shortened(self.step)}: expected a function of s and x")
        if not isinstance(self.inputs, tuple | list | range | None):
            raise UserError(f"{self.name}: inputs={shortened(self.inputs)}: expected a tuple of values, or None")
        if len(self.symbols) > self.alphabet:
            raise UserError(f"{self.name}: inputs={shortened(self.inputs)}: expected each value once")
        if self.init is not None:
            self._check_value(self.init, "init")
        for value in self.symbols:
            self._check_value(value, "an input")
        if not self.symbols:
            raise UserError(f"{self.name}: inputs=(): expected at least one input value")
        if len(set(self.symbols)) < len(self.symbols):
            raise UserError(f"{self.name}: inputs={shortened(self.inputs)}: expected each value once")
        # True and numpy's integers index arrays in other ways than Python's integers.
        object.__setattr__(self, "init", None if self.init is None else int(self.init))
        object.__setattr__(self, "inputs", None if self.inputs is None else tuple(map(int, self.inputs)))

    def _check_value(self, value: int, what: str) -> None:
        # Not isinstance, which asks the value itself for its class: it may be of a user's own.
        if not (issubclass(type(value), int | np.integer) and 0 <= value < self.alphabet):
            raise UserError(
                f"{self.name}: {what} is {shortened(value)}: expected an integer in 0 .. {self.alphabet - 1}"
            )

    @property
    def symbols(self) -> tuple[int, ...]:
        """The values that inputs are drawn from."""
        return tuple(range(self.alphabet)) if self.inputs is None else self.inputs

    @property
    def components(self) -> tuple["IterativeTask", ...]:
        """The tasks that make up this one: itself."""
        return (self,)

    @property
    def weights(self) -> tuple[float, ...]:
        """The share of each component."""
        return (1.0,)

    def run(self, inputs: Sequence[int]) -> list[int]:
        """Return s_1 .. s_L for x_1 .. x_L, one step at a time (section 2 of the paper)."""
        states = list(accumulate(inputs, self.step, initial=self.init))
        return states if self.init is None else states[1:]

    @cached_property
    def table(self) -> NDArray[np.int64]:
        """F as a table [alphabet, alphabet]: row s, column x; -1 where x is no legal input."""
        table = np.full((self.alphabet, self.alphabet), -1, dtype=np.int64)
        for s, x in product(range(self.alphabet), self.symbols):
            try:
                value = self.step(s, x)
            except BaseException as error:  # a user's own function may raise anything
                raise own_failure(f"{self.name}: F({s}, {x})", error) from error
            self._check_value(value, f"F({s}, {x})")
            table[s, x] = value
        return table

    @cached_property
    def first_states(self) -> NDArray[np.int64]:
        """s_1 for every x_1, shaped [alphabet]; -1 where x_1 is no legal input."""
        first = np.full(self.alphabet, -1, dtype=np.int64)
        symbols = list(self.symbols)
        first[symbols] = symbols if self.init is None else self.table[self.init, symbols]
        return first

    def states(self, inputs_BL: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the states [B, L] of inputs [B, L]: `run` for many sequences at once, by table.

        Raises:
            UserError: for an input that is not one of `symbols`.
        """
        illegal = inputs_BL[~np.isin(inputs_BL, self.symbols)]
        if illegal.size:
            raise UserError(f"{self.name}: input {illegal[0]}: expected one of {', '.join(map(str, self.symbols))}")
        states = np.empty_like(inputs_BL)
        states[:, 0] = self.first_states[inputs_BL[:, 0]]
        for t in range(1, inputs_BL.shape[1]):
            states[:, t] = self.table[states[:, t - 1], inputs_BL[:, t]]
        return states

    def worked_example(self, inputs: Sequence[int]) -> str:
        """Return a worked sequence, e.g. `0 1 1 | EoI | 0 1 0 | EoS` for parity."""
        written, states = (" ".join(map(str, values)) for values in (inputs, self.run(inputs)))
        return f"{written} | EoI | {states} | EoS"

    @property
    def digest(self) -> str:
        """A hash of what the task does (alphabet, inputs, first states and F), independent of its name."""
        symbols = tuple(int(symbol) for symbol in self.symbols)
        content = (int(self.alphabet), symbols, self.first_states.tolist(), self.table.tolist())
        return hashlib.sha256(repr(content).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Mixture:
    """Several tasks: the first token of a sequence, the problem token, says which of them it is of.

    Args:
        name: as for `IterativeTask`.
        components: the tasks, two or more, none of them a mixture.
        weights: the share of the sequences that each one gets; they sum to 1.

    Raises:
        UserError: when the weights are not one positive number for each component.
    """

    name: str
    components: tuple[IterativeTask, ...]
    weights: tuple[float, ...]

    def __post_init__(self) -> None:
        if not all(isinstance(component, IterativeTask) for component in self.components):
            raise UserError(f"{self.name}: components={shortened(self.components)}: expected tasks, none a mixture")
        if len(self.components) < 2:
            raise UserError(f"{self.name}: a mixture needs two tasks or more")
        if len(self.weights) != len(self.components) or not all(w > 0 for w in self.weights):
            expected = f"{len(self.components)} positive numbers, one a task"
            raise UserError(f"{self.name}: weights={shortened(self.weights)}: expected {expected}")
        if abs(sum(self.weights) - 1) > 1e-9:
            raise UserError(
                f"{self.name}: weights={shortened(self.weights)} sum to {sum(self.weights):.12g}: expected 1"
            )

    @property
    def alphabet(self) -> int:
        """The number of values: the largest alphabet of the components."""
        return max(component.alphabet for component in self.components)

    @property
    def digest(self) -> str:
        """A hash of what the components do and of their weights."""
        weights = tuple(float(weight) for weight in self.weights)
        content = ([component.digest for component in self.components], weights)
        return hashlib.sha256(repr(content).encode()).hexdigest()[:16]


Task: TypeAlias = IterativeTask | Mixture
"""Both have `alphabet`, `components`, `weights`, `name` and `digest`."""


def next_states(task: Task) -> NDArray[np.int64]:
    """Return F of each component, [components, p + 1, p]: row s, or p for s_0; column x; -1 where x is no input."""
    p = task.alphabet
    table = np.full((len(task.components), p + 1, p), -1, dtype=np.int64)
    for index, component in enumerate(task.components):
        size = component.alphabet
        table[index, :size, :size] = component.table
        table[index, p, :size] = component.first_states
    return table


def states_before(task: Task, states_BL: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return s_{t-1} for t = 1 .. L, [B, L], as the rows of `next_states`: the size of the alphabet is s_0."""
    first = np.full_like(states_BL[:, :1], task.alphabet)
    return np.concatenate([first, states_BL[:, :-1]], axis=1)
