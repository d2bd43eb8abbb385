"""Where each token of a sequence is, its id, and the positions that the ideal heads attend to.

No other module derives a position or a token id. With L inputs (0-based positions), as in section 3 of the paper:

    0          1 .. L       L+1    L+2 .. 2L+1    2L+2
    problem    x_1 .. x_L   EoI    s_1 .. s_L     EoS          with chain of thought
    problem    x_1 .. x_L   EoI    s_L            EoS (L+3)    without
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from iterhead.errors import UserError

QueryKeyPairs = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Query positions and key positions, of equal size."""


@dataclass(frozen=True)
class Vocabulary:
    """Token ids: values are 0, 1, ..., the special tokens are at the top; 64 ids in the paper."""

    size: int = 64

    @property
    def end_of_sequence(self) -> int:
        """EoS, the last id."""
        return self.size - 1

    @property
    def end_of_input(self) -> int:
        """EoI, the last id but one."""
        return self.size - 2

    def problem(self, index: int = 0) -> int:
        """Return the problem token of a mixture's component `index` (0 for a task alone)."""
        return self.size - 3 - index

    def check(self, alphabet: int, components: int = 1) -> None:
        """Raise UserError unless `alphabet` values and `components` problem tokens fit next to EoI and EoS."""
        needed = alphabet + components + 2
        if needed > self.size:
            raise UserError(
                f"model.vocabulary={self.size}: {alphabet} values, {components} problem token(s), EoI and "
                f"EoS need {needed} ids; set --model.vocabulary {needed} or more"
            )

    def name(self, token: int) -> str:
        """Return a token's name: `7`, `EoI` or `EoS` (for the problem token see `names`)."""
        return {self.end_of_sequence: "EoS", self.end_of_input: "EoI"}.get(token, str(token))

    def names(self, tokens: NDArray[np.int64]) -> list[str]:
        """Return the names of one sequence's tokens; the first is `task`, or `task 2` in a mixture."""
        component = self.problem(0) - int(tokens[0])
        problem = f"task {component + 1}" if component else "task"
        return [problem, *(self.name(int(token)) for token in tokens[1:])]


@dataclass(frozen=True)
class SequenceLayout:
    """The positions of one sequence.

    With 3 inputs and chain of thought, `problem x_1 x_2 x_3 EoI s_1 s_2 s_3 EoS`: `size` is 9, `end_of_input` 4,
    `inputs` 1 .. 3, `states` 5 .. 7, `targets` 5 .. 8, and `output_positions`, where the targets are predicted, 4 .. 7.

    Args:
        length: L, the number of inputs, at least 1.
        cot: with chain of thought (every state is written) or without (only the last).
    """

    length: int
    cot: bool = True

    def __post_init__(self) -> None:
        if self.length < 1:
            raise UserError(f"length={self.length}: expected at least 1 input")

    @property
    def end_of_input(self) -> int:
        """Position e = L+1, of EoI, which takes the place of s_0."""
        return self.length + 1

    @property
    def written(self) -> int:
        """How many states are written: L with chain of thought, 1 without."""
        return self.length if self.cot else 1

    @property
    def size(self) -> int:
        """Tokens of the whole sequence, from the problem token to EoS."""
        return self.end_of_input + self.written + 2

    @property
    def input_size(self) -> int:
        """Tokens of the network's input: all but EoS."""
        return self.size - 1

    @property
    def inputs(self) -> slice:
        """Positions of x_1 .. x_L."""
        return slice(1, self.length + 1)

    @property
    def states(self) -> slice:
        """Positions of the written states."""
        return slice(self.end_of_input + 1, self.size - 1)

    @property
    def targets(self) -> slice:
        """Positions of the tokens that loss and accuracy count: the written states and one EoS."""
        return slice(self.end_of_input + 1, self.size)

    @property
    def output_positions(self) -> slice:
        """Positions at which the network predicts `targets`: EoI and the written states."""
        return slice(self.end_of_input, self.size - 1)

    @cached_property
    def first_pairs(self) -> QueryKeyPairs:
        """What the ideal first head attends to (section 3 of the paper): L queries s_1 .. s_L, key EoI."""
        self._require_chain_of_thought()
        queries = np.arange(self.end_of_input + 1, self.size - 1)
        return queries, np.full_like(queries, self.end_of_input)

    @cached_property
    def second_pairs(self) -> QueryKeyPairs:
        """What the ideal second head attends to (section 3): x_t where s_t is written, at EoI, s_1 .. s_{L-1}."""
        self._require_chain_of_thought()
        keys = np.arange(1, self.length + 1)
        return keys + self.length, keys

    def assemble(
        self,
        vocabulary: Vocabulary,
        inputs_BL: NDArray[np.int64],
        states_BL: NDArray[np.int64],
        components_B: NDArray[np.int64] | int = 0,
    ) -> NDArray[np.int64]:
        """Return whole sequences [B, size] from inputs [B, L], states [B, L] and their mixture components."""
        tokens = np.empty((len(inputs_BL), self.size), dtype=np.int64)
        tokens[:, 0] = vocabulary.problem(0) - np.asarray(components_B)
        tokens[:, self.inputs] = inputs_BL
        tokens[:, self.end_of_input] = vocabulary.end_of_input
        tokens[:, self.states] = states_BL[:, -self.written :]
        tokens[:, -1] = vocabulary.end_of_sequence
        return tokens

    def _require_chain_of_thought(self) -> None:
        if not self.cot:
            raise UserError("data.cot=false: iteration heads are defined only with a chain of thought")
