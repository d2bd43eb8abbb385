"""Draw all claims in one picture, docs/images/claims.png, from docs/results: `python docs/make_claims_picture.py`.

A row for each claim: its interval and value against the threshold. Rows have different units, so each is scaled to its
own farthest end. To the right of the line is the side on which the claim holds.
"""

import hashlib
import io
import json
import math
from pathlib import Path
from typing import NamedTuple

from gather_results import claims, not_measured
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from iterhead.figures.style import BLUE, INK, QUIET, VERMILION, style
from iterhead.studies.claims import Finding, Verdict

PICTURE = Path(__file__).resolve().parent / "images" / "claims.png"

MARKS: dict[Verdict, tuple[str, str, str]] = {
    "holds": ("o", BLUE, BLUE),
    "undecided": ("D", "white", QUIET),
    "does not hold": ("s", VERMILION, VERMILION),
}
"""Marker, its fill and its edge; the edge colours the interval, too."""

SIGNS = {"at least": "\u2265", "more than": ">", "at most": "\u2264"}

WIDTH, ROW, HEAD, FOOT = 6.7, 0.127, 0.62, 0.22  # inches; at 150 dots per inch the picture is 1,005 pixels wide
PLOT, FOUND, ASKED = (0.535, 0.205), 0.752, 0.935  # left edges of the columns, and the width of the plot, of WIDTH


class Row(NamedTuple):
    """What stands in a row; distances are from the threshold, positive on the side where the claim holds."""

    id: str
    claim: str
    verdict: Verdict | None
    value: float
    low: float
    high: float
    found: str
    asked: str


def rows() -> list[Row]:
    """Return a row for each claim; those that are not measured come last."""
    return [row_of(finding) for finding in claims()] + [_not_measured(finding) for finding in not_measured()]


def row_of(finding: Finding) -> Row:
    """Return the row of a claim that was measured."""
    sign = -1 if finding.bound == "at most" else 1
    ends = [sign * (end - finding.threshold) for end in (finding.value, finding.low, finding.high)]
    scale = max((abs(end) for end in ends if math.isfinite(end)), default=0) or 1
    scale /= 1 if all(map(math.isfinite, ends)) else 0.9  # leaves room for an arrow
    value, *interval = (end / scale for end in ends)
    found = f"{_number(finding.value)} ({_number(finding.low)} to {_number(finding.high)})"
    asked = f"{SIGNS[finding.bound]} {_number(finding.threshold)}"
    return Row(finding.id, finding.claim, finding.verdict, value, min(interval), max(interval), found, asked)


def _not_measured(finding: Finding) -> Row:
    nothing = (math.nan, math.nan, math.nan)
    asked = f"{SIGNS[finding.bound]} {_number(finding.threshold)}"
    return Row(finding.id, finding.claim, None, *nothing, f"study run {finding.figure}", asked)


def _number(value: float) -> str:
    return "\u221e" if math.isinf(value) else f"{value:.2f}" if abs(value) < 10 else f"{value:.0f}"


@style()
def draw(shown: list[Row]) -> Figure:
    """Return the picture."""
    height = HEAD + ROW * len(shown) + FOOT
    figure = Figure(figsize=(WIDTH, height))
    figure.text(0.01, 1 - 0.07 / height, "The claims of the paper, measured", va="top", fontsize=10, fontweight="bold")
    handles = []
    for verdict, (marker, fill, edge) in MARKS.items():
        look = {"marker": marker, "markerfacecolor": fill, "color": edge, "markersize": 3.6, "linewidth": 1.1}
        handles.append(Line2D([], [], label=f"{verdict} ({sum(row.verdict == verdict for row in shown)})", **look))
    where = {"loc": "upper left", "bbox_to_anchor": (-0.005, 1 - 0.24 / height)}
    figure.legend(handles=handles, ncols=3, fontsize=7, borderpad=0.3, **where)
    measured = sum(row.verdict is not None for row in shown)
    ax = figure.add_axes((PLOT[0], FOOT / height, PLOT[1], ROW * len(shown) / height))
    ax.set(xlim=(-1.12, 1.12), ylim=(len(shown) - 0.5, -0.5), yticks=[], xticks=[], facecolor="none")
    ax.spines[:].set_visible(False)
    for place, row in enumerate(shown):
        _draw_row(ax, place, row)
    ax.fill_between([0, 1.12], -0.5, measured - 0.5, color=BLUE, alpha=0.08, linewidth=0)
    ax.vlines(0, -0.5, measured - 0.5, color=INK, linewidth=0.8)
    titles = {PLOT[0] + 0.25 * PLOT[1]: "fails", PLOT[0] + 0.75 * PLOT[1]: "holds"}
    for x, title in titles.items():
        figure.text(x, 1 - (HEAD - 0.04) / height, title, ha="center", fontsize=6, color=QUIET)
    for x, title in {FOUND: "found (95% over seeds)", ASKED: "asked"}.items():
        figure.text(x, 1 - (HEAD - 0.04) / height, title, fontsize=6, color=QUIET)
    note = "Line: the threshold. Each row is scaled to its own farthest end; arrows go on to infinity."
    figure.text(0.01, 0.06 / height, note, fontsize=6, color=QUIET)
    return figure


def _draw_row(ax: Axes, place: int, row: Row) -> None:
    figure, height = ax.figure, ax.figure.get_figheight()
    y = (FOOT + (ax.get_ylim()[0] - place) * ROW) / height
    if place % 2 == 0:
        band = Rectangle((0, y - ROW / 2 / height), 1, ROW / height, transform=figure.transFigure, color="#f3f3f3")
        figure.add_artist(band)
        band.set(linewidth=0, zorder=-1)
    colour = QUIET if row.verdict is None else INK
    claim = row.claim if row.claim.startswith("t ") else row.claim[0].upper() + row.claim[1:]
    texts = ((0.01, row.id, colour), (0.046, claim, colour), (FOUND, row.found, QUIET), (ASKED, row.asked, QUIET))
    for x, text, ink in texts:
        weight = "bold" if x < 0.04 else "normal"
        figure.text(x, y, text, va="center_baseline", fontsize=6, color=ink, fontweight=weight)
    if row.verdict is None:
        ax.text(0, place, "not measured", ha="center", va="center_baseline", fontsize=6, color=QUIET)
        return
    marker, fill, edge = MARKS[row.verdict]
    low, high = max(row.low, -1.03), min(row.high, 1.03)
    ax.plot([low, high], [place, place], color=edge, linewidth=1.1)
    for end, at, tip in ((row.low, low, "<"), (row.high, high, ">")):
        if math.isinf(end):
            ax.plot(at, place, tip, color=edge, markersize=3, clip_on=False)
    look = {"markerfacecolor": fill, "markeredgecolor": edge, "markersize": 3.4, "markeredgewidth": 0.8}
    ax.plot(min(max(row.value, -1), 1), place, marker, **look)


def digest(shown: list[Row]) -> str:
    """Return what tells whether a picture shows these rows."""
    return hashlib.sha256(json.dumps(shown).encode()).hexdigest()


def picture() -> bytes:
    """Return the picture as PNG of 128 colours, with the digest of its rows as its description."""
    shown = rows()
    drawn, file = io.BytesIO(), io.BytesIO()
    draw(shown).savefig(drawn, format="png", dpi=150)
    description = PngInfo()
    description.add_text("Description", digest(shown))
    Image.open(drawn).convert("RGB").quantize(128, method=Image.Quantize.MAXCOVERAGE).save(
        file, format="png", optimize=True, pnginfo=description
    )
    return file.getvalue()


if __name__ == "__main__":
    PICTURE.write_bytes(picture())
