"""Training that starts from another network's weights, and training that moves some weights only."""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from iterhead.errors import UserError
from iterhead.model import Transformer
from iterhead.settings import RunConfig

POSITIONS = "pos_embed.W_pos"
"""The one weight whose shape depends on the context: [1, P, D]."""

_SHAPE = ("width", "layers", "heads", "hidden", "residual", "norm", "positions", "positions_on", "vocabulary")
"""Of the model's settings, those in which two networks must agree for one to start from the other's weights."""


def is_trainable(name: str, train: Literal["all", "last-mlp", "not-attention"], layers: int) -> bool:
    """Whether training moves a weight.

    Args:
        name: of the weight, such as `blocks.1.mlp.W_in`.
        train: which weights move.
        layers: of the network.
    """
    if train == "last-mlp":
        return name.startswith(f"blocks.{layers - 1}.mlp.")
    return train == "all" or ".attn." not in name


def check_fit(config: RunConfig, parent: RunConfig) -> None:
    """Check that a network of `config` can start from one of `parent`.

    Positions that are learned or frozen are rows of a table: a parent that knows more of them than `config.context`
    gives its first rows, one that knows fewer does not fit. Positions that are computed need no such care.

    Raises:
        UserError: it cannot; the line names the first setting in which they differ.
    """
    for name in _SHAPE:
        ours, theirs = (getattr(settings.model, name) for settings in (config, parent))
        if ours != theirs:
            option = {"hidden": "mlp_width", "positions_on": "position_width"}.get(name, name)
            raise UserError(
                f"model.{option}={ours}: the network to start from has {option}={theirs}: expected the same"
            )
    if config.model.positions in ("learned", "frozen") and parent.context < config.context:
        raise UserError(
            f"data.max_length={config.data.max_length}, model.context={config.context}: the network to start from "
            f"knows {parent.context} positions: expected at most as many"
        )


@torch.no_grad()
def load_weights(model: Transformer, network: int, weights: Mapping[str, Tensor]) -> None:
    """Give one network of `model` the weights of another.

    Args:
        model: M networks.
        network: which of them, 0 .. M - 1.
        weights: of the other by name, each [1, ...]; of a longer table of positions the first rows are taken.
            Sinusoidal positions are the network's own.

    Raises:
        UserError: a weight is missing, or has another shape.
    """
    for name, tensor in model.state_dict().items():
        if name == POSITIONS and model.config.positions == "sinusoidal":
            continue
        given = weights.get(name)
        if given is not None and name == POSITIONS:
            given = given[:, : tensor.shape[1]]
        if given is None or given.shape[1:] != tensor.shape[1:]:
            found = "none" if given is None else f"shape {tuple(given.shape[1:])}"
            raise UserError(f"the weights to start from: {name}: expected shape {tuple(tensor.shape[1:])}, got {found}")
        tensor[network] = given[0].to(tensor)
