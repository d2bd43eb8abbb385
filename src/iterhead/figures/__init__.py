"""The picture of one run: numbers and an `ax` in, a drawing out.

`run_figure(picture)` composes the panels and `render(figure)` gives the bytes of a PNG and a PDF; the panels stand
alone too. Nothing here trains, loads or computes statistics, or touches matplotlib's global state.
"""

from iterhead.figures.attention import attention_map
from iterhead.figures.curves import accuracy_by_length, peakiness
from iterhead.figures.effects import effect_bars, effects_figure
from iterhead.figures.run_figure import HeadMap, RunPicture, render, run_figure
from iterhead.figures.style import style

__all__ = [
    "HeadMap",
    "RunPicture",
    "accuracy_by_length",
    "attention_map",
    "effect_bars",
    "effects_figure",
    "peakiness",
    "render",
    "run_figure",
    "style",
]
