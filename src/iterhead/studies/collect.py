"""From finished runs to the tidy tables of a study: what training left, and what is measured on the networks."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import polars as pl
import torch

from iterhead.criteria import FAR_APART, LEARNED_ACCURACY, OTHER_CIRCUIT_PEAKINESS, SOLVED_ACCURACY
from iterhead.errors import UserError
from iterhead.intervene.circuit import classify_heads, describe_circuit
from iterhead.measure.records import SAMPLE, TEST, best_pair, headline_lengths
from iterhead.model.hooks import PATTERN_HOOKS, pattern_hook
from iterhead.runs.paths import run_folder_name
from iterhead.runs.run import Run, is_finished
from iterhead.runs.storage import RunFolder
from iterhead.studies.study import Cell, Measure, Study
from iterhead.studies.tables import FULL_EPOCH, Tables
from iterhead.studies.verification import verify
from iterhead.tasks import Vocabulary

WHOLE_EPOCH = 1024  # training sequences of each length in an epoch, in the paper

SEQUENCES = 32  # test sequences of each length by which heads are classified and networks verified

Row: TypeAlias = dict[str, Any]

Finished: TypeAlias = tuple[Cell, Row, Run]
"""A finished run with its cell and the first columns of its rows: its coordinates on the axes, and its seed."""

_ROLE_SCORES = tuple(f"{role}_{score}" for role in ("first", "second") for score in ("peakiness", "weight"))

_END = (*_ROLE_SCORES, "first_invariance", "second_invariance", "first_mass", "second_mass")

_SCORES = {*_END, "accuracy", "grammar", "loss", "epochs_to_90", "epochs_below_90", "full_epochs", "best_second_weight"}


def collect(study: Study, out: Path, warn: Callable[[str], None] = lambda _line: None) -> Tables:
    """Return the tables of a study's finished runs in `out`; `warn` gets a line about each run that cannot be read."""
    finished = list(_finished(study, out, warn))
    rows: dict[str, list[Row]] = {}
    for _, coordinates, run in finished:
        evaluations, heads = _evaluations(run), _heads(run)
        of_run = {
            "runs": [_end(run, evaluations, heads)],
            "curves": evaluations,
            "lengths": _lengths(run),
            "heads": heads,
            "provenance": _provenance(run),
        }
        for name, of_table in of_run.items():
            rows.setdefault(name, []).extend({**coordinates, **row} for row in of_table)
    for measure in study.measures:
        rows |= MEASURES[measure](finished)
    frames = {name: _frame(of_table) for name, of_table in rows.items() if of_table}
    if "runs" in frames and not (exceptions := disagreeing(frames["runs"])).is_empty():
        frames["exceptions"] = exceptions
    return Tables(study.name, frames)


def _frame(rows: list[Row]) -> pl.DataFrame:
    """Return rows as a table; scores are numbers even if no run has one."""
    numbers = {name: pl.Float64 for name in rows[0] if name in _SCORES}
    return pl.DataFrame(rows, schema_overrides=numbers, infer_schema_length=None)


def disagreeing(runs: pl.DataFrame) -> pl.DataFrame:
    """Return the networks whose accuracy and second peakiness are far apart, the farthest first."""
    apart = (pl.col("accuracy") - pl.col("second_peakiness")).alias("apart")
    distance = pl.col("apart").abs()
    return runs.with_columns(apart).filter(distance > FAR_APART).sort(distance, descending=True)


def _finished(study: Study, out: Path, warn: Callable[[str], None]) -> Iterator[Finished]:
    """Yield the runs that are done, each with its cell and its coordinates."""
    for cell, seed, config in study.runs():
        folder = RunFolder(out / run_folder_name(config))
        try:
            if not is_finished(folder):
                continue
            run = Run(folder)
            run.check()
        except UserError as error:
            warn(f"left out: {error}")
        else:
            yield cell, {**cell.axes, "seed": seed}, run


def _provenance(run: Run) -> list[Row]:
    """Return a row of text: a digest of the task, the versions, and how the run was actually computed."""
    if run.provenance is None:
        return []
    status = run.status
    computed = {"precision": status.precision, "device": status.device, "threads": str(status.threads)}
    return [{"run": run.name, "task_digest": run.provenance.task, **run.provenance.versions, **computed}]


def full_epochs(run: Run, epoch: int) -> float:
    """Return the first `epoch` epochs, counted in epochs of 1,024 sequences of each length.

    The short epochs at the beginning count as nothing: they cost next to nothing.
    """
    return max(0, epoch - run.config.training.short_epochs) * run.config.data.train_per_length / WHOLE_EPOCH


def _end(run: Run, evaluations: list[Row], heads: list[Row]) -> Row:
    """Return the row of a run as it ended; a network that diverged answers nothing."""
    status = run.status
    reached = next((row["epoch"] for row in evaluations if row["accuracy"] >= LEARNED_ACCURACY), None)
    before = [row["epoch"] for row in evaluations if reached is None or row["epoch"] < reached]
    row = {
        "run": run.name,
        "state": status.state,
        "epochs": status.epoch,
        "emerged": status.emerged,
        "full_epochs": full_epochs(run, status.epoch),
        "epochs_to_90": None if reached is None else full_epochs(run, reached),
        "epochs_below_90": full_epochs(run, max(before, default=0)),
        "train_seconds": status.train_seconds,
        "total_seconds": status.total_seconds,
    }
    if status.state == "diverged":
        return {**row, "accuracy": 0.0, "grammar": 0.0, **dict.fromkeys((*_END, "best_second_weight"))}
    scores = run.scores
    return {
        **row,
        "accuracy": scores.accuracy,
        "grammar": scores.grammar,
        **{name: getattr(scores, name) for name in _END},
        "best_second_weight": max((head["second_weight"] for head in heads), default=None),
    }


def _evaluations(run: Run) -> list[Row]:
    """Return a row for each regular evaluation: the loss, and the headline scores of the best pair of heads then."""
    measurements = run.measurements
    losses = dict(measurements.filter(pl.col("name") == "loss").select("epoch", "value").iter_rows())
    means = _headline_means(measurements.filter(pl.col("split") == SAMPLE), "epoch", "name", "layer", "head")
    by_epoch: dict[int, dict[tuple[str, int | None, int | None], float]] = {}
    for epoch, name, layer, head, value in means.iter_rows():
        by_epoch.setdefault(epoch, {})[name, layer, head] = value
    rows = []
    for epoch, scores in sorted(by_epoch.items()):
        pair = best_pair(scores)
        of_roles = {name: scores[name, *pair[name.startswith("second")]] if pair else None for name in _ROLE_SCORES}
        when = {"epoch": epoch, FULL_EPOCH: full_epochs(run, epoch), "loss": losses.get(epoch)}
        rows.append({**when, "accuracy": scores["accuracy", None, None], **of_roles})
    return rows


def _headline_means(measurements: pl.DataFrame, *by: str) -> pl.DataFrame:
    """Return the means over the headline lengths."""
    counted = headline_lengths(sorted(measurements["length"].drop_nulls().unique()))
    return measurements.filter(pl.col("length").is_in(counted)).group_by(*by).agg(pl.col("value").mean())


def _lengths(run: Run) -> list[Row]:
    """Return a row for each length: accuracy at the end, and full epochs to `LEARNED_ACCURACY`."""
    accuracy = run.measurements.filter(pl.col("name") == "accuracy").sort("epoch")
    reached = accuracy.filter((pl.col("split") == SAMPLE) & (pl.col("value") >= LEARNED_ACCURACY))
    first = dict(reached.group_by("length").agg(pl.col("epoch").min()).iter_rows())
    tested = accuracy.filter(pl.col("split") == TEST)
    last = dict((tested if len(tested) else accuracy).group_by("length").agg(pl.col("value").last()).iter_rows())
    return [
        {
            "length": length,
            "accuracy": last[length] if run.status.state == "finished" else 0.0,
            "epochs_to_90": full_epochs(run, first[length]) if length in first else None,
        }
        for length in sorted(last)
    ]


def _heads(run: Run) -> list[Row]:
    """Return a row for each head of a finished run, with its scores on the test sequences, means over lengths."""
    tested = run.measurements.filter((pl.col("split") == TEST) & pl.col("name").is_in(_ROLE_SCORES))
    if tested.is_empty():
        return []
    means = _headline_means(tested, "layer", "head", "name")
    wide = means.pivot("name", index=["layer", "head"], values="value").sort("layer", "head")
    return wide.select("layer", "head", *_ROLE_SCORES).to_dicts()


def _circuits(finished: Sequence[Finished]) -> dict[str, list[Row]]:
    """Return the table `circuits`: networks that solve their task with a low second peakiness (claim 11).

    Columns besides the coordinates: accuracy, second_peakiness, the kinds of the last layer's heads, and a sentence.
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


def _interventions(finished: Sequence[Finished]) -> dict[str, list[Row]]:
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


def _maps(finished: Sequence[Finished]) -> dict[str, list[Row]]:
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


@torch.no_grad()
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
    "circuits": _circuits,
    "interventions": _interventions,
    "maps": _maps,
}
"""Each returns tables by name."""
