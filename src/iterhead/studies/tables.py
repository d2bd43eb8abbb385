"""The tidy tables of a study: everything that its figures and claims are made from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from iterhead import atomic
from iterhead.errors import UserError
from iterhead.runs.storage import table_bytes
from iterhead.studies.study import Where

FOLDER = "tables"

FULL_EPOCH = "full_epoch"
"""Column of `curves`: the epoch counted in 1,024 sequences of each length, so that epochs of other sizes compare. The
short epochs at the beginning count as nothing."""


@dataclass(frozen=True)
class Tables:
    """What was measured, by name of the table; the first columns are the study's axes, then `seed`.

    `runs` has a row for each finished run, with its scores at the end (on all test sequences), and `provenance` one
    with the versions that made it, its dtype, device and threads. `curves` has a row for each evaluation,
    `lengths` for each length of input, `heads` for each head, `exceptions` for each network whose accuracy and second
    peakiness disagree. Studies that measure more have `circuits`, `checks`, `effects`, `maps`, `length_curves`.
    """

    study: str
    frames: Mapping[str, pl.DataFrame] = field(default_factory=dict)

    def __getitem__(self, name: str) -> pl.DataFrame:
        """Return a table; an empty one, without columns, if nothing was measured."""
        return self.frames.get(name, pl.DataFrame())

    def select(self, name: str, where: Where) -> pl.DataFrame:
        """Return the rows of a table that belong to some cells; an empty table is returned as it is."""
        frame = self[name]
        if frame.is_empty() or not where:
            return frame
        return frame.filter([pl.col(axis) == value for axis, value in where.items()])

    def runs(self, where: Where | None = None) -> pl.DataFrame:
        """Return the rows of the runs of some cells."""
        return self.select("runs", where or {})

    def scores(self, name: str, where: Where | None = None) -> list[float]:
        """Return a score of each run of some cells, ordered by seed, without those that have none."""
        rows = self.runs(where)
        return [] if rows.is_empty() else rows.sort("seed")[name].drop_nulls().to_list()


def write_tables(tables: Tables, folder: Path) -> None:
    """Write each table as Parquet into a folder; each file has either its old or its new content."""
    for name, frame in tables.frames.items():
        atomic.write(folder / FOLDER / f"{name}.parquet", table_bytes(frame))


def read_tables(study: str, folder: Path) -> Tables:
    """Return what `write_tables` wrote into a folder; raises UserError if there are none, or one cannot be read."""
    paths = sorted((folder / FOLDER).glob("*.parquet"))
    if not paths:
        raise UserError(f"{folder / FOLDER}: no tables here: iterhead study report makes them from the runs")
    frames = {}
    for path in paths:
        try:
            frames[path.stem] = pl.read_parquet(path)
        except (OSError, pl.exceptions.PolarsError) as error:
            raise UserError(f"{path}: cannot be read: {str(error).partition(chr(10))[0]}") from None
    return Tables(study, frames)
