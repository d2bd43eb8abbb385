"""Networks trained on one task after another: figure 9 and the matrix of all transfers; claims 2, 12, 13, 14 and R."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import polars as pl

from iterhead import criteria
from iterhead.estimates import UNIT_INTERVAL, difference_of_means, difference_of_spreads, mean_over, median_over
from iterhead.settings import RunConfig
from iterhead.studies.claims import CheckClaims, Evidence, claim, two_digits
from iterhead.studies.drawings import Curves, Line, Panel
from iterhead.studies.published.recipe import CHOSEN, Values, make_config
from iterhead.studies.speed_ups import FROM_SCRATCH, SpeedUps, median_speed_up, speed_ups
from iterhead.studies.study import Cell, Scale, Study
from iterhead.studies.tables import FULL_EPOCH, Tables

SEEDS: Values = {"paper": tuple(range(100)), "laptop": tuple(range(10)), "smoke": (0, 1)}
CONTROL_SEEDS: Values = {**SEEDS, "laptop": tuple(range(5))}
"""Seeds of the controls: copy or a random F first, and the textbook residual stream."""
MATRIX_SEEDS: Values = {"paper": tuple(range(10)), "laptop": (0, 1, 2), "smoke": (0, 1)}

SIZE: Mapping[Scale, Mapping[str, Mapping[str, Any]]] = {
    "paper": {"data": {"max_length": 16}},
    "laptop": {"data": {"max_length": 16}},
    "smoke": {"data": {"max_length": 4}, "training": {"epochs": 20, "evaluate_every": 4}},
}
"""What differs from the recipe of the scale."""

LATER: Mapping[Scale, Mapping[str, Any]] = {
    "paper": {"epochs": 200, "evaluate_every": 1},
    "laptop": {"epochs": 24, "short_epochs": 0},
    "smoke": {"epochs": 4, "evaluate_every": 1, "short_epochs": 0},
}
"""How a pretrained network is trained on another task."""

PRETRAINING: Mapping[Scale, int | None] = {"paper": 200, "laptop": None, "smoke": None}
"""Epoch of the first task from which the second one starts; None for the last."""

FINE = {"train_per_length": 256}
"""Of binary tasks after another one, at laptop scale: epochs a quarter as long, since one is enough to learn these."""

BINARY = ("copy", "parity")

TASKS = {
    "copy": "copy",
    "parity": "parity",
    "polynomial": "polynomial",
    "polynomial mod 7": "polynomial:p=7",
    "random F": "iterhead.studies.published.tasks:random_f",
}

FROZEN, LAST_MLP = "attention frozen", "last MLP only"

_TRAIN = {FROZEN: "not-attention", LAST_MLP: "last-mlp"}


def scratch_config(scale: Scale, task: str, **model: Any) -> RunConfig:
    """Return the settings of a network that begins with a task, by the task's name here."""
    return make_config(scale, TASKS[task], **{**SIZE[scale], "model": model})


@cache
def scratch(scale: Scale, task: str, seeds: tuple[int, ...]) -> Cell:
    """Return the networks that begin with a task."""
    return Cell({"first": FROM_SCRATCH, "task": task}, scratch_config(scale, task), seeds)


def after(scale: Scale, first: str, task: str, seeds: tuple[int, ...], how: str = "") -> Cell:
    """Return the networks trained on a task after another one, with all or some of their weights."""
    size = SIZE[scale]
    training = {**size.get("training", {}), **LATER[scale], **({"train": _TRAIN[how]} if how else {})}
    data = {**size["data"], **(FINE if scale == "laptop" and task in BINARY else {})}
    config = make_config(scale, TASKS[task], data=data, training=training)
    place = {"first": first, "task": task}
    return Cell(place, config, seeds, scratch(scale, first, seeds), PRETRAINING[scale])


def chosen(scale: Scale) -> tuple[str, ...]:
    """Return what is ours about one task after another."""
    if scale == "paper":
        return (
            "Networks that go on with another task are trained for 200 epochs and evaluated after each.",
            "The random F of the control is a table drawn once; copy and it are trained for 1,000 epochs, and taken "
            "over at epoch 200 like the polynomial.",
        )
    size = SIZE[scale]["data"]
    return (
        f"Lengths to {size['max_length']}. Networks are taken over as they are at their end, when the head has emerged "
        "or the epochs are over.",
        "After another task, copy and parity have 256 training sequences of each length instead of 1,024: such epochs "
        "are a quarter as long, and count as a quarter. An accuracy is reached somewhere between two evaluations, and "
        "the intervals of speed-ups allow for that. It also splits the short lengths otherwise: of the 16 binary "
        "inputs of length 4 a network from scratch is trained on 8 and one after another task on 3, and each is tested "
        "on the rest. Only networks from scratch have the four short epochs; they count as nothing.",
    )


def transfer_matrix(scale: Scale) -> Study:
    """Return the matrix of transfers: every task after every other."""
    seeds = MATRIX_SEEDS[scale]
    tasks = ("copy", "parity") if scale == "smoke" else tuple(TASKS)
    alone = tuple(scratch(scale, task, seeds) for task in tasks)
    pairs = tuple(after(scale, first, task, seeds) for first in tasks for task in tasks if first != task)
    return Study(
        "transfer-matrix",
        scale,
        "Every task after every other",
        "Not in the paper: epochs to accuracy 0.9 from scratch over epochs after pretraining on another task.",
        (
            *CHOSEN[scale],
            *chosen(scale),
            f"Tasks: {', '.join(tasks)}. The random F is a table drawn once, over as many values as the polynomial's.",
            "A run that does not reach 0.9 counts with the epochs that it had.",
        ),
        (*alone, *pairs),
        (SpeedUps("transfer-matrix", "Epochs from scratch over epochs after another task"),),
    )


PRE_NORM = "polynomial, pre-norm"
POLYNOMIAL, PARITY = {"trained": "polynomial"}, {"trained": "parity"}


def figure_9(scale: Scale) -> Study:
    """Return figure 9: the polynomial, parity, and parity after the polynomial, over many seeds."""
    seeds, few, first = SEEDS[scale], CONTROL_SEEDS[scale], "polynomial"
    cells = {
        **{name: scratch(scale, name, seeds) for name in ("polynomial", "parity")},
        **{name: scratch(scale, name, few) for name in ("copy", "random F")},
        _after(first): after(scale, first, "parity", seeds),
        **{_after(name): after(scale, name, "parity", few) for name in ("copy", "random F")},
        _after(first, FROZEN): after(scale, first, "parity", seeds, FROZEN),
        _after(first, LAST_MLP): after(scale, first, "parity", seeds, LAST_MLP),
        PRE_NORM: Cell({}, scratch_config(scale, "polynomial", residual="pre-norm"), few),
    }
    named = tuple(replace(cell, axes={"trained": name}) for name, cell in cells.items())
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
        (
            _median("2a", "accuracy", criteria.MEDIAN_ACCURACY),
            _median("2b", "second_peakiness", criteria.MEDIAN_PEAKINESS),
            _lower_peakiness_of_parity,
            _larger_spread_of_parity,
            _sooner("13a", "After the polynomial, parity is learnt ten times sooner", "After the polynomial", first),
            _control("13b", "copy first instead", "copy"),
            _control("13c", "a random F first instead", "random F"),
            _control("13d", "attention frozen after the polynomial", first, FROZEN),
            _control("13e", "only the last MLP trained after the polynomial", first, LAST_MLP),
            _sooner_in_total(PRETRAINING[scale]),
            _accuracy_of_last_mlp,
            _epochs_of_textbook,
        ),
    )


def _median(id_: str, score: str, least: float) -> CheckClaims:
    name = score.replace("_", " ")

    @claim(id_, f"Iteration heads emerge: median {name}", "at least", least, needed=criteria.EMERGENCE_SEEDS)
    def median(tables: Tables) -> Evidence:
        return median_over(tables.scores(score, POLYNOMIAL)), (
            f"{name.capitalize()} is {{value}} in the median over seeds ({{range}})."
        )

    return median


def _peakiness(tables: Tables) -> tuple[list[float], list[float]]:
    """Return the second peakiness of the polynomial's networks, and of parity's."""
    return tables.scores("second_peakiness", POLYNOMIAL), tables.scores("second_peakiness", PARITY)


@claim("12a", "Parity's second peakiness is lower than the polynomial's", "more than", 0.0)
def _lower_peakiness_of_parity(tables: Tables) -> Evidence:
    sentence = "The polynomial's second peakiness exceeds parity's by {value} on average ({range})."
    return difference_of_means(*_peakiness(tables)), sentence


@claim("12b", "Parity's second peakiness varies more than the polynomial's", "more than", 0.0)
def _larger_spread_of_parity(tables: Tables) -> Evidence:
    polynomial, parity = _peakiness(tables)
    sentence = "Its standard deviation over seeds is {value} larger for parity ({range})."
    return difference_of_spreads(parity, polynomial), sentence


def _sooner(id_: str, text: str, what: str, first: str, how: str = "") -> CheckClaims:
    """Return claim 13 or a control: epochs to `LEARNED_ACCURACY` from scratch over epochs after another task."""

    @claim(id_, text, "at least", criteria.TRANSFER_SPEED_UP)
    def times_sooner(tables: Tables) -> Evidence:
        transfer = tables.runs({"trained": _after(first, how)})
        scratch = _of_seeds(tables.runs(PARITY), transfer)
        return median_speed_up(speed_ups(scratch, transfer)), (
            f"{what}, accuracy {criteria.LEARNED_ACCURACY} comes {{value}} times sooner in the median ({{range}}); "
            f"{_reached(transfer)} of {len(transfer)} runs reach it, {_reached(scratch)} of {len(scratch)} from "
            "scratch."
        )

    return times_sooner


def _control(id_: str, what: str, first: str, how: str = "") -> CheckClaims:
    return _sooner(id_, f"Control: {what}", what[0].upper() + what[1:], first, how)


def _sooner_in_total(pretraining: int | None) -> CheckClaims:
    """Return claim 13z: the epochs of pretraining count too (None: all that its networks had)."""

    @claim("13z", "Control: pretraining pays even when its own epochs are counted", "more than", 1.0)
    def times_sooner(tables: Tables) -> Evidence:
        before = dict(tables.runs(POLYNOMIAL).select("seed", "full_epochs").iter_rows())
        if pretraining is not None:
            before = dict.fromkeys(before, pretraining)
        transfer = tables.runs({"trained": _after("polynomial")}).filter(pl.col("seed").is_in(list(before)))
        return median_speed_up(speed_ups(tables.runs(PARITY), transfer, before)), (
            "From scratch parity takes {value} times the epochs of pretraining and transfer together ({range})."
        )

    return times_sooner


@claim("14", "Tuning only the last MLP is enough to move to a new task", "at least", criteria.LAST_MLP_ACCURACY)
def _accuracy_of_last_mlp(tables: Tables) -> Evidence:
    # Every seed counts; the sentence adds the mean of those whose first network had learned its own task.
    before = tables.runs(POLYNOMIAL).filter(pl.col("accuracy") >= criteria.LEARNED_ACCURACY)
    able = before["seed"].to_list()
    rows = tables.runs({"trained": _after("polynomial", LAST_MLP)}).sort("seed").drop_nulls("accuracy")
    mean = mean_over(rows.filter(pl.col("seed").is_in(able))["accuracy"].to_list(), UNIT_INTERVAL)
    of_able = ""
    if mean.n:
        value, low, high = map(two_digits, (mean.value, mean.low, mean.high))
        of_able = f" Of the {mean.n} whose first network had learnt its task it is {value} ({low} to {high})."
    return mean_over(rows["accuracy"].to_list(), UNIT_INTERVAL), (
        f"With only the last MLP trained, accuracy on the new task is {{value}} ({{range}}).{of_able}"
    )


@claim("R", "The published residual convention learns sooner than the textbook one", "more than", 1.0)
def _epochs_of_textbook(tables: Tables) -> Evidence:
    textbook = tables.runs({"trained": PRE_NORM})
    published = _of_seeds(tables.runs(POLYNOMIAL), textbook)
    return median_speed_up(speed_ups(textbook, published)), (
        f"Textbook pre-norm takes {{value}} times as many epochs to accuracy {criteria.LEARNED_ACCURACY} in the median "
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


def _curves(file: str, title: str, names: tuple[str, ...]) -> Curves:
    lines = tuple(Line(name, {"trained": name}) for name in names)
    return Curves(file, title, FULL_EPOCH, lines, (Panel("Accuracy"), Panel("Second peakiness", "second_peakiness")))
