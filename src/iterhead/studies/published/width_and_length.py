"""Figures 7, 8, 10 and 11: accuracy and peakiness by width and longest length; claims 7 to 11."""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache, partial
from typing import Any

import polars as pl

from iterhead import criteria
from iterhead.estimates import NO_ESTIMATE, UNIT_INTERVAL, Estimate, mean_over, rank_correlation, smallest_reaching
from iterhead.settings import RunConfig
from iterhead.studies.claims import CheckClaims, Evidence, Finding, claim, finding
from iterhead.studies.drawings import HeatMaps, Panel
from iterhead.studies.published.recipe import (
    CHOSEN,
    SEEDS,
    Values,
    make_config,
    with_equal_compute,
    with_equal_parameters,
)
from iterhead.studies.study import Cell, Scale, Study
from iterhead.studies.tables import Tables

WIDTHS: Values = {"paper": tuple(range(4, 64)), "laptop": (6, 10, 16, 24, 40), "smoke": (4, 8)}
LENGTHS: Values = {"paper": tuple(range(4, 32)), "laptop": (4, 8, 12, 16), "smoke": (4, 5)}

IID_WIDTHS: Values = {**WIDTHS, "laptop": (10, 24)}
"""Widths of parity without chain of thought on the published split."""

CONTROLS: Mapping[Scale, tuple[tuple[int, int], ...]] = {
    "paper": tuple((width, longest) for width in (16, 32, 48) for longest in (12, 20, 30)),
    "laptop": ((24, 12), (24, 16)),
    "smoke": ((8, 5),),
}
"""Width and longest length at which one layer gets as many weights, or as much compute, as two (claim 8)."""

TWO, ONE, WITHOUT = "two layers", "one layer", "two layers, no chain of thought"
EQUAL_PARAMETERS, EQUAL_COMPUTE = "one layer, equal parameters", "one layer, equal compute"
WITHOUT_IID = "two layers, no chain of thought, iid split"

CHANGES: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    WITHOUT: {"data": {"cot": False}},
    WITHOUT_IID: {"data": {"cot": False, "split": "iid"}},
    ONE: {"model": {"layers": 1}},
}
EQUAL: Mapping[str, Callable[[RunConfig], RunConfig]] = {
    EQUAL_PARAMETERS: with_equal_parameters,
    EQUAL_COMPUTE: with_equal_compute,
}
"""How a network differs from two layers with chain of thought: by its settings, or by a function of them."""


@cache
def grid(scale: Scale, task: str) -> tuple[Cell, ...]:
    """Return the cells of the published grid of a task; figures 7 and 8 share them, and so do 10 and 11."""
    return tuple(
        _cell(scale, task, network, width, longest)
        for network in (TWO, WITHOUT, ONE, *((WITHOUT_IID,) if task == "parity" else ()))
        for longest in LENGTHS[scale]
        for width in (IID_WIDTHS if network == WITHOUT_IID else WIDTHS)[scale]
    )


def _cell(scale: Scale, task: str, network: str, width: int, longest: int) -> Cell:
    changes = CHANGES.get(network, {})
    data = {"max_length": longest, **changes.get("data", {})}
    config = make_config(scale, task, data=data, model={"width": width, **changes.get("model", {})})
    if network in EQUAL:
        config = EQUAL[network](config)
    return Cell({"network": network, "width": width, "longest": longest}, config, SEEDS[scale])


@cache
def _controls(scale: Scale) -> tuple[Cell, ...]:
    return tuple(
        _cell(scale, "polynomial", network, width, longest) for width, longest in CONTROLS[scale] for network in EQUAL
    )


def _three_panels(task: str, file: str) -> HeatMaps:
    panels = (
        Panel("Two layers, with chain of thought", where={"network": TWO}),
        Panel("Two layers, without", where={"network": WITHOUT}),
        Panel("One layer, with chain of thought", where={"network": ONE}),
    )
    return HeatMaps(file, f"{task}: test accuracy", "longest", "width", panels)


_GRID = "width d 4 to 63 against the longest length 4 to 31"


def figure_7(scale: Scale) -> Study:
    """Return figure 7: the accuracy of the polynomial."""
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
            _without_chain("7a", "polynomial", "Without chain of thought", WITHOUT, criteria.WITHOUT_CHAIN_ACCURACY),
            _one_layer("8a", "", ONE),
            _one_layer("8b", " at equal parameters", EQUAL_PARAMETERS),
            _one_layer("8c", " at equal compute", EQUAL_COMPUTE),
        ),
    )


def _without_chain(id_: str, how: str, what: str, network: str, most: float) -> CheckClaims:
    text = f"Chain of thought is needed: {how}"
    return _not_learned(id_, text, what, network, criteria.WITHOUT_CHAIN_FROM, most)


def _one_layer(id_: str, how: str, network: str) -> CheckClaims:
    text, what = f"One layer is not enough{how}", f"With one layer{how}"
    return _not_learned(id_, text, what, network, criteria.ONE_LAYER_FROM, criteria.ONE_LAYER_ACCURACY)


def _not_learned(id_: str, text: str, what: str, network: str, longest: int, most: float) -> CheckClaims:
    """Return claim 7 or 8: the best accuracy of all cells from a length on, the mean over seeds.

    The largest accuracy among the cells decides, not their mean, since the claim is that no width is enough.
    """

    @claim(id_, text, "at most", most)
    def best_of_all_widths(tables: Tables) -> Evidence:
        rows = tables.runs({"network": network}).filter(pl.col("longest") >= longest)
        best = rows.group_by("seed").agg(pl.col("accuracy").max()).sort("seed")
        return mean_over(best["accuracy"].to_list(), UNIT_INTERVAL), (
            f"{what}, the best of {rows.select('width', 'longest').n_unique()} cells with lengths to {longest} or more "
            "gets {value} of its test sequences right ({range})."
        )

    return best_of_all_widths


def figure_10(scale: Scale) -> Study:
    """Return figure 10: the accuracy of parity."""
    drawing = _three_panels("Parity", "figure-10")
    iid = Panel("Two layers, without; iid split as published", where={"network": WITHOUT_IID})
    most = criteria.WITHOUT_CHAIN_ACCURACY_PARITY
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
        (replace(drawing, panels=(*drawing.panels, iid), columns=2),),
        (
            _without_chain("7b", "parity", "Without it, parity", WITHOUT, most),
            _without_chain("7c", "parity, iid split", "Without it, parity, iid split", WITHOUT_IID, most),
        ),
    )


def _chosen_grid(scale: Scale) -> tuple[str, ...]:
    if scale == "paper":
        return ()
    widths, lengths = (", ".join(map(str, values[scale])) for values in (WIDTHS, LENGTHS))
    return (f"Widths {widths}; longest lengths {lengths}.",)


def _peakiness(task: str, file: str) -> HeatMaps:
    panels = tuple(
        Panel(title, f"{role}_peakiness", {"network": TWO})
        for role, title in (("first", "First head, on EoI"), ("second", "Iteration head, on x_t"))
    )
    return HeatMaps(file, f"{task}: peakiness, two layers with chain of thought", "longest", "width", panels)


def figure_8(scale: Scale) -> Study:
    """Return figure 8: the peakiness of the runs of figure 7."""
    return Study(
        "figure-8",
        scale,
        "Polynomial: peakiness by width and longest length",
        "Heat maps of both peakinesses of the same runs. Second: about 0.1 below the boundary, about 1 above. First "
        "about 0.5 for lengths up to 10, about 1 beyond 15.",
        (*CHOSEN[scale], "The runs are those of figure-7, two layers with chain of thought."),
        tuple(cell for cell in grid(scale, "polynomial") if cell.is_at({"network": TWO})),
        (_peakiness("Polynomial", "figure-8"),),
        (
            _first_head_without_second,
            _growth_of_width,
            _accuracy_and_peakiness,
            partial(other_circuits, id_="11a", of="polynomial"),
        ),
        ("circuits",),
    )


def figure_11(scale: Scale) -> Study:
    """Return figure 11: the peakiness of the runs of figure 10."""
    return Study(
        "figure-11",
        scale,
        "Parity: peakiness by width and longest length",
        "The parity twin of figure 8: patchy, 0.3 to 0.9, although accuracy is high.",
        (*CHOSEN[scale], "The runs are those of figure-10, two layers with chain of thought."),
        tuple(cell for cell in grid(scale, "parity") if cell.is_at({"network": TWO})),
        (_peakiness("Parity", "figure-11"),),
        (partial(other_circuits, id_="11b", of="parity"),),
        ("circuits",),
    )


@claim(
    "9a",
    "Where a small width breaks the iteration head, the first head is still there",
    "at least",
    criteria.HEAD_PRESENT,
)
def _first_head_without_second(tables: Tables) -> Evidence:
    broken = tables.runs({"network": TWO}).filter(pl.col("second_peakiness") <= criteria.HEAD_ABSENT)
    of_seeds = broken.group_by("seed").agg(pl.col("first_peakiness").mean()).sort("seed")
    return mean_over(of_seeds["first_peakiness"].to_list(), UNIT_INTERVAL), (
        f"In the {len(broken)} networks whose second peakiness is at most {criteria.HEAD_ABSENT}, first peakiness is "
        "{value} ({range}), the mean of the seeds' means."
    )


@claim("9b", "The width that the iteration head needs grows with the longest length", "more than", 1.0)
def _growth_of_width(tables: Tables) -> Evidence:
    growth: list[float] = []
    lengths: set[int] = set()
    for rows in tables.runs({"network": TWO}).sort("seed").partition_by("seed"):
        widths = least_widths(rows, "second_peakiness", criteria.HEAD_PRESENT)
        if len(widths) >= 2:
            lengths |= widths.keys()
            growth.append(widths[max(widths)] / widths[min(widths)])
    ends = f" (lengths to {max(lengths)} and {min(lengths)})" if lengths else ""
    return mean_over(growth, (0, math.inf)), (
        f"The least width with second peakiness {criteria.HEAD_PRESENT} is {{value}} times as large ({{range}}) at the "
        f"longest length that has one as at the shortest{ends}."
    )


def least_widths(rows: pl.DataFrame, score: str, least: float) -> dict[int, float]:
    """Return the least width with such a score by longest length, of one seed; without the lengths that have none."""
    widths = {
        int(part["longest"][0]): smallest_reaching(dict(part.select("width", score).drop_nulls().iter_rows()), least)
        for part in rows.sort("longest").partition_by("longest")
    }
    return {length: width for length, width in widths.items() if math.isfinite(width)}


@claim("10", "Accuracy goes with second peakiness", "at least", criteria.ACCURACY_PEAKINESS_CORRELATION)
def _accuracy_and_peakiness(tables: Tables) -> Evidence:
    rows = tables.runs({"network": TWO})
    seeds = rows.drop_nulls("second_peakiness").partition_by("seed")
    each = [rank_correlation(part["accuracy"].to_list(), part["second_peakiness"].to_list()) for part in seeds]
    exceptions = len(tables.select("exceptions", {"network": TWO}))
    return mean_over([r for r in each if not math.isnan(r)], (-1, 1)), (
        "Over the grid, Spearman's correlation is {value} ({range}); accuracy and second peakiness are more than "
        f"{criteria.FAR_APART} apart in {exceptions} of {len(rows)} networks (listed in exceptions.parquet)."
    )


def other_circuits(tables: Tables, *, id_: str, of: str) -> list[Finding]:
    """Check claim 11: networks that solve their task without a second head; the table `circuits` says which."""
    others, solving = tables["circuits"], 0
    if tables.frames:
        solved = pl.col("accuracy") >= criteria.SOLVED_ACCURACY
        solving = tables.runs().filter(solved & pl.col("second_peakiness").is_not_null()).height
    kinds = ""
    if count := len(others):
        counts = others.group_by("kind").len().sort("len", "kind", descending=[True, False])
        kinds = ": " + ", ".join(f"{number} {kind}" for kind, number in counts.iter_rows())
    estimate = Estimate(float(count), float(count), float(count), solving) if solving else NO_ESTIMATE
    sentence = (
        f"{count} of {solving} networks that solve their task do so with second peakiness of at most "
        f"{criteria.OTHER_CIRCUIT_PEAKINESS}{kinds}."
    )
    # One example shows that there are some; that there are none takes many networks.
    decided = count > 0 or solving >= criteria.NO_OTHER_CIRCUIT_NETWORKS
    text = f"Other circuits than the iteration head exist: {of}"
    return [finding(id_, text, "at least", 1.0, estimate, sentence, needed=1 if decided else solving + 1)]
