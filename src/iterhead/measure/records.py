"""The tidy table of measurements, and the headline scores computed from it.

Columns: epoch, split, length, layer, head, name, value. Columns that do not apply to a row are null: an accuracy has no
layer, the mass of a layer has no head, and the mass of the whole network has neither.
"""

import html
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Any

import polars as pl

from iterhead.contents import Column, ContentError
from iterhead.criteria import HEADLINE_FROM
from iterhead.formatting import head_label, percent

COLUMNS = {
    "epoch": Column(pl.Int32, least=0),
    "split": Column(pl.String),
    "length": Column(pl.Int32, nullable=True, least=1),
    "layer": Column(pl.Int32, nullable=True, least=0),
    "head": Column(pl.Int32, nullable=True, least=0),
    "name": Column(pl.String),
    "value": Column(pl.Float64, least=0, nan=True),  # nan: attention overflows just before a training diverges
}

SCHEMA = {name: column.dtype for name, column in COLUMNS.items()}

TRAIN, SAMPLE, TEST = "train", "sample", "test"
"""The splits: losses, the evaluations on the first few test sequences of each length, the last one on all of them."""

Record = dict[str, Any]
"""One row, by column."""

Head = tuple[int, int]
"""Layer and head, counted from 0."""

HEAD_SCORES = ("peakiness", "weight", "invariance")
"""Scores of a head in each role; in the table `first_peakiness` and so on."""


def table(records: list[Record]) -> pl.DataFrame:
    """Return the tidy table of `records`."""
    return pl.DataFrame(records, schema=SCHEMA)


def check_table(measurements: pl.DataFrame, lengths: Iterable[int], layers: int, heads: int, *, cot: bool) -> None:
    """Check that the table of a run has whole evaluations: every score at every length once, within its range.

    Raises:
        ContentError: it has not.
    """
    losses = measurements.filter(pl.col("split") == TRAIN)
    scores = measurements.filter(pl.col("split").is_in((SAMPLE, TEST)))
    if scores.is_empty():
        raise ContentError("expected an evaluation")
    if losses.height + scores.height < measurements.height:
        raise ContentError(f"expected only the splits {TRAIN}, {SAMPLE} and {TEST}")
    is_loss = (losses["name"] == "loss") & losses["value"].is_finite()
    if not is_loss.all() or losses["epoch"].n_unique() < losses.height:
        raise ContentError("expected one finite loss for each epoch of training")
    lengths = tuple(lengths)
    # Counted first: the settings of a stranger may ask for billions.
    if scores.height < len(lengths) * (2 + (2 * (1 + layers * (1 + 3 * heads)) if cot else 0)):
        raise ContentError("expected every score of every head at every length in each evaluation")
    expected = _expected_scores(lengths, layers, heads, cot)
    place = ["length", "layer", "head", "name"]
    found = scores.join(expected, on=place, nulls_equal=True)
    sizes = found.group_by("epoch", "split").agg(pl.len(), pl.struct(place).n_unique().alias("different"))
    if found.height < scores.height or (sizes.select("len", "different") != expected.height).to_numpy().any():
        raise ContentError("expected every score of every head at every length once in each evaluation")
    value, most = pl.col("value"), pl.col("most")
    if not found.select(((value <= most) | (value.is_nan() & pl.col("may_be_nan"))).all()).item():  # nan is not <= most
        raise ContentError("column value: expected scores within their ranges, and accuracies that are numbers")
    if scores.filter(pl.col("split") == TEST)["epoch"].n_unique() > 1:
        raise ContentError(f"expected one evaluation of the split {TEST}")


@cache
def _expected_scores(lengths: tuple[int, ...], layers: int, heads: int, cot: bool) -> pl.DataFrame:
    """Return the rows of one evaluation without their values, with the largest possible value of each."""
    whole, rounding = 1.0, 1e-4
    rows: list[tuple[str, int | None, int | None, float, bool]] = [
        (name, None, None, whole, False) for name in ("accuracy", "grammar")
    ]
    for role in ("first", "second") if cot else ():
        rows.append((f"{role}_mass", None, None, layers * heads + rounding, True))
        for layer in range(layers):
            rows.append((f"{role}_mass", layer, None, heads + rounding, True))
            for head, score in product(range(heads), HEAD_SCORES):
                rows.append((f"{role}_{score}", layer, head, whole + rounding, score != "peakiness"))
    schema = {"name": pl.String, "layer": pl.Int32, "head": pl.Int32, "most": pl.Float64, "may_be_nan": pl.Boolean}
    of_length = pl.DataFrame({"length": lengths}, schema={"length": pl.Int32})
    return pl.DataFrame(rows, schema=schema, orient="row").join(of_length, how="cross")


@dataclass(frozen=True)
class Scores:
    """The headline scores of one evaluation.

    Attributes:
        accuracy: mean over lengths from 4 on (over all, if none is as long), 0 .. 1.
        accuracy_by_length: exact match at each length.
        grammar: mean over the same lengths of the fraction of well-formed continuations.
        best_pair: the (first, second) heads, each (layer, head); None without chain of thought, as all that follows.
        first_peakiness, second_peakiness: of the best pair, mean over the same lengths.
        first_weight, second_weight, first_invariance, second_invariance: likewise.
        first_mass, second_mass: weight on the ideal key summed over every head of the network.
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

    def _repr_html_(self) -> str:
        """Return the scores as a table, for Jupyter."""
        by_length = ", ".join(f"{length}: {percent(share)}" for length, share in self.accuracy_by_length.items())
        rows = [("accuracy", percent(self.accuracy)), ("by length", by_length), ("grammar", percent(self.grammar))]
        for role, head in zip(("first", "second"), self.best_pair or (), strict=False):
            rows.append((f"{role} head", head_label(head)))
            rows += [(f"{role} {name}", f"{getattr(self, f'{role}_{name}'):.3f}") for name in (*HEAD_SCORES, "mass")]
        cells = "".join(f"<tr><th>{html.escape(name)}</th><td>{html.escape(text)}</td></tr>" for name, text in rows)
        return f"<table>{cells}</table>"


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
    scores: dict[tuple[str, int | None, int | None], float] = {
        (name, layer, head): value for name, layer, head, value in means.iter_rows()
    }
    accuracy, grammar = (scores[name, None, None] for name in ("accuracy", "grammar"))
    pair = best_pair(scores)
    if pair is None:
        return Scores(accuracy, accuracy_by_length, grammar)
    roles = {
        f"{role}_{score}": scores[f"{role}_{score}", *head]
        for role, head in zip(("first", "second"), pair, strict=True)
        for score in HEAD_SCORES
    }
    masses = {f"{role}_mass": scores[f"{role}_mass", None, None] for role in ("first", "second")}
    return Scores(accuracy, accuracy_by_length, grammar, pair, **roles, **masses)


def head_means(measurements: pl.DataFrame) -> pl.DataFrame:
    """Return every head's scores as means over the headline lengths: epoch, split, layer, head, name, value.

    Args:
        measurements: rows of the tidy table; rows without a head are ignored.
    """
    heads = measurements.filter(pl.col("head").is_not_null())
    lengths = headline_lengths(sorted(heads["length"].unique()))
    scored = heads.filter(pl.col("length").is_in(lengths))
    return scored.group_by("epoch", "split", "layer", "head", "name", maintain_order=True).agg(pl.col("value").mean())


def best_pair(means: Mapping[tuple[str, int | None, int | None], float]) -> tuple[Head, Head] | None:
    """Return the pair of heads that plays the two roles best, or None if no head was scored.

    The second head must be in a later layer than the first, which feeds it; in a network of one layer they share it.
    Best is the largest sum of the two peakinesses; ties are broken by the sum of the two mean weights.
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
