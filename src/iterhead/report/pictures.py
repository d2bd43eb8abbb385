"""The figures of a study in its page: each with its size, its text alternative, and the command that redraws it."""

import base64
import html
from pathlib import Path

from iterhead.studies.drawings import Drawing
from iterhead.studies.study import Study

_DOTS = 150
"""Dots per inch of a stored figure; a style sheet has 96."""

_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def pictures(study: Study, folder: Path, command: str, *, most: int | None = None) -> str:
    """Return the figures in a study's folder as HTML; damaged files are left out.

    Args:
        study: whose drawings.
        folder: with their files.
        command: that redraws them, shown under each; may be empty.
        most: largest number of figures; all by default.
    """
    files = [(drawing, folder / f"{drawing.file}.png") for drawing in study.drawings]
    images = [(drawing, path.read_bytes()) for drawing, path in files if path.is_file()]
    whole = [(drawing, data) for drawing, data in images if data.startswith(_SIGNATURE)]
    return "\n".join(_picture(study, drawing, data, command) for drawing, data in whole[:most])


def _picture(study: Study, drawing: Drawing, data: bytes, command: str) -> str:
    pixels = (int.from_bytes(data[start : start + 4], "big") for start in (16, 20))  # of the PNG's first chunk
    width, height = (round(size * 96 / _DOTS) for size in pixels)
    source = "data:image/png;base64," + base64.b64encode(data).decode()
    alternative = html.escape(drawing.describe(study))
    again = f" <span>Drawn again by <code>{html.escape(command)}</code></span>" if command else ""
    return (
        f'<figure class="picture"><img src="{source}" width="{width}" height="{height}" alt="{alternative}">'
        f"<figcaption><strong>{html.escape(drawing.title)}.</strong>{again}</figcaption></figure>"
    )
