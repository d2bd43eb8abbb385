"""What is measured of finished networks themselves, beside the tables that their training left."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import polars as pl
import torch

from iterhead.criteria import OTHER_CIRCUIT_PEAKINESS, SOLVED_ACCURACY
from iterhead.errors import UserError
from iterhead.intervene import classify_heads, describe_circuit
from iterhead.model import PATTERN_HOOKS, pattern_hook
from iterhead.runs.run import SAMPLE, Run
from iterhead.studies.study import Cell, Measure
from iterhead.studies.verify import verify
from iterhead.tasks import Vocabulary

Row = dict[str, Any]
Finished = Sequence[tuple[Cell, Row, Run]]
"""Finished runs, each with its cell and the first columns of its rows: its place on the axes, and its seed."""

SEQUENCES = 32
"""Test sequences of each length by which heads are classified and networks verified."""


def circuits(finished: Finished) -> dict[str, list[Row]]:
    """Return the table `circuits`: the networks that solve their task with second peakiness of at most 0.5.

    Columns beside the place: accuracy, second_peakiness, the kind of the last layer's heads, and a sentence.
    """
    rows = []
    for _, place, run in finished:
        if run.status.state != "finished":
            continue
        scores = run.scores
        peakiness = scores.second_peakiness
        if peakiness is None or peakiness > OTHER_CIRCUIT_PEAKINESS or scores.accuracy < SOLVED_ACCURACY:
            continue
        kinds = classify_heads(run.model, {n: tokens[:SEQUENCES] for n, tokens in run.dataset.test.items()})
        last = [kind.kind for kind in kinds if kind.layer == run.config.model.layers - 1]
        told = {"kind": " + ".join(last), "circuit": describe_circuit(kinds, scores.accuracy)}
        rows.append({**place, "run": run.name, "accuracy": scores.accuracy, "second_peakiness": peakiness, **told})
    return {"circuits": rows}


def interventions(finished: Finished) -> dict[str, list[Row]]:
    """Return the tables `checks` and `effects`: what `iterhead verify` finds in each network that solves its task."""
    checks: list[Row] = []
    effects: list[Row] = []
    for _, place, run in finished:
        if run.status.state != "finished" or run.scores.best_pair is None or run.scores.accuracy < SOLVED_ACCURACY:
            continue
        try:
            found = verify(run, SEQUENCES)
        except UserError:  # too few test sequences: nothing to verify
            continue
        checks += [{**place, **check.as_json()} for check in found.checks]
        effects += [
            {**place, "name": e.name, "by_token": e.by_token, "exact": e.exact, "chance": found.chance}
            for e in found.effects
        ]
    return {"checks": checks, "effects": effects}


@torch.no_grad()
def maps(finished: Finished) -> dict[str, list[Row]]:
    """Return what is shown of the first network of each cell: the tables `maps` and `length_curves`.

    `maps`: every head's attention on one long test sequence, a row for each layer, head, query and key that the query
    sees; `token` is the query's. `length_curves`: accuracy at each evaluation and length.
    """
    rows: list[Row] = []
    curves: list[Row] = []
    done: set[int] = set()
    for cell, place, run in finished:
        if id(cell) in done or run.status.state != "finished":
            continue
        done.add(id(cell))
        accuracy = run.measurements.filter((pl.col("name") == "accuracy") & (pl.col("split") == SAMPLE))
        columns = accuracy.sort("epoch", "length").select("epoch", "length", accuracy="value")
        curves += [{**place, **row} for row in columns.iter_rows(named=True)]
        layout = run.config.data.layout(run.config.data.max_length)
        tokens = run.dataset.test[layout.length][:1, : layout.input_size]
        names = Vocabulary(run.config.model.vocabulary).names(tokens[0])
        _, cache = run.model.run_with_cache(torch.from_numpy(tokens), PATTERN_HOOKS)
        for layer in range(run.config.model.layers):
            pattern = cache[pattern_hook(layer)][0].double().tolist()
            rows += [
                {
                    **place,
                    "layer": layer,
                    "head": head,
                    "query": q,
                    "key": k,
                    "token": names[q],
                    "weight": weights[q][k],
                }
                for head, weights in enumerate(pattern)
                for q in range(len(names))
                for k in range(q + 1)
            ]
    return {"maps": rows, "length_curves": curves}


MEASURES: Mapping[Measure, Callable[[Finished], dict[str, list[Row]]]] = {
    "circuits": circuits,
    "interventions": interventions,
    "maps": maps,
}
"""Each gives tables by name."""
