"""The circuit with every weight set by hand: the paper's construction (section 1, figure 5) in the ordinary network.

The residual stream is divided into subspaces, each of which holds one fact as a one-hot vector:

    position   own position                               written by the position embedding
    token      own token: a value, EoI or the problem     written by the token embedding
    end        position of EoI, 0 before it               written by the first head
    component  which task of a mixture this is            written by layer 1's second head, in mixtures only
    step       t, from EoI on                             written by MLP 1: t = own position - position of EoI + 1
    seen       the token x_t (EoI when t = L+1: stop)     written by the iteration head
    out        s_t or EoS                                 written by MLP 2: the table of F
    blank      always zero before a norm                  written by nothing

LayerNorm does no harm. All tokens of a kind have equally many ones, so their standard deviation is known, and the
norm's weight multiplies it back. The mean that it subtracts has no effect, because every vector of weights that reads
the stream sums to zero (the blank coordinate balances it).

A hidden unit of an MLP is an AND: GELU(k (a + b - 1.5)) is k / 2 if the one-hot coordinates a and b are both 1, and
zero otherwise, to the precision of floating point for k = 24. The network has no biases; a constant is read from the
own position, of which exactly one coordinate is 1.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Literal

import torch
from torch import Tensor

from iterhead.errors import UserError, shortened
from iterhead.model.layers import NORM_EPSILON
from iterhead.model.transformer import Transformer
from iterhead.model.weights import POSITION_TABLE
from iterhead.settings import ModelConfig
from iterhead.tasks import SequenceLayout, Task, Vocabulary

SHARPNESS = 24.0
"""k of the hidden units: GELU(-k / 2) is below 1e-30, and GELU(k / 2) is k / 2 in float64."""

LONGEST = 254
"""MLP 1 has L (L + 3) / 2 hidden units, 32,639 here, and no MLP may have more than 32,768."""

Subspace = dict[int, int]
"""The coordinate of each value of a subspace, e.g. of each position."""

Unit = tuple[tuple[int, ...], int]
"""A hidden unit: coordinates that must all be 1, and the coordinate that it then sets to 1."""


class Stream:
    """The coordinates of each subspace of the residual stream, and its width, a multiple of the number of heads."""

    def __init__(self, task: Task, max_length: int, vocabulary: Vocabulary):
        values = range(task.alphabet)
        problems = [vocabulary.problem(index) for index in range(len(task.components))]
        tokens = [*values, vocabulary.end_of_input, *problems]
        self._start = 0
        self.position = self._subspace(range(SequenceLayout(max_length).size))
        self.token = self._subspace(tokens)
        self.end = self._subspace([0, *(SequenceLayout(L).end_of_input for L in range(1, max_length + 1))])
        self.component = self._subspace(problems if len(problems) > 1 else [])
        self.step = self._subspace(range(1, max_length + 2))
        self.seen = self._subspace(tokens)
        self.out = self._subspace([*values, vocabulary.end_of_sequence])
        self.blank = self._start
        self.heads = 2 if self.component else 1
        self.width = self._start + 1 + (self._start + 1) % self.heads

    def _subspace(self, values: Iterable[int]) -> Subspace:
        coordinates = {value: self._start + index for index, value in enumerate(values)}
        self._start += len(coordinates)
        return coordinates

    def read(self, weights: Mapping[int, float]) -> Tensor:
        """Return the vector [width] that weighs some coordinates and sums to zero."""
        vector = torch.zeros(self.width, dtype=torch.float64)
        for coordinate, weight in weights.items():
            vector[coordinate] = weight
        vector[self.blank] = -vector.sum()
        return vector

    def deviation(self, ones: int) -> float:
        """Return LayerNorm's divisor when `ones` coordinates are 1 and the others 0."""
        mean = ones / self.width
        return math.sqrt(mean - mean**2 + NORM_EPSILON)


@torch.no_grad()
def handmade(
    task: Task,
    max_length: int,
    *,
    residual: Literal["published", "pre-norm"] = "published",
    error: float = 1e-12,
    vocabulary: int = 64,
) -> Transformer:
    """Return a two-layer network with hand-set weights that solves `task` for every length 1 .. max_length.

    Its first head is head 1 of layer 1, its iteration head is head 1 of layer 2; both peakinesses are 1. All keys but
    the ideal one have at most `error` of the attention together, 0 < error < 1. `task` may be a mixture.

    Raises:
        UserError: when the task does not fit the vocabulary, `max_length` is not 1 .. 254, or `error` not in its range.
    """
    if not 1 <= max_length <= LONGEST:
        raise UserError(f"max_length={shortened(max_length)}: expected 1 to {LONGEST}, for which MLP 1 is wide enough")
    if not 0 < error < 1:
        raise UserError(f"error={shortened(error)}: expected a number above 0 and below 1, e.g. 1e-12")
    ids = Vocabulary(vocabulary)
    ids.check(task.alphabet, len(task.components))
    stream = Stream(task, max_length, ids)
    units = [subtraction(stream), table_of_f(stream, task, ids)]
    config = ModelConfig(
        width=stream.width,
        heads=stream.heads,
        mlp_width=max(len(layer) for layer in units),
        position_width=len(stream.position),
        residual=residual,
        vocabulary=vocabulary,
        dropout=0.0,
    )
    model = Transformer(config, context=len(stream.position))
    other_keys = len(stream.position) - 2  # of the last query of the longest sequence
    beta = math.log(other_keys / error) * config.head_width**0.5
    for parameter in model.parameters():
        parameter.zero_()
    model.state_dict()[POSITION_TABLE][0] = torch.eye(len(stream.position))
    for token, coordinate in stream.token.items():
        model.embed.W_E[0, token, coordinate] = 1.0
    _first_layer(model, stream, ids, beta)
    _second_layer(model, stream, ids, beta)
    for layer, parts in enumerate(units):
        _set_mlp(model, layer, stream, parts)
    _set_norms(model, stream)
    for token, coordinate in stream.out.items():
        model.unembed.W_U[0, :, token] = stream.read({coordinate: 1.0})
    return model.eval()


def _first_layer(model: Transformer, stream: Stream, ids: Vocabulary, beta: float) -> None:
    """Head 1 copies the position of EoI, or 0 before it; head 2, in mixtures, the problem token."""
    attention = model.block(0).attn
    always = stream.read(dict.fromkeys(stream.position.values(), 1.0))
    problems = [coordinate for coordinate in stream.token.values() if coordinate > stream.token[ids.end_of_input]]
    attention.W_Q[0, :, 0] = always
    attention.W_K[0, :, 0] = stream.read(dict.fromkeys(problems, beta) | {stream.token[ids.end_of_input]: 2 * beta})
    for index, (position, coordinate) in enumerate(stream.end.items()):
        attention.W_V[0, :, index] = stream.read({stream.position[position]: 1.0})
        attention.W_O[0, index, coordinate] = 1.0
    if stream.component:
        start = model.config.head_width
        attention.W_Q[0, :, start] = always
        attention.W_K[0, :, start] = stream.read(dict.fromkeys(problems, beta))
        for index, (token, coordinate) in enumerate(stream.component.items(), start):
            attention.W_V[0, :, index] = stream.read({stream.token[token]: 1.0})
            attention.W_O[0, index, coordinate] = 1.0


def _second_layer(model: Transformer, stream: Stream, ids: Vocabulary, beta: float) -> None:
    """Head 1 attends to position t and copies its token.

    Tokens before EoI have no step, so they have one coordinate less that is 1, and the norm, whose weight is right from
    EoI on, leaves them larger by a known ratio.
    """
    attention = model.block(1).attn
    ones = 5 if stream.component else 4  # position, token, end, step (and component)
    larger = stream.deviation(ones) / stream.deviation(ones - 1)
    for index, (step, coordinate) in enumerate(stream.step.items()):
        attention.W_Q[0, :, index] = stream.read({coordinate: beta})
        attention.W_K[0, :, index] = stream.read({stream.position[step]: 1.0})
    for index, (token, coordinate) in enumerate(stream.seen.items()):
        scale = 1.0 if token == ids.end_of_input else 1 / larger
        attention.W_V[0, :, index] = stream.read({stream.token[token]: scale})
        attention.W_O[0, index, coordinate] = 1.0


def subtraction(stream: Stream) -> list[Unit]:
    """Return MLP 1, L_max (L_max + 3) / 2 units: one for each position of EoI and each step t = 1 .. L + 1."""
    units: list[Unit] = []
    for end in list(stream.end)[1:]:
        layout = SequenceLayout(end - 1)
        for step, position in enumerate(range(layout.size)[layout.output_positions], start=1):
            units.append(((stream.position[position], stream.end[end]), stream.step[step]))
    return units


def table_of_f(stream: Stream, task: Task, ids: Vocabulary) -> list[Unit]:
    """Return MLP 2: a unit for each (s, x) and each (EoI, x) of each component, and one for EoS."""
    units: list[Unit] = [((stream.seen[ids.end_of_input],), stream.out[ids.end_of_sequence])]
    end_of_input = stream.token[ids.end_of_input]
    for index, component in enumerate(task.components):
        where = (stream.component[ids.problem(index)],) if stream.component else ()
        for x in component.symbols:
            after = {end_of_input: component.first_states[x]}
            after |= {stream.token[s]: component.table[s, x] for s in range(component.alphabet)}
            units += [((before, stream.seen[x], *where), stream.out[int(s)]) for before, s in after.items()]
    return units


def _set_mlp(model: Transformer, layer: int, stream: Stream, units: list[Unit]) -> None:
    mlp = model.block(layer).mlp
    for index, (conditions, result) in enumerate(units):
        weights = dict.fromkeys(stream.position.values(), SHARPNESS * (0.5 - len(conditions)))
        for condition in conditions:
            weights[condition] = weights.get(condition, 0.0) + SHARPNESS
        mlp.W_in[0, :, index] = stream.read(weights)
        mlp.W_out[0, index, result] = 2 / SHARPNESS


def _set_norms(model: Transformer, stream: Stream) -> None:
    """Make each norm multiply back its divisor, for tokens from EoI on."""
    ones = 2  # position and token
    for layer in range(2):
        block = model.block(layer)
        block.ln1.w.fill_(stream.deviation(ones))
        ones += 2 if layer == 0 and stream.component else 1  # end (and component), then seen
        block.ln2.w.fill_(stream.deviation(ones))
        ones += 1  # step, then out
    model.ln_final.w.fill_(stream.deviation(ones))
