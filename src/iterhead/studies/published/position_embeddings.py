"""Figures 14, 15 and 16: what position embeddings need; claim 17."""

import math
from collections.abc import Mapping
from functools import cache, partial

from iterhead.criteria import LEARNED_ACCURACY, POSITION_COORDINATES, POSITION_WIDTH
from iterhead.estimates import mean_over, smallest_reaching
from iterhead.studies.claims import Evidence, claim
from iterhead.studies.drawings import Curves, HeatMaps, Line, Panel
from iterhead.studies.published.recipe import CHOSEN, SEEDS, Values, make_config
from iterhead.studies.published.width_and_length import least_widths, other_circuits
from iterhead.studies.study import Cell, Scale, Study
from iterhead.studies.tables import Tables

WIDTHS: Values = {"paper": tuple(range(1, 32)), "laptop": (6, 10, 16, 24), "smoke": (4, 8)}
LENGTHS: Values = {"paper": tuple(range(4, 32)), "laptop": (4, 8, 12, 16), "smoke": (4, 5)}

EPOCHS: Values = {"paper": (1000, 5000), "laptop": (20, 40), "smoke": (2, 4)}
"""The two epochs that are shown; the later one is the last."""

COORDINATES: Values = {"paper": tuple(range(2, 32)), "laptop": (2, 4, *range(8, 29, 4), 31), "smoke": (4, 16)}
"""Numbers of coordinates with positions, of `POSITION_WIDTH`."""

COORDINATES_LONGEST: Mapping[Scale, int] = {"paper": 16, "laptop": 12, "smoke": 5}
COORDINATES_EPOCHS: Mapping[Scale, int] = {"paper": 10_000, "laptop": 40, "smoke": 4}

LEARNED, FROZEN = "learned", "frozen"


@cache
def grid(scale: Scale) -> tuple[Cell, ...]:
    """Return the cells of figures 14 and 15."""
    return tuple(
        Cell(
            {"positions": positions, "width": width, "longest": longest},
            make_config(
                scale,
                data={"max_length": longest},
                model={"width": width, "positions": positions},
                training={"epochs": EPOCHS[scale][1]},
            ),
            SEEDS[scale],
        )
        for positions in (LEARNED, FROZEN)
        for longest in LENGTHS[scale]
        for width in WIDTHS[scale]
    )


def _maps(scale: Scale, file: str, title: str, score: str) -> HeatMaps:
    panels = tuple(
        Panel(f"{positions.capitalize()} positions, {epoch:,} epochs", score, {"positions": positions}, epoch)
        for epoch in EPOCHS[scale]
        for positions in (LEARNED, FROZEN)
    )
    return HeatMaps(file, title, "longest", "width", panels, columns=2)


def _chosen(scale: Scale) -> tuple[str, ...]:
    early, late = EPOCHS[scale]
    shown = f"The task is the polynomial. One run gives both epochs: it is looked at after {early:,} and {late:,}."
    return (*CHOSEN[scale], shown)


def figure_14(scale: Scale) -> Study:
    """Return figure 14: accuracy with learned and with frozen positions."""
    return Study(
        "figure-14",
        scale,
        "Learned and frozen positions: accuracy",
        "Heat maps of accuracy, width 1 to 31 against the longest length 4 to 31, positions learned or frozen, after "
        "1,000 and 5,000 epochs. Learned needs d of about 9 (lengths to 12) to 17 (30), frozen about 12 to 25.",
        _chosen(scale),
        grid(scale),
        (_maps(scale, "figure-14", "Test accuracy", "accuracy"),),
        (_widths_of_frozen_positions,),
    )


@claim("17a", "Frozen positions need a larger width", "more than", 1.0)
def _widths_of_frozen_positions(tables: Tables) -> Evidence:
    learned, frozen = (
        {
            int(part["seed"][0]): least_widths(part, "accuracy", LEARNED_ACCURACY)
            for part in tables.runs({"positions": positions}).partition_by("seed")
        }
        for positions in (LEARNED, FROZEN)
    )
    ratios = []
    for seed in sorted(learned.keys() & frozen.keys()):
        ours, theirs = learned[seed], frozen[seed]
        if both := [length for length in ours if length in theirs]:
            ratios.append(sum(theirs[length] / ours[length] for length in both) / len(both))
    return mean_over(ratios, (0, math.inf)), (
        f"The least width that reaches accuracy {LEARNED_ACCURACY} is {{value}} times as large with frozen "
        "positions as with learned ones ({range}), over the lengths where both reach it."
    )


def figure_15(scale: Scale) -> Study:
    """Return figure 15: peakiness with learned and with frozen positions."""
    return Study(
        "figure-15",
        scale,
        "Learned and frozen positions: peakiness",
        "Peakiness of the runs of figure 14. Second about 0 for lengths beyond 20 although accuracy is about 1: "
        "another circuit.",
        _chosen(scale),
        grid(scale),
        (
            _maps(scale, "figure-15-first", "Peakiness of the first head, on EoI", "first_peakiness"),
            _maps(scale, "figure-15-second", "Peakiness of the iteration head, on x_t", "second_peakiness"),
        ),
        (partial(other_circuits, id_="11c", of="learned and frozen positions"),),
        ("circuits",),
    )


def figure_16(scale: Scale) -> Study:
    """Return figure 16: positions on the first coordinates only."""
    longest = COORDINATES_LONGEST[scale]
    cells = tuple(
        Cell(
            {"positions": positions, "position_width": coordinates},
            make_config(
                scale,
                data={"max_length": longest},
                model={"width": POSITION_WIDTH, "positions": positions, "position_width": coordinates},
                training={"epochs": COORDINATES_EPOCHS[scale]},
            ),
            SEEDS[scale],
        )
        for positions in (LEARNED, FROZEN)
        for coordinates in COORDINATES[scale]
    )
    lines = tuple(Line(f"{name} positions", {"positions": name}) for name in (LEARNED, FROZEN))
    panels = (
        Panel("Test accuracy", "accuracy"),
        Panel("First peakiness", "first_peakiness"),
        Panel("Second peakiness", "second_peakiness"),
    )
    return Study(
        "figure-16",
        scale,
        "Positions on the first coordinates only",
        "Width 32, positions on the first p coordinates, p from 2 to 31, learned or frozen, 10,000 epochs. Learned: "
        "about 1 from p = 23 on, partial for 13 to 20; frozen patchy.",
        (*CHOSEN[scale], f"The task is the polynomial, and lengths go to {longest}: the paper leaves both open."),
        cells,
        (Curves("figure-16", "Width 32, positions on p coordinates", "position_width", lines, panels),),
        (_coordinates_needed,),
    )


@claim(
    "17b",
    f"Learned positions on {POSITION_COORDINATES} of {POSITION_WIDTH} coordinates are enough",
    "at most",
    POSITION_COORDINATES,
)
def _coordinates_needed(tables: Tables) -> Evidence:
    each = [
        smallest_reaching(dict(part.select("position_width", "accuracy").iter_rows()), LEARNED_ACCURACY)
        for part in tables.runs({"positions": LEARNED}).partition_by("seed")
    ]
    none = POSITION_WIDTH + 1  # for seeds in which no number is enough
    return mean_over([min(value, none) for value in each], (0, none)), (
        f"Accuracy {LEARNED_ACCURACY} takes positions on {{value}} coordinates at least ({{range}}); "
        f"{sum(map(math.isfinite, each))} of {len(each)} seeds reach it, the others count as {none}."
    )
