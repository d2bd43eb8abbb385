"""Position encodings, one class each. A new one needs a class here, its name in `ModelConfig.positions` and a test.

Letters: `M` networks, `B` sequences, `T` tokens, `P` positions, `C` coordinates that carry positions.
"""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from iterhead.model.layers import gather_rows
from iterhead.settings import ModelConfig
from iterhead.settings.configs import OWN, ROTATED

LONGEST_WAVE = 10_000.0
"""Ratio of the longest to the shortest wavelength (Vaswani et al., 2017; Su et al., 2021, for rotary)."""


class PositionEncoding(nn.Module):
    """The base class. A subclass overrides what differs.

    Class attributes:
        is_added: whether `forward(positions)` returns an embedding [M, B, T, D] of positions [M, B, T], which is added.
        is_rotary: whether `angles` returns angles by which queries and keys are rotated.
        has_weights: whether positions are rows of a table that belongs to the weights, and is loaded with them.
    """

    is_added: ClassVar[bool] = False
    is_rotary: ClassVar[bool] = False
    has_weights: ClassVar[bool] = False

    def __init__(self, *_: object):
        super().__init__()

    def angles(self, _positions: Tensor) -> Tensor | None:
        """Return the angles [..., T, C / 2] for `rotate` at positions [..., T], or None."""
        return None

    def compute_table(self) -> None:
        """Fill in tables that are computed, after the weights were drawn."""


class NoPositions(PositionEncoding):
    """No position encoding: only the causal mask says in which order tokens come."""


class LearnedPositions(PositionEncoding):
    """A trained table W_pos [M, P, C], added to the first C coordinates (the published network)."""

    is_added = True
    has_weights = True

    def __init__(self, config: ModelConfig, networks: int, context: int):
        super().__init__()
        self._other_coordinates = config.width - config.positions_on
        self.W_pos: Tensor
        self._store(torch.empty(networks, context, config.positions_on))

    def _store(self, table: Tensor) -> None:
        self.W_pos = nn.Parameter(table)

    def forward(self, positions: Tensor) -> Tensor:
        """Return the embedding [M, B, T, D] of positions [M, B, T], zero beyond the first C coordinates."""
        return F.pad(gather_rows(self.W_pos, positions), (0, self._other_coordinates))


class FrozenPositions(LearnedPositions):
    """The learned table's random start, left untrained: W_pos is a buffer (`freeze_pos` in the published code)."""

    def _store(self, table: Tensor) -> None:
        self.register_buffer("W_pos", table)


class SinusoidalPositions(FrozenPositions):
    """Sines and cosines of the position (Vaswani et al., 2017), in W_pos."""

    has_weights = False

    def compute_table(self) -> None:
        """Fill W_pos with the sinusoidal embedding."""
        self.W_pos.copy_(sinusoidal_table(*self.W_pos.shape[1:]))


class RotaryPositions(PositionEncoding):
    """Queries and keys rotated by angles in proportion to their positions (Su et al., 2021), on C / H of each head."""

    is_rotary = True

    def __init__(self, config: ModelConfig, _networks: int, context: int):
        super().__init__()
        self.table: Tensor
        self.register_buffer("table", position_angles(context, config.positions_on // config.heads), persistent=False)

    def angles(self, positions: Tensor) -> Tensor:
        """Return the angles [..., T, C / 2H] at positions [..., T]."""
        return self.table[positions]


POSITION_ENCODINGS: Mapping[str, type[PositionEncoding]] = {
    "learned": LearnedPositions,
    "frozen": FrozenPositions,
    "sinusoidal": SinusoidalPositions,
    "rotary": RotaryPositions,
    "none": NoPositions,
}
"""By the name in `ModelConfig.positions`."""


def has_position_table(config: ModelConfig) -> bool:
    """Return whether the network has a table of positions as weights, so that it knows no longer sequences."""
    if config.architecture != OWN:
        return config.architecture not in ROTATED
    return POSITION_ENCODINGS[config.positions].has_weights


def position_angles(positions: int, coordinates: int) -> Tensor:
    """Return the angle of each position at each frequency: [P, ceil(C / 2)], in radians."""
    exponents = torch.arange(0, coordinates, 2, dtype=torch.float64) / coordinates
    return torch.arange(positions, dtype=torch.float64)[:, None] * LONGEST_WAVE**-exponents


def sinusoidal_table(positions: int, coordinates: int) -> Tensor:
    """Return the sinusoidal embedding [P, C]: sines at even coordinates, cosines at odd ones."""
    angle = position_angles(positions, coordinates)
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)[:, :coordinates]


def rotate(x: Tensor, angle: Tensor) -> Tensor:
    """Rotate the first C coordinates of queries or keys x [..., T, H, d_head], in pairs, by angle [..., T, C / 2]."""
    width = 2 * angle.shape[-1]
    cosine, sine = angle.cos().unsqueeze(-2).to(x.dtype), angle.sin().unsqueeze(-2).to(x.dtype)
    even, odd = x[..., 0:width:2], x[..., 1:width:2]
    rotated = torch.stack([even * cosine - odd * sine, even * sine + odd * cosine], dim=-1).flatten(-2)
    return torch.cat([rotated, x[..., width:]], dim=-1)
