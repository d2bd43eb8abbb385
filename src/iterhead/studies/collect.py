"""From finished runs to the tidy tables of a study."""

from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl

from iterhead.criteria import FAR_APART, LEARNED_ACCURACY
from iterhead.errors import UserError
from iterhead.measure.records import best_pair, headline_lengths
from iterhead.runs.paths import run_folder_name
from iterhead.runs.run import PROVENANCE, SAMPLE, TEST, Run, is_finished
from iterhead.runs.storage import RunFolder
from iterhead.studies.measures import MEASURES, Finished, Row
from iterhead.studies.study import Study
from iterhead.studies.tables import FULL_EPOCH, Tables

WHOLE_EPOCH = 1024
"""Training sequences of each length in an epoch, in the paper."""

_ROLE_SCORES = tuple(f"{role}_{score}" for role in ("first", "second") for score in ("peakiness", "weight"))

_END = (*_ROLE_SCORES, "first_invariance", "second_invariance", "first_mass", "second_mass")

_SCORES = {*_END, "accuracy", "grammar", "loss", "epochs_to_90", "epochs_below_90", "full_epochs", "best_second_weight"}


def collect(study: Study, out: Path, warn: Callable[[str], None] = lambda _line: None) -> Tables:
    """Return the tables of a study's finished runs; cells without one have no rows.

    Args:
        study: whose runs.
        out: the folder of run folders.
        warn: called with a line about each run that cannot be read.
    """
    finished = list(_finished(study, out, warn))
    rows: dict[str, list[Row]] = {"runs": [], "curves": [], "lengths": [], "heads": [], "provenance": []}
    for _, coordinates, run in finished:
        for name, of_run in _rows(run).items():
            rows[name] += [{**coordinates, **row} for row in of_run]
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
            if is_finished(folder):
                yield cell, {**cell.axes, "seed": seed}, Run(folder)
        except UserError as error:
            warn(f"left out: {error}")


def _rows(run: Run) -> dict[str, list[Row]]:
    """Return a run's rows of each table, without its coordinates."""
    evaluations, heads = _evaluations(run), _heads(run)
    return {
        "runs": [_end(run, evaluations, heads)],
        "curves": evaluations,
        "lengths": _lengths(run),
        "heads": heads,
        "provenance": _provenance(run),
    }


def _provenance(run: Run) -> list[Row]:
    """Return a row of text: a digest of the task, the versions, and how the run was actually computed."""
    if not run.folder.has(PROVENANCE):
        return []
    provenance = run.folder.read_json(PROVENANCE)
    texts = {name: str(value) for name, value in provenance.items() if isinstance(value, str | int | float)}
    status = run.status
    computed = {"precision": status.precision, "device": status.device, "threads": str(status.threads)}
    return [{"run": run.name, "task_digest": texts.pop("task", ""), **texts, **computed}]


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
