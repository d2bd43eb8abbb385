"""The figures of a study in its page: each with its size, what is drawn in it, and how it is drawn again."""

import base64
import html
from collections.abc import Sequence
from pathlib import Path

from iterhead.studies.draw_grids import LABELS
from iterhead.studies.study import (
    AttentionMaps,
    Contours,
    Curves,
    Drawing,
    HeadShares,
    HeatMaps,
    Interventions,
    SpeedUps,
    Study,
)

_DOTS = 150
"""Dots per inch of a stored figure; a style sheet has 96."""

_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def pictures(study: Study, folder: Path, command: str, *, most: int | None = None) -> str:
    """Return the figures that a study's folder has, as HTML.

    Args:
        study: whose drawings.
        folder: with their files.
        command: that draws them again, shown under each; none if empty.
        most: figures at most; all unless given.
    """
    found = [(drawing, folder / f"{drawing.file}.png") for drawing in study.drawings]
    there = [(drawing, path.read_bytes()) for drawing, path in found if path.is_file()]
    whole = [(drawing, data) for drawing, data in there if data.startswith(_SIGNATURE)]
    return "\n".join(_picture(study, drawing, data, command) for drawing, data in whole[:most])


def _picture(study: Study, drawing: Drawing, data: bytes, command: str) -> str:
    pixels = (int.from_bytes(data[start : start + 4], "big") for start in (16, 20))  # of the PNG's first chunk
    width, height = (round(size * 96 / _DOTS) for size in pixels)
    source = "data:image/png;base64," + base64.b64encode(data).decode()
    alternative = html.escape(described(study, drawing))
    again = f" <span>Drawn again by <code>{html.escape(command)}</code></span>" if command else ""
    return (
        f'<figure class="picture"><img src="{source}" width="{width}" height="{height}" alt="{alternative}">'
        f"<figcaption><strong>{html.escape(drawing.title)}.</strong>{again}</figcaption></figure>"
    )


def described(study: Study, drawing: Drawing) -> str:
    """Return what a figure shows, for those who do not see it: its kind, title, axes and panels."""
    match drawing:
        case HeatMaps() | Contours():
            kind = "Heat maps" if isinstance(drawing, HeatMaps) else "Level lines"
            axes = f"To the right {_axis(study, drawing.x)}, upwards {_axis(study, drawing.y)}; colours from 0 to 1. "
            told = axes + _listed("panel", [panel.title for panel in drawing.panels])
        case Curves():
            kind = "Means over seeds with their 95% interval"
            panels = _listed("panel", [panel.title for panel in drawing.panels])
            told = f"To the right the {LABELS.get(drawing.x, drawing.x)}, upwards the score from 0 to 1. {panels} "
            told += _listed("line", [line.label for line in drawing.lines])
        case AttentionMaps():
            kind = "Attention maps of every head of one network, and its accuracy by length over epochs"
            told = "Rows are the tokens that look, columns the tokens looked at."
        case HeadShares():
            kind = "Bars with intervals"
            told = "The weight of each head on the input that a step needs, from 0 to 1."
        case Interventions():
            kind = "Bars with intervals"
            told = "For each intervention the accuracy that it leaves, from 0 to 1, beside chance."
        case SpeedUps():
            kind = "A table of coloured cells"
            told = "Rows are the task trained on first, columns the task trained on then; how many times sooner it is."
    return f"{kind}: {drawing.title}. {told}"


def _axis(study: Study, axis: str) -> str:
    values = [cell.axes[axis] for cell in study.cells if isinstance(cell.axes[axis], int | float)]
    span = f" ({min(values):g} to {max(values):g})" if values else ""
    return f"{LABELS.get(axis, axis)}{span}"


def _listed(noun: str, names: Sequence[str]) -> str:
    return f"{len(names)} {noun}{'s' if len(names) != 1 else ''}: {'; '.join(names)}."
