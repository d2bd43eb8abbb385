"""Drawings of runs and studies: numbers and an `ax` in, a drawing out.

`run_figure(picture)` composes the panels of one run, and `render(figure)` gives the bytes of a PNG and a PDF; the
panels stand alone too. Nothing here trains, loads or computes statistics, or touches matplotlib's global state.
"""

from iterhead.figures.attention_map import attention_map
from iterhead.figures.heat_maps import contour_map, heat_map, ratio_map
from iterhead.figures.intervention_bars import effect_bars, effects_figure
from iterhead.figures.panels import SHARE_TICKS, add_foot, scale_beside, sheet
from iterhead.figures.run_figure import HeadMap, RunPicture, render, run_figure, weight_scale
from iterhead.figures.seed_lines import Band, bands, length_lines, share_bars
from iterhead.figures.style import style
from iterhead.figures.training_curves import accuracy_by_length, peakiness

__all__ = [
    "SHARE_TICKS",
    "Band",
    "HeadMap",
    "RunPicture",
    "accuracy_by_length",
    "add_foot",
    "attention_map",
    "bands",
    "contour_map",
    "effect_bars",
    "effects_figure",
    "heat_map",
    "length_lines",
    "peakiness",
    "ratio_map",
    "render",
    "run_figure",
    "scale_beside",
    "share_bars",
    "sheet",
    "style",
    "weight_scale",
]
