"""The network that runs in the page: the final weights in 16 bits."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from iterhead.model import Transformer

MOST_WEIGHT_BYTES = 480_000
"""Of float16 weights. They hardly compress, and base64 adds a third, so they take up to 0.6 MB of the page's one."""

LARGEST = float(np.finfo(np.float16).max)


def page_weights(model: Transformer) -> dict[str, NDArray[Any]] | str:
    """Return one network's weights for the page, each without its axis of networks, or why they are left out."""
    weights = {name: tensor[0].detach().cpu() for name, tensor in model.state_dict().items()}
    size = 2 * sum(tensor.numel() for tensor in weights.values())
    if size > MOST_WEIGHT_BYTES:
        return (
            f"The network's weights take {size / 1e6:.1f} MB even in 16 bits, more than the "
            f"{MOST_WEIGHT_BYTES / 1e6:g} MB that this page has room for, so it cannot run here."
        )
    if any(tensor.abs().max() > LARGEST for tensor in weights.values()):
        return "Some of the network's weights are too large for 16 bits, so it cannot run here."
    return {name: tensor.to(torch.float16).numpy() for name, tensor in weights.items()}


def rounded(model: Transformer) -> Transformer:
    """Return the network that runs in the page: weights rounded to 16 bits, computed with in double precision."""
    copy = Transformer(model.config, model.context, [0] * model.networks).double()
    copy.load_state_dict({name: tensor.to(torch.float16).double() for name, tensor in model.state_dict().items()})
    return copy.eval()
