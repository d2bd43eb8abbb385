"""The circuit set by hand (`iterhead.model.handmade`) planted at random places of a larger random GPT-2 or Llama.

Ground truth for a scan: the model solves its task at every length, two heads do it, and we know which. All other heads
and hidden units are random: they read everything and write random vectors of about the size of the circuit's.

The residual stream [width] holds, after the circuit's own coordinates (`handmade.Stream`, about half the width):

    ballast    +BALLAST and -BALLAST      written by the token embedding
    count      1 / (own position + 1)     written by the counting head, in Llama only
    noise      the other half             written by everything that is random; the circuit never reads it

The norms are linear to about a percent. The ballast is much larger than all else, so each norm divides by nearly the
same number for every token, and the norm's weight multiplies it back. Trained models have such coordinates too
("massive activations"). The ballast also gives the constant that hidden units compare with. Constant and content are
divided by the same number, so no comparison depends on what is left of the norm.

GPT-2 has learned positions, and the circuit is that of `handmade`. Llama has rotary positions, so it is another one:

    counting head, any layer    attends to all tokens alike: the problem token gets 1 / (own position + 1)
    its layer's MLP             own position as a one-hot vector, by steps at each value of the count
    first head                  attends to EoI, brings its position: end = L + 1
    iteration head              attends L tokens back: the query, a sum of clock hands, is turned back by L
    its layer's MLP             the table of F

Letters in shapes: D width, d width of a head.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, PreTrainedModel

from iterhead.model.handmade import SHARPNESS, Stream, Unit, subtraction, table_of_f
from iterhead.seeds import IntegerStream, torch_generator
from iterhead.tasks import Vocabulary

BALLAST = 64.0
SCORE_GAP = 30.0
"""Attention score of the ideal key less that of any other: all others together get about 1e-12 of the weight."""
LOGIT_GAP = 20.0
"""Logit of the right value less that of the others, before the random part of the output layer."""


class Planted(NamedTuple):
    """A model and the places (layer, head) of its two heads, counted from 0."""

    model: PreTrainedModel
    first: tuple[int, int]
    second: tuple[int, int]


class WideStream(Stream):
    """The coordinates of the circuit, then those of ballast, count and noise."""

    def __init__(self, task, max_length, vocabulary, heads):
        super().__init__(task, max_length, vocabulary)
        channels = max(len(self.end), len(self.step), len(self.seen))  # that a head of the circuit needs
        self.plus, self.minus, self.count = range(self.width, self.width + 3)
        self.noise = slice(self.width + 3, None)
        self.head_width = 2 * math.ceil(max(2 * self.width / heads, channels) / 2)
        self.width = heads * self.head_width

    def constant(self, value):
        """The weights that read `value` from the ballast."""
        return {self.plus: value / (2 * BALLAST), self.minus: -value / (2 * BALLAST)}

    @property
    def divisor(self):
        """What a norm divides by: the ballast's root mean square."""
        return BALLAST * math.sqrt(2 / self.width)


class Head(NamedTuple):
    """Views of one head's weights: q, k, v [D, d] and o [d, D]."""

    q: Tensor
    k: Tensor
    v: Tensor
    o: Tensor

    def copy(self, stream, coordinates):
        """Write what each coordinate holds, where the head attends, to another coordinate."""
        for channel, (source, target) in enumerate(coordinates.items()):
            self.v[:, channel] = stream.read({source: 1.0})
            self.o[channel, target] = 1.0


class Block(NamedTuple):
    """Views of one layer's weights, each shaped [inputs, outputs]; `W_up` is None where the MLP is not gated."""

    W_Q: Tensor
    W_K: Tensor
    W_V: Tensor
    W_O: Tensor
    W_in: Tensor
    W_up: Tensor | None
    W_out: Tensor
    head_width: int

    def empty_head(self, index):
        """Head `index`, made silent. Channels of k and v that nobody sets stay random: with grouped queries a random
        head shares them."""
        d = self.head_width
        group = index * self.W_K.shape[1] // self.W_Q.shape[1]  # its key-value head
        own, shared = slice(index * d, (index + 1) * d), slice(group * d, (group + 1) * d)
        head = Head(self.W_Q[:, own], self.W_K[:, shared], self.W_V[:, shared], self.W_O[own])
        head.q.zero_()
        head.o.zero_()
        return head

    def plant_units(self, stream, units: list[Unit]):
        """Set the first hidden units to ANDs, as in `handmade`; a gated unit multiplies the AND by 1."""
        for index, (conditions, result) in enumerate(units):
            weights = dict.fromkeys(conditions, SHARPNESS) | stream.constant(SHARPNESS * (0.5 - len(conditions)))
            self.set_unit(stream, index, weights, {result: 2 / SHARPNESS})

    def set_unit(self, stream, index, reads, writes):
        """Set one hidden unit by the weights of the coordinates that it reads and writes."""
        self.W_in[:, index] = stream.read(reads)
        if self.W_up is not None:
            self.W_up[:, index] = stream.read(stream.constant(1.0))
        self.W_out[index] = 0.0
        for coordinate, weight in writes.items():
            self.W_out[index, coordinate] = weight


@torch.no_grad()
def planted_gpt2(task, max_length, *, layers=5, heads=4, seed=0, vocabulary=64):
    """A random GPT-2 with the circuit of `handmade` in two of its heads; solves lengths 1 .. max_length of one task."""
    ids = Vocabulary(vocabulary)
    stream = WideStream(task, max_length, ids, heads)
    sizes = {"n_positions": len(stream.position), "n_embd": stream.width, "n_layer": layers, "n_head": heads}
    config = GPT2Config(**sizes, **_tokens(ids), tie_word_embeddings=False)
    model = _empty(GPT2LMHeadModel, config)
    blocks = []
    for block in model.transformer.h:
        queries_keys_values = block.attn.c_attn.weight.split(stream.width, dim=1)
        mlp = block.mlp.c_fc.weight, None, block.mlp.c_proj.weight
        blocks.append(Block(*queries_keys_values, block.attn.c_proj.weight, *mlp, stream.head_width))
    _fill_random(model, blocks, stream, seed)
    model.transformer.wpe.weight[:, list(stream.position.values())] = torch.eye(len(stream.position))

    first, second = _places(2, layers, heads, seed)
    _plant_first_head(blocks[first[0]].empty_head(first[1]), stream, ids)
    blocks[first[0]].plant_units(stream, subtraction(stream))
    _plant_step_match(blocks[second[0]].empty_head(second[1]), stream)
    blocks[second[0]].plant_units(stream, table_of_f(stream, task, ids))
    return Planted(model, first, second)


@torch.no_grad()
def planted_llama(task, max_length, *, layers=5, heads=4, key_value_heads=2, seed=0, vocabulary=64):
    """A random Llama with the circuit's rotary form in three of its heads; solves lengths 1 .. max_length of one task.

    The third, the counting head, is in an earlier layer than the two that are returned. It needs float32.
    """
    ids = Vocabulary(vocabulary)
    stream = WideStream(task, max_length, ids, heads)
    config = LlamaConfig(
        max_position_embeddings=len(stream.position),
        hidden_size=stream.width,
        intermediate_size=3 * stream.width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=key_value_heads,
        **_tokens(ids),
    )
    model = _empty(LlamaForCausalLM, config)
    blocks = []
    for block in model.model.layers:
        attention, mlp = block.self_attn, block.mlp
        linear = attention.q_proj, attention.k_proj, attention.v_proj, attention.o_proj
        linear += mlp.gate_proj, mlp.up_proj, mlp.down_proj
        blocks.append(Block(*(layer.weight.T for layer in linear), stream.head_width))
    _fill_random(model, blocks, stream, seed)

    counting, first, second = _places(3, layers, heads, seed)
    _plant_counting(blocks[counting[0]], counting[1], stream, ids)
    _plant_first_head(blocks[first[0]].empty_head(first[1]), stream, ids)
    _plant_clock(blocks[second[0]].empty_head(second[1]), stream, model.model.rotary_emb.inv_freq)
    blocks[second[0]].plant_units(stream, table_of_f(stream, task, ids))
    return Planted(model, first, second)


def _tokens(ids):
    return {"vocab_size": ids.size, "eos_token_id": ids.end_of_sequence, "bos_token_id": None}


def _places(number, layers, heads, seed):
    """Random (layer, head) in as many different layers, from low to high."""
    chosen_layers = sorted(IntegerStream(seed, "layers").permutation(layers)[:number].tolist())
    chosen_heads = IntegerStream(seed, "heads").integers(heads, (number,)).tolist()
    return tuple(zip(chosen_layers, chosen_heads, strict=True))


def _empty(model_class, config):
    with torch.random.fork_rng(devices=[]):  # its own initial weights draw from the global generator
        return model_class(config).eval()


def _fill_random(model, blocks, stream, seed):
    """Set the norms, make every head and hidden unit random, and write tokens, ballast and noise into the embeddings.

    With these scales the median head's maps have about 0.6 of the entropy of uniform ones, and the stream without the
    ballast grows from norm 3 to about 6 in 5 layers and 15 in 12.
    """
    generator = torch_generator(seed, "weights")
    noise = model.lm_head.weight[0, stream.noise].numel()

    def reader(view, scale):
        view.copy_(scale * torch.randn(view.shape, generator=generator))
        view[[stream.plus, stream.minus]] /= BALLAST

    def writer(view, scale):
        view.zero_()
        view[:, stream.noise] = scale / noise**0.5 * torch.randn(view[:, stream.noise].shape, generator=generator)

    for name, parameter in model.named_parameters():
        if parameter.ndim == 1:  # norms; the biases of GPT-2 are zero
            parameter.fill_(0.0 if name.endswith("bias") else stream.divisor)
    gain = (3.0 / (len(blocks) * (model.config.num_attention_heads + 1))) ** 0.5
    for block in blocks:
        reader(block.W_Q, 0.45)
        reader(block.W_K, 0.45)
        reader(block.W_V, 1.0)
        writer(block.W_O, gain / block.head_width**0.5)
        reader(block.W_in, 0.5)
        if block.W_up is not None:
            reader(block.W_up, 0.5)
        writer(block.W_out, gain / block.W_out.shape[0] ** 0.5)

    embeddings = [module for module in model.modules() if isinstance(module, torch.nn.Embedding)]  # GPT-2 has two
    for module in embeddings:
        writer(module.weight, 2.0 / len(embeddings) ** 0.5)
    embedding = embeddings[0].weight
    for token, coordinate in stream.token.items():
        embedding[token, coordinate] = 1.0
    embedding[:, stream.plus], embedding[:, stream.minus] = BALLAST, -BALLAST
    reader(model.lm_head.weight.T, 0.1)  # adds logits of size 1
    for token, coordinate in stream.out.items():
        model.lm_head.weight[token, : stream.noise.start] = stream.read({coordinate: LOGIT_GAP})[: stream.noise.start]


def _plant_first_head(head, stream, ids):
    """Attend to EoI, or before it to the problem token, and bring the position.

    Query and key use one channel only, which Llama turns most slowly: by less than 0.02 radians in 30 tokens.
    """
    channel = stream.head_width // 2 - 1
    head.q[:, channel] = stream.read(stream.constant(SCORE_GAP * stream.head_width**0.5))
    head.k[:, channel] = stream.read({stream.token[ids.problem()]: 1.0, stream.token[ids.end_of_input]: 2.0})
    head.copy(stream, {stream.position[position]: coordinate for position, coordinate in stream.end.items()})


def _plant_step_match(head, stream):
    """Attend to the position that equals the step."""
    for index, (step, coordinate) in enumerate(stream.step.items()):
        head.q[:, index] = stream.read({coordinate: SCORE_GAP * stream.head_width**0.5})
        head.k[:, index] = stream.read({stream.position[step]: 1.0})
    head.copy(stream, {stream.token[token]: coordinate for token, coordinate in stream.seen.items()})


def _plant_clock(head, stream, frequencies):
    """Attend end - 1 = L tokens back.

    Llama turns pair i (channels i and i + d/2) by its frequency f_i times the position. All keys are the same hands
    (1, 0), and the query's are turned back by L f_i, so the score is the sum of cos(f_i (query - key - L)).
    """
    hands = frequencies.double()[frequencies > 0.05]  # slower ones tell no neighbors apart
    offsets = torch.arange(1, len(stream.position), dtype=torch.float64)
    nearest = (1 - torch.cos(torch.outer(offsets, hands))).sum(1).min().item()
    beta = SCORE_GAP * stream.head_width**0.5 / nearest
    half = stream.head_width // 2
    for index, frequency in enumerate(hands.tolist()):
        angles = {coordinate: (end - 1) * frequency for end, coordinate in stream.end.items() if end}
        head.q[:, index] = stream.read({c: beta * math.cos(angle) for c, angle in angles.items()})
        head.q[:, half + index] = stream.read({c: -beta * math.sin(angle) for c, angle in angles.items()})
        head.k[:, index] = stream.read(stream.constant(1.0))
        head.k[:, half + index] = 0.0
    head.copy(stream, {stream.token[token]: coordinate for token, coordinate in stream.seen.items()})


def _plant_counting(block, index, stream, ids):
    """Count by even attention, and write positions 0 .. max_length + 1, as far as EoI can be, as one-hot vectors.

    "Position at most p" is count > threshold, where the threshold is midway between 1 / (p + 1) and 1 / (p + 2). Two
    hidden units make this step: silu(z) - silu(z - 1) is 1 if z > 24 and 0 if z < -24, up to 1e-9.
    """
    head = block.empty_head(index)
    head.copy(stream, {stream.token[ids.problem()]: stream.count})
    last = max(stream.end)
    for p in range(last + 1):
        above, below = 1 / (p + 1), 1 / (p + 2)
        threshold, slope = (above + below) / 2, 2 * SHARPNESS / (above - below)
        for place, shift, sign in ((2 * p, 0.0, 1.0), (2 * p + 1, 1.0, -1.0)):
            reads = {stream.count: slope} | stream.constant(-slope * threshold - shift)
            writes = {stream.position[p]: sign} | ({stream.position[p + 1]: -sign} if p < last else {})
            block.set_unit(stream, place, reads, writes)
