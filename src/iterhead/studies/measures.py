"""What is measured on finished networks themselves, beside the tables that their training left."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import polars as pl
import torch

from iterhead.criteria import OTHER_CIRCUIT_PEAKINESS, SOLVED_ACCURACY
from iterhead.errors import UserError
from iterhead.intervene.circuit import classify_heads, describe_circuit
from iterhead.model import PATTERN_HOOKS, pattern_hook
from iterhead.runs.run import SAMPLE, Run
from iterhead.studies.study import Cell, Measure
from iterhead.studies.verification import verify
from iterhead.tasks import Vocabulary

Row: TypeAlias = dict[str, Any]

Finished: TypeAlias = tuple[Cell, Row, Run]
"""A finished run with its cell and the first columns of its rows: its coordinates on the axes, and its seed."""

SEQUENCES = 32
"""Test sequences of each length by which heads are classified and networks verified."""


def circuits(finished: Sequence[Finished]) -> dict[str, list[Row]]:
    """Return the table `circuits`: networks that solve their task with a low second peakiness (claim 11).

    Columns beside the coordinates: accuracy, second_peakiness, the kinds of the last layer's heads, and a sentence.
    """
    rows = []
    for _, coordinates, run in finished:
        if not _solves(run):
            continue
        accuracy, peakiness = run.scores.accuracy, run.scores.second_peakiness
        if peakiness is None or peakiness > OTHER_CIRCUIT_PEAKINESS:
            continue
        kinds = classify_heads(run.model, {n: tokens[:SEQUENCES] for n, tokens in run.dataset.test.items()})
        last = " + ".join(kind.kind for kind in kinds if kind.layer == run.config.model.layers - 1)
        scores = {"accuracy": accuracy, "second_peakiness": peakiness}
        circuit = describe_circuit(kinds, accuracy)
        rows.append({**coordinates, "run": run.name, **scores, "kind": last, "circuit": circuit})
    return {"circuits": rows}


def interventions(finished: Sequence[Finished]) -> dict[str, list[Row]]:
    """Return the tables `checks` and `effects`: the result of `verify` for each network that solves its task."""
    checks: list[Row] = []
    effects: list[Row] = []
    for _, coordinates, run in finished:
        if not _solves(run) or run.scores.best_pair is None:
            continue
        try:
            verification = verify(run, SEQUENCES)
        except UserError:  # too few test sequences
            continue
        checks += [{**coordinates, **check.as_json()} for check in verification.checks]
        effects += [
            {**coordinates, "name": e.name, "by_token": e.by_token, "exact": e.exact, "chance": verification.chance}
            for e in verification.effects
        ]
    return {"checks": checks, "effects": effects}


def _solves(run: Run) -> bool:
    return run.status.state == "finished" and run.scores.accuracy >= SOLVED_ACCURACY


@torch.no_grad()
def maps(finished: Sequence[Finished]) -> dict[str, list[Row]]:
    """Return the tables `maps` and `length_curves`, of the first network of each cell.

    `maps`: every head's attention on one long test sequence, a row for each layer, head, query and key that the query
    sees; `token` is the query's. `length_curves`: accuracy at each evaluation and length.
    """
    rows: list[Row] = []
    curves: list[Row] = []
    done: set[int] = set()
    for cell, coordinates, run in finished:
        if id(cell) in done or run.status.state != "finished":
            continue
        done.add(id(cell))
        accuracy = run.measurements.filter((pl.col("name") == "accuracy") & (pl.col("split") == SAMPLE))
        columns = accuracy.sort("epoch", "length").select("epoch", "length", accuracy="value")
        curves += [{**coordinates, **row} for row in columns.iter_rows(named=True)]
        rows += [{**coordinates, **row} for row in _map_rows(run)]
    return {"maps": rows, "length_curves": curves}


def _map_rows(run: Run) -> list[Row]:
    layout = run.config.data.layout(run.config.data.max_length)
    tokens = run.dataset.test[layout.length][:1, : layout.input_size]
    names = Vocabulary(run.config.model.vocabulary).names(tokens[0])
    _, cache = run.model.run_with_cache(torch.from_numpy(tokens), PATTERN_HOOKS)
    return [
        {"layer": layer, "head": head, "query": q, "key": k, "token": names[q], "weight": weights[q][k]}
        for layer in range(run.config.model.layers)
        for head, weights in enumerate(cache[pattern_hook(layer)][0].double().tolist())
        for q in range(len(names))
        for k in range(q + 1)
    ]


MEASURES: Mapping[Measure, Callable[[Sequence[Finished]], dict[str, list[Row]]]] = {
    "circuits": circuits,
    "interventions": interventions,
    "maps": maps,
}
"""Each returns tables by name."""
