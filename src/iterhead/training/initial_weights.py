"""Which networks a training run can start from, and which weights it trains."""

from typing import Literal

from iterhead.errors import UserError
from iterhead.model.positions import has_position_table
from iterhead.settings import RunConfig

_SHAPE = (
    *("architecture", "width", "layers", "heads", "key_value_heads", "hidden"),
    *("residual", "norm", "positions", "positions_on", "vocabulary"),
)
"""The model settings that must be equal."""

_OPTIONS = {"hidden": "mlp_width", "positions_on": "position_width", "key_value_heads": "kv_heads"}
"""The options that decide them, where they have other names."""


def is_trainable(name: str, train: Literal["all", "last-mlp", "not-attention"], layers: int) -> bool:
    """Return whether a weight, such as `blocks.1.mlp.W_in`, is trained under the setting `train`."""
    if train == "last-mlp":
        return name.startswith(f"blocks.{layers - 1}.mlp.")
    return train == "all" or ".attn." not in name


def check_fit(config: RunConfig, parent: RunConfig) -> None:
    """Check that a network of `config` can start from the weights of one of `parent`.

    They must have the same shape, but the parent may have a longer table of positions, whose first rows are taken.

    Raises:
        UserError: naming the first setting that does not fit.
    """
    for name in _SHAPE:
        ours, theirs = (getattr(settings.model, name) for settings in (config, parent))
        if ours != theirs:
            option = _OPTIONS.get(name, name)
            raise UserError(
                f"model.{option}={ours}: the network to start from has {option}={theirs}: expected the same"
            )
    if has_position_table(config.model) and parent.context < config.context:
        raise UserError(
            f"data.max_length={config.data.max_length}, model.context={config.context}: the network to start from "
            f"knows {parent.context} positions: expected at most as many"
        )
