"""The network set by hand, on which every answer is known, and random ones for what must hold of any network."""

import copy
from functools import cache

import torch

from iterhead.data.splits import make_dataset
from iterhead.model.handmade import handmade
from iterhead.model.transformer import Transformer
from iterhead.settings import DataConfig, ModelConfig
from iterhead.tasks import SequenceLayout, Vocabulary, task

RESIDUALS = ("published", "pre-norm")
VOCABULARY = Vocabulary(64)

TELLING = "polynomial:p=7,f=s-x,start=init"
"""s - x mod 7 from 0 with inputs 1 .. 6: another x always gives another state, so every step can tell."""

POLYNOMIAL = "polynomial:p=5"
"""s * x + 1 mod 5 from s_1 = x_1, inputs 1 .. 4: no x tells anything where s = 0."""

LONGEST = 9


@cache
def by_hand(spec, residual="published", longest=LONGEST):
    """The network that solves a task by construction."""
    return handmade(task(spec), longest, residual=residual)


@cache
def half_right():
    """The parity network with noise on its weights: some steps right, others wrong (tests check that)."""
    model = copy.deepcopy(by_hand("parity"))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.005 * parameter.abs().max() * torch.randn(parameter.shape, generator=generator)
    return model


@cache
def dataset(spec, longest=LONGEST, train=40, test=101):
    """Independent sequences, so that each length has as many as any other."""
    config = DataConfig(max_length=longest, train_per_length=train, test_per_length=test, split="iid")
    return make_dataset(task(spec), config, VOCABULARY, seed=3)


def sequences(spec, *lengths):
    return {length: dataset(spec).test[length] for length in lengths}


def inputs_of(spec, length, rows=23):
    """Whole sequences of one length without EoS, as a network is given them."""
    return torch.from_numpy(dataset(spec).test[length][:rows, :-1])


def random_network(layers=2, networks=None, residual="published", longest=LONGEST):
    """Untrained, H = 3 heads of 7 coordinates, in double precision; norms weigh coordinates differently."""
    config = ModelConfig(width=21, heads=3, layers=layers, mlp_width=11, residual=residual)
    model = Transformer(config, SequenceLayout(longest).size, range(networks or 1)).double()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(".w"):
                parameter.uniform_(0.5, 1.5, generator=generator)
            elif ".W_" in name:
                parameter *= 3  # far from uniform attention
    return model


def alone(model, index):
    """Network `index` of a population as a network alone."""
    single = Transformer(model.config, model.context, [99]).to(model.embed.W_E.dtype)
    single.load_state_dict({name: tensor[index : index + 1] for name, tensor in model.state_dict().items()})
    return single


def random_tokens(*shape, seed=0):
    return torch.randint(64, shape, generator=torch.Generator().manual_seed(seed))
