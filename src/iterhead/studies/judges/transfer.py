"""Claims about what one task teaches for another: 13 and 14."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import polars as pl

from iterhead.criteria import LEARNED_ACCURACY, TRANSFER_SPEED_UP
from iterhead.estimates import UNIT_INTERVAL, Estimate, mean_over, median_over
from iterhead.studies.claims import Finding
from iterhead.studies.judges.finding import found, number
from iterhead.studies.judges.training import Learnt, column, epochs_by_seed, reached
from iterhead.studies.study import Where
from iterhead.studies.tables import Tables

Bound: TypeAlias = Literal["", "\u2265", "\u2264"]


def transfer_is_quick(
    tables: Tables,
    *,
    scratch: Where,
    first: Where,
    transfer: Where,
    controls: Mapping[str, tuple[str, Where]],
    pretraining: int | None,
) -> list[Finding]:
    """Claim 13: epochs to accuracy 0.9 from scratch over epochs after the polynomial, seed by seed; and its controls.

    Args:
        tables: of the study.
        scratch: the cell of parity from scratch.
        first: the cell of the polynomial networks that the others start from.
        transfer: the cell of parity after them.
        controls: other cells of parity, by the letter of their part: what is done instead, and where they stand.
        pretraining: epochs of the polynomial; those that its networks had unless given.
    """
    alone = tables.runs(scratch)
    findings = [
        _sooner(
            tables,
            "13a",
            "After the polynomial, parity is learnt ten times sooner",
            alone,
            tables.runs(transfer),
            TRANSFER_SPEED_UP,
            "After the polynomial",
        )
    ]
    findings += [
        _sooner(
            tables,
            f"13{letter}",
            f"Control: {what}",
            alone,
            tables.runs(where),
            TRANSFER_SPEED_UP,
            what[0].upper() + what[1:],
        )
        for letter, (what, where) in controls.items()
    ]
    return [*findings, _at_equal_compute(tables, alone, tables.runs(first), tables.runs(transfer), pretraining)]


@dataclass(frozen=True)
class SpeedUp:
    """How many times sooner one seed learnt a task than from scratch.

    Attributes:
        times: epochs to 0.9 from scratch over epochs after pretraining, by the evaluations that first had it; a run
            that never got there counts with the epochs that it had.
        least, most: what it may be, since 0.9 was passed somewhere between two evaluations, or after the last.
        bound: at least so many, where the one from scratch never got there; at most, where the other never did.
    """

    times: float
    least: float
    most: float
    bound: Bound = ""


def speed_ups(
    scratch: pl.DataFrame, transfer: pl.DataFrame, before: Mapping[int, float] | None = None
) -> list[SpeedUp]:
    """Return the speed-up of each seed that has both runs, and where one of them at least got there.

    Args:
        scratch: runs from scratch.
        transfer: runs after pretraining.
        before: epochs of pretraining by seed, where they are to count too.
    """
    alone, after = epochs_by_seed(scratch), epochs_by_seed(transfer)
    both = [(alone[seed], after[seed], seed) for seed in sorted(alone.keys() & after.keys())]
    return [
        _speed_up(theirs, ours, before[seed] if before else 0.0)
        for theirs, ours, seed in both
        if theirs.reached or ours.reached
    ]


def _speed_up(scratch: Learnt, transfer: Learnt, before: float) -> SpeedUp:
    times = _over(scratch.epochs, transfer.epochs + before)
    least = _over(scratch.below, transfer.epochs + before) if transfer.reached else 0.0
    most = _over(scratch.epochs, transfer.below + before) if scratch.reached else math.inf
    if scratch.reached and transfer.reached:
        return SpeedUp(times, least, most)
    return SpeedUp(times, least, most, "\u2265" if transfer.reached else "\u2264")


def _over(scratch: float, transfer: float) -> float:
    """Return the ratio; infinity where the task was known from the beginning."""
    return scratch / transfer if transfer else math.inf


def median_speed_up(found: Sequence[SpeedUp]) -> Estimate:
    """Return the median, with an interval that allows for what each speed-up may be."""
    return median_over([s.times for s in found], [s.least for s in found], [s.most for s in found])


def common_bound(found: Sequence[SpeedUp]) -> str:
    """Return the bound that most of some speed-ups have; none where most are exact."""
    counts = Counter(speed_up.bound for speed_up in found)
    return next((bound for bound, count in counts.items() if 2 * count > len(found)), "")


def _sooner(
    tables: Tables, id_: str, claim: str, scratch: pl.DataFrame, transfer: pl.DataFrame, least: float, what: str
) -> Finding:
    scratch = of_seeds(scratch, transfer)
    sentence = (
        f"{what}, accuracy 0.9 comes {{value}} times sooner in the median ({{range}}); {reached(transfer)} of "
        f"{len(transfer)} runs reach it, {reached(scratch)} of {len(scratch)} from scratch."
    )
    return found(tables, id_, claim, median_speed_up(speed_ups(scratch, transfer)), least, sentence)


def of_seeds(rows: pl.DataFrame, other: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of the seeds that other rows have too."""
    if rows.is_empty() or other.is_empty():
        return rows
    return rows.filter(pl.col("seed").is_in(other["seed"].unique().to_list()))


def _at_equal_compute(
    tables: Tables, scratch: pl.DataFrame, first: pl.DataFrame, transfer: pl.DataFrame, pretraining: int | None
) -> Finding:
    """Claim 13 at equal total compute: the epochs of pretraining count too."""
    before = dict(first.select("seed", "full_epochs").iter_rows()) if not first.is_empty() else {}
    if pretraining is not None:
        before = dict.fromkeys(before, pretraining)
    both = (
        [] if transfer.is_empty() else speed_ups(scratch, transfer.filter(pl.col("seed").is_in(list(before))), before)
    )
    return found(
        tables,
        "13z",
        "Control: pretraining pays even when its own epochs are counted",
        median_speed_up(both),
        1.0,
        "From scratch parity takes {value} times the epochs of pretraining and transfer together ({range}).",
        bound="more than",
    )


def last_mlp_is_enough(tables: Tables, *, first: Where, where: Where) -> list[Finding]:
    """Claim 14: accuracy when nothing but the last MLP is trained on the new task.

    Every seed counts; what those reach whose first network had learnt its own task is told beside it.
    """
    rows, before = tables.runs(where), tables.runs(first)
    told = ""
    if not (rows.is_empty() or before.is_empty()):
        able = of_seeds(rows, before.filter(pl.col("accuracy") >= LEARNED_ACCURACY))
        mean = mean_over(column(able, "accuracy"), UNIT_INTERVAL)
        if mean.n:
            told = (
                f" Of the {mean.n} whose first network had learnt its task it is {number(mean.value)} "
                f"({number(mean.low)} to {number(mean.high)})."
            )
    return [
        found(
            tables,
            "14",
            "Tuning only the last MLP is enough to move to a new task",
            mean_over(column(rows, "accuracy"), UNIT_INTERVAL),
            0.9,
            f"With only the last MLP trained, accuracy on the new task is {{value}} ({{range}}).{told}",
        )
    ]


def convention_decides_speed(tables: Tables, *, published: Where, textbook: Where) -> list[Finding]:
    """Not a claim of the paper: epochs to 0.9 under the textbook residual convention over those under its own."""
    theirs = tables.runs(textbook)
    ours = of_seeds(tables.runs(published), theirs)
    return [
        found(
            tables,
            "R",
            "The published residual convention learns sooner than the textbook one",
            median_speed_up(speed_ups(theirs, ours)),
            1.0,
            f"Textbook pre-norm takes {{value}} times as many epochs to accuracy 0.9 in the median ({{range}}); "
            f"{reached(theirs)} of {len(theirs)} runs reach it, {reached(ours)} of {len(ours)} as published.",
            bound="more than",
        )
    ]
