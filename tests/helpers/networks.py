"""Small networks of every option, for the tests of this folder."""

import torch

from helpers.pairwise import each_value, pairwise
from iterhead.model.transformer import Transformer
from iterhead.settings import ModelConfig

RESIDUALS = ("published", "pre-norm")
NORMS = ("layer", "rms", "none")
POSITIONS = ("learned", "frozen", "sinusoidal", "rotary", "none")
HEADS = (1, 3)
WIDTHS = (None, 6)
CONTEXT = 8
"""As many positions as a packed sequence of length 3 takes."""


def config_of(**settings):
    """Width 12 divides into 1, 2 or 3 heads of an even width, as rotary positions need."""
    return ModelConfig(**{"width": 12, "mlp_width": 5, "vocabulary": 7} | settings)


def is_allowed(options):
    return (options.get("positions"), options.get("position_width")) != ("none", 6)


OPTIONS = [
    config_of(**options)
    for options in pairwise(
        is_allowed, residual=RESIDUALS, norm=NORMS, positions=POSITIONS, heads=HEADS, position_width=WIDTHS
    )
]
"""Every pair of values occurs."""

FEW_OPTIONS = [
    config_of(heads=3, **options) for options in each_value(residual=RESIDUALS, norm=NORMS, positions=POSITIONS)
]
"""Every value occurs."""


def name_of(config):
    width = f"-{config.position_width}" if config.position_width else ""
    return f"{config.residual}-{config.norm}-{config.positions}{width}-{config.heads}"


def network(config, seeds=(0,), context=CONTEXT, dtype=torch.float64):
    """A network in double precision, the weights of whose norms are not all one."""
    model = Transformer(config, context, seeds).to(dtype)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(".w"):
                parameter.uniform_(0.5, 1.5, generator=generator)
    return model


def alone(model, index):
    """Network `index` of a population as a network alone, with the very same weights."""
    single = Transformer(model.config, model.context, [99]).to(model.embed.W_E.dtype)
    single.load_state_dict({name: tensor[index : index + 1] for name, tensor in model.state_dict().items()})
    return single


def random_tokens(*shape, seed=0, vocabulary=7):
    return torch.randint(vocabulary, shape, generator=torch.Generator().manual_seed(seed))
