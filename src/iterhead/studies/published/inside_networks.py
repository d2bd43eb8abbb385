"""Networks looked into: figures 6 and 13 and the replacement of attention; claims 1, 3 to 6, 15 and 18."""

import math
from collections.abc import Mapping

import polars as pl

from iterhead.criteria import LEARNED_ACCURACY, LENGTH_EPOCHS_CORRELATION, ROLE_WEIGHT, SAMPLED_FROM
from iterhead.estimates import NO_ESTIMATE, UNIT_INTERVAL, mean_over, rank_correlation
from iterhead.studies.claims import Evidence, Finding, claim, finding
from iterhead.studies.network_drawings import AttentionMaps, HeadShares, Interventions
from iterhead.studies.published.recipe import CHOSEN, SEEDS, Values, make_config
from iterhead.studies.published.transfer import SEEDS as MANY_SEEDS
from iterhead.studies.published.transfer import SIZE, scratch
from iterhead.studies.study import Cell, Scale, Study
from iterhead.studies.tables import Tables

DEEP: Values = {"paper": (32, 128), "laptop": (16, 64), "smoke": (5, 16)}
"""Longest length and width of the network with three layers of two heads."""

DEEP_SEEDS: Values = {**SEEDS, "laptop": tuple(range(6))}

REPLACED: Mapping[Scale, str] = {"paper": "polynomial", "laptop": "polynomial", "smoke": "copy"}
"""The task of the networks whose attention is replaced; copy is what a few epochs can teach."""


def figure_6(scale: Scale) -> Study:
    """Return figure 6: a parity network looked into."""
    cell = scratch(scale, "parity", MANY_SEEDS[scale][:10])
    return Study(
        "figure-6",
        scale,
        "A parity network: its maps, and accuracy by length over epochs",
        "Parity, lengths to 16, width 128: both attention maps (a vertical line at EoI, an off-diagonal line through "
        "x_t) and accuracy by length over epochs: stairs and spikes, not monotone in the length.",
        (
            *CHOSEN[scale],
            f"Lengths to {SIZE[scale]['data']['max_length']}. The runs are parity ones of figure-9; drawn is the first "
            "seed, the claim is checked on all.",
        ),
        (cell,),
        (AttentionMaps("figure-6", "Parity", cell.axes),),
        (_lengths_and_epochs,),
        ("maps",),
    )


@claim("15", "Longer sequences are learned later", "at least", LENGTH_EPOCHS_CORRELATION)
def _lengths_and_epochs(tables: Tables) -> Evidence:
    rows = tables["lengths"]
    if rows.is_empty():
        return NO_ESTIMATE, ""
    # Lengths that are never learned come last.
    rows = rows.filter(pl.col("length") >= SAMPLED_FROM).with_columns(pl.col("epochs_to_90").fill_null(math.inf))
    each = [
        rank_correlation(part["length"].to_list(), part["epochs_to_90"].to_list()) for part in rows.partition_by("seed")
    ]
    return mean_over([r for r in each if not math.isnan(r)], (-1, 1)), (
        f"From length {SAMPLED_FROM} on, Spearman's correlation of length and epochs to accuracy "
        f"{LEARNED_ACCURACY} is {{value}} ({{range}})."
    )


def figure_13(scale: Scale) -> Study:
    """Return figure 13: three layers of two heads."""
    longest, width = DEEP[scale]
    place = {"task": "parity"}
    config = make_config(scale, "parity", data={"max_length": longest}, model={"width": width, "layers": 3, "heads": 2})
    return Study(
        "figure-13",
        scale,
        "Three layers of two heads: who looks at x_t?",
        "Parity, three layers, two heads, length 32: the question for p_t is spread over layers and heads.",
        (*CHOSEN[scale], f"Width {width}, lengths to {longest}: the paper leaves the width open."),
        (Cell(place, config, DEEP_SEEDS[scale]),),
        (
            AttentionMaps("figure-13", "Parity, three layers of two heads", place),
            HeadShares("figure-13-heads", "Weight on x_t of each head", place),
        ),
        (_weight_of_best_head, _weight_of_all_heads),
        ("maps",),
    )


@claim("18a", "In a deeper, wider network no single head plays the role alone", "at most", ROLE_WEIGHT)
def _weight_of_best_head(tables: Tables) -> Evidence:
    weight = mean_over(tables.scores("best_second_weight"), UNIT_INTERVAL)
    return weight, "The best single head puts {value} of its weight on x_t ({range})."


@claim("18b", "Over all heads together the role is played", "at least", ROLE_WEIGHT)
def _weight_of_all_heads(tables: Tables) -> Evidence:
    return mean_over(tables.scores("second_mass")), "All heads together put a weight of {value} on x_t ({range})."


def attention_replacement(scale: Scale) -> Study:
    """Return the replacement of attention maps in the polynomial networks of figure 9."""
    seeds = MANY_SEEDS[scale][:10]
    task = REPLACED[scale]
    return Study(
        "attention-replacement",
        scale,
        "Attention replaced by ideal, random and shifted maps",
        "Told in the text, without figures or code: attention replaced by the ideal map or by a random one, and the "
        "accuracy after.",
        (
            *CHOSEN[scale],
            f"The networks are {task} ones of figure-9. Claims 1, 3, 4, 5 and 6 are checked in each that solves its "
            "task, as `iterhead verify` does, and the interval is over networks.",
        ),
        (scratch(scale, task, seeds),),
        (Interventions("attention-replacement", "What each intervention leaves", {"task": task}),),
        (checks_over_seeds,),
        ("interventions",),
    )


def checks_over_seeds(tables: Tables) -> list[Finding]:
    """Check each claim of `verify` over the networks in which it can be tested; the table `checks` lists them."""
    checks = tables["checks"]
    if checks.is_empty():
        return []
    networks = tables.runs()["seed"].n_unique()
    findings = []
    for part in checks.sort("id", "seed").partition_by("id", maintain_order=True):
        first = part.row(0, named=True)
        holding = part.filter(pl.col("verdict") == "holds").height
        estimate = mean_over(part["value"].to_list(), UNIT_INTERVAL)
        # Thresholds differ where they depend on chance, which the test sequences decide.
        threshold = float(part["threshold"].to_numpy().mean())
        sentence = (
            f"{{value}} on average over networks ({{range}}); by itself it holds in {holding} of the {len(part)} of "
            f"{networks} networks in which it could be tested."
        )
        findings.append(finding(first["id"], first["claim"], first["bound"], threshold, estimate, sentence))
    return findings
