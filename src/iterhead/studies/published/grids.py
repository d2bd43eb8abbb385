"""Figures 7, 8, 10 and 11: width against the longest length, for the polynomial and for parity."""

from collections.abc import Mapping
from functools import cache, partial
from typing import Any

from iterhead.studies.claims import Judge
from iterhead.studies.judges import grids as judges
from iterhead.studies.published.recipe import (
    CHOSEN,
    SEEDS,
    make_config,
    with_equal_compute,
    with_equal_parameters,
)
from iterhead.studies.study import AxisValue, Cell, HeatMaps, Panel, Scale, Study

WIDTHS: Mapping[Scale, tuple[int, ...]] = {
    "paper": tuple(range(4, 64)),
    "laptop": (6, 10, 16, 24, 40),
    "smoke": (4, 8),
}

LENGTHS: Mapping[Scale, tuple[int, ...]] = {
    "paper": tuple(range(4, 32)),
    "laptop": (4, 8, 12, 16),
    "smoke": (4, 5),
}

IID_WIDTHS: Mapping[Scale, tuple[int, ...]] = {**WIDTHS, "laptop": (10, 24)}
"""Of parity without chain of thought on the published split."""

CONTROLS: Mapping[Scale, tuple[tuple[int, int], ...]] = {
    "paper": tuple((width, longest) for width in (16, 32, 48) for longest in (12, 20, 30)),
    "laptop": ((24, 12), (24, 16)),
    "smoke": ((8, 5),),
}
"""Width and longest length where one layer is tried with as many weights, and with as much compute (claim 8)."""

TWO, ONE, WITHOUT = "two layers", "one layer", "two layers, no chain of thought"
EQUAL_PARAMETERS, EQUAL_COMPUTE = "one layer, equal parameters", "one layer, equal compute"
WITHOUT_IID = "two layers, no chain of thought, iid split"

VARIANTS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    TWO: {},
    WITHOUT: {"data": {"cot": False}},
    ONE: {"model": {"layers": 1}},
}
"""What is published for both tasks."""


@cache
def grid(scale: Scale, task: str) -> tuple[Cell, ...]:
    """Return the cells of the published grid of a task; figures 7 and 8, 10 and 11, have the same."""
    variants = dict(VARIANTS)
    if task == "parity":
        variants[WITHOUT_IID] = {"data": {"cot": False, "split": "iid"}}
    return tuple(
        _cell(scale, task, network, width, longest, changes)
        for network, changes in variants.items()
        for longest in LENGTHS[scale]
        for width in (IID_WIDTHS if network == WITHOUT_IID else WIDTHS)[scale]
    )


def _cell(
    scale: Scale, task: str, network: str, width: int, longest: int, changes: Mapping[str, Mapping[str, Any]]
) -> Cell:
    data = {"max_length": longest, **changes.get("data", {})}
    model = {"width": width, **changes.get("model", {})}
    axes: dict[str, AxisValue] = {"network": network, "width": width, "longest": longest}
    return Cell(axes, make_config(scale, task, data=data, model=model), SEEDS[scale])


@cache
def _controls(scale: Scale) -> tuple[Cell, ...]:
    cells = []
    for width, longest in CONTROLS[scale]:
        config = make_config(scale, data={"max_length": longest}, model={"width": width})
        for network, changed in (
            (EQUAL_PARAMETERS, with_equal_parameters(config)),
            (EQUAL_COMPUTE, with_equal_compute(config)),
        ):
            cells.append(Cell({"network": network, "width": width, "longest": longest}, changed, SEEDS[scale]))
    return tuple(cells)


def _three_panels(task: str, file: str) -> HeatMaps:
    panels = tuple(
        Panel(title, "accuracy", {"network": network})
        for network, title in (
            (TWO, "Two layers, with chain of thought"),
            (WITHOUT, "Two layers, without"),
            (ONE, "One layer, with chain of thought"),
        )
    )
    return HeatMaps(file, f"{task}: test accuracy", "longest", "width", panels)


def _peakiness(task: str, file: str) -> HeatMaps:
    panels = tuple(
        Panel(title, f"{role}_peakiness", {"network": TWO})
        for role, title in (("first", "First head, on EoI"), ("second", "Iteration head, on x_t"))
    )
    return HeatMaps(file, f"{task}: peakiness, two layers with chain of thought", "longest", "width", panels)


_GRID = "width d 4 to 63 against the longest length 4 to 31"


def figure_7(scale: Scale) -> Study:
    """Return figure 7: the accuracy of the polynomial."""
    controls = {
        "": ("a", ONE),
        " at equal parameters": ("b", EQUAL_PARAMETERS),
        " at equal compute": ("c", EQUAL_COMPUTE),
    }
    return Study(
        "figure-7",
        scale,
        "Polynomial: accuracy by width and longest length",
        f"Heat maps of test accuracy at 1,000 epochs, {_GRID}: two layers with chain of thought, two without, "
        "one with. With chain of thought solved above d of about 11 (lengths to 5), 15 (12), 20 (20), 26 (30); "
        "without about 0.1; one layer only up to lengths of 5 to 8.",
        (*CHOSEN[scale], *_chosen_grid(scale)),
        (*grid(scale, "polynomial"), *_controls(scale)),
        (_three_panels("Polynomial", "figure-7"),),
        (
            _not_learnt("7a", "Chain of thought is needed: polynomial", "Without chain of thought", WITHOUT, 8, 0.2),
            *(
                _not_learnt(f"8{letter}", f"One layer is not enough{how}", f"With one layer{how}", network, 12, 0.3)
                for how, (letter, network) in controls.items()
            ),
        ),
    )


def _not_learnt(id_: str, claim: str, what: str, network: str, longest: int, most: float) -> Judge:
    """Return the judge of claims 7 and 8 for one kind of network."""
    return partial(
        judges.not_learnt_at_any_width,
        id_=id_,
        claim=claim,
        what=what,
        where={"network": network},
        longest=longest,
        most=most,
    )


def figure_8(scale: Scale) -> Study:
    """Return figure 8: the peakiness of the runs of figure 7."""
    two = {"network": TWO}
    return Study(
        "figure-8",
        scale,
        "Polynomial: peakiness by width and longest length",
        "Heat maps of both peakinesses of the same runs. Second: about 0.1 below the boundary, about 1 above. First "
        "about 0.5 for lengths up to 10, about 1 beyond 15.",
        (*CHOSEN[scale], "The runs are those of figure-7, two layers with chain of thought."),
        tuple(cell for cell in grid(scale, "polynomial") if cell.axes["network"] == TWO),
        (_peakiness("Polynomial", "figure-8"),),
        (
            partial(judges.small_widths_break_the_subtraction, where=two),
            partial(judges.accuracy_goes_with_peakiness, where=two),
            partial(judges.other_circuits_exist, id_="11a", of="polynomial"),
        ),
        ("circuits",),
    )


def figure_10(scale: Scale) -> Study:
    """Return figure 10: the accuracy of parity."""
    drawing = _three_panels("Parity", "figure-10")
    iid = Panel("Two layers, without; iid split as published", "accuracy", {"network": WITHOUT_IID})
    return Study(
        "figure-10",
        scale,
        "Parity: accuracy by width and longest length",
        "The parity twin of figure 7: two layers solve it above d of about 8 to 25. Without chain of thought it looked "
        "solved almost everywhere.",
        (
            *CHOSEN[scale],
            *_chosen_grid(scale),
            "Parity without chain of thought is trained twice: with disjoint test sequences, and with the published "
            "split, in which most short test sequences were trained on.",
            "The paper names no bound for parity: at most 0.6 is asked, as far above chance (0.5) as the polynomial's "
            "0.2 is above its own (0.1).",
        ),
        grid(scale, "parity"),
        (HeatMaps(drawing.file, drawing.title, drawing.x, drawing.y, (*drawing.panels, iid), columns=2),),
        tuple(
            _not_learnt(id_, f"Chain of thought is needed: parity{how}", f"Without it, parity{how}", network, 8, 0.6)
            for id_, how, network in (("7b", "", WITHOUT), ("7c", ", iid split", WITHOUT_IID))
        ),
    )


def figure_11(scale: Scale) -> Study:
    """Return figure 11: the peakiness of the runs of figure 10."""
    return Study(
        "figure-11",
        scale,
        "Parity: peakiness by width and longest length",
        "The parity twin of figure 8: patchy, 0.3 to 0.9, although accuracy is high.",
        (*CHOSEN[scale], "The runs are those of figure-10, two layers with chain of thought."),
        tuple(cell for cell in grid(scale, "parity") if cell.axes["network"] == TWO),
        (_peakiness("Parity", "figure-11"),),
        (partial(judges.other_circuits_exist, id_="11b", of="parity"),),
        ("circuits",),
    )


def _chosen_grid(scale: Scale) -> tuple[str, ...]:
    if scale == "paper":
        return ()
    widths, lengths = (", ".join(map(str, values[scale])) for values in (WIDTHS, LENGTHS))
    return (f"Widths {widths}; longest lengths {lengths}.",)
