"""Figures 14, 15 and 16: what position embeddings need."""

from collections.abc import Mapping
from functools import cache, partial

from iterhead.studies.judges import grids as judges
from iterhead.studies.published.recipe import CHOSEN, SEEDS, make_config
from iterhead.studies.study import Cell, Curves, HeatMaps, Line, Panel, Scale, Study

WIDTHS: Mapping[Scale, tuple[int, ...]] = {
    "paper": tuple(range(1, 32)),
    "laptop": (6, 10, 16, 24),
    "smoke": (4, 8),
}

LENGTHS: Mapping[Scale, tuple[int, ...]] = {
    "paper": tuple(range(4, 32)),
    "laptop": (4, 8, 12, 16),
    "smoke": (4, 5),
}

EPOCHS: Mapping[Scale, tuple[int, int]] = {"paper": (1000, 5000), "laptop": (20, 40), "smoke": (2, 4)}
"""The two epochs that are looked at; the later one is the limit."""

ROOM: Mapping[Scale, tuple[int, ...]] = {
    "paper": tuple(range(2, 32)),
    "laptop": (2, 4, 8, 12, 16, 20, 24, 28, 31),
    "smoke": (4, 16),
}
"""Coordinates with positions, of 32."""

ROOM_LONGEST: Mapping[Scale, int] = {"paper": 16, "laptop": 12, "smoke": 5}

ROOM_EPOCHS: Mapping[Scale, int] = {"paper": 10_000, "laptop": 40, "smoke": 4}

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
    told = f"The task is the polynomial. One run gives both epochs: it is looked at after {early:,} and {late:,}."
    return (*CHOSEN[scale], told)


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
        (partial(judges.frozen_positions_need_more, learned={"positions": LEARNED}, frozen={"positions": FROZEN}),),
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
        (partial(judges.other_circuits_exist, id_="11c", of="learned and frozen positions"),),
        ("circuits",),
    )


def figure_16(scale: Scale) -> Study:
    """Return figure 16: positions on the first coordinates only."""
    longest = ROOM_LONGEST[scale]
    cells = tuple(
        Cell(
            {"positions": positions, "position_width": room},
            make_config(
                scale,
                data={"max_length": longest},
                model={"width": 32, "positions": positions, "position_width": room},
                training={"epochs": ROOM_EPOCHS[scale]},
            ),
            SEEDS[scale],
        )
        for positions in (LEARNED, FROZEN)
        for room in ROOM[scale]
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
        (partial(judges.positions_need_room, where={"positions": LEARNED}, most=23),),
    )
