"""One tidy table of measurements, and the headline scores that are read from it.

Columns: epoch, split, length, layer, head, name, value. What does not apply to a row is null: an accuracy has no
layer, the mass of a layer no head, the mass of the whole network neither.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from iterhead.criteria import HEADLINE_FROM

SCHEMA = {
    "epoch": pl.Int32,
    "split": pl.String,
    "length": pl.Int32,
    "layer": pl.Int32,
    "head": pl.Int32,
    "name": pl.String,
    "value": pl.Float64,
}

Record = dict[str, Any]
"""One row, by column."""

Head = tuple[int, int]
"""Layer and head, counted from 0."""


def table(records: list[Record]) -> pl.DataFrame:
    """Return the tidy table of `records`."""
    return pl.DataFrame(records, schema=SCHEMA)


@dataclass(frozen=True)
class Scores:
    """The headline scores of one evaluation.

    Attributes:
        accuracy: mean over lengths from 4 on (over all, if none is as long), 0 .. 1.
        accuracy_by_length: exact match at each length.
        grammar: mean over the same lengths of the fraction of well-formed continuations.
        first_peakiness, second_peakiness: of the best pair, mean over the same lengths; None without chain of thought.
        first_weight, second_weight, first_invariance, second_invariance: likewise.
        first_mass, second_mass: weight on the ideal key summed over every head of the network.
        best_pair: the (first, second) heads, each (layer, head); None without chain of thought.
    """

    accuracy: float
    accuracy_by_length: Mapping[int, float]
    grammar: float
    best_pair: tuple[Head, Head] | None = None
    first_peakiness: float | None = None
    second_peakiness: float | None = None
    first_weight: float | None = None
    second_weight: float | None = None
    first_invariance: float | None = None
    second_invariance: float | None = None
    first_mass: float | None = None
    second_mass: float | None = None


def headline_lengths(lengths: list[int]) -> list[int]:
    """Return the lengths that headline scores average over."""
    return [length for length in lengths if length >= HEADLINE_FROM] or lengths


def headline(evaluation: pl.DataFrame) -> Scores:
    """Return the headline scores of one evaluation: the rows of one epoch and split."""
    by_length = evaluation.filter(pl.col("name") == "accuracy").sort("length")
    accuracy_by_length = dict(zip(by_length["length"].to_list(), by_length["value"].to_list(), strict=True))
    counted = headline_lengths(list(accuracy_by_length))
    means = (
        evaluation.filter(pl.col("length").is_in(counted)).group_by("name", "layer", "head").agg(pl.col("value").mean())
    )
    found: dict[tuple[str, int | None, int | None], float] = {
        (name, layer, head): value for name, layer, head, value in means.iter_rows()
    }
    accuracy, grammar = (found[name, None, None] for name in ("accuracy", "grammar"))
    pair = best_pair(found)
    if pair is None:
        return Scores(accuracy, accuracy_by_length, grammar)
    roles = {
        f"{role}_{score}": found[f"{role}_{score}", *head]
        for role, head in zip(("first", "second"), pair, strict=True)
        for score in ("peakiness", "weight", "invariance")
    }
    masses = {f"{role}_mass": found[f"{role}_mass", None, None] for role in ("first", "second")}
    return Scores(accuracy, accuracy_by_length, grammar, pair, **roles, **masses)


def best_pair(means: Mapping[tuple[str, int | None, int | None], float]) -> tuple[Head, Head] | None:
    """Return the pair of heads that plays the two roles best, or None where no head was scored.

    The second head must stand in a later layer than the first, which feeds it (in a network of one layer they may
    share it). Best: the largest sum of the two peakinesses; among equals, of the two mean weights.
    """
    heads = [
        (layer, head)
        for name, layer, head in means
        if name == "second_peakiness" and layer is not None and head is not None
    ]
    if not heads:
        return None
    one_layer = len({layer for layer, _ in heads}) == 1

    def merit(pair: tuple[Head, Head]) -> tuple[float, float, list[int]]:
        first, second = pair
        peaks = means["first_peakiness", *first] + means["second_peakiness", *second]
        weights = means["first_weight", *first] + means["second_weight", *second]
        return round(peaks, 12), weights, [-index for head in pair for index in head]

    pairs = [(first, second) for first in heads for second in heads if one_layer or first[0] < second[0]]
    return max(pairs, key=merit)
