"""Claims about grids of width and longest length: 7, 8, 9, 10, 11 and 17."""

import math

import polars as pl

from iterhead.criteria import (
    FAR_APART,
    HEAD_ABSENT,
    HEAD_PRESENT,
    LEARNED_ACCURACY,
    NO_OTHER_CIRCUIT_NETWORKS,
    POSITION_WIDTH,
    SOLVED_ACCURACY,
)
from iterhead.estimates import NO_ESTIMATE, UNIT_INTERVAL, Estimate, mean_over, rank_correlation, threshold
from iterhead.studies.claims import Finding
from iterhead.studies.judges.finding import found
from iterhead.studies.study import Where
from iterhead.studies.tables import Tables


def not_learnt_at_any_width(
    tables: Tables, *, id_: str, claim: str, what: str, where: Where, longest: int, most: float
) -> list[Finding]:
    """Claims 7 and 8: the best of all cells from a length on, for each seed, gets at most so much.

    The largest accuracy among the cells decides, not the mean, since the claim is that no width does it.
    """
    rows = tables.runs(where)
    if not rows.is_empty():
        rows = rows.filter(pl.col("longest") >= longest)
    if rows.is_empty():
        return [found(tables, id_, claim, NO_ESTIMATE, most, "", bound="at most")]
    best = rows.group_by("seed").agg(pl.col("accuracy").max()).sort("seed")
    sentence = (
        f"{what}, the best of {rows.select('width', 'longest').n_unique()} cells with lengths to {longest} or more "
        "gets {value} of its test sequences right ({range})."
    )
    return [
        found(tables, id_, claim, mean_over(best["accuracy"].to_list(), UNIT_INTERVAL), most, sentence, bound="at most")
    ]


def small_widths_break_the_subtraction(tables: Tables, *, where: Where) -> list[Finding]:
    """Claim 9: where the second head is gone the first is there, and the width that it takes grows with length."""
    rows = tables.runs(where)
    broken = rows.filter(pl.col("second_peakiness") <= HEAD_ABSENT) if not rows.is_empty() else rows
    per_seed = broken.group_by("seed").agg(pl.col("first_peakiness").mean()).sort("seed") if len(broken) else broken
    estimate = mean_over(per_seed["first_peakiness"].to_list(), UNIT_INTERVAL) if len(per_seed) else NO_ESTIMATE
    claim = "Where a small width breaks the iteration head, the first head is still there"
    first = found(
        tables,
        "9a",
        claim,
        estimate,
        HEAD_PRESENT,
        f"In the {len(broken)} networks whose second peakiness is at most {HEAD_ABSENT}, first peakiness is {{value}} "
        "({range}), the mean of the seeds' means.",
    )
    growth: list[float] = []
    ends: tuple[int, int] | None = None
    for seed in sorted(set(rows["seed"])) if not rows.is_empty() else []:
        needed = _thresholds(rows.filter(pl.col("seed") == seed), "second_peakiness", HEAD_PRESENT)
        lengths = [length for length in needed if math.isfinite(needed[length])]
        if len(lengths) >= 2:
            ends = (min(lengths), max(lengths)) if ends is None else (min(ends[0], *lengths), max(ends[1], *lengths))
            growth.append(needed[max(lengths)] / needed[min(lengths)])
    second = found(
        tables,
        "9b",
        "The width that the iteration head needs grows with the longest length",
        mean_over(growth, (0, math.inf)),
        1.0,
        f"The least width with second peakiness {HEAD_PRESENT} is {{value}} times as large ({{range}}) at the longest "
        f"length that has one as at the shortest{f' (lengths to {ends[1]} and {ends[0]})' if ends else ''}.",
        bound="more than",
    )
    return [first, second]


def _thresholds(rows: pl.DataFrame, score: str, least: float) -> dict[int, float]:
    """Return for each longest length the least width with such a score, in the rows of one seed."""
    return {
        int(part["longest"][0]): threshold(dict(part.select("width", score).drop_nulls().iter_rows()), least)
        for part in rows.sort("longest").partition_by("longest", maintain_order=True)
    }


def accuracy_goes_with_peakiness(tables: Tables, *, where: Where) -> list[Finding]:
    """Claim 10: Spearman's correlation over the cells of a grid, for each seed."""
    rows = tables.runs(where)
    seeds = rows.drop_nulls("second_peakiness").partition_by("seed") if not rows.is_empty() else []
    each = [rank_correlation(part["accuracy"].to_list(), part["second_peakiness"].to_list()) for part in seeds]
    exceptions = len(disagreeing(rows))
    return [
        found(
            tables,
            "10",
            "Accuracy goes with second peakiness",
            mean_over([r for r in each if not math.isnan(r)], (-1, 1)),
            0.8,
            f"Over the grid, Spearman's correlation is {{value}} ({{range}}); accuracy and second peakiness are more "
            f"than {FAR_APART} apart in {exceptions} of {len(rows)} networks (listed in exceptions.parquet).",
        )
    ]


def disagreeing(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the networks whose accuracy and second peakiness are far apart, the farthest first."""
    if rows.is_empty() or "second_peakiness" not in rows.columns:
        return rows
    apart = (pl.col("accuracy") - pl.col("second_peakiness")).alias("apart")
    return (
        rows.with_columns(apart).filter(pl.col("apart").abs() > FAR_APART).sort(pl.col("apart").abs(), descending=True)
    )


def other_circuits_exist(tables: Tables, *, id_: str, of: str) -> list[Finding]:
    """Claim 11: networks that solve their task without a second head; the table `circuits` says which."""
    claim = f"Other circuits than the iteration head exist: {of}"
    rows = tables.runs()
    if rows.is_empty():
        return [found(tables, id_, claim, NO_ESTIMATE, 1.0, "")]
    solved = rows.filter((pl.col("accuracy") >= SOLVED_ACCURACY) & pl.col("second_peakiness").is_not_null())
    others = tables["circuits"]
    count, solving = len(others), len(solved)
    # One example settles that there are some; that there are none takes many networks.
    decided = count > 0 or solving >= NO_OTHER_CIRCUIT_NETWORKS
    estimate = Estimate(float(count), float(count), float(count), solving) if solving else NO_ESTIMATE
    sentence = f"{count} of {solving} networks that solve their task do so with second peakiness of at most 0.5"
    return [
        found(tables, id_, claim, estimate, 1.0, f"{sentence}{_kinds(others)}.", needed=1 if decided else solving + 1)
    ]


def _kinds(others: pl.DataFrame) -> str:
    """Return the kinds of last-layer heads among these circuits, the commonest first, e.g. `: 3 strided, 1 other`."""
    if others.is_empty():
        return ""
    counts = others.group_by("kind").len().sort("len", "kind", descending=[True, False])
    return ": " + ", ".join(f"{count} {kind}" for kind, count in counts.iter_rows())


def frozen_positions_need_more(tables: Tables, *, learned: Where, frozen: Where) -> list[Finding]:
    """Claim 17a: the least width that learns the task, with frozen positions less with learned ones."""
    gaps: list[float] = []
    needed = {
        name: _by_seed_and_length(tables.runs(where)) for name, where in (("learned", learned), ("frozen", frozen))
    }
    for seed in sorted(set(needed["learned"]) & set(needed["frozen"])):
        ours, theirs = needed["learned"][seed], needed["frozen"][seed]
        both = [
            length for length in ours if math.isfinite(ours[length]) and math.isfinite(theirs.get(length, math.inf))
        ]
        if both:
            gaps.append(sum(theirs[length] / ours[length] for length in both) / len(both))
    return [
        found(
            tables,
            "17a",
            "Frozen positions need a larger width",
            mean_over(gaps, (0, math.inf)),
            1.0,
            f"The least width that reaches accuracy {LEARNED_ACCURACY} is {{value}} times as large with frozen "
            "positions as with learned ones ({range}), over the lengths where both reach it.",
            bound="more than",
        )
    ]


def _by_seed_and_length(rows: pl.DataFrame) -> dict[int, dict[int, float]]:
    parts = rows.partition_by("seed") if not rows.is_empty() else []
    return {int(part["seed"][0]): _thresholds(part, "accuracy", LEARNED_ACCURACY) for part in parts}


def positions_need_room(tables: Tables, *, where: Where, most: int) -> list[Finding]:
    """Claim 17b: the least number of coordinates with positions that learns the task, in width 32."""
    rows = tables.runs(where)
    each = [
        threshold(dict(part.select("position_width", "accuracy").iter_rows()), LEARNED_ACCURACY)
        for part in (rows.partition_by("seed") if not rows.is_empty() else [])
    ]
    finite = [value for value in each if math.isfinite(value)]
    counted = [min(value, POSITION_WIDTH + 1) for value in each]
    return [
        found(
            tables,
            "17b",
            f"Learned positions on {most} of {POSITION_WIDTH} coordinates are enough",
            mean_over(counted, (0, POSITION_WIDTH + 1)),
            most,
            f"Accuracy {LEARNED_ACCURACY} takes positions on {{value}} coordinates at least ({{range}}); {len(finite)} "
            f"of {len(each)} seeds reach it, the others count as {POSITION_WIDTH + 1}.",
            bound="at most",
        )
    ]
