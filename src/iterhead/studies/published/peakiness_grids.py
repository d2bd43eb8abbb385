"""Figures 8 and 11: peakiness by width and longest length, of the runs of figures 7 and 10; claims 9 to 11."""

import math
from functools import partial

import polars as pl

from iterhead import criteria
from iterhead.estimates import NO_ESTIMATE, UNIT_INTERVAL, Estimate, mean_over, rank_correlation, threshold
from iterhead.studies.claims import Evidence, Finding, claim, finding
from iterhead.studies.drawing import Panel
from iterhead.studies.grid_drawings import HeatMaps
from iterhead.studies.published.recipe import CHOSEN
from iterhead.studies.published.width_and_length import TWO, grid
from iterhead.studies.study import Cell, Scale, Study
from iterhead.studies.tables import Tables


def _cells(scale: Scale, task: str) -> tuple[Cell, ...]:
    return tuple(cell for cell in grid(scale, task) if cell.axes["network"] == TWO)


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
        _cells(scale, "polynomial"),
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
        _cells(scale, "parity"),
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
        int(part["longest"][0]): threshold(dict(part.select("width", score).drop_nulls().iter_rows()), least)
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
