"""Claims about training: 2, 12, 15, 16, 18, and what the residual convention does."""

import math
from dataclasses import dataclass

import polars as pl

from iterhead.criteria import EMERGENCE_SEEDS, LEARNED_ACCURACY, SAMPLED_FROM
from iterhead.estimates import (
    NO_ESTIMATE,
    UNIT_INTERVAL,
    difference_of_means,
    difference_of_spreads,
    mean_over,
    median_over,
    rank_correlation,
)
from iterhead.studies.claims import Finding
from iterhead.studies.judges.finding import found
from iterhead.studies.study import Where
from iterhead.studies.tables import Tables


def column(rows: pl.DataFrame, name: str) -> list[float]:
    """Return a score of each run, in the order of seeds; those that have none are left out."""
    if rows.is_empty():
        return []
    return rows.sort("seed")[name].drop_nulls().to_list()


def heads_emerge(tables: Tables, *, where: Where) -> list[Finding]:
    """Claim 2: medians over ten seeds at least."""
    rows = tables.runs(where)
    asked = (("2a", "accuracy", "Accuracy", 0.95), ("2b", "second_peakiness", "Second peakiness", 0.9))
    return [
        found(
            tables,
            id_,
            f"Iteration heads emerge: median {name.lower()}",
            median_over(column(rows, score)),
            least,
            f"{name} is {{value}} in the median over seeds ({{range}}).",
            needed=EMERGENCE_SEEDS,
        )
        for id_, score, name, least in asked
    ]


def parity_induces_it_less(tables: Tables, *, polynomial: Where, parity: Where) -> list[Finding]:
    """Claim 12: parity's second peakiness is lower and more variable than the polynomial's."""
    high, low = (column(tables.runs(where), "second_peakiness") for where in (polynomial, parity))
    return [
        found(
            tables,
            "12a",
            "Parity's second peakiness is lower than the polynomial's",
            difference_of_means(high, low),
            0.0,
            "The polynomial's second peakiness exceeds parity's by {value} on average ({range}).",
            bound="more than",
        ),
        found(
            tables,
            "12b",
            "Parity's second peakiness varies more than the polynomial's",
            difference_of_spreads(low, high),
            0.0,
            "Its standard deviation over seeds is {value} larger for parity ({range}).",
            bound="more than",
        ),
    ]


def longer_is_later(tables: Tables, *, where: Where) -> list[Finding]:
    """Claim 15: epochs to 0.9 against the length, for each seed; lengths never learnt come last.

    From `SAMPLED_FROM` on: shorter lengths have few test sequences, and say nothing of those learned by heart.
    """
    rows = tables["lengths"]
    if not rows.is_empty():
        rows = rows.filter([pl.col(axis) == value for axis, value in where.items()])
        rows = rows.filter(pl.col("length") >= SAMPLED_FROM).with_columns(pl.col("epochs_to_90").fill_null(math.inf))
    parts = rows.partition_by("seed") if not rows.is_empty() else []
    each = [rank_correlation(part["length"].to_list(), part["epochs_to_90"].to_list()) for part in parts]
    return [
        found(
            tables,
            "15",
            "Longer sequences are learned later",
            mean_over([r for r in each if not math.isnan(r)], (-1, 1)),
            0.5,
            f"From length {SAMPLED_FROM} on, Spearman's correlation of length and epochs to accuracy "
            f"{LEARNED_ACCURACY} is {{value}} ({{range}}).",
        )
    ]


def adam_has_more_room(tables: Tables) -> list[Finding]:
    """Claim 16: the share of (learning rate, batch size) that learns the task, with Adam less with SGD."""
    rows = tables.runs()
    if rows.is_empty():
        return [found(tables, "16", _ROOM, NO_ESTIMATE, 0.0, "", bound="more than")]
    shares = rows.group_by("optimizer", "seed").agg((pl.col("accuracy") >= LEARNED_ACCURACY).mean().alias("share"))
    wide = shares.pivot("optimizer", index="seed", values="share").sort("seed")
    if not {"adam", "sgd"} <= set(wide.columns):
        return [found(tables, "16", _ROOM, NO_ESTIMATE, 0.0, "", bound="more than")]
    wide = wide.drop_nulls()
    gaps = (wide["adam"] - wide["sgd"]).to_list()
    adam, sgd = (float(wide[name].to_numpy().mean()) for name in ("adam", "sgd"))
    sentence = (
        f"Adam learns the task in {adam:.0%} of the cells measured, SGD in {sgd:.0%}: {{value}} more as a share "
        "({range})."
    )
    return [found(tables, "16", _ROOM, mean_over(gaps, (-1, 1)), 0.0, sentence, bound="more than")]


_ROOM = "Adam's good region of learning rate and batch size is larger than SGD's"


def role_is_spread(tables: Tables, *, where: Where) -> list[Finding]:
    """Claim 18: the largest weight of a single head on x_t, and the weight on it summed over heads."""
    rows = tables.runs(where)
    return [
        found(
            tables,
            "18a",
            "In a deeper, wider network no single head plays the role alone",
            mean_over(column(rows, "best_second_weight"), UNIT_INTERVAL),
            0.9,
            "The best single head puts {value} of its weight on x_t ({range}).",
            bound="at most",
        ),
        found(
            tables,
            "18b",
            "Over all heads together the role is played",
            mean_over(column(rows, "second_mass")),
            0.9,
            "All heads together put a weight of {value} on x_t ({range}).",
        ),
    ]


@dataclass(frozen=True)
class Learnt:
    """When a run reached accuracy 0.9, in epochs.

    Attributes:
        epochs: at the evaluation that first had it; those that the run had, if none did.
        below: at the evaluation before, which did not have it.
        reached: whether one did.
    """

    epochs: float
    below: float
    reached: bool


def epochs_by_seed(rows: pl.DataFrame) -> dict[int, Learnt]:
    """Return when each seed's run reached accuracy 0.9."""
    if rows.is_empty():
        return {}
    columns = rows.select("seed", "epochs_to_90", "epochs_below_90", "full_epochs").iter_rows()
    return {
        seed: Learnt(had if epochs is None else epochs, below, epochs is not None)
        for seed, epochs, below, had in columns
    }


def reached(rows: pl.DataFrame) -> int:
    """Return how many runs reached accuracy 0.9."""
    return 0 if rows.is_empty() else rows["epochs_to_90"].count()
