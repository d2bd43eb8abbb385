"""Which networks a training run can start from, and which weights it trains."""

from typing import Literal

from iterhead.errors import UserError
from iterhead.model.positions import POSITION_ENCODINGS
from iterhead.settings import RunConfig

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
    if POSITION_ENCODINGS[config.model.positions].has_weights and parent.context < config.context:
        raise UserError(
            f"data.max_length={config.data.max_length}, model.context={config.context}: the network to start from "
            f"knows {parent.context} positions: expected at most as many"
        )
