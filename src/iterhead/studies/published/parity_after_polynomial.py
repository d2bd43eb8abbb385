"""Figure 9: the polynomial, parity, and parity after the polynomial; claims 2, 12, 13, 14 and R."""

from functools import partial

import polars as pl

from iterhead.criteria import (
    EMERGENCE_SEEDS,
    LAST_MLP_ACCURACY,
    LEARNED_ACCURACY,
    MEDIAN_ACCURACY,
    MEDIAN_PEAKINESS,
    TRANSFER_SPEED_UP,
)
from iterhead.estimates import UNIT_INTERVAL, difference_of_means, difference_of_spreads, mean_over, median_over
from iterhead.studies.claims import Claim, Evidence, two_digits
from iterhead.studies.curve_drawings import Curves, Line
from iterhead.studies.drawing import Panel
from iterhead.studies.published.pretraining import (
    CONTROL_SEEDS,
    FROZEN,
    LAST_MLP,
    PRETRAINING,
    SEEDS,
    after,
    chosen,
    scratch,
    scratch_config,
)
from iterhead.studies.published.recipe import CHOSEN
from iterhead.studies.speed_ups import median_speed_up, speed_ups
from iterhead.studies.study import Cell, Scale, Study
from iterhead.studies.tables import FULL_EPOCH, Tables

PRE_NORM = "polynomial, pre-norm"


def figure_9(scale: Scale) -> Study:
    """Return figure 9: the polynomial, parity, and parity after the polynomial, over many seeds."""
    seeds, few = SEEDS[scale], CONTROL_SEEDS[scale]
    cells = {
        **{name: scratch(scale, name, seeds) for name in ("polynomial", "parity")},
        **{name: scratch(scale, name, few) for name in ("copy", "random F")},
        _after("polynomial"): after(scale, "polynomial", "parity", seeds),
        _after("copy"): after(scale, "copy", "parity", few),
        _after("random F"): after(scale, "random F", "parity", few),
        _after("polynomial", FROZEN): after(scale, "polynomial", "parity", seeds, FROZEN),
        _after("polynomial", LAST_MLP): after(scale, "polynomial", "parity", seeds, LAST_MLP),
        PRE_NORM: Cell({}, scratch_config(scale, "polynomial", residual="pre-norm"), few),
    }
    named = tuple(_named(cell, name) for name, cell in cells.items())
    drawn = ("polynomial", "parity", _after("polynomial"))
    beginnings = ("parity", *(name for name in cells if name.startswith("parity after")))
    return Study(
        "figure-9",
        scale,
        "Polynomial, parity, and parity after the polynomial",
        "Lengths to 16, width 128, 100 seeds: mean and standard deviation of accuracy and peakiness over epochs. "
        "Polynomial 0.9 at about 170 epochs; parity 0.72 at 250, 0.87 at 500, 0.95 at 1,000; parity after 200 epochs "
        "of the polynomial 0.93 within about 20. Second peakiness at the end: 0.94 (sd 0.18), 0.58 (0.33), 0.93.",
        (*CHOSEN[scale], *chosen(scale), "Bands are 95% intervals of the mean over seeds, not standard deviations."),
        named,
        (
            _curves("figure-9", "Mean over seeds and its 95% interval", drawn),
            _curves("figure-9-controls", "Parity after other beginnings", beginnings),
            _curves("residual", "Residual stream as published and as in textbooks", ("polynomial", PRE_NORM)),
        ),
        _claims(scale),
    )


def _claims(scale: Scale) -> tuple[Claim, ...]:
    ten, more = partial(Claim, bound="at least", needed=EMERGENCE_SEEDS), partial(Claim, bound="more than")
    return (
        ten("2a", "Iteration heads emerge: median accuracy", threshold=MEDIAN_ACCURACY, measure=median_accuracy),
        ten(
            "2b",
            "Iteration heads emerge: median second peakiness",
            threshold=MEDIAN_PEAKINESS,
            measure=median_second_peakiness,
        ),
        more(
            "12a",
            "Parity's second peakiness is lower than the polynomial's",
            threshold=0.0,
            measure=lower_peakiness_of_parity,
        ),
        more(
            "12b",
            "Parity's second peakiness varies more than the polynomial's",
            threshold=0.0,
            measure=spread_of_parity,
        ),
        _sooner("13a", "After the polynomial, parity is learnt ten times sooner", "After the polynomial", "polynomial"),
        _control("13b", "copy first instead", "copy"),
        _control("13c", "a random F first instead", "random F"),
        _control("13d", "attention frozen after the polynomial", "polynomial", FROZEN),
        _control("13e", "only the last MLP trained after the polynomial", "polynomial", LAST_MLP),
        more(
            "13z",
            "Control: pretraining pays even when its own epochs are counted",
            threshold=1.0,
            measure=partial(times_sooner_in_total, pretraining=PRETRAINING[scale]),
        ),
        Claim(
            "14",
            "Tuning only the last MLP is enough to move to a new task",
            "at least",
            LAST_MLP_ACCURACY,
            accuracy_of_last_mlp,
        ),
        more(
            "R",
            "The published residual convention learns sooner than the textbook one",
            threshold=1.0,
            measure=epochs_of_textbook,
        ),
    )


def _control(id_: str, what: str, first: str, how: str = "") -> Claim:
    return _sooner(id_, f"Control: {what}", what[0].upper() + what[1:], first, how)


def _sooner(id_: str, claim: str, what: str, first: str, how: str = "") -> Claim:
    measure = partial(times_sooner, trained=_after(first, how), what=what)
    return Claim(id_, claim, "at least", TRANSFER_SPEED_UP, measure)


def median_accuracy(tables: Tables) -> Evidence:
    """Return the median accuracy of the polynomial (claim 2a)."""
    accuracy = median_over(tables.scores("accuracy", {"trained": "polynomial"}))
    return accuracy, "Accuracy is {value} in the median over seeds ({range})."


def median_second_peakiness(tables: Tables) -> Evidence:
    """Return the median second peakiness of the polynomial (claim 2b)."""
    peakiness = median_over(tables.scores("second_peakiness", {"trained": "polynomial"}))
    return peakiness, "Second peakiness is {value} in the median over seeds ({range})."


def _peakiness(tables: Tables) -> tuple[list[float], list[float]]:
    """Return the second peakiness of the polynomial's networks, and of parity's."""
    polynomial, parity = (
        tables.scores("second_peakiness", {"trained": trained}) for trained in ("polynomial", "parity")
    )
    return polynomial, parity


def lower_peakiness_of_parity(tables: Tables) -> Evidence:
    """Return the polynomial's second peakiness minus parity's (claim 12a)."""
    polynomial, parity = _peakiness(tables)
    sentence = "The polynomial's second peakiness exceeds parity's by {value} on average ({range})."
    return difference_of_means(polynomial, parity), sentence


def spread_of_parity(tables: Tables) -> Evidence:
    """Return the standard deviation of parity's second peakiness minus that of the polynomial's (claim 12b)."""
    polynomial, parity = _peakiness(tables)
    sentence = "Its standard deviation over seeds is {value} larger for parity ({range})."
    return difference_of_spreads(parity, polynomial), sentence


def times_sooner(tables: Tables, *, trained: str, what: str) -> Evidence:
    """Return epochs to `LEARNED_ACCURACY` from scratch over epochs after another task (claim 13), by seed."""
    transfer = tables.runs({"trained": trained})
    scratch = _of_seeds(tables.runs({"trained": "parity"}), transfer)
    return median_speed_up(speed_ups(scratch, transfer)), (
        f"{what}, accuracy {LEARNED_ACCURACY} comes {{value}} times sooner in the median ({{range}}); "
        f"{_reached(transfer)} of {len(transfer)} runs reach it, {_reached(scratch)} of {len(scratch)} from scratch."
    )


def times_sooner_in_total(tables: Tables, *, pretraining: int | None) -> Evidence:
    """Return the same where the epochs of the polynomial count too (claim 13z).

    Args:
        tables: of figure 9.
        pretraining: epochs of the polynomial; None for all that its networks had.
    """
    before = dict(tables.runs({"trained": "polynomial"}).select("seed", "full_epochs").iter_rows())
    if pretraining is not None:
        before = dict.fromkeys(before, pretraining)
    scratch, transfer = (tables.runs({"trained": trained}) for trained in ("parity", _after("polynomial")))
    each = speed_ups(scratch, transfer.filter(pl.col("seed").is_in(list(before))), before)
    return median_speed_up(each), (
        "From scratch parity takes {value} times the epochs of pretraining and transfer together ({range})."
    )


def accuracy_of_last_mlp(tables: Tables) -> Evidence:
    """Return the accuracy on parity when only the last MLP is trained on it (claim 14).

    Every seed counts; the sentence adds the mean of those whose first network had learned its own task.
    """
    rows, before = (tables.runs({"trained": trained}) for trained in (_after("polynomial", LAST_MLP), "polynomial"))
    able = _of_seeds(rows, before.filter(pl.col("accuracy") >= LEARNED_ACCURACY)) if len(before) else rows.clear()
    mean = mean_over(able.sort("seed")["accuracy"].drop_nulls().to_list(), UNIT_INTERVAL)
    of_able = ""
    if mean.n:
        value, low, high = map(two_digits, (mean.value, mean.low, mean.high))
        of_able = f" Of the {mean.n} whose first network had learnt its task it is {value} ({low} to {high})."
    return mean_over(rows.sort("seed")["accuracy"].drop_nulls().to_list(), UNIT_INTERVAL), (
        f"With only the last MLP trained, accuracy on the new task is {{value}} ({{range}}).{of_able}"
    )


def epochs_of_textbook(tables: Tables) -> Evidence:
    """Return epochs to `LEARNED_ACCURACY` with the textbook residual stream over those as published (R, ours)."""
    textbook = tables.runs({"trained": PRE_NORM})
    published = _of_seeds(tables.runs({"trained": "polynomial"}), textbook)
    return median_speed_up(speed_ups(textbook, published)), (
        f"Textbook pre-norm takes {{value}} times as many epochs to accuracy {LEARNED_ACCURACY} in the median "
        f"({{range}}); {_reached(textbook)} of {len(textbook)} runs reach it, {_reached(published)} of "
        f"{len(published)} as published."
    )


def _of_seeds(rows: pl.DataFrame, other: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of the seeds that other rows have too; all if there are no other rows."""
    return rows if other.is_empty() else rows.filter(pl.col("seed").is_in(other["seed"].unique().to_list()))


def _reached(rows: pl.DataFrame) -> int:
    """Return how many runs reached `LEARNED_ACCURACY`."""
    return rows["epochs_to_90"].count()


def _after(first: str, how: str = "") -> str:
    return f"parity after {first}" + (f", {how}" if how else "")


def _named(cell: Cell, name: str) -> Cell:
    """Return the same runs on the axis of figure 9."""
    return Cell({"trained": name}, cell.config, cell.seeds, cell.parent, cell.parent_epoch)


def _curves(file: str, title: str, names: tuple[str, ...]) -> Curves:
    lines = tuple(Line(name, {"trained": name}) for name in names)
    panels = (Panel("Accuracy", "accuracy"), Panel("Second peakiness", "second_peakiness"))
    return Curves(file, title, FULL_EPOCH, lines, panels)
