"""The tidy tables of a study: everything that its figures and claims are made from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from iterhead import atomic
from iterhead.contents import Column, ContentError, parse_table
from iterhead.errors import UserError
from iterhead.runs.storage import table_bytes
from iterhead.studies.study import Study, Where

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


_TEXT = Column(pl.String, optional=True)
_COUNT = Column(pl.Int64, least=0, optional=True)
_SHARE = Column(pl.Float64, nullable=True, least=0, most=1.001, optional=True)
_POSITIVE = Column(pl.Float64, nullable=True, least=0, optional=True)
_WEIGHT = _POSITIVE._replace(nan=True)  # attention may have overflowed
_NUMBER = Column(pl.Float64, nullable=True, optional=True)

_COLUMNS: Mapping[str, Column] = {
    **dict.fromkeys(("run", "kind", "circuit", "name", "id", "claim", "bound", "verdict", "token"), _TEXT),
    **dict.fromkeys(("seed", "epochs", "epoch", "length", "layer", "head", "query", "key"), _COUNT),
    **dict.fromkeys(("accuracy", "grammar", "first_peakiness", "second_peakiness"), _SHARE),
    **dict.fromkeys(("by_token", "exact", "chance"), _SHARE),
    **dict.fromkeys((FULL_EPOCH, "full_epochs", "epochs_to_90", "epochs_below_90"), _POSITIVE),
    **dict.fromkeys(("loss", "train_seconds", "total_seconds"), _POSITIVE),
    **{f"{role}_{score}": _WEIGHT for role in ("first", "second") for score in ("weight", "invariance", "mass")},
    **dict.fromkeys(("best_second_weight", "weight"), _WEIGHT),
    **dict.fromkeys(("value", "low", "high", "threshold", "apart"), _NUMBER),
    "emerged": Column(pl.Boolean, optional=True),
    "state": _TEXT._replace(among=("finished", "diverged")),
}
"""What is known of columns, whichever table has them, unless an axis of the study has the name."""

_AXES: Mapping[type, type[pl.DataType]] = {str: pl.String, int: pl.Int64, float: pl.Float64}
"""Types of the values of axes."""

_NEEDED = {
    "runs": ("seed", "run", "state", "epochs", "total_seconds", "accuracy"),
    "curves": ("seed", "epoch", FULL_EPOCH, "loss", "accuracy"),
}


def read_tables(study: Study, folder: Path) -> Tables:
    """Return what `write_tables` wrote into the folder of a study.

    Raises:
        UserError: there are no tables, or one cannot be read or is malformed.
    """
    again = "iterhead study report makes them from the runs"
    axes = {name: Column(_AXES[type(value)]) for cell in study.cells[:1] for name, value in cell.axes.items()}
    paths = sorted((folder / FOLDER).glob("*.parquet"))
    if not paths:
        raise UserError(f"{folder / FOLDER}: no tables here: {again}")
    frames = {}
    for path in paths:
        needed = {name: _COLUMNS[name]._replace(optional=False) for name in _NEEDED.get(path.stem, ())}
        columns = {**_COLUMNS, **needed, **axes}
        try:
            frames[path.stem] = parse_table(atomic.read(path) or b"", columns)
        except ContentError as error:
            raise UserError(f"{path} is damaged, or of another version: {error}: {again}") from None
    return Tables(study.name, frames)
