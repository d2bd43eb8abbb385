"""Position tables: sinusoidal embeddings and rotary angles.

Letters: `P` positions, `C` coordinates that carry them.
"""

import torch

LONGEST_WAVE = 10_000.0
"""Ratio of the longest to the shortest wavelength (Vaswani et al., 2017; Su et al., 2021, for rotary)."""


def angles(positions: int, coordinates: int) -> torch.Tensor:
    """Return the angle of each position at each frequency: [P, ceil(C / 2)], in radians."""
    exponents = torch.arange(0, coordinates, 2, dtype=torch.float64) / coordinates
    return torch.arange(positions, dtype=torch.float64)[:, None] * LONGEST_WAVE**-exponents


def sinusoidal_table(positions: int, coordinates: int) -> torch.Tensor:
    """Return the sinusoidal embedding [P, C]: sines at even coordinates, cosines at odd ones."""
    angle = angles(positions, coordinates)
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)[:, :coordinates]


def rotate(x: torch.Tensor, angle: torch.Tensor) -> torch.Tensor:
    """Turn the first coordinates of queries or keys, pair by pair, by their positions' angles (rotary positions).

    Args:
        x: [..., T, H, d_head].
        angle: [..., T, C / 2], broadcast over heads; coordinates from C on stay as they are.
    """
    width = 2 * angle.shape[-1]
    cosine, sine = angle.cos().unsqueeze(-2).to(x.dtype), angle.sin().unsqueeze(-2).to(x.dtype)
    even, odd = x[..., 0:width:2], x[..., 1:width:2]
    turned = torch.stack([even * cosine - odd * sine, even * sine + odd * cosine], dim=-1).flatten(-2)
    return torch.cat([turned, x[..., width:]], dim=-1)
