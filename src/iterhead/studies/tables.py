"""The tidy tables of a study: all that its figures and claims are made from."""

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from iterhead import atomic
from iterhead.errors import UserError
from iterhead.studies.study import Where

FOLDER = "tables"


@dataclass(frozen=True)
class Tables:
    """What was measured, a row for each finished run and more; the first columns are the study's axes, then `seed`.

    Attributes:
        study: the name of the study.
        frames: the tables by name. `runs`: a row for each run, with its scores at the end (on all test sequences).
            `curves`: one for each evaluation. `lengths`: one for each length of input. `heads`: one for each head.
            `provenance`: one for each run, with the versions that made it, its number format, device and threads.
            Others where the study measures more: `circuits`, `checks`, `effects`, `maps`.
    """

    study: str
    frames: Mapping[str, pl.DataFrame] = field(default_factory=dict)

    def __getitem__(self, name: str) -> pl.DataFrame:
        """Return a table; an empty one where nothing was measured."""
        return self.frames.get(name, pl.DataFrame())

    def runs(self, where: Where | None = None) -> pl.DataFrame:
        """Return the rows of the runs of some cells."""
        return chosen(self["runs"], where or {})

    def curves(self, where: Where | None = None) -> pl.DataFrame:
        """Return the rows of the evaluations of some cells."""
        return chosen(self["curves"], where or {})


def chosen(frame: pl.DataFrame, where: Where) -> pl.DataFrame:
    """Return the rows that stand at these places of these axes; none of an empty table."""
    if frame.is_empty() or not where:
        return frame
    return frame.filter([pl.col(axis) == value for axis, value in where.items()])


def write_tables(tables: Tables, folder: Path) -> list[Path]:
    """Write each table as Parquet into a folder, and return the files; each is whole or as it was before."""
    written = []
    for name, frame in tables.frames.items():
        buffer = io.BytesIO()
        frame.write_parquet(buffer)
        path = folder / FOLDER / f"{name}.parquet"
        atomic.write(path, buffer.getvalue())
        written.append(path)
    return written


def read_tables(study: str, folder: Path) -> Tables:
    """Return what `write_tables` wrote into a folder.

    Raises:
        UserError: there are none, or one cannot be read.
    """
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
