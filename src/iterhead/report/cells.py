"""The cells, runs and curves of a study as the page needs them: joined from its value and its tables.

Letters: `R` runs of the study, in its order; `P` evaluations of all of them, one run after the other; `Y`, `X` values
on the axes of a map.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from iterhead.errors import UserError
from iterhead.measure.emergence import emergences
from iterhead.model.positions import POSITION_ENCODINGS
from iterhead.runs.paths import run_folder_name
from iterhead.settings import RunConfig, option_names
from iterhead.studies.drawings import LABELS, Grid
from iterhead.studies.study import Cell, Study
from iterhead.studies.tables import Tables

Facts = dict[str, Any]

MISSING = 65535  # an unknown share
NO_CURVES = 0  # in place of `every`
STEPS = 10_000  # of a stored share of 0 .. 1
STATES = ("not there", "finished", "diverged")
INDEX = "index of the run"  # the column of `placed`
_NUMBERS = ("epochs", "train_seconds", "epochs_to_90")
SHARE_COLUMNS = ("accuracy", "first_peakiness", "second_peakiness")


def shares(values: NDArray[np.floating]) -> NDArray[np.uint16]:
    """Return shares of 0 .. 1 in steps of 1 / 10,000; nan is MISSING. Only 1 is all of them, and only 0 is none."""
    steps = np.floor(np.nan_to_num(values) * STEPS + 1e-6)
    steps = np.where((values > 0) & (steps < 1), 1, steps)
    return np.where(np.isnan(values), MISSING, np.clip(steps, 0, STEPS)).astype(np.uint16)


def placed(study: Study, frame: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of a table that belong to a run of the study, with the run's index [0, R), in that order.

    Raises:
        UserError: the table has other axes: it was made by another version of the study.
    """
    keys = [*study.axes, "seed"]
    if frame.is_empty():
        return pl.DataFrame(schema={INDEX: pl.Int64, **dict.fromkeys(keys, pl.Int64)})
    expected_runs = pl.DataFrame(
        [{**cell.axes, "seed": seed} for cell, seed, _ in study.runs()], infer_schema_length=None
    )
    try:
        return frame.join(expected_runs.with_row_index(INDEX), on=keys, how="inner", maintain_order="left").sort(
            INDEX, maintain_order=True
        )
    except pl.exceptions.PolarsError:
        raise UserError(
            f"{study.name}: its tables stand on other axes: iterhead study report {study.name} --scale {study.scale} "
            "makes them again"
        ) from None


def _column(rows: pl.DataFrame, name: str) -> NDArray[np.float64]:
    """Return a column as numbers; nan where there is none."""
    if name not in rows.columns:
        return np.full(rows.height, np.nan)
    return rows[name].cast(pl.Float64, strict=False).fill_null(np.nan).to_numpy()


def runs_facts(study: Study, tables: Tables) -> tuple[Facts, dict[str, NDArray[Any]]]:
    """Return the names of the runs, their versions, and arrays [R]: state, shares, epochs, seconds, version.

    The names come from the settings: tables may be somebody else's, and names go into commands.
    """
    configs = [config for _, _, config in study.runs()]
    rows = placed(study, tables["runs"])
    at, total = rows[INDEX].to_numpy(), len(configs)
    arrays: dict[str, NDArray[Any]] = {}
    states = np.zeros(total, dtype=np.uint8)
    if rows.height:
        states[at] = [STATES.index(state) for state in rows["state"]]
    arrays["state"] = states
    for name in _NUMBERS:
        arrays[name] = np.full(total, np.nan, dtype=np.float32)
        arrays[name][at] = _column(rows, name)
    for name in SHARE_COLUMNS:
        arrays[name] = np.full(total, MISSING, dtype=np.uint16)
        arrays[name][at] = shares(_column(rows, name))
    names = [run_folder_name(config) for config in configs]
    versions, arrays["version"] = _versions(study, tables, total)
    return {"names": names, "versions": versions, "states": STATES}, arrays


def _versions(study: Study, tables: Tables, total: int) -> tuple[list[dict[str, str]], NDArray[np.uint16]]:
    """Return what runs were made with, each kind once, and each run's; MISSING where it was not recorded."""
    which = np.full(total, MISSING, dtype=np.uint16)
    rows = placed(study, tables["provenance"])
    if rows.is_empty():
        return [], which
    versions = rows.drop(INDEX, "seed", "run", "task_digest", *study.axes, strict=False)
    kinds: dict[tuple[str | None, ...], int] = {}
    for index, values in zip(rows[INDEX].to_numpy(), versions.iter_rows(), strict=True):
        which[index] = kinds.setdefault(values, len(kinds))
    named = [{name: str(value) for name, value in zip(versions.columns, kind, strict=True) if value} for kind in kinds]
    return named, which


def cells_facts(study: Study, command_of: Callable[[RunConfig], str]) -> Facts:
    """Return the cells with their coordinates, seeds and commands, and every setting; common ones once.

    `command_of` returns the command that makes a run; the page adds the seed, the start and the folder to it.
    """
    flat = [_flat(cell.config) for cell in study.cells]
    common = {name: value for name, value in flat[0].items() if all((name, value) in other.items() for other in flat)}
    return {
        "axes": list(study.axes),
        "labels": {axis: LABELS.get(axis, axis) for axis in study.axes},
        "settings": common,
        "cells": [
            {
                "place": list(cell.axes.values()),
                "seeds": list(cell.seeds),
                "settings": {name: value for name, value in settings.items() if name not in common},
                **_origin(cell, command_of),
            }
            for cell, settings in zip(study.cells, flat, strict=True)
        ],
    }


def _flat(config: RunConfig) -> Facts:
    """Return the settings that apply by dotted name, defaults filled in, without the seed and the start of each run."""
    dumped = config.model_dump(mode="json")
    unused = {f"model.{name}" for name in config.model.unused}
    settings = {}
    for name in option_names():
        part, _, rest = name.rpartition(".")
        if part != "start" and name != "seed" and name not in unused:
            settings[name] = dumped[part][rest] if part else dumped[rest]
    settings |= {"model.mlp_width": config.model.hidden, "model.context": config.context}
    encoding = POSITION_ENCODINGS[config.model.positions]
    if "model.position_width" not in unused and (encoding.is_added or encoding.is_rotary):
        settings["model.position_width"] = config.model.positions_on
    return settings


def _origin(cell: Cell, command_of: Callable[[RunConfig], str], seeds: Sequence[int] | None = None) -> Facts:
    """Return the command of a cell's runs, and what they start from: run of each seed, checkpoint, and its origin."""
    seeds = cell.seeds if seeds is None else seeds
    start = None
    if cell.parent is not None:
        runs = [run_folder_name(cell.parent.run_config(seed)) for seed in seeds]
        start = {"runs": runs, "epoch": cell.parent_epoch, **_origin(cell.parent, command_of, seeds)}
    return {"command": command_of(cell.config.model_copy(update={"seed": 0, "start": None})), "start": start}


def maps_facts(study: Study, tables: Tables) -> tuple[list[Facts], dict[str, NDArray[np.uint16]]]:
    """Return the maps of the study's figures: their axes and cells, and arrays `map.D.P` [3, Y, X].

    An array has the mean over seeds, the least and the largest, of panel P of drawing D.
    """
    facts: list[Facts] = []
    arrays = {}
    for drawing in study.drawings:
        if not isinstance(drawing, Grid):
            continue
        xs, ys = drawing.axis_values(study)
        panels = []
        for number, panel in enumerate(drawing.panels):
            arrays[f"map.{len(facts)}.{number}"] = shares(drawing.values(study, tables, panel))
            cells = drawing.cells(study, panel)
            panels.append({"title": panel.title, "score": panel.score, "epoch": panel.epoch, "cells": cells})
        facts.append({"title": drawing.title, "x": drawing.x, "y": drawing.y, "xs": xs, "ys": ys, "panels": panels})
    return facts, arrays


@dataclass(frozen=True)
class SeedCurves:
    """The evaluations of every run, in order, of which the page keeps as many as fit."""

    run: NDArray[np.int64]  # index of the run of each evaluation, [P]
    rows: pl.DataFrame  # epoch, loss and scores of each
    runs: int  # R

    @property
    def most(self) -> int:
        """Evaluations of the run that has most."""
        return int(np.bincount(self.run, minlength=1).max())

    def emerged(self) -> NDArray[np.float32]:
        """Return the epoch [R] at which the head emerged, as in early stopping; nan if it never did."""
        names = ("epoch", "accuracy", "second_peakiness")
        emerged = np.full(self.runs, np.nan, dtype=np.float32)
        rows = emergences(pl.DataFrame({INDEX: self.run, **{name: _column(self.rows, name) for name in names}}), INDEX)
        emerged[rows[INDEX].to_numpy()] = rows["epoch"].to_numpy()
        return emerged

    def arrays(self, every: int) -> dict[str, NDArray[Any]]:
        """Return `evaluations` [R], how many each run has, and `curve.` epoch, shares and loss [P].

        Every n-th evaluation of a run is kept, counted from the last one, and the first.
        """
        kept = self._kept(every)
        rows = self.rows.filter(kept)
        epochs = _column(rows, "epoch")
        largest = epochs.max(initial=0)
        arrays: dict[str, NDArray[Any]] = {
            "evaluations": np.bincount(self.run[kept], minlength=self.runs).astype(np.uint16),
            "curve.epoch": epochs.astype(np.uint16 if largest < 65536 else np.float32),
            "curve.loss": np.clip(_column(rows, "loss"), None, float(np.finfo(np.float16).max)).astype(np.float16),
        }
        return arrays | {f"curve.{name}": shares(_column(rows, name)) for name in SHARE_COLUMNS}

    def _kept(self, every: int) -> NDArray[np.bool_]:
        if every == NO_CURVES or not len(self.run):
            return np.zeros(len(self.run), dtype=bool)
        counts = np.bincount(self.run, minlength=self.runs)
        start = np.concatenate([[0], np.cumsum(counts)[:-1]])
        place = np.arange(len(self.run)) - start[self.run]
        kept: NDArray[np.bool_] = ((counts[self.run] - 1 - place) % every == 0) | (place == 0)
        return kept


def seed_curves(study: Study, tables: Tables) -> SeedCurves:
    """Return the evaluations of a study's runs; raises UserError for tables of another version."""
    rows = placed(study, tables["curves"])
    if rows.height:
        rows = rows.sort(INDEX, "epoch", maintain_order=True)
    return SeedCurves(rows[INDEX].to_numpy().astype(np.int64), rows, study.run_count)
