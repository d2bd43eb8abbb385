"""A task of no rule: each next state was drawn once at random. The control of claim 13, a random F first."""

from iterhead.seeds import IntegerStream
from iterhead.tasks import IterativeTask

ALPHABET = 11
"""As many values as the polynomial has."""

_TABLE = IntegerStream(0, "random F").integers(ALPHABET, (ALPHABET, ALPHABET)).tolist()


def _step(s: int, x: int) -> int:
    value: int = _TABLE[s][x]
    return value


random_f = IterativeTask(
    name="random-f", alphabet=ALPHABET, step=_step, inputs=tuple(range(1, ALPHABET)), formula="a table drawn at random"
)
"""As the polynomial: s_1 = x_1, inputs from 1 to 10, and a table instead of s x + 1."""
