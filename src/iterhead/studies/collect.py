"""From finished runs to the tidy tables of a study."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl

from iterhead.criteria import LEARNED_ACCURACY
from iterhead.errors import UserError
from iterhead.measure import headline_lengths
from iterhead.measure.records import best_pair
from iterhead.runs.paths import run_folder_name
from iterhead.runs.run import PROVENANCE, SAMPLE, TEST, Run, is_finished
from iterhead.runs.storage import RunFolder
from iterhead.studies.judges.grids import disagreeing
from iterhead.studies.measures import MEASURES
from iterhead.studies.study import FULL_EPOCH, Cell, Study
from iterhead.studies.tables import Tables

Row = dict[str, Any]

WHOLE_EPOCH = 1024
"""Training sequences of each length in an epoch, in the paper."""

_ROLE_SCORES = tuple(f"{role}_{score}" for role in ("first", "second") for score in ("peakiness", "weight"))

_END = (*_ROLE_SCORES, "first_invariance", "second_invariance", "first_mass", "second_mass")

_SCORES = {*_END, "accuracy", "grammar", "loss", "epochs_to_90", "epochs_below_90", "full_epochs", "best_second_weight"}


def collect(study: Study, out: Path, tell: Callable[[str], None] = lambda _line: None) -> Tables:
    """Return the tables of a study's finished runs; cells without one have no rows.

    Args:
        study: whose runs.
        out: the folder of run folders.
        tell: is given a line about each run that cannot be read.
    """
    rows: dict[str, list[Row]] = {"runs": [], "curves": [], "lengths": [], "heads": [], "provenance": []}
    finished: list[tuple[Cell, Row, Run]] = []
    for cell, place, run in _finished(study, out, tell):
        finished.append((cell, place, run))
        for name, found in _rows(run).items():
            rows[name] += [{**place, **row} for row in found]
    for measure in study.measures:
        rows |= MEASURES[measure](finished)
    frames = {name: _frame(found) for name, found in rows.items() if found}
    if "runs" in frames and not (apart := disagreeing(frames["runs"])).is_empty():
        frames["exceptions"] = apart
    return Tables(study.name, frames)


def _frame(rows: list[Row]) -> pl.DataFrame:
    """Return rows as a table; scores are numbers also where no run has one."""
    numbers = {name: pl.Float64 for name in rows[0] if name in _SCORES}
    return pl.DataFrame(rows, schema_overrides=numbers, infer_schema_length=None)


def _finished(study: Study, out: Path, tell: Callable[[str], None]) -> Iterator[tuple[Cell, Row, Run]]:
    """Yield the runs that are done, each with its cell and its place on the axes."""
    for cell, seed, config in study.runs():
        folder = RunFolder(out / run_folder_name(config))
        try:
            if is_finished(folder):
                yield cell, {**cell.axes, "seed": seed}, Run(folder)
        except UserError as error:
            tell(f"left out: {error}")


def _rows(run: Run) -> dict[str, list[Row]]:
    """Return a run's rows of each table, without its place."""
    evaluations = _evaluations(run)
    lengths = _lengths(run)
    return {
        "runs": [_end(run, evaluations)],
        "curves": evaluations,
        "lengths": lengths,
        "heads": _heads(run),
        "provenance": _provenance(run),
    }


def _provenance(run: Run) -> list[Row]:
    """Return a row of text: a digest of the task, the versions, and what the run was computed with in fact."""
    if not run.folder.has(PROVENANCE):
        return []
    read = run.folder.read_json(PROVENANCE)
    told = {name: str(value) for name, value in read.items() if isinstance(value, str | int | float)}
    status = run.status
    means = {"precision": status.precision, "device": status.device, "threads": str(status.threads)}
    return [{"run": run.name, "task_digest": told.pop("task", ""), **told, **means}]


def full_epochs(run: Run, epoch: int) -> float:
    """Return what the first `epoch` epochs come to, counted in epochs of 1,024 sequences of each length.

    The short epochs at the beginning count as nothing: they cost next to nothing.
    """
    return max(0, epoch - run.config.training.short_epochs) * run.config.data.train_per_length / WHOLE_EPOCH


def _end(run: Run, evaluations: list[Row]) -> Row:
    """Return the row of a run as it ended; a network that diverged answers nothing."""
    status = run.status
    known = {"run": run.name, "state": status.state, "epochs": status.epoch, "emerged": status.emerged}
    reached = next((row["epoch"] for row in evaluations if row["accuracy"] >= LEARNED_ACCURACY), None)
    before = [row["epoch"] for row in evaluations if reached is None or row["epoch"] < reached]
    known |= {
        "full_epochs": full_epochs(run, status.epoch),
        "epochs_to_90": None if reached is None else full_epochs(run, reached),
        "epochs_below_90": full_epochs(run, max(before, default=0)),
    }
    known |= {"train_seconds": status.train_seconds, "total_seconds": status.total_seconds}
    if status.state == "diverged":
        return {**known, "accuracy": 0.0, "grammar": 0.0, **dict.fromkeys((*_END, "best_second_weight"))}
    scores = run.scores
    weights = [row["second_weight"] for row in _heads(run)]
    return {
        **known,
        "accuracy": scores.accuracy,
        "grammar": scores.grammar,
        **{name: getattr(scores, name) for name in _END},
        "best_second_weight": max(weights, default=None),
    }


def _evaluations(run: Run) -> list[Row]:
    """Return a row for each regular evaluation: the loss, and the headline scores of the best pair of heads then."""
    rows = run.measurements
    losses = dict(rows.filter(pl.col("name") == "loss").select("epoch", "value").iter_rows())
    sampled = rows.filter(pl.col("split") == SAMPLE)
    counted = headline_lengths(sorted(sampled["length"].drop_nulls().unique()))
    means = (
        sampled.filter(pl.col("length").is_in(counted))
        .group_by("epoch", "name", "layer", "head")
        .agg(pl.col("value").mean())
    )
    by_epoch: dict[int, dict[tuple[str, int | None, int | None], float]] = {}
    for epoch, name, layer, head, value in means.iter_rows():
        by_epoch.setdefault(epoch, {})[name, layer, head] = value
    found = []
    for epoch in sorted(by_epoch):
        scores = by_epoch[epoch]
        pair = best_pair(scores)
        of_roles = {name: scores[name, *pair[name.startswith("second")]] if pair else None for name in _ROLE_SCORES}
        when = {"epoch": epoch, FULL_EPOCH: full_epochs(run, epoch), "loss": losses.get(epoch)}
        found.append({**when, "accuracy": scores["accuracy", None, None], **of_roles})
    return found


def _lengths(run: Run) -> list[Row]:
    """Return a row for each length: accuracy at the end, and full epochs to accuracy 0.9."""
    accuracy = run.measurements.filter(pl.col("name") == "accuracy").sort("epoch")
    sampled = accuracy.filter((pl.col("split") == SAMPLE) & (pl.col("value") >= LEARNED_ACCURACY))
    first = dict(sampled.group_by("length").agg(pl.col("epoch").min()).iter_rows())
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
    counted = headline_lengths(sorted(tested["length"].unique()))
    means = tested.filter(pl.col("length").is_in(counted)).group_by("layer", "head", "name").agg(pl.col("value").mean())
    wide = means.pivot("name", index=["layer", "head"], values="value").sort("layer", "head")
    return wide.select("layer", "head", *_ROLE_SCORES).to_dicts()
